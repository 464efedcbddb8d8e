"""What publishers hand over becomes strict JSON or is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamer.protocol.codec import (
    EventRefused,
    decode,
    decode_lenient,
    encode,
    pack,
    plain,
    unpack,
)
from streamer.protocol.messages import Account, AccountUpdate, Quote, QuoteUpdate
from streamer.protocol.sanitise import clean


@pytest.mark.parametrize(
    ("value", "wire"),
    [
        (np.int64(3), 3),
        (np.uint8(3), 3),
        (np.float64(1.5), 1.5),
        (np.float32(0.5), 0.5),
        (np.longdouble(0.25), 0.25),
        (np.bool_(True), True),
        (np.str_("x"), "x"),
        (np.float64("nan"), None),
        (float("inf"), None),
        (-float("inf"), None),
        (np.array([1, 2]), [1, 2]),
        (np.array([1.0, np.nan]), [1.0, None]),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
        (np.array([True]), [True]),
        (Decimal("1.25"), 1.25),
        (datetime(2026, 1, 2, 3), "2026-01-02T03:00:00+00:00"),
        (Decimal("NaN"), None),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00+00:00"),
        (datetime(2026, 1, 2, 2, tzinfo=timezone(timedelta(hours=2))), "2026-01-02T00:00:00+00:00"),
        ({1}, [1]),
        ((1, 2), [1, 2]),
        ({1: "a", np.int64(2): "b"}, {"1": "a", "2": "b"}),
        ("\ud800", "?"),
        ("ends with Z", "ends with Z"),
    ],
)
def test_values_of_every_kind_become_json(value: Any, wire: Any) -> None:
    event = unpack(pack({"type": "X", "value": value}))
    assert event["value"] == wire
    assert type(event["value"]) is type(wire)
    assert plain({"value": value})["value"] == wire


def test_numbers_keep_their_kind_on_the_wire() -> None:
    raw = pack({"type": "X", "i": np.int32(1), "f": np.float64(1.0), "b": np.bool_(False)})
    assert raw == b'{"type":"X","i":1,"f":1.0,"b":false}'


def test_not_a_number_is_null_deep_inside_a_struct() -> None:
    event = QuoteUpdate(quotes={"EURUSD": Quote(bid=float("nan"), ask=1.1)})
    assert unpack(pack(event))["quotes"]["EURUSD"]["bid"] is None
    update = AccountUpdate(account=Account(equity=np.float64("inf")))
    assert unpack(pack(update))["account"]["equity"] is None


def test_pandas_like_objects_need_no_pandas() -> None:
    class Series:
        def tolist(self) -> list[float]:
            return [1.0, float("nan")]

    class Frame:
        def to_dict(self, orient: str) -> dict[str, list[int]]:
            assert orient == "list"
            return {"a": [1, 2]}

    class NAType:
        pass

    event = unpack(pack({"type": "X", "s": Series(), "f": Frame(), "n": NAType()}))
    assert event == {"type": "X", "s": [1.0, None], "f": {"a": [1, 2]}, "n": None}


def test_the_copy_does_not_follow_its_original() -> None:
    inner = {"k": [1]}
    event = {"type": "X", "data": inner}
    raw = pack(event)
    inner["k"].append(2)
    assert unpack(raw)["data"] == {"k": [1]}


def _circle() -> dict[str, Any]:
    event: dict[str, Any] = {"type": "X"}
    event["self"] = event
    return event


@pytest.mark.parametrize(
    "event",
    [
        None,
        "text",
        [1],
        {"no": "type"},
        {"type": 5},
        {"type": ""},
        {"type": "X" * 65},
        {"type": "CONNECTED"},
        {"type": "STATE_SNAPSHOT"},
        {"type": "X", "o": object()},
        {"type": "X", "z": 1 + 2j},
        {"type": "X", "f": lambda: 0},
        _circle(),
        {"type": "X", "big": "x" * 2_000_000},
    ],
)
def test_what_is_no_event_is_refused_and_nothing_else_is_raised(event: Any) -> None:
    with pytest.raises(EventRefused):
        unpack(pack(event))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=20,
    )
)
def test_any_json_like_value_survives_as_strict_json(value: Any) -> None:
    try:
        raw = pack({"type": "X", "value": value})
        event = unpack(raw)
    except EventRefused:
        return

    def strict(name: str) -> None:
        raise AssertionError(name)

    assert json.loads(raw, parse_constant=strict) == event


@pytest.mark.parametrize(
    "raw", [b"NaN", b"[1e999]", b"[1" + b"0" * 4400 + b"]", b"[" * 100_000, b'"\xff"', b"", b"{"]
)
def test_hostile_json_is_a_value_error(raw: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any ValueError is the contract
        decode(raw)


def test_what_old_servers_write_can_be_read() -> None:
    assert decode_lenient('{"a":NaN,"b":[Infinity,-Infinity,1]}') == {
        "a": None,
        "b": [None, None, 1],
    }
    assert encode({"a": float("nan")}) == b'{"a":null}'


def test_control_bytes_become_visible() -> None:
    assert clean("a\x1b[31mb\x07\x7f\x9b\u202e\u200bc\n") == "a␛[31mb␇␡\ufffd\ufffd\ufffdc␊"
    assert clean("[sl 1.0850] é 日本") == "[sl 1.0850] é 日本"
    assert clean("x" * 300) == "x" * 255 + "…"


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text())
def test_cleaned_text_never_holds_what_a_terminal_acts_on(text: str) -> None:
    cleaned = clean(text)
    assert len(cleaned) <= 256
    assert not any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 or c in "\u202e\u2066" for c in cleaned)
    cleaned.encode()
