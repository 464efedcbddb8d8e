"""Where a relay goes on, from nothing but its journal; what it takes from a snapshot."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.journal.writer import Journal
from streamer.relay.mirror import differences, fill_history, same_status
from streamer.relay.offsets import RelayOffsets, event_ref
from streamer.state.reducer import FeedState


class Deaf:
    def journal_committed(self, seq: int) -> None: ...

    def journal_status(self, trouble: str | None) -> None: ...

    def journal_damaged(self, text: str) -> None: ...


async def written(path: Path, events: list[dict[str, Any]]) -> Journal:
    journal = Journal(path)
    await journal.start(Deaf())
    now = time.time() - len(events)
    for seq, event in enumerate(events, 1):
        line = {"type": "X", **event, "seq": seq}
        body = json.dumps(line, separators=(",", ":")).encode()
        journal.append(seq, "X", body, now + seq)  # old events would be pruned
    await journal.close()
    again = Journal(path)
    await again.start(Deaf())
    return again


@pytest.mark.parametrize("span", [1, 7, 50_000])
async def test_the_newest_event_of_each_feed_is_found_wherever_it_stands(
    tmp_path: Path, span: int
) -> None:
    events: list[dict[str, Any]] = [{"origin": f"aa:{n}", "bot": "gold"} for n in range(1, 30)]
    events += [{"origin": f"bb:{n}", "via": f"cc:{n + 5}", "bot": "silver"} for n in range(1, 20)]
    events += [
        {"data": {"origin": "aa:999"}},
        {"text": '"origin":"aa:998"'},
        {"origin": "aab:7"},
        {"origin": "nothing"},
        {},
    ]
    journal = await written(tmp_path / "j.db", events)
    offsets = RelayOffsets(journal, span)
    assert await offsets.last("aa") == 29, "not what only looks like an origin"
    assert await offsets.last("bb") == 19
    assert await offsets.last("cc") == 24
    assert await offsets.last("aab") == 7
    assert await offsets.last('a"') is None
    assert await offsets.last("dd") is None
    offsets.note("aa", 40)
    assert await offsets.last("aa") == 40
    offsets.note("aa", 35)
    assert offsets.known("aa") == 40, "it only grows"
    await journal.close()


async def test_whose_a_name_was_stands_in_the_journal(tmp_path: Path) -> None:
    events: list[dict[str, Any]] = [
        {"bot": "gold", "origin": "aa:1"},
        {"bot": "silver", "origin": "bb:1", "via": "cc:1"},
        {"bot": "gold"},
    ]
    journal = await written(tmp_path / "j.db", events)
    offsets = RelayOffsets(journal)
    assert await offsets.comes_from("gold", ("aa",)) is True
    assert await offsets.comes_from("gold", ("bb",)) is False
    assert await offsets.comes_from("silver", ("cc",)) is True
    assert await offsets.comes_from("copper", ("aa",)) is None
    await journal.close()


@given(st.text(max_size=30) | st.none() | st.integers())
def test_a_place_is_an_epoch_and_a_number_or_none(text: Any) -> None:
    place = event_ref(text)
    if place is not None:
        assert place[0]
        assert place[1] >= 0
        assert event_ref(f"{place[0]}:{place[1]}") == place


@pytest.mark.parametrize(
    ("text", "place"),
    [("e:5", ("e", 5)), ("a:b:5", ("a:b", 5)), (":5", None), ("e:-1", None), ("e:٣", None)],
)
def test_places_as_they_are_written(text: str, place: tuple[str, int] | None) -> None:
    assert event_ref(text) == place


def test_statuses_are_the_same_whoever_told_them() -> None:
    one = {"type": "TERMINAL_STATUS", "state": "connected", "seq": 4, "origin": "a:1"}
    assert same_status(one, {"type": "TERMINAL_STATUS", "state": "connected", "seq": 9})
    assert not same_status(one, {"type": "TERMINAL_STATUS", "state": "stale"})
    assert not same_status(None, one)


def test_a_feed_that_has_not_seen_its_account_does_not_tell_that_it_is_flat() -> None:
    state = FeedState()
    state.apply({"type": "POSITION_UPDATE", "positions": [{"ticket": 1}]}, 1.0)
    unknown: dict[str, Any] = {"account": {}, "positions": [], "orders": [], "quotes": {}}
    assert list(differences(state, unknown)) == []
    flat = {"account": {"equity": 1.0}, "positions": [], "orders": [], "quotes": {}}
    kinds = [event["type"] for event in differences(state, flat)]
    assert kinds == ["ACCOUNT_UPDATE", "POSITION_UPDATE", "ORDERS_UPDATE"]


def test_what_is_known_alike_is_not_told_again_and_stays_old() -> None:
    state = FeedState()
    for event in (
        {"type": "ACCOUNT_UPDATE", "account": {"equity": 1.0}},
        {"type": "POSITION_UPDATE", "positions": [{"ticket": 1}]},
        {"type": "ORDERS_UPDATE", "orders": []},
        {"type": "QUOTE_UPDATE", "quotes": {"A": {"bid": 1.0}}},
    ):
        state.apply(event, 1.0)
    assert list(differences(state, state.sections())) == []
    newer = {**state.sections(), "quotes": {"A": {"bid": 2.0}, "B": {"bid": 3.0}}}
    [event] = differences(state, newer)
    assert event["quotes"] == newer["quotes"]


def test_history_is_put_before_ones_own_and_never_twice() -> None:
    state = FeedState()
    own = {"type": "TRADE_EXECUTION", "timestamp": "2026-01-01T00:00:03+00:00"}
    state.apply({**own, "origin": "e:3", "seq": 1}, 1.0)
    data = {
        "recent_trades": [
            {"timestamp": "2026-01-01T00:00:03+00:00", "seq": 3},
            {"timestamp": "2026-01-01T00:00:01+00:00", "seq": 1},
        ],
        "equity": {"time": [10, 15], "value": [1.0, 2.0]},
        "scan_summary": {"timestamp": "2026-01-01T00:00:02+00:00", "symbols": {}},
    }
    assert fill_history(state, data, "e")
    assert [trade["origin"] for trade in state.recent_trades] == ["e:3", "e:1"]
    assert state.equity == {"time": [10, 15], "value": [1.0, 2.0]}
    assert state.scan_summary["timestamp"].endswith("02+00:00")
    before = state.revision
    assert not fill_history(state, data, "e")
    assert state.revision == before
