"""A relay: a feed without a bot of its own that publishes the events of other feeds.

It resumes on both sides. Upstream it resumes where its own journal ends; its viewers resume by
the relay's numbers. State events conflate; each log event is published once, with its
``origin``.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from ..feed.health import HealthCheck, Measure
from ..protocol.codec import EventRefused, decode, now_iso
from ..protocol.messages import Event, RiskAlert
from ..protocol.sanitise import clean
from ..protocol.sections import DATA_SECTIONS
from ..service import Feed
from ..state.reducer import FeedState
from ..state.source import Wire
from .forwarding import CommandForwarder
from .offsets import RelayOffsets, event_ref
from .timings import RelayTimings
from .upstream import Upstream, UpstreamRefused

log = logging.getLogger("mt5dash.relay")

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._:\[\]-]")


class Relay:
    """Publishes the events of other feeds on one feed. It is the ``RelayPort`` of its upstreams.

    Args:
        feed: Not started, without a bot of its own (``FeedSettings(bot="")``).
        upstreams: Address and token of each feed. Where two have a bot of the same name, the
            later one's is called ``NAME@HOST:PORT``.
        timings: Intervals and limits.

    Raises:
        ValueError: an address is invalid, or given twice.
    """

    def __init__(
        self,
        feed: Feed,
        upstreams: Sequence[tuple[str, str | None]],
        timings: RelayTimings | None = None,
    ) -> None:
        self.feed = feed
        feed.keeps_values = True
        self._timings = timings or RelayTimings()
        self._offsets = RelayOffsets(feed.journal)
        self._forwarder = CommandForwarder(self._upstream_of, feed.commands.learn, self._timings)
        self.upstreams = [
            Upstream(self, self._offsets, url, token, self._timings) for url, token in upstreams
        ]
        labels = [upstream.label for upstream in self.upstreams]
        for label in labels:
            if labels.count(label) > 1:
                raise ValueError(f"{label} is given twice; name each upstream once")
        self.ended = asyncio.Event()
        """Set when no upstream is followed any more."""
        self._owners: dict[str, Upstream] = {}
        self._after_commit: deque[tuple[int, Callable[[], None]]] = deque()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Listen, then connect to the upstreams in the background.

        Raises:
            As ``Feed.start``.
        """
        feed = self.feed
        for name in ("data", "terminal"):
            feed.health.remove(name)
        for upstream in self.upstreams:
            check = _health_check(upstream, self._timings.stale_s)
            feed.health.register(f"upstream {upstream.label}", check)
        feed.health.measures |= {
            "relay_events": Measure(
                "Log events taken from upstreams.",
                lambda: sum(u.published for u in self.upstreams),
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
        feed.watch(self._on_emitted)
        feed.set_commander(self._forwarder.command)
        for bot in feed.bots:  # bots of the journal, whose upstream may be disconnected now
            feed.set_commander(self._forwarder.command, bot.name)
        self._tasks = [
            asyncio.create_task(self._supervise(upstream), name=f"upstream {upstream.label}")
            for upstream in self.upstreams
        ]
        self._tasks.append(asyncio.create_task(self._check_links(), name="relay links"))

    async def close(self) -> None:
        """Disconnect from the upstreams, then close the feed. Bounded."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._timings.close_s)
        await self.feed.close()

    async def _supervise(self, upstream: Upstream) -> None:
        """Follow one upstream; its errors do not affect the other ones."""
        while upstream.refused_reason is None:
            try:
                await upstream.run()
            except Exception as error:
                log.exception("upstream %s failed", upstream.label)
                upstream.on_failed(f"{type(error).__name__}: {error}")
                await asyncio.sleep(self._timings.restart_s)

    async def _check_links(self) -> None:
        while True:
            await asyncio.sleep(self._timings.link_check_s)
            for upstream in self.upstreams:
                upstream.check_link()

    # -- admission and names --------------------------------------------------------------

    async def admit(
        self, upstream: Upstream, epoch: str, path: Sequence[str] | None, bots: Sequence[str]
    ) -> None:
        """See ``RelayPort.admit``. The journal's names of the bots are kept."""
        epochs = (epoch, *(path or ()))
        self._check_loop(epoch, path or ())
        await self._wait_for_turn(upstream)
        for each in epochs:
            self._claim(upstream, each)
        for name in bots:
            if name in upstream.bots or (path is not None and not name):
                continue  # a relay's events without a bot's name are about no bot
            here = name or "main"
            if len(self.upstreams) > 1 and not await self._is_free(upstream, here, epochs):
                here = self._qualified(upstream, here)
            self._set_name(upstream, name, here)

    def claim(self, upstream: Upstream, epoch: str) -> None:
        """See ``RelayPort.claim``."""
        self._check_loop(epoch)
        self._claim(upstream, epoch)

    def _check_loop(self, epoch: str, path: Sequence[str] = ()) -> None:
        own = self.feed.state.epoch
        if epoch == own:
            raise UpstreamRefused(
                "it publishes this relay's own events: name the bot's feed as the upstream"
            )
        if own in path:
            raise UpstreamRefused("it receives its events from this relay: that would be a loop")

    def _claim(self, upstream: Upstream, epoch: str) -> None:
        owner = self._owners.get(epoch)
        if owner is upstream:
            return
        if owner is not None and owner.refused_reason is None and owner.link.state == "live":
            raise UpstreamRefused(
                f"it delivers the same feed (epoch {epoch}) as {owner.label}: one way to it is "
                "enough"
            )
        self._owners[epoch] = upstream
        self.feed.snapshots.path = tuple(sorted(self._owners))

    async def _wait_for_turn(self, upstream: Upstream) -> None:
        """Wait, for ``naming_s`` at most, until the upstreams before this one have named their
        bots."""
        if upstream.named.is_set():
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._timings.naming_s):
                for other in self.upstreams[: self.upstreams.index(upstream)]:
                    await other.named.wait()

    async def _is_free(self, upstream: Upstream, name: str, epochs: Sequence[str]) -> bool:
        """Whether a bot may have this name: no other upstream's bot has it, or had it before the
        restart of the relay and may return."""
        others = [other for other in self.upstreams if other is not upstream]
        if any(name in other.bots.values() for other in others):
            return False
        if await self._offsets.comes_from(self._qualified(upstream, name), epochs):
            return False
        if await self._offsets.comes_from(name, epochs) is not False:
            return True
        return all(other.named.is_set() for other in others)

    def _qualified(self, upstream: Upstream, name: str) -> str:
        return f"{name}@{_NOT_IN_NAMES.sub('-', upstream.label)}"[:96]

    def _set_name(self, upstream: Upstream, there: str, here: str) -> None:
        upstream.bots[there] = here
        self.feed.set_commander(self._forwarder.command, here)

    def _name_of(self, upstream: Upstream, name: str) -> str:
        """The name of an upstream's bot on this relay; empty for events about no bot."""
        if not name and name not in upstream.bots:
            return ""
        if name not in upstream.bots:
            taken = {n for u in self.upstreams if u is not upstream for n in u.bots.values()}
            here = self._qualified(upstream, name) if name in taken else name
            self._set_name(upstream, name, here)
        return upstream.bots[name]

    def _upstream_of(self, bot: str) -> Upstream | None:
        """The upstream of a bot, by the bot's name on this relay."""
        return next((u for u in self.upstreams if bot in u.bots.values()), None)

    def state_of(self, upstream: Upstream, bot: str) -> FeedState | None:
        """See ``RelayPort.state_of``."""
        try:
            return self.feed.bots.get_or_add(self._name_of(upstream, bot)).state
        except EventRefused as error:
            log.error("bot %s of %s is left out: %s", bot, upstream.label, error)
            return None

    # -- publishing -----------------------------------------------------------------------

    async def wait_for_room(self) -> None:
        """See ``RelayPort.wait_for_room``. Meanwhile the upstream keeps its events."""
        journal = self.feed.journal
        if journal is not None:
            while self.feed.waiting >= journal.settings.waiting_events // 2:
                await asyncio.sleep(self._timings.queue_check_s)

    def publish(self, upstream: Upstream, event: Wire) -> None:
        """See ``RelayPort.publish``. The event is attributed to its bot's name on this relay."""
        self.feed.publish_relayed(event, bot=self._name_of(upstream, str(event.get("bot") or "")))

    def publish_notice(self, upstream: Upstream, event: Event | Mapping[str, object]) -> None:
        """See ``RelayPort.publish_notice``. It is attributed to the bot of an upstream with
        one bot."""
        names = [name for name in upstream.bots.values() if name]
        self.feed.publish(event, bot=names[0] if len(names) == 1 else "")

    def after_commit(self, act: Callable[[], None]) -> None:
        """See ``RelayPort.after_commit``."""
        if self.feed.waiting:
            self._after_commit.append((self.feed.state.seq + self.feed.waiting, act))
        else:
            act()

    def _on_emitted(self, event: Wire) -> None:
        while self._after_commit and self._after_commit[0][0] <= self.feed.state.seq:
            self._after_commit.popleft()[1]()

    async def previous_epoch(self, upstream: Upstream) -> str | None:
        """See ``RelayPort.previous_epoch``."""
        if self.feed.journal is None:
            return None
        for name in upstream.bots.values():
            raw = await self._offsets.newest(name) if name else None
            origin = event_ref(decode(raw).get("origin")) if raw is not None else None
            if origin is not None and origin[0] not in self._owners:
                return origin[0]
        return None

    def on_audit(self, audit: Wire) -> None:
        """See ``RelayPort.on_audit``."""
        self._forwarder.on_audit(audit)

    # -- links ----------------------------------------------------------------------------

    def on_lost(self, upstream: Upstream, why: str) -> None:
        """See ``RelayPort.on_lost``. The values of its bots stay, with their age."""
        text = f"no link from the relay to {upstream.label}: {why}"
        names = list(filter(None, upstream.bots.values())) or self._unclaimed()
        self.publish_notice(upstream, RiskAlert(code="UPSTREAM", level="critical", text=text))
        for name in names:
            self._publish_terminal_lost(name, text)
            self.feed.bots.set_unreachable(name, text)

    def _unclaimed(self) -> list[str]:
        """Bots of the journal that no upstream has delivered since the start."""
        here = {name for upstream in self.upstreams for name in upstream.bots.values()}
        bots = self.feed.bots
        return [
            bot.name
            for bot in bots
            if bot.name and bot.name not in here and not bot.unreachable_reason
        ]

    def _publish_terminal_lost(self, name: str, text: str) -> None:
        bot = self.feed.bots.get(name)
        known = None if bot is None else bot.state.typed.terminal
        event = {
            "type": "TERMINAL_STATUS",
            "state": "disconnected",
            "backend": (known and known.backend) or "relay",
            "last_error": {"code": "UPSTREAM_LOST", "text": text},
            "ping_ms": None,
            "since": now_iso(),
            "market": known and known.market,
        }
        self.feed.publish(event, bot=name)

    def on_restored(self, upstream: Upstream, seconds: float) -> None:
        """See ``RelayPort.on_restored``."""
        for name in filter(None, upstream.bots.values()):
            self.feed.bots.set_unreachable(name, None)
        text = f"{upstream.label} is back after {seconds:.0f} s"
        self.publish_notice(upstream, RiskAlert(code="UPSTREAM", level="info", text=text))

    def on_heartbeat(
        self, upstream: Upstream, bot: str, age_s: float | None, lost: str | None
    ) -> None:
        """See ``RelayPort.on_heartbeat``. The relay never reports data as fresher, or a bot as
        better connected, than the upstream does."""
        here = self._name_of(upstream, bot)
        known = self.feed.bots.get(here)
        if known is None:
            return
        if lost is not None and here:
            self.feed.bots.set_unreachable(here, clean(lost, 200))
        if age_s is not None:
            at = time.monotonic() - age_s
            updated = known.state.updated
            for section in DATA_SECTIONS:
                if section in updated:
                    updated[section] = min(updated[section], at)

    def on_refused(self, upstream: Upstream) -> None:
        """See ``RelayPort.on_refused``."""
        if all(u.refused_reason is not None for u in self.upstreams):
            self.ended.set()


def _health_check(upstream: Upstream, stale_s: float) -> Callable[[], HealthCheck]:
    """The health of one upstream, by its last frame and the age of its data."""

    def check() -> HealthCheck:
        link = upstream.link
        age = None if link.last_frame is None else time.monotonic() - link.last_frame
        missing = f"; {upstream.missing} events are missing" if upstream.missing else ""
        if upstream.refused_reason is not None:
            return HealthCheck("down", f"{upstream.refused_reason} (not tried again)", age)
        if not upstream.live:
            return HealthCheck("degraded", f"{link.state}: {link.detail or 'no answer yet'}", age)
        data = upstream.data_age_s
        if age is not None and age > stale_s:
            return HealthCheck("degraded", f"silent{missing}", age, upstream.missing)
        if data is not None and data > stale_s:
            text = f"live, but its data are {data:.0f} s old{missing}"
            return HealthCheck("degraded", text, age, upstream.missing)
        bots = ", ".join(filter(None, upstream.bots.values())) or "no bot yet"
        return HealthCheck("ok", f"live: {bots}{missing}", age, upstream.missing)

    return check
