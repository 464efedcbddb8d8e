"""One feed that a relay takes its events from: joins it, follows it, tells when it is lost.

Each log event is published once. Where to go on stands in the relay's journal: the events
themselves say where they come from (``origin``, ``via``).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from ..client.feed_client import FeedClient, FeedLost
from ..journal.writer import JournalError
from ..protocol.codec import Refused
from ..protocol.messages import STATE_TYPES, RiskAlert
from ..protocol.sanitise import clean
from ..state.reducer import bot_of
from ..state.source import Link, Wire
from .mirror import STATUS, copied, differences, fill_history, same_status
from .offsets import event_ref
from .transports import Client, frames_of, label_of, open_client, sections

if TYPE_CHECKING:
    from .relay import Relay

log = logging.getLogger("mt5dash.relay")

AT_ONCE = 64
"""Events that are taken in before the loop is given back."""
JOURNAL_RETRY_S = 1.0
LEFT_OUT_S = 60.0
LOST_AFTER_S = 1.0
"""A link that is back within this time was not lost: nobody is told."""

Parts = dict[str, Wire]
"""What a snapshot tells of each bot, by its name there."""


class UpstreamRefused(Exception):
    """An upstream that cannot be one; the text says why and what to do."""


class Upstream:
    """One upstream feed.

    Args:
        relay: Whose upstream it is.
        url: ``ws://HOST:PORT/ws`` or ``wss://``.
        token: For feeds that ask for one; with the role control commands can be passed on.

    Attributes:
        label: ``HOST:PORT``.
        epoch: Of the feed, ``""`` before the first snapshot.
        path: Epochs of the feeds that it relays itself.
        bots: Names of its bots here, by their names there.
        refused: Why it is not tried any more, or ``None``.
        told: Log events published from it, in this run.
        missing: Log events known to be missing, in this run.
    """

    def __init__(self, relay: Relay, url: str, token: str | None = None) -> None:
        self.url = url
        self.label = label_of(url)
        self.epoch = ""
        self.path: tuple[str, ...] = ()
        self.bots: dict[str, str] = {}
        self.refused: str | None = None
        self.told = 0
        self.missing = 0
        self.joined = asyncio.Event()
        self.named = asyncio.Event()
        """Set once its bots have their names here, or it is not tried any more."""
        self._token = token
        self.client = open_client(url, token)
        self._relay = relay
        self._following = ""
        """Epoch of the events that come now, or were asked for."""
        self._behind: tuple[int, Parts | None] | None = None
        """Number up to which a snapshot goes, and what it holds; ``None`` for what its source
        holds once it is there."""
        self._status: dict[tuple[str, str], Wire] = {}
        self._away: float | None = None
        self._heartbeat: Wire = {}
        self._left_out = 0
        self._told_left_out = -LEFT_OUT_S

    @property
    def link(self) -> Link:
        """How the relay is joined to it."""
        return self.client.link

    @property
    def live(self) -> bool:
        """Whether its events come in."""
        return self.refused is None and self.joined.is_set() and self.link.state == "live"

    @property
    def data_age_s(self) -> float | None:
        """Age of account and quotes of its most silent bot, as its last heartbeat told."""
        bots = self._heartbeat.get("bots")
        pulses = [p for p in bots.values() if isinstance(p, dict)] if isinstance(bots, dict) else []
        ages = [_number(pulse.get("data_age_s")) for pulse in pulses or [self._heartbeat]]
        known = [age for age in ages if age is not None]
        at = self.link.last_frame
        return max(known) + max(0.0, time.monotonic() - at) if known and at is not None else None

    # -- following ------------------------------------------------------------------------

    async def run(self) -> None:
        """Follow it for ever, or until it refuses this relay or is refused."""
        since: str | None = None
        while self.refused is None:
            self._following = "" if since is None else since.rpartition(":")[0]
            self._behind = None
            self.client = open_client(self.url, self._token, since)
            try:
                since = await self._follow(self.client)
            except (FeedLost, UpstreamRefused) as error:
                self._refuse(str(error))
            except JournalError as error:
                log.error("%s: %s; tried again", self.label, error)
                since = None
                await asyncio.sleep(JOURNAL_RETRY_S)
            finally:
                await self.client.close()

    async def _follow(self, client: Client) -> str:
        """Take in what comes; returns where to join again to go on without a hole."""
        turn = 0
        async with contextlib.aclosing(frames_of(client)) as frames:
            async for frame in frames:
                if client.legacy:
                    raise UpstreamRefused(
                        "it speaks the old protocol, without numbers: a relay could not tell "
                        "what it has published already; watch it with --connect instead"
                    )
                kind = frame["type"]
                if kind == "STATE_SNAPSHOT":
                    again = await self._snapshot(frame)
                    if again is not None:
                        return again
                elif kind == "HEARTBEAT":
                    self._beat(frame)
                elif kind in STATE_TYPES:
                    self._put(frame)
                elif type(frame.get("seq")) is int:
                    await self._log(frame, frame["seq"])
                    self._caught_up()
                turn += 1
                if turn % AT_ONCE == 0:
                    await asyncio.sleep(0)
        raise UpstreamRefused("it ended")

    def _refuse(self, text: str) -> None:
        self.refused = text
        log.error("%s is no upstream any more: %s", self.label, text)
        self.joined.set()
        self.named.set()
        self._lost(f"{text} (not tried again: mend it and restart the relay)")
        self._relay.refused(self)

    # -- snapshots ------------------------------------------------------------------------

    async def _snapshot(self, frame: Wire) -> str | None:
        """Take a snapshot in; returns the place to join from when that misses less."""
        epoch, seq = frame.get("epoch"), frame.get("seq")
        if not isinstance(epoch, str) or not epoch or type(seq) is not int:
            raise UpstreamRefused("its snapshot has no epoch and number; it is no feed to relay")
        path = frame.get("path")
        self.path = tuple(p for p in path if isinstance(p, str)) if isinstance(path, list) else ()
        self._relay.check_loop(epoch, self.path)
        await self._relay.turn(self)
        self._relay.claim(self, epoch, *self.path)
        parts = dict(sections(frame.get("data")))
        await self._relay.name_bots(
            self, (epoch, *self.path), list(parts), relayed=path is not None
        )
        self.named.set()
        last = await self._relay.positions.last(epoch)
        before, self._following = self._following, epoch
        if not frame.get("resumed"):
            if last is not None and last != seq and before != epoch:
                return f"{epoch}:{last}"
            await self._begin(epoch, seq, last, parts)
        self.epoch = epoch
        if isinstance(self.client, FeedClient):
            self._take_values(parts)
            self._behind = (seq, parts)
        else:  # a stream's snapshot is some seconds old: what follows brings it up to date
            self._behind = (max(seq, last or 0), None)
        self._caught_up()
        self._found()
        return None

    async def _begin(self, epoch: str, seq: int, last: int | None, parts: Parts) -> None:
        """Go on from a snapshot that does not continue what was published: publish what it has
        of the missing events, and tell how many are gone."""
        if last is not None and last > seq:
            self._gap(
                f"{self.label} counts on from {seq} although {last} was published already: its "
                "journal was put back. What it tells from here on has used numbers.",
                None,
            )
            self._relay.positions.restart(epoch, seq)
            return
        held = {e["seq"]: e for part in parts.values() for e in _events(part)}
        missed = sorted(number for number in held if last is None or last < number <= seq)
        if last is not None and len(missed) < seq - last:
            self._missing(last + 1, seq, seq - last - len(missed), "they are not kept there now")
        elif last is None:
            await self._new_run(epoch)
            await self._behind_another(held.values())
        for number in missed:
            await self._log(held[number], number, listed=True)
        self._relay.positions.note(epoch, seq)

    async def _new_run(self, epoch: str) -> None:
        """Say so when the bots of this feed have events of an earlier run here."""
        before = self.epoch or await self._relay.earlier(self)
        if before and before != epoch:
            last = await self._relay.positions.last(before)
            self._gap(
                f"{self.label} began a new journal (epoch {epoch}): events of the old one after "
                f"number {last} were not seen, if there were any",
                None,
            )

    async def _behind_another(self, held: Iterable[Wire]) -> None:
        """Events of a feed that came here on another way before: tell what is missing of them."""
        seen: dict[str, set[int]] = {}
        for event in held:
            place = event_ref(event.get("origin"))
            if place is not None:
                seen.setdefault(place[0], set()).add(place[1])
        for epoch, numbers in seen.items():
            last = await self._relay.positions.last(epoch)
            newest = max(numbers)
            if last is None or newest <= last:
                continue
            gone = newest - last - sum(number > last for number in numbers)
            if gone:
                self._missing(last + 1, newest, gone, f"(numbers of epoch {epoch}) not kept there")

    def _take_values(self, parts: Parts) -> None:
        for name, part in parts.items():
            state = self._relay.state_of(self, name)
            if state is not None:
                for event in differences(state, part):
                    self._put({**event, "bot": name})

    def _caught_up(self) -> None:
        """Once the snapshot's own events are published: what it knows beyond them."""
        if self._behind is None:
            return
        seq, parts = self._behind
        if (self._relay.positions.known(self._following) or 0) < seq:
            return
        if parts is None:
            if self.client.state.seq < seq:
                return
            parts = {state.name: copied(state) for state in self.client.state.each()}
            self._take_values(parts)
        self._behind = None
        for name, part in parts.items():
            for kind, section in STATUS.items():
                status = part.get(section)
                if not isinstance(status, dict) or same_status(
                    self._status.get((name, kind)), status
                ):
                    continue
                self._status[name, kind] = status
                again = {k: v for k, v in status.items() if k not in ("seq", "timestamp")}
                self._put({**again, "type": kind, "bot": name})
        self._relay.when_emitted(partial(self._fill, self._following, parts))

    def _fill(self, epoch: str, parts: Parts) -> None:
        for name, part in parts.items():
            state = self._relay.state_of(self, name)
            if state is not None:
                fill_history(state, part, epoch)

    # -- events ---------------------------------------------------------------------------

    async def _log(self, event: Wire, seq: int, *, listed: bool = False) -> None:
        """Publish one log event with where it comes from, unless that was done."""
        relay, epoch = self._relay, self._following
        last = relay.positions.known(epoch)
        if last is not None and seq <= last:
            return
        if last is not None and seq != last + 1 and not listed:
            self._missing(last + 1, seq - 1, seq - 1 - last, "they did not come")
        origin = event_ref(event.get("origin"))
        if origin is None:
            line = {**event, "origin": f"{epoch}:{seq}"}
        else:
            relay.check_loop(origin[0])
            relay.claim(self, origin[0])
            line = {**event, "via": f"{epoch}:{seq}"}
            done = await relay.positions.last(origin[0])
            if done is not None and origin[1] <= done:
                relay.positions.note(epoch, seq)
                return
        del line["seq"]
        await relay.room()
        try:
            self._relay.put(self, line)
        except Refused as error:
            self._not_taken(str(error))
        else:
            self.told += 1
        relay.positions.note(epoch, seq)
        if origin is not None:
            relay.positions.note(*origin)
        kind = event["type"]
        if kind in STATUS:
            self._status[bot_of(event), kind] = event
        elif kind == "COMMAND_AUDIT":
            relay.passing.heard(event)

    def _put(self, event: Wire) -> None:
        try:
            self._relay.put(self, event)
        except Refused as error:
            log.warning("%s: a %s was refused: %s", self.label, event["type"], error)

    def _beat(self, frame: Wire) -> None:
        self._heartbeat = frame
        bots = frame.get("bots")
        pulses = bots if isinstance(bots, dict) and bots else {"": frame}
        for name, pulse in pulses.items():
            if isinstance(pulse, dict):
                self._relay.pulse(self, name, _number(pulse.get("data_age_s")), pulse.get("lost"))

    # -- telling --------------------------------------------------------------------------

    def _missing(self, first: int, last: int, count: int, why: str) -> None:
        self.missing += count
        if count == last - first + 1:
            which = f"event {first}" if count == 1 else f"events {first} to {last} ({count})"
        else:
            which = f"{count} of the events {first} to {last}"
        self._gap(f"{which} of {self.label} are missing here: {why}", float(count))

    def _not_taken(self, why: str) -> None:
        """An event that cannot be published here; told now and then, not for each."""
        self.missing += 1
        self._left_out += 1
        now = time.monotonic()
        if now - self._told_left_out >= LEFT_OUT_S:
            count, self._left_out, self._told_left_out = self._left_out, 0, now
            text = f"{count} events of {self.label} could not be published here, the last: {why}"
            self._gap(text, float(count))

    def _gap(self, text: str, count: float | None) -> None:
        log.error("%s", text)
        alert = RiskAlert(code="GAP", level="warning", text=clean(text, 400), value=count)
        self._relay.tell(self, alert)

    def watch_link(self) -> None:
        """Look at the link; called a few times a second."""
        link = self.link
        if self.refused is not None:
            return
        if link.state == "live":
            self._caught_up()
            return
        if time.monotonic() - link.since >= LOST_AFTER_S:
            self._lost(link.detail or link.state)

    def failed(self, why: str) -> None:
        """Following it raised; it is tried again."""
        self._lost(f"it could not be followed: {why}")

    def _lost(self, why: str) -> None:
        if self._away is not None:
            return
        self._away = time.monotonic()
        self._relay.lost(self, clean(why, 200))
        # What it says of the terminal is told again once it is back.
        for key in [key for key in self._status if key[1] == "TERMINAL_STATUS"]:
            del self._status[key]

    def _found(self) -> None:
        self.joined.set()
        if self._away is not None:
            away, self._away = time.monotonic() - self._away, None
            self._relay.found(self, away)


def _events(part: Wire) -> list[Wire]:
    events = part.get("events")
    if not isinstance(events, list):
        return []
    return [e for e in events if isinstance(e, dict) and type(e.get("seq")) is int]


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value)
