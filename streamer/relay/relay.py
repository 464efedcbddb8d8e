"""A relay: a feed without a bot of its own, whose events come from other feeds.

It resumes on both sides. Upstream it goes on where its own journal ends; its viewers go on from
its numbers. State events conflate, log events are published once, each with its ``origin``.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from ..feed.feed import Feed
from ..feed.health import HealthCheck, Measure
from ..protocol.codec import Refused, decode, now_iso
from ..protocol.messages import Event, RiskAlert
from ..protocol.sanitise import clean
from ..state.reducer import FeedState
from ..state.source import Wire
from .forwarding import CommandForwarder
from .offsets import RelayOffsets, event_ref
from .upstream import Upstream, UpstreamRefused

log = logging.getLogger("mt5dash.relay")

LOOK_S = 0.25
ROOM_S = 0.02
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._:\[\]-]")
NAMING_S = 3.0
"""How long an upstream waits for those before it in the list to name their bots first."""
STALE_S = 15.0


class Relay:
    """Publishes on one feed what other feeds tell.

    Args:
        feed: Not started; without a bot of its own (``FeedSettings(bot="")``).
        upstreams: Address and token of each feed. Where two have a bot of the same name, the
            later one's is called ``NAME@HOST:PORT``.

    Raises:
        ValueError: an address is none, or given twice.
    """

    def __init__(self, feed: Feed, upstreams: Sequence[tuple[str, str | None]]) -> None:
        self.feed = feed
        feed.keeps_values = True
        self.positions = RelayOffsets(feed.journal)
        self.passing = CommandForwarder(self)
        self.upstreams = [Upstream(self, url, token) for url, token in upstreams]
        labels = [upstream.label for upstream in self.upstreams]
        for label in labels:
            if labels.count(label) > 1:
                raise ValueError(f"{label} is given twice; name each upstream once")
        self.ended = asyncio.Event()
        """Set when no upstream is left that could tell anything."""
        self._owners: dict[str, Upstream] = {}
        self._due: deque[tuple[int, Callable[[], None]]] = deque()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Listen, then join the upstreams in the background.

        Raises:
            As ``Feed.start``.
        """
        feed = self.feed
        for name in ("data", "terminal"):
            feed.health.remove(name)
        for upstream in self.upstreams:
            feed.health.register(f"upstream {upstream.label}", _check(upstream))
        feed.health.measures |= {
            "relay_events": Measure(
                "Log events taken from upstreams.",
                lambda: sum(u.told for u in self.upstreams),
                counter=True,
            ),
            "relay_missing": Measure(
                "Log events of upstreams that are known to be missing.",
                lambda: sum(u.missing for u in self.upstreams),
                counter=True,
            ),
            "relay_upstreams_live": Measure(
                "Upstreams whose events come in.", lambda: sum(u.live for u in self.upstreams)
            ),
        }
        await feed.start()
        feed.snapshots.path = ()
        feed.watch(self._emitted)
        feed.set_commander(self.passing.command)
        for bot in feed.bots:  # those of the journal: their upstream may be away now
            feed.set_commander(self.passing.command, bot.name)
        self._tasks = [
            asyncio.create_task(self._supervise(upstream), name=f"upstream {upstream.label}")
            for upstream in self.upstreams
        ]
        self._tasks.append(asyncio.create_task(self._look(), name="relay links"))

    async def close(self) -> None:
        """Leave the upstreams, then close the feed. Bounded."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=2.0)
        await self.feed.close()

    async def _supervise(self, upstream: Upstream) -> None:
        """Follow one upstream; what fails here costs no other one."""
        while upstream.refused is None:
            try:
                await upstream.run()
            except Exception as error:
                log.exception("upstream %s failed", upstream.label)
                upstream.failed(f"{type(error).__name__}: {error}")
                await asyncio.sleep(1.0)

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            for upstream in self.upstreams:
                upstream.watch_link()

    # -- names ----------------------------------------------------------------------------

    async def turn(self, upstream: Upstream) -> None:
        """Wait, but not for long, until the upstreams before this one have named their bots."""
        if upstream.named.is_set():
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(NAMING_S):
                for other in self.upstreams[: self.upstreams.index(upstream)]:
                    await other.named.wait()

    async def name_bots(
        self, upstream: Upstream, epochs: Sequence[str], names: Sequence[str], *, relayed: bool
    ) -> None:
        """Give the bots of an upstream their names here: those that the journal knows them by.

        Args:
            upstream: Whose they are.
            epochs: Its own, and those of the feeds behind it.
            names: What they are called there; empty for the bot of a feed that does not say.
            relayed: Whether it is a relay: what has no name there is then about no bot.
        """
        for name in names:
            if name in upstream.bots or (relayed and not name):
                continue
            here = name or "main"
            if len(self.upstreams) > 1 and not await self._is_free(upstream, here, epochs):
                here = self._longer(upstream, here)
            self._name(upstream, name, here)

    async def _is_free(self, upstream: Upstream, name: str, epochs: Sequence[str]) -> bool:
        """Whether a bot may have this name: no other upstream's has it, or had it before the
        relay was started again and may be back."""
        others = [other for other in self.upstreams if other is not upstream]
        if any(name in other.bots.values() for other in others):
            return False
        if await self.positions.comes_from(self._longer(upstream, name), epochs):
            return False
        if await self.positions.comes_from(name, epochs) is not False:
            return True
        return all(other.named.is_set() for other in others)

    def _longer(self, upstream: Upstream, name: str) -> str:
        return f"{name}@{_NOT_IN_NAMES.sub('-', upstream.label)}"[:96]

    def _name(self, upstream: Upstream, there: str, here: str) -> None:
        upstream.bots[there] = here
        self.feed.set_commander(self.passing.command, here)

    def name_of(self, upstream: Upstream, name: str) -> str:
        """What a bot of an upstream is called here; empty for what is about no bot."""
        if not name and name not in upstream.bots:
            return ""
        if name not in upstream.bots:
            taken = {n for u in self.upstreams if u is not upstream for n in u.bots.values()}
            self._name(upstream, name, self._longer(upstream, name) if name in taken else name)
        return upstream.bots[name]

    def upstream_of(self, bot: str) -> Upstream | None:
        """Where a bot comes from."""
        return next((u for u in self.upstreams if bot in u.bots.values()), None)

    def state_of(self, upstream: Upstream, name: str) -> FeedState | None:
        """What is known here of an upstream's bot; ``None`` when there are too many bots."""
        try:
            return self.feed.bots.meet(self.name_of(upstream, name)).state
        except Refused as error:
            log.error("bot %s of %s is left out: %s", name, upstream.label, error)
            return None

    # -- loops ----------------------------------------------------------------------------

    def check_loop(self, epoch: str, path: Sequence[str] = ()) -> None:
        """Look at a feed, and what stands behind it, before anything of it is published.

        Raises:
            UpstreamRefused: it is this relay, or takes its events from it.
        """
        own = self.feed.state.epoch
        if epoch == own:
            raise UpstreamRefused(
                "it tells this relay's own events: name the bot's feed as the upstream"
            )
        if own in path:
            raise UpstreamRefused("it takes its events from this relay: that would be a loop")

    def claim(self, upstream: Upstream, *epochs: str) -> None:
        """Note through which upstream these feeds come.

        Raises:
            UpstreamRefused: one of them comes through another one already.
        """
        for epoch in epochs:
            owner = self._owners.get(epoch)
            if owner is upstream:
                continue
            if owner is not None and owner.refused is None and owner.link.state == "live":
                raise UpstreamRefused(
                    f"it brings the same feed (epoch {epoch}) as {owner.label}: one way to it is "
                    "enough"
                )
            self._owners[epoch] = upstream
            self.feed.snapshots.path = tuple(sorted(self._owners))

    # -- publishing -----------------------------------------------------------------------

    async def room(self) -> None:
        """Wait while the journal cannot keep up: the upstream keeps what it has meanwhile."""
        journal = self.feed.journal
        if journal is not None:
            while self.feed.waiting >= journal.settings.waiting_events // 2:
                await asyncio.sleep(ROOM_S)

    def put(self, upstream: Upstream, event: Wire) -> None:
        """Publish an event as the bot that it is of.

        Raises:
            Refused: it cannot be published here.
        """
        self.feed.publish_relayed(event, bot=self.name_of(upstream, str(event.get("bot") or "")))

    def tell(self, upstream: Upstream, event: Event | Mapping[str, object]) -> None:
        """Publish what the relay itself has to say about an upstream."""
        names = [name for name in upstream.bots.values() if name]
        self.feed.publish(event, bot=names[0] if len(names) == 1 else "")

    def when_emitted(self, act: Callable[[], None]) -> None:
        """Do something once everything published so far is on disk and in the state."""
        if self.feed.waiting:
            self._due.append((self.feed.state.seq + self.feed.waiting, act))
        else:
            act()

    def _emitted(self, event: Wire) -> None:
        while self._due and self._due[0][0] <= self.feed.state.seq:
            self._due.popleft()[1]()

    async def earlier(self, upstream: Upstream) -> str | None:
        """The epoch that the newest event of this upstream's bots came from, in the journal."""
        journal = self.feed.journal
        if journal is None:
            return None
        for name in upstream.bots.values():
            raw = await self.positions.newest(name) if name else None
            place = event_ref(decode(raw).get("origin")) if raw is not None else None
            if place is not None and place[0] not in self._owners:
                return place[0]
        return None

    # -- links ----------------------------------------------------------------------------

    def lost(self, upstream: Upstream, why: str) -> None:
        """An upstream tells nothing now: its bots' values stay, and say since when."""
        text = f"no link from the relay to {upstream.label}: {why}"
        names = list(filter(None, upstream.bots.values())) or self._unclaimed()
        self.tell(upstream, RiskAlert(code="UPSTREAM", level="critical", text=text))
        for name in names:
            self._terminal_gone(name, text)
            self.feed.bots.lost(name, text)

    def _unclaimed(self) -> list[str]:
        """Bots that the journal knows, and no upstream has brought since the start."""
        here = {name for upstream in self.upstreams for name in upstream.bots.values()}
        bots = self.feed.bots
        return [bot.name for bot in bots if bot.name and bot.name not in here and not bot.lost]

    def _terminal_gone(self, name: str, text: str) -> None:
        bot = self.feed.bots.get(name)
        known = (bot.state.terminal if bot is not None else None) or {}
        event = {
            "type": "TERMINAL_STATUS",
            "state": "disconnected",
            "backend": known.get("backend") or "relay",
            "last_error": {"code": "UPSTREAM_LOST", "text": text},
            "ping_ms": None,
            "since": now_iso(),
            "market": known.get("market"),
        }
        self.feed.publish(event, bot=name)

    def found(self, upstream: Upstream, seconds: float) -> None:
        """It tells again."""
        for name in filter(None, upstream.bots.values()):
            self.feed.bots.lost(name, None)
        text = f"{upstream.label} is back after {seconds:.0f} s"
        self.tell(upstream, RiskAlert(code="UPSTREAM", level="info", text=text))

    def pulse(self, upstream: Upstream, name: str, age_s: float | None, lost: object) -> None:
        """An upstream told how old what it knows of a bot is, and whether it lost it: here it
        is no younger and no less lost."""
        here = self.name_of(upstream, name)
        bot = self.feed.bots.get(here)
        if bot is None:
            return
        if isinstance(lost, str) and here:
            self.feed.bots.lost(here, clean(lost, 200))
        if age_s is not None:
            at = time.monotonic() - age_s
            for section in ("account", "quotes"):
                if section in bot.state.updated:
                    bot.state.updated[section] = min(bot.state.updated[section], at)

    def refused(self, upstream: Upstream) -> None:
        """An upstream is not tried any more."""
        if all(u.refused is not None for u in self.upstreams):
            self.ended.set()


def _check(upstream: Upstream) -> Callable[[], HealthCheck]:
    """The health of one upstream, from its last frame and from what it says of its data."""

    def check() -> HealthCheck:
        link = upstream.link
        age = None if link.last_frame is None else time.monotonic() - link.last_frame
        lost = f"; {upstream.missing} events are missing" if upstream.missing else ""
        if upstream.refused is not None:
            return HealthCheck("down", f"{upstream.refused} (not tried again)", age)
        if not upstream.live:
            return HealthCheck("degraded", f"{link.state}: {link.detail or 'no answer yet'}", age)
        data = upstream.data_age_s
        if age is not None and age > STALE_S:
            return HealthCheck("degraded", f"silent{lost}", age, upstream.missing)
        if data is not None and data > STALE_S:
            text = f"live, but what it knows is {data:.0f} s old{lost}"
            return HealthCheck("degraded", text, age, upstream.missing)
        bots = ", ".join(filter(None, upstream.bots.values())) or "no bot yet"
        return HealthCheck("ok", f"live: {bots}{lost}", age, upstream.missing)

    return check
