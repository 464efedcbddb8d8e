"""Publishes all events of one feed to a backbone, and reports its outages on the feed.

It watches the feed like a screen does. While the backbone is unavailable the feed continues, and
reports it: in ``RISK_ALERT`` BACKBONE, in its health and in its metrics.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from ..feed.health import HealthCheck, Measure
from ..protocol.codec import encode, now_iso
from ..protocol.messages import PROTOCOL_VERSION, RiskAlert
from ..state.ring import Item
from .address import open_store, password_from
from .model import Store
from .settings import BackboneSettings
from .timings import PublisherTimings
from .writer import BackboneWriter

if TYPE_CHECKING:
    from ..service import Feed

log = logging.getLogger("mt5dash.backbone")


class BackbonePublisher:
    """Writes the events of one feed to one stream.

    Args:
        feed: A running feed.
        settings: The stream and the limits; ``settings.url`` is set.
        timings: Intervals and limits.

    Raises:
        BackboneError: the settings cannot be used.
    """

    def __init__(
        self, feed: Feed, settings: BackboneSettings, timings: PublisherTimings | None = None
    ) -> None:
        self._feed = feed
        self._settings = settings
        self._timings = timings or PublisherTimings()
        store = store_for(settings)
        self.where = store.where
        self.writer = BackboneWriter(
            store,
            snapshot=self._snapshot,
            latest_state=self._latest_state,
            queue_events=settings.queue_events,
            keep_events=settings.keep_events,
            timings=self._timings.writer,
        )
        self._available_at = time.monotonic()
        self._outage_reported = False
        self._dropped = 0
        self._dropped_earlier = 0
        self._unwatch: Callable[[], None] | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to write; on the loop, after ``Feed.start``. Returns at once."""
        feed, ring = self._feed, self._feed.ring
        first = max(ring.first, ring.last - self._settings.queue_events + 1)
        kept = (ring.get(seq) for seq in range(first, ring.last + 1))
        recent = [(item.seq, item.raw) for item in kept if item is not None]
        self._unwatch = feed.watch_items(self._on_item)
        await self.writer.start(feed.state.epoch, ring.last, recent)
        feed.health.register("backbone", self._health)
        feed.health.measures |= {
            "backbone_waiting": Measure(
                "Log events that the backbone has not got yet.", lambda: self.writer.waiting
            ),
            "backbone_delivered": Measure(
                "Log events that it has.", lambda: self.writer.delivered, counter=True
            ),
            "backbone_dropped": Measure(
                "Log events that were lost to it.", lambda: self.writer.dropped, counter=True
            ),
        }
        self._task = asyncio.create_task(self._check_writer(), name="backbone check")

    async def close(self, timeout: float = 0.5) -> None:
        """Send the waiting events, for a bounded time, and stop; after ``Feed.close``."""
        if self._unwatch is not None:
            self._unwatch()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(3 * timeout):
                await self.writer.close(timeout)

    def _on_item(self, item: Item) -> None:
        self.writer.append(item.raw, item.seq or None, item.kind, item.bot)

    def _snapshot(self) -> tuple[int, bytes]:
        state, snapshots = self._feed.state, self._feed.snapshots
        head: dict[str, Any] = {
            "type": "STATE_SNAPSHOT",
            "protocol": PROTOCOL_VERSION,
            "epoch": state.epoch,
            "seq": state.seq,
            "timestamp": now_iso(),
        }
        if snapshots.path is not None:
            head["path"] = snapshots.path
        body = snapshots.encode_data(None, None)
        return state.seq, encode(head)[:-1] + b',"data":' + body + b"}"

    def _latest_state(self, kind: str, bot: str | None) -> bytes | None:
        item = self._feed.snapshots.latest_event(kind, bot or "")
        return item.raw if item is not None else None

    # -- reports --------------------------------------------------------------------------

    async def _check_writer(self) -> None:
        while True:
            await asyncio.sleep(self._timings.check_s)
            self._report(time.monotonic())

    def _report(self, now: float) -> None:
        writer = self.writer
        trouble = writer.trouble
        if trouble is None:
            if self._outage_reported:
                self._outage_reported = False
                text = f"the backbone {self.where} is available again after {now - self._available_at:.0f} s"
                if self._dropped:
                    text += f"; {self._dropped} events were lost to it"
                self._alert("info", text)
            self._dropped, self._dropped_earlier = 0, writer.dropped
            self._available_at = now
            return
        if not self._outage_reported and now - self._available_at >= self._timings.outage_s:
            self._outage_reported = True
            self._alert(
                "warning",
                f"the backbone is unavailable: {trouble}. {writer.waiting} events wait for it; its "
                "nodes show old data until it is back",
            )
        lost = writer.dropped - self._dropped_earlier
        if lost and not self._dropped:
            limit = self._settings.queue_events
            self._alert(
                "critical",
                f"more than {limit} events wait for the backbone {self.where}: the oldest are "
                "lost to it, and its nodes will see the gap (the journal has them all)",
                value=float(writer.waiting),
                limit=float(limit),
            )
        self._dropped = lost

    def _alert(
        self,
        level: Literal["info", "warning", "critical"],
        text: str,
        value: float | None = None,
        limit: float | None = None,
    ) -> None:
        log.log(logging.INFO if level == "info" else logging.WARNING, "%s", text)
        alert = RiskAlert(code="BACKBONE", level=level, text=text, value=value, limit=limit)
        self._feed.publish(alert)

    def _health(self) -> HealthCheck:
        writer, now = self.writer, time.monotonic()
        at = writer.last_write
        age = None if at is None else now - at
        text = f"{writer.waiting} events wait for {self.where}"
        if writer.dropped:
            text += f"; {writer.dropped} were lost to it"
        if writer.trouble is not None:
            return HealthCheck("degraded", f"{writer.trouble}; {text}", age, writer.waiting)
        return HealthCheck("ok", text, age, writer.waiting)


def store_for(settings: BackboneSettings) -> Store:
    """The store that the settings name; nothing is connected yet.

    Raises:
        BackboneError: the settings cannot be used; the text says what to do.
    """
    password = settings.password.get_secret_value() or None
    if settings.password_file is not None:
        password = password_from(settings.password_file)
    return open_store(
        settings.url.get_secret_value(),
        stream=settings.stream,
        password=password,
        ca=str(settings.tls_ca) if settings.tls_ca is not None else None,
    )
