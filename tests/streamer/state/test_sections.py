"""Every section of the state, through everything that handles the state by sections.

The tests run over the table: a section that is added to it is tested without a line here. What
each of them compares is the content that the reducer of the publishing feed has.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support import needs
from support.feed_kit import OpenFeed, frame, http, join
from support.paths import ROOT
from support.relay_kit import OpenRelay, open_relay, quick
from support.stalled_client import Stalled
from support.until import until
from support.wire_examples import event, whole

from streamer.backbone import memory as backbone_memory
from streamer.backbone.publisher import BackbonePublisher
from streamer.backbone.settings import BackboneSettings
from streamer.backbone.source import BackboneSource
from streamer.client.feed_client import FeedClient
from streamer.feed.restore import RESTORED
from streamer.journal.incident import Redactor, write_incident
from streamer.journal.recorder import Recorder, apply_sample
from streamer.journal.replay import Replay
from streamer.journal.writer import Journal
from streamer.protocol.codec import decode, iso
from streamer.protocol.messages import EVENT_TYPES, STATE_TYPES, RiskAlert
from streamer.protocol.schema import schema
from streamer.protocol.sections import SectionKind, sections_json
from streamer.relay.mirror import FILLED, STATUS
from streamer.service import Feed
from streamer.settings import FeedSettings
from streamer.state.reducer import FeedState
from streamer.state.sections import CARRIED, COUNTED, LOG, RULES, SAMPLED, SECTIONS, VALUES

__all__ = ["open_relay", "quick"]

VECTORS = ROOT / "tests" / "streamer" / "state" / "vectors"
OF_THE_FEED = {"seq", "origin", "via", "timestamp", "bot", "account"}
"""What a feed or relay adds to an event, and no publisher's content."""


def publish_all(feed: Feed, n: int) -> None:
    """One event of each type that changes a section, with values of its own for each ``n``, each
    ten seconds after those before."""
    at = iso(datetime.now(UTC) + timedelta(seconds=10 * n - 60))
    structs = dict.fromkeys(EVENT_TYPES[s.event] if s.event else RiskAlert for s in SECTIONS)
    for struct in structs:
        feed.publish(event(struct, n, at))


async def with_every_section(feed: Feed) -> dict[str, Any]:
    """Fill all sections of a feed, and then its log with other events, so that no section can
    be had from the last log events; its content afterwards."""
    for n in (1, 2):
        publish_all(feed, n)
    for n in range(LOG.declared.limit + 20):
        feed.publish({"type": "OTHER", "n": n})
    await until(lambda: feed.waiting == 0)
    content = feed.state.sections()
    untouched = [s.name for s in SECTIONS if not content[s.key] or content[s.key] == s.empty()]
    assert untouched == [], "nothing is in these sections: the test would say nothing of them"
    return json.loads(json.dumps(content))  # type: ignore[no-any-return]


def plain(value: Any) -> Any:
    """Without what belongs to the feed that numbered it; the account of the account section is
    an object and stays."""
    if isinstance(value, dict):
        return {
            k: plain(v)
            for k, v in value.items()
            if k not in OF_THE_FEED or (k == "account" and isinstance(v, dict))
        }
    return [plain(v) for v in value] if isinstance(value, list) else value


def differing(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """The sections of which the content is another. The server keeps log events as they were
    sent, the reducer keeps its lines without what is large."""
    if isinstance(found.get(LOG.key), list):
        lines: Any = LOG.empty()
        for line in found[LOG.key]:
            LOG.reduce(lines, line)
        found = {**found, LOG.key: list(lines)}
    return [s.name for s in SECTIONS if plain(found.get(s.key, "missing")) != plain(wanted[s.key])]


def bot_of(state: FeedState) -> dict[str, Any]:
    return json.loads(json.dumps(state.sections()))  # type: ignore[no-any-return]


# -- what is declared -----------------------------------------------------------------------


def test_every_state_type_but_the_heartbeat_has_a_section() -> None:
    assert set(CARRIED) == STATE_TYPES - {"HEARTBEAT"}
    assert {s.event for s in SAMPLED} == set(CARRIED)


def test_every_kind_has_rules_wherever_kinds_are_handled() -> None:
    assert set(RULES) == set(RESTORED) == set(FILLED) == set(SectionKind)


def test_every_event_type_of_a_section_is_declared() -> None:
    for section in SECTIONS:
        if section is not LOG:
            assert section.event in EVENT_TYPES, section.name
    assert set(STATUS) == {s.event for s in SECTIONS if s.declared.kind is SectionKind.LAST_EVENT}


def test_the_page_has_the_same_table() -> None:
    shipped = (ROOT / "streamer" / "web" / "sections.json").read_text(encoding="utf-8")
    assert shipped == sections_json(), (
        "run: python -m streamer.protocol.sections > streamer/web/sections.json"
    )


def test_the_schema_has_every_section() -> None:
    data = schema()["$defs"]["StateSnapshot"]["properties"]["data"]["properties"]
    beside = {"bot_name", "bots"}
    assert set(data) - beside == {s.key for s in SECTIONS}
    assert set(data["bots"]["additionalProperties"]["properties"]) == {s.key for s in SECTIONS}


def test_every_section_is_in_a_vector_that_the_page_passes_too() -> None:
    covered: set[str] = set()
    for path in VECTORS.glob("*.json"):
        state = json.loads(path.read_text(encoding="utf-8"))["state"]
        covered |= {s.name for s in SECTIONS if state.get(s.key, s.empty()) not in (s.empty(), [])}
    assert [s.name for s in SECTIONS if s.name not in covered] == [], "add a vector for these"


@pytest.mark.parametrize("section", COUNTED, ids=lambda s: s.name)
def test_every_section_has_a_typed_view(section: Any) -> None:
    if section is LOG:
        return  # its lines are read with ``typed_event``
    state = FeedState()
    before = getattr(state.typed, section.name)
    item = section.declared.item
    state.apply(event(EVENT_TYPES[section.event], 1, "2026-01-01T00:00:00+00:00"))
    found = getattr(state.typed, section.name)
    assert found != before
    if section.declared.kind in (SectionKind.ROWS, SectionKind.NEWEST):
        (found,) = found
    elif section.declared.kind is SectionKind.BY_NAME:
        (found,) = found.values()
    assert type(found) is item


# -- through everything ---------------------------------------------------------------------


async def test_a_served_snapshot_has_every_section(open_feed: OpenFeed) -> None:
    feed = await open_feed()
    wanted = await with_every_section(feed)
    async with await join(feed) as ws:
        assert differing((await frame(ws))["data"], wanted) == []
    status, _, body = await http(feed, "/api/state")
    assert status == 200
    assert differing(decode(body), wanted) == []


async def test_a_client_has_every_section_by_events_alone(open_feed: OpenFeed) -> None:
    feed = await open_feed()
    client = FeedClient(feed.url)
    await client.start()
    try:
        await until(lambda: client.link.state == "live")
        wanted = await with_every_section(feed)
        await until(lambda: differing(bot_of(client.state), wanted) == [])
    finally:
        await client.close()


async def test_a_slow_client_is_sent_every_state_event_whole(open_feed: OpenFeed) -> None:
    feed = await open_feed(outbox_events=5000, heartbeat_s=60)
    stalled = Stalled(feed)
    await stalled.open()
    await until(lambda: len(feed.fanout) == 1)
    client = next(iter(feed.fanout))
    for _ in range(2000):
        if client.paused:
            break
        feed.publish({"type": "PAD", "data": "z" * 2000})
        await until(lambda: feed.fanout.idle)
    assert client.paused
    wanted = await with_every_section(feed)
    last = {}
    for opcode, body in await stalled.messages(2.0):
        if opcode == 1:
            message = json.loads(body)
            last[message["type"]] = message
    stalled.close()
    for kind, section in CARRIED.items():
        assert kind in last, f"{kind} did not come again"
        for sent in (section, *(v for v in VALUES if v.event == kind)):
            assert plain(last[kind][sent.key]) == plain(wanted[sent.key]), sent.name


def test_samples_bring_back_what_no_log_event_does() -> None:
    state, back = FeedState("e", "main"), FeedState("e", "main")
    recorder = Recorder(state)
    for n in (0, 1, 2):  # a whole one, then what changed
        for section in SAMPLED:
            at = f"2026-01-01T00:00:{n * 5:02d}+00:00"
            state.apply(event(EVENT_TYPES[section.event], n, at), float(n))
        sample = recorder.sample(float(n), {})
        assert sample is not None
        assert sample.whole == (n == 0)
        kinds = apply_sample(back, decode(sample.raw), float(n), whole=sample.whole)
        assert {kind for kind, _ in kinds} == set(CARRIED)
        for section in SAMPLED:
            assert getattr(back, section.key) == getattr(state, section.key), section.name
            assert back.updated[section.name] == float(n), section.name


async def test_a_replay_shows_every_section(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    wanted = await _recorded(path)
    replay = Replay(path)
    await replay.open()
    try:
        await replay.seek(replay.last)
        assert differing(bot_of(replay.state), wanted) == []
        told = []
        replay.watch(lambda e: told.append(e["type"]))
        await replay.seek(replay.first)
        replay.set_speed(300.0)
        replay.play()
        await until(lambda: replay.ended)
        assert differing(bot_of(replay.state), wanted) == []
        assert set(CARRIED) <= set(told)
    finally:
        await replay.close()


async def test_an_incident_file_has_every_section_redacted(tmp_path: Path) -> None:
    path, target = tmp_path / "a.db", tmp_path / "incident.db"
    wanted = await _recorded(path)
    write_incident(path, target, time.time() - 60, time.time() + 60)
    redact = Redactor()
    redact.learn(wanted["account"])
    replay = Replay(target)
    await replay.open()
    try:
        await replay.seek(replay.last)
        assert differing(bot_of(replay.state), redact.clean(wanted)) == []
    finally:
        await replay.close()


@pytest.mark.parametrize("keeps", [True, False])
async def test_a_restart_restores_every_section_that_nothing_reads_anew(
    tmp_path: Path, keeps: bool
) -> None:
    """A relay keeps account, positions and quotes; status of bot and terminal are of the past."""
    path = tmp_path / "a.db"
    wanted = await _recorded(path)
    feed = Feed(FeedSettings(port=0, bot="main"), Journal(path))
    feed.keeps_values = keeps
    await feed.start()
    found = bot_of(feed.state)
    await feed.close()
    anew = {s.name for s in SECTIONS if s.declared.kind is SectionKind.LAST_EVENT}
    if not keeps:
        anew |= {s.name for s in SECTIONS if s.declared.carried or not s.counted}
    assert set(differing(found, wanted)) == anew
    for section in SECTIONS:
        if section.name in anew:
            assert found[section.key] == section.empty(), section.name


@pytest.mark.parametrize("first", ["feed", "relay"])
@pytest.mark.usefixtures("quick")
async def test_a_relay_has_every_section(
    open_feed: OpenFeed, open_relay: OpenRelay, first: str
) -> None:
    """From the snapshot of a feed that was there before it, and by events."""
    feed = await open_feed("bot.db")
    if first == "relay":
        relay = await open_relay(feed.url)
        wanted = await with_every_section(feed)
    else:
        wanted = await with_every_section(feed)
        relay = await open_relay(feed.url)

    def alike() -> bool:
        found = bot_of(relay.feed.state)
        # The relay reports its links, and publishes a status that it has from a snapshot anew.
        own = {"RISK_ALERT", *(STATUS if first == "feed" else ())}
        lines = [line for line in found["events"] if line["type"] not in own]
        last = wanted["events"][-len(lines) :]
        return len(lines) > LOG.declared.limit / 2 and not differing(
            {**found, "events": lines}, {**wanted, "events": last}
        )

    await until(alike)


async def test_a_backbone_carries_every_section(open_feed: OpenFeed, tmp_path: Path) -> None:
    feed = await open_feed("bot.db")
    address = f"memory:{tmp_path.name}"
    publisher = BackbonePublisher(feed, BackboneSettings.model_validate({"url": address}))
    await publisher.start()
    source = BackboneSource(address)
    try:
        await source.start()
        wanted = await with_every_section(feed)
        await until(lambda: differing(bot_of(source.state), wanted) == [])
    finally:
        await source.close()
        await publisher.close()
        backbone_memory.delete_stream(tmp_path.name)


async def test_the_page_has_every_section(open_feed: OpenFeed, tmp_path: Path) -> None:
    node = needs.program("node", variable="NODE", get="apt-get install nodejs")
    feed = await open_feed()
    events: list[dict[str, Any]] = []
    feed.watch(events.append)
    wanted = await with_every_section(feed)
    (tmp_path / "all.json").write_text(json.dumps({"events": events, "state": wanted}))
    script = ROOT / "tests" / "streamer" / "web" / "web_vectors.mjs"
    done = await asyncio.to_thread(
        subprocess.run,
        [node, str(script), str(ROOT / "streamer" / "web" / "state.js"), str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout)["wrong"] == []


async def _recorded(path: Path) -> dict[str, Any]:
    """A journal of a feed with every section, closed; what the feed had."""
    feed = Feed(FeedSettings(port=0, bot="main"), Journal(path))
    await feed.start()
    try:
        return await with_every_section(feed)
    finally:
        await feed.close()


def test_the_examples_differ() -> None:
    """With the same values for each update a lost one would not be noticed."""
    for section in SECTIONS:
        if section is not LOG:
            struct = EVENT_TYPES[section.event]
            assert whole(struct, 1) != whole(struct, 2)
