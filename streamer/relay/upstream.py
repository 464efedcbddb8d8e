"""One feed that a relay follows: connects, publishes its events, reports when it is lost.

Each log event is published once. The relay's journal says where to resume: each event carries
the feed and number that it comes from (``origin``, ``via``).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from ..client.feed_client import FeedClient, FeedLost
from ..errors import Mt5dashError
from ..journal.writer import JournalError
from ..protocol.codec import EventRefused
from ..protocol.lenient import read
from ..protocol.messages import STATE_TYPES, Event, Heartbeat, RiskAlert
from ..protocol.sanitise import clean
from ..state.reducer import FeedState, bot_of
from ..state.source import Link, Wire
from .mirror import STATUS, differences, fill_history, same_status, snapshot_part
from .offsets import RelayOffsets, event_ref
from .timings import RelayTimings
from .transports import Client, frames_of, label_of, open_client, sections

log = logging.getLogger("mt5dash.relay")

EVENTS_PER_TURN = 64
"""Events that are processed before other tasks of the loop run."""

Parts = dict[str, Wire]
"""The data of a snapshot by the bot's name on the upstream."""


class UpstreamRefused(Mt5dashError):
    """A feed that cannot be an upstream; the text says why and what to do."""


class RelayPort(Protocol):
    """What an upstream needs of its relay. Bot names are those of the upstream."""

    async def admit(
        self, upstream: Upstream, epoch: str, path: Sequence[str] | None, bots: Sequence[str]
    ) -> None:
        """Accept the feed behind a snapshot and give its bots their names on the relay.

        Args:
            upstream: The upstream that received the snapshot.
            epoch: Epoch of the feed.
            path: Epochs of the feeds that it relays itself; ``None``: it is no relay.
            bots: Names of its bots.

        Raises:
            UpstreamRefused: the feed is this relay, leads back to it, or another upstream
                delivers it already.
        """
        ...

    def claim(self, upstream: Upstream, epoch: str) -> None:
        """Record that the events of a feed arrive through this upstream.

        Raises:
            UpstreamRefused: as ``admit``.
        """
        ...

    async def previous_epoch(self, upstream: Upstream) -> str | None:
        """The epoch of the newest journalled event of this upstream's bots, unless that feed
        arrives through an upstream now."""
        ...

    def state_of(self, upstream: Upstream, bot: str) -> FeedState | None:
        """The relay's state of a bot; ``None``: the relay has too many bots."""
        ...

    async def wait_for_room(self) -> None:
        """Wait until the relay's journal can take further events."""
        ...

    def publish(self, upstream: Upstream, event: Wire) -> None:
        """Publish an event of the upstream.

        Raises:
            EventRefused: the event cannot be published.
        """
        ...

    def publish_notice(self, upstream: Upstream, event: Event | Mapping[str, object]) -> None:
        """Publish an event of the relay itself about this upstream."""
        ...

    def after_commit(self, act: Callable[[], None]) -> None:
        """Call ``act`` once all events published so far are on disk and in the state."""
        ...

    def on_audit(self, audit: Wire) -> None:
        """The upstream published a ``COMMAND_AUDIT``."""
        ...

    def on_heartbeat(
        self, upstream: Upstream, bot: str, age_s: float | None, lost: str | None
    ) -> None:
        """The upstream reported the age of a bot's data, and why it has lost the bot if so."""
        ...

    def on_lost(self, upstream: Upstream, why: str) -> None:
        """The link is down for longer than ``link_lost_s``."""
        ...

    def on_restored(self, upstream: Upstream, seconds: float) -> None:
        """The link is back, ``seconds`` after ``on_lost``."""
        ...

    def on_refused(self, upstream: Upstream) -> None:
        """The upstream is not followed any more."""
        ...


class Upstream:
    """One upstream feed.

    Args:
        relay: Publishes the events and receives the changes of the link.
        offsets: The last published number of each feed.
        url: ``ws://HOST:PORT/ws``, ``wss://`` or the address of a backbone.
        token: For feeds that require one; the role control lets the relay forward commands.
        timings: Intervals and limits.

    Attributes:
        label: ``HOST:PORT``.
        epoch: Epoch of the feed; empty before the first snapshot.
        bots: Names of its bots on the relay, by their names on the upstream.
        refused_reason: Why it is not followed any more, or ``None``.
        published: Log events of it that were published since the start.
        missing: Log events of it that are known to be missing since the start.
        named: Set once its bots have names on the relay, or it is not followed any more.
        client: The current connection.
    """

    def __init__(
        self,
        relay: RelayPort,
        offsets: RelayOffsets,
        url: str,
        token: str | None = None,
        timings: RelayTimings | None = None,
    ) -> None:
        self.url = url
        self.label = label_of(url)
        self.epoch = ""
        self.bots: dict[str, str] = {}
        self.refused_reason: str | None = None
        self.published = 0
        self.missing = 0
        self.named = asyncio.Event()
        self._relay = relay
        self._offsets = offsets
        self._token = token
        self._timings = timings or RelayTimings()
        self.client = self._open_client()
        self._joined = False
        self._following = ""
        """Epoch of the events that arrive now, or were requested."""
        self._unapplied: tuple[int, Parts | None] | None = None
        """A snapshot whose log events are not published yet: its number and its data; the data
        are ``None`` when the client's state is to be used once it has reached the number."""
        self._status: dict[tuple[str, str], Wire] = {}
        self._lost_since: float | None = None
        self._heartbeat: Heartbeat | None = None
        self._refused_events = 0
        self._refused_events_reported = -self._timings.refused_events_s

    def _open_client(self, since: str | None = None) -> Client:
        longest = self._timings.reconnect_max_s
        return open_client(self.url, self._token, since, reconnect_max_s=longest)

    @property
    def link(self) -> Link:
        """The connection from the relay to this feed."""
        return self.client.link

    @property
    def live(self) -> bool:
        """Whether its events arrive."""
        return self.refused_reason is None and self._joined and self.link.state == "live"

    @property
    def data_age_s(self) -> float | None:
        """Age of account and quotes of the bot with the oldest data, by the last heartbeat."""
        beat = self._heartbeat
        if beat is None:
            return None
        ages = [pulse.data_age_s for pulse in beat.bots.values()] or [beat.data_age_s]
        known = [age for age in ages if age is not None]
        at = self.link.last_frame
        return max(known) + max(0.0, time.monotonic() - at) if known and at is not None else None

    # -- following ------------------------------------------------------------------------

    async def run(self) -> None:
        """Follow the feed until it refuses this relay, or the relay refuses it."""
        since: str | None = None
        while self.refused_reason is None:
            self._following = "" if since is None else since.rpartition(":")[0]
            self._unapplied = None
            self.client = self._open_client(since)
            try:
                since = await self._follow(self.client)
            except (FeedLost, UpstreamRefused) as error:
                self._refuse(str(error))
            except JournalError as error:
                log.error("%s: %s; the relay tries again", self.label, error)
                since = None
                await asyncio.sleep(self._timings.journal_retry_s)
            finally:
                await self.client.close()

    async def _follow(self, client: Client) -> str:
        """Process all frames; returns ``EPOCH:SEQ`` to connect again from without a gap."""
        frames_in_turn = 0
        async with contextlib.aclosing(frames_of(client)) as frames:
            async for frame in frames:
                if client.legacy:
                    raise UpstreamRefused(
                        "it uses the old protocol, without numbers: a relay cannot know which "
                        "events it has published already; watch it with --connect instead"
                    )
                kind = frame["type"]
                if kind == "STATE_SNAPSHOT":
                    resume_from = await self._on_snapshot(frame)
                    if resume_from is not None:
                        return resume_from
                elif kind == "HEARTBEAT":
                    self._on_heartbeat(frame)
                elif kind in STATE_TYPES:
                    self._publish_state(frame)
                elif type(frame.get("seq")) is int:
                    await self._publish_log(frame, frame["seq"])
                    self._apply_snapshot()
                frames_in_turn += 1
                if frames_in_turn % EVENTS_PER_TURN == 0:
                    await asyncio.sleep(0)
        raise UpstreamRefused("its connection ended")

    def _refuse(self, text: str) -> None:
        self.refused_reason = text
        log.error("%s is no longer an upstream: %s", self.label, text)
        self._joined = True
        self.named.set()
        self._report_lost(f"{text} (not tried again: correct it and restart the relay)")
        self._relay.on_refused(self)

    # -- snapshots ------------------------------------------------------------------------

    async def _on_snapshot(self, frame: Wire) -> str | None:
        """Process a snapshot; returns ``EPOCH:SEQ`` when resuming from there loses less."""
        epoch, seq = frame.get("epoch"), frame.get("seq")
        if not isinstance(epoch, str) or not epoch or type(seq) is not int:
            raise UpstreamRefused("its snapshot has no epoch and number; it is no feed to relay")
        path = frame.get("path")
        if path is not None:
            path = [p for p in path if isinstance(p, str)] if isinstance(path, list) else []
        parts = dict(sections(frame.get("data")))
        await self._relay.admit(self, epoch, path, list(parts))
        self.named.set()
        last = await self._offsets.last(epoch)
        before, self._following = self._following, epoch
        if not frame.get("resumed"):
            if last is not None and last != seq and before != epoch:
                return f"{epoch}:{last}"
            await self._begin(epoch, seq, last, parts)
        self.epoch = epoch
        if isinstance(self.client, FeedClient):
            self._publish_differences(parts)
            self._unapplied = (seq, parts)
        else:  # the snapshot of a backbone is seconds old: the events after it bring it up to date
            self._unapplied = (max(seq, last or 0), None)
        self._apply_snapshot()
        self._report_joined()
        return None

    async def _begin(self, epoch: str, seq: int, last: int | None, parts: Parts) -> None:
        """Start from a snapshot that does not continue the published events: publish those of
        the missing events that it contains, and report how many are lost."""
        if last is not None and last > seq:
            self._report_gap(
                f"{self.label} continues from number {seq} although {last} was published already: "
                "its journal was restored from a backup. Its events from here on reuse numbers.",
                None,
            )
            self._offsets.restart(epoch, seq)
            return
        held = {e["seq"]: e for part in parts.values() for e in _events(part)}
        missed = sorted(number for number in held if last is None or last < number <= seq)
        if last is not None and len(missed) < seq - last:
            gone = seq - last - len(missed)
            self._report_missing(last + 1, seq, gone, "the upstream no longer keeps them")
        elif last is None:
            await self._report_new_journal(epoch)
            await self._report_missing_origins(held.values())
        for number in missed:
            await self._publish_log(held[number], number, from_snapshot=True)
        self._offsets.note(epoch, seq)

    async def _report_new_journal(self, epoch: str) -> None:
        """Report a gap when the relay has events of an earlier journal of this feed."""
        before = self.epoch or await self._relay.previous_epoch(self)
        if before and before != epoch:
            last = await self._offsets.last(before)
            self._report_gap(
                f"{self.label} began a new journal (epoch {epoch}): events of the old one after "
                f"number {last} did not arrive, if there were any",
                None,
            )

    async def _report_missing_origins(self, held: Iterable[Wire]) -> None:
        """Report gaps for events of a feed previously received through another upstream."""
        seen: dict[str, set[int]] = {}
        for event in held:
            origin = event_ref(event.get("origin"))
            if origin is not None:
                seen.setdefault(origin[0], set()).add(origin[1])
        for epoch, numbers in seen.items():
            last = await self._offsets.last(epoch)
            newest = max(numbers)
            if last is None or newest <= last:
                continue
            gone = newest - last - sum(number > last for number in numbers)
            if gone:
                why = f"(numbers of epoch {epoch}) the upstream no longer keeps them"
                self._report_missing(last + 1, newest, gone, why)

    def _publish_differences(self, parts: Parts) -> None:
        for name, part in parts.items():
            state = self._relay.state_of(self, name)
            if state is not None:
                for event in differences(state, part):
                    self._publish_state({**event, "bot": name})

    def _apply_snapshot(self) -> None:
        """After the snapshot's log events are published, apply its remaining state."""
        if self._unapplied is None:
            return
        seq, parts = self._unapplied
        if (self._offsets.known(self._following) or 0) < seq:
            return
        if parts is None:
            if self.client.state.seq < seq:
                return
            parts = {state.name: snapshot_part(state) for state in self.client.state.each()}
            self._publish_differences(parts)
        self._unapplied = None
        for name, part in parts.items():
            for kind, section in STATUS.items():
                status = part.get(section)
                if not isinstance(status, dict) or same_status(
                    self._status.get((name, kind)), status
                ):
                    continue
                self._status[name, kind] = status
                event = {k: v for k, v in status.items() if k not in ("seq", "timestamp")}
                self._publish_state({**event, "type": kind, "bot": name})
        self._relay.after_commit(partial(self._fill_history, self._following, parts))

    def _fill_history(self, epoch: str, parts: Parts) -> None:
        for name, part in parts.items():
            state = self._relay.state_of(self, name)
            if state is not None:
                fill_history(state, part, epoch)

    # -- events ---------------------------------------------------------------------------

    async def _publish_log(self, event: Wire, seq: int, *, from_snapshot: bool = False) -> None:
        """Publish one log event with its origin, unless it was published already."""
        relay, offsets, epoch = self._relay, self._offsets, self._following
        last = offsets.known(epoch)
        if last is not None and seq <= last:
            return
        if last is not None and seq != last + 1 and not from_snapshot:
            self._report_missing(last + 1, seq - 1, seq - 1 - last, "they did not arrive")
        origin = event_ref(event.get("origin"))
        if origin is None:
            line = {**event, "origin": f"{epoch}:{seq}"}
        else:
            relay.claim(self, origin[0])
            line = {**event, "via": f"{epoch}:{seq}"}
            done = await offsets.last(origin[0])
            if done is not None and origin[1] <= done:
                offsets.note(epoch, seq)
                return
        del line["seq"]
        await relay.wait_for_room()
        try:
            relay.publish(self, line)
        except EventRefused as error:
            self._report_refused_event(str(error))
        else:
            self.published += 1
        offsets.note(epoch, seq)
        if origin is not None:
            offsets.note(*origin)
        kind = event["type"]
        if kind in STATUS:
            self._status[bot_of(event), kind] = event
        elif kind == "COMMAND_AUDIT":
            relay.on_audit(event)

    def _publish_state(self, event: Wire) -> None:
        try:
            self._relay.publish(self, event)
        except EventRefused as error:
            log.warning("%s: a %s was refused: %s", self.label, event["type"], error)

    def _on_heartbeat(self, frame: Wire) -> None:
        beat = self._heartbeat = read(frame, Heartbeat)
        if beat is None:
            return
        for name, pulse in beat.bots.items():
            self._relay.on_heartbeat(self, name, pulse.data_age_s, pulse.lost)
        if not beat.bots:  # an older feed, whose bots have no names
            self._relay.on_heartbeat(self, "", beat.data_age_s, None)

    # -- reports --------------------------------------------------------------------------

    def _report_missing(self, first: int, last: int, count: int, why: str) -> None:
        self.missing += count
        if count == last - first + 1:
            which = f"event {first}" if count == 1 else f"events {first} to {last} ({count})"
        else:
            which = f"{count} of the events {first} to {last}"
        self._report_gap(f"{which} of {self.label} are missing here: {why}", float(count))

    def _report_refused_event(self, why: str) -> None:
        """Count an event that could not be published; report the count once in a while."""
        self.missing += 1
        self._refused_events += 1
        now = time.monotonic()
        if now - self._refused_events_reported >= self._timings.refused_events_s:
            count, self._refused_events = self._refused_events, 0
            self._refused_events_reported = now
            text = f"{count} events of {self.label} could not be published here, the last: {why}"
            self._report_gap(text, float(count))

    def _report_gap(self, text: str, count: float | None) -> None:
        log.error("%s", text)
        alert = RiskAlert(code="GAP", level="warning", text=clean(text, 400), value=count)
        self._relay.publish_notice(self, alert)

    def check_link(self) -> None:
        """Report a lost link; called several times a second."""
        link = self.link
        if self.refused_reason is not None:
            return
        if link.state == "live":
            self._apply_snapshot()
            return
        if time.monotonic() - link.since >= self._timings.link_lost_s:
            self._report_lost(link.detail or link.state)

    def on_failed(self, why: str) -> None:
        """``run`` raised an unexpected error; the relay calls it again."""
        self._report_lost(f"it could not be followed: {why}")

    def _report_lost(self, why: str) -> None:
        if self._lost_since is not None:
            return
        self._lost_since = time.monotonic()
        self._relay.on_lost(self, clean(why, 200))
        # The terminal's status is published again once the link is back.
        for key in [key for key in self._status if key[1] == "TERMINAL_STATUS"]:
            del self._status[key]

    def _report_joined(self) -> None:
        self._joined = True
        if self._lost_since is not None:
            seconds, self._lost_since = time.monotonic() - self._lost_since, None
            self._relay.on_restored(self, seconds)


def _events(part: Wire) -> list[Wire]:
    events = part.get("events")
    if not isinstance(events, list):
        return []
    return [e for e in events if isinstance(e, dict) and type(e.get("seq")) is int]


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value)
