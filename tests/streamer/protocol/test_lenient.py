"""Reading wire values as structs: nothing raises, and no wrong value costs its neighbours."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET
from support.wire_examples import whole

from streamer.protocol.codec import decode, encode
from streamer.protocol.lenient import INT_MAX, read, read_list, read_map, typed_event, wire_key
from streamer.protocol.messages import (
    EVENT_TYPES,
    EVENTS,
    Account,
    AccountUpdate,
    BotStatus,
    PendingOrder,
    Position,
    PositionClosed,
    Quote,
    Scan,
    ScanDetail,
    TradeExecution,
)
from streamer.protocol.payloads import Received

STRUCTS: tuple[type[Received], ...] = (*EVENTS, Account, Position, PendingOrder, Quote, Scan)
"""What readers meet; the payloads in them are reached through them."""

HOSTILE: Any = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=10**18, max_value=10**400)
    | st.floats(allow_nan=True, allow_infinity=True)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["ticket", "value", "k", ""]), inner, max_size=3)
    ),
    max_leaves=8,
)


def values(made: Any) -> dict[str, Any]:
    return {info.name: getattr(made, info.name) for info in msgspec.structs.fields(made)}


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda s: s.__name__)
def test_what_is_right_is_read_as_msgspec_reads_it(struct: type[Received]) -> None:
    right = whole(struct)
    assert read(right, struct) == msgspec.convert(right, struct)
    # The same field by field: a word that no Literal lists takes that way.
    for info in msgspec.structs.fields(struct):
        if info.encode_name in right:
            wrong = {**right, info.encode_name: object()}
            made = read(wrong, struct)
            assert made is not None
            expected, found = values(msgspec.convert(right, struct)), values(made)
            del expected[info.name], found[info.name]
            assert found == expected, info.name


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(STRUCTS), st.data())
def test_a_hostile_field_is_unknown_and_costs_no_other(
    struct: type[Received], data: st.DataObject
) -> None:
    right = whole(struct)
    info = data.draw(st.sampled_from(msgspec.structs.fields(struct)))
    right[info.encode_name] = data.draw(HOSTILE)
    made = read(right, struct)
    assert made is not None
    expected, found = values(msgspec.convert(whole(struct), struct)), values(made)
    value = found.pop(info.name)
    expected.pop(info.name)
    assert found == expected
    if isinstance(value, float):
        assert math.isfinite(value)
    if type(value) is int:
        assert abs(value) <= INT_MAX
    encode(made)  # and it can be written again


@settings(deadline=None, max_examples=300)
@given(st.dictionaries(st.sampled_from([*EVENT_TYPES, "symbol", "ticket"]), HOSTILE), HOSTILE)
def test_anything_is_read_without_an_error(event: dict[str, Any], part: Any) -> None:
    for struct in STRUCTS:
        read(event, struct)
        read(part, struct)
        read_list(part, struct)
        read_map(part, struct)
    for kind in EVENT_TYPES:
        made = typed_event({**event, "type": kind})
        assert type(made) is EVENT_TYPES[kind]
    typed_event({**event, "type": part})
    typed_event(event)


@pytest.mark.parametrize("struct", STRUCTS, ids=lambda s: s.__name__)
def test_nesting_without_end_is_of_a_wrong_type(struct: type[Received]) -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    for info in msgspec.structs.fields(struct):
        made = read({**whole(struct), info.encode_name: deep, "foreign": {"a": deep}}, struct)
        assert made is not None


def test_an_unknown_field_is_kept_at_every_level() -> None:
    made = read({"equity": 5, "broker": "x", "limits": {"day": {"value": 1, "why": "y"}}}, Account)
    assert made is not None
    assert made.limits is not None
    assert made.equity == 5.0
    assert made.extra == {"broker": "x"}
    assert made.limits["day"].extra == {"why": "y"}
    slow = read(
        {"equity": "?", "broker": "x", "limits": {"day": {"value": 1, "why": "y"}}}, Account
    )
    assert slow is not None
    assert slow.limits is not None
    assert slow.extra == {"broker": "x"}
    assert slow.limits["day"].extra == {"why": "y"}


def test_what_was_made_here_has_nothing_extra() -> None:
    assert Account(equity=1.0).extra == {}
    assert encode(read({"equity": 1.5, "foreign": 1}, Account)) == encode(Account(equity=1.5))


def test_a_position_without_a_ticket_is_shown_all_the_same() -> None:
    (first, second) = read_list(
        [{"ticket": "5", "symbol": "EURUSD", "profit": -3}, {"ticket": 6, "symbol": None}], Position
    )
    assert (first.ticket, first.symbol, first.profit) == (None, "EURUSD", -3.0)
    assert (second.ticket, second.symbol) == (6, None)


def test_a_missing_field_is_unknown_and_a_default_stays() -> None:
    made = typed_event({"type": "TRADE_EXECUTION", "symbol": "X"})
    assert isinstance(made, TradeExecution)
    assert (made.price, made.owner, made.timestamp) == (None, None, UNSET)
    closed = typed_event({"type": "POSITION_CLOSED", "mae": "?", "timestamp": 5})
    assert isinstance(closed, PositionClosed)
    assert (closed.mae, closed.mfe, closed.timestamp) == (None, UNSET, UNSET)


def test_a_word_of_a_newer_publisher_is_kept() -> None:
    made = typed_event({"type": "BOT_STATUS", "state": "sleeping", "reason": {"text": "night"}})
    assert isinstance(made, BotStatus)
    assert str(made.state) == "sleeping"
    assert made.reason is not None
    assert (made.reason.code, made.reason.text) == (None, "night")


def test_risk_memory_is_whole_or_not_there() -> None:
    right = {"type": "BOT_STATUS", "state": "halted", "risk": {"login": 1, "server": "s"}}
    made = typed_event(right)
    assert isinstance(made, BotStatus)
    assert made.risk
    assert made.risk.login == 1
    made = typed_event({**right, "risk": {"login": "1", "server": "s"}})
    assert isinstance(made, BotStatus)
    assert (made.risk, made.state) == (UNSET, "halted")


def test_entries_of_a_wrong_type_are_left_out() -> None:
    made = read({"code": "SCORE", "components": {"trend": 5, "gap": None, "x": True}}, ScanDetail)
    assert made is not None
    assert made.components == {"trend": 5.0}
    scan = read({"symbols": {"A": "ok", "B": 5}, "details": {"A": {"code": "OK"}, "B": 1}}, Scan)
    assert scan is not None
    assert scan.symbols == {"A": "ok", "B": None}
    assert list(scan.details) == ["A"]


def test_numbers_that_are_none() -> None:
    made = read({"balance": math.nan, "equity": 10**400, "profit": True, "leverage": 2.5}, Account)
    assert made == Account()
    assert read({"leverage": 1 << 64, "balance": 10**30}, Account) == Account(balance=1e30)


def test_a_wire_key_is_the_name_on_the_wire() -> None:
    assert wire_key(Position, lambda p: p.sl_price) == "sl_price"
    with pytest.raises(AttributeError):
        wire_key(Position, lambda p: p.stop_price)  # type: ignore[attr-defined]


def test_foreign_events_have_no_struct() -> None:
    assert typed_event({"type": "HELLO"}) is None
    assert typed_event({"type": ["ACCOUNT_UPDATE"]}) is None
    assert typed_event({}) is None


def test_both_ways_agree_on_what_the_wire_can_carry() -> None:
    raw = decode(b'{"type":"ACCOUNT_UPDATE","account":{"equity":1e3,"login":5},"bot":"a"}')
    made = typed_event(raw)
    assert isinstance(made, AccountUpdate)
    assert made.account is not None
    assert (made.account.equity, made.account.login, made.bot) == (1000.0, 5, "a")
