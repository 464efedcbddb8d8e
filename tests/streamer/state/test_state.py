"""The reducer against its golden vectors, which the browser's reducer passes too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamer.protocol.messages import EVENT_TYPES
from streamer.state.reducer import FeedState
from streamer.state.sections import NAMES

VECTORS = sorted((Path(__file__).parent / "vectors").glob("*.json"))


def test_there_are_vectors() -> None:
    assert len(VECTORS) >= 8


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_events_give_the_state_of_the_vector(path: Path) -> None:
    vector = json.loads(path.read_text(encoding="utf-8"))
    state = FeedState()
    if "initial" in vector:
        state.load(vector["initial"])
    for event in vector["events"]:
        state.apply(event)
    found = {**state.snapshot(), "seq": state.seq, "epoch": state.epoch}
    wrong = {key for key, value in vector["state"].items() if not holds(found, key, value)}
    assert wrong == set()


def holds(found: dict[str, Any], key: str, wanted: Any) -> bool:
    """Whether a state has what a vector says of a key. Of the bots beside the first each key
    that the vector names counts, so that a new section does not change the others' vectors."""
    if key != "bots":
        return bool(found[key] == wanted)
    bots = found["bots"]
    return list(bots) == list(wanted) and all(
        holds(bots[name], part, value)
        for name, parts in wanted.items()
        for part, value in parts.items()
    )


def test_a_vector_that_is_wrong_about_another_bot_is_noticed() -> None:
    found = {"bots": {"b": {"positions": [], "account": {"equity": 1}}}}
    assert holds(found, "bots", {"b": {"account": {"equity": 1}}})
    assert not holds(found, "bots", {"b": {"account": {"equity": 2}}})
    assert not holds(found, "bots", {})


def test_a_loaded_snapshot_goes_on_like_the_original() -> None:
    first, second = FeedState("e"), FeedState()
    events: list[dict[str, Any]] = [
        {"type": "SCAN_START", "count": 1, "seq": 1, "timestamp": "2026-01-01T00:00:00+00:00"},
        {
            "type": "ACCOUNT_UPDATE",
            "account": {"equity": 5},
            "timestamp": "2026-01-01T00:00:01+00:00",
        },
    ]
    for event in events:
        first.apply(event)
    second.load({"type": "STATE_SNAPSHOT", "epoch": "e", "seq": 1, "data": first.snapshot()})
    more = {"type": "TRADE_EXECUTION", "symbol": "X", "seq": 2}
    first.apply(more)
    second.apply(more)
    assert second.snapshot() == first.snapshot()
    assert (second.seq, second.epoch) == (2, "e")


def test_only_the_section_that_changed_gets_a_new_revision() -> None:
    state = FeedState()
    before = dict(state.revisions)
    state.apply({"type": "POSITION_UPDATE", "positions": []}, now=7.0)
    changed = {name for name in NAMES if state.revisions[name] != before[name]}
    assert changed == {"positions"}
    assert state.updated == {"positions": 7.0}


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.lists(
        st.fixed_dictionaries(
            {"type": st.sampled_from([*EVENT_TYPES, "FOREIGN"])},
            optional={
                name: st.none() | st.integers() | st.text() | st.lists(st.integers()) | st.just({})
                for name in (
                    "account",
                    "positions",
                    "orders",
                    "quotes",
                    "symbols",
                    "seq",
                    "timestamp",
                    "details",
                    "speed",
                    "server_time",
                )
            },
        )
    )
)
def test_no_malformed_event_breaks_the_shape(events: list[dict[str, Any]]) -> None:
    state = FeedState()
    for event in events:
        state.apply(event)
    shape = state.snapshot()
    assert isinstance(shape["account"], dict)
    assert all(isinstance(p, dict) for p in shape["positions"])
    assert all(isinstance(q, dict) for q in shape["quotes"].values())
    assert len(shape["events"]) <= 200
    assert len(shape["recent_trades"]) <= 50
