"""Numbers, times and bars as text: unknown is never zero, and signs need no colour."""

import math

import pytest

from tui.render import format as f


@pytest.mark.parametrize("value", [None, math.nan, math.inf, "12", True, [], {}])
def test_what_is_not_a_number_is_unknown_never_zero(value: object) -> None:
    for write in (f.money, f.lots, f.percent, f.multiple, f.price, f.age, f.countdown):
        assert write(value) == f.UNKNOWN


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1234.5, "+1,234.50"),
        (-0.004, "0.00"),
        (0.004, "0.00"),
        (-1.1, "-1.10"),
        (2_500_000, "+2,500,000"),
    ],
)
def test_money_is_signed_and_nothing_has_no_sign(value: float, text: str) -> None:
    assert f.money(value, sign=True) == text


@pytest.mark.parametrize(
    ("value", "text"), [(-0.04, "0.0"), (0.04, "0.0"), (-0.06, "-0.1"), (1.44, "+1.4")]
)
def test_a_small_loss_in_r_is_never_written_as_a_gain(value: float, text: str) -> None:
    assert f.multiple(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0s"), (0.34, "0.3s"), (9.96, "9s"), (59.9, "59s"), (65, "1m05"), (7620, "2h07"),
     (273_600, "3d04"), (-3, "0.0s")],
)  # fmt: skip
def test_an_age_keeps_two_units_at_most(seconds: float, text: str) -> None:
    assert f.age(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(6.2, "0:07"), (108, "1:48"), (3723, "1:02:03"), (0, "now"), (-5, "now")]
)
def test_a_countdown_rounds_up_and_ends_in_now(seconds: float, text: str) -> None:
    assert f.countdown(seconds) == text


def test_a_price_has_the_digits_of_its_symbol_and_no_stop_is_unknown() -> None:
    assert f.price(1.1, 5) == "1.10000"
    assert f.price(2340.5, 2) == "2340.50"
    assert f.price(0.0, 5) == f.UNKNOWN
    assert f.price(1.0845, None) == "1.08450"


@pytest.mark.parametrize(
    ("entry", "now", "sl", "tp", "bar"),
    [
        (100.0, 105.0, 90.0, 110.0, "├────┼─●──┤"),
        (100.0, 110.0, 90.0, 110.0, "├────┼───●┤"),
        (100.0, 95.0, 110.0, 90.0, "├────┼─●──┤"),
        (100.0, 105.0, 90.0, 0.0, "├────┼─●╌╌╌"),
        (100.0, 105.0, 0.0, 110.0, "no SL╌╌╌╌╌┤"),
        (100.0, 105.0, 0.0, 0.0, "no SL/TP"),
        (None, 105.0, 90.0, 110.0, f.UNKNOWN),
    ],
)
def test_the_stop_bar_places_entry_and_price(
    entry: float | None, now: float, sl: float, tp: float, bar: str
) -> None:
    assert f.stop_bar(entry, now, sl, tp, 11) == bar


def test_the_stop_bar_always_has_its_width_whatever_the_prices() -> None:
    for now in (1e-9, 0.5, 89, 90, 95, 130, 1e9):
        for tp in (0.0, 110.0):
            for sl in (90.0, 101.0):
                assert len(f.stop_bar(100.0, now, sl, tp, 13)) == 13


def test_pips_are_ten_points_of_three_and_five_digit_prices() -> None:
    assert f.pips(1.0845, 1.0855, "SELL", 5) == pytest.approx(-10.0)
    assert f.pips(191.20, 191.23, "BUY", 3) == pytest.approx(3.0)
    assert f.pips(2340.0, 2341.0, "BUY", 2) == pytest.approx(100.0)
    assert f.pips(1.0, 1.1, None, 5) is None


def test_a_gauge_shows_the_least_use_and_never_overflows() -> None:
    assert f.gauge(0.01, 3.0, 10) == "█·········"
    assert f.gauge(0.0, 3.0, 10) == "··········"
    assert f.gauge(-9.0, 3.0, 10) == "██████████"
    assert f.gauge(None, 3.0, 4) == "····"


def test_times_without_a_zone_are_utc_and_nonsense_is_unknown() -> None:
    assert f.parse_time("1970-01-01T00:01:00") == 60.0
    assert f.parse_time("yesterday") is None
    assert f.clock("2026-03-04T13:05:04.250+00:00", milliseconds=True) == "13:05:04.250"
    assert f.stamp(1e30) == f.UNKNOWN


def test_a_strip_spans_its_values_and_a_flat_one_is_flat() -> None:
    assert f.strip([1, 2, 3], 10) == "▁▄█"
    assert f.strip([5, 5], 10) == "▃▃"
    assert f.strip([None, "x"], 10) == ""
    assert len(f.strip(range(1000), 12)) == 12
