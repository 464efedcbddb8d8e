"""Sends alerts about one feed to people who do not watch the screen, without delaying the feed.

Rules run on the loop; delivery has threads of its own. A dead-man ping is sent while everything
is well, so that another service notices when this program is silent.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..feed.health import HealthCheck
from ..protocol.codec import now_iso
from ..protocol.lenient import read
from ..protocol.messages import RiskAlert, TerminalStatus
from ..state.reducer import bot_of
from .channels import Channel, Message, NotDelivered, open_channels, request
from .delivery import DEAD_LETTERS_KEPT, Courier, DeadLetter
from .rules import Alert, AlertRules
from .settings import AlertSettings
from .throttle import AlertThrottle
from .timings import AlertTimings

if TYPE_CHECKING:
    from ..service import Feed

log = logging.getLogger("mt5dash.alerts")


@dataclass
class _BotRules:
    """The rules of one bot; ``name`` is empty for the feed's own bot."""

    rules: AlertRules
    name: str
    disconnected_at: float | None = None

    def named(self, alert: Alert) -> Alert:
        """The alert with the name of its bot, unless it is the feed's own."""
        if not self.name:
            return alert
        return replace(alert, key=f"{self.name} {alert.key}", text=f"{self.name}: {alert.text}")


class Alerts:
    """The alerts of one feed.

    Args:
        feed: The feed.
        settings: Which alerts are sent, and where to.
        channels: The channels, instead of those of the settings.
        clock: Epoch seconds, for quiet hours and repeats.
        monotonic: Seconds of a clock that is never set, for ages and intervals.
        timings: Intervals and limits.
    """

    def __init__(
        self,
        feed: Feed,
        settings: AlertSettings,
        *,
        channels: Sequence[Channel] | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        timings: AlertTimings | None = None,
    ) -> None:
        self.settings = settings
        self.dead_letters: deque[DeadLetter] = deque(maxlen=DEAD_LETTERS_KEPT)
        self._timings = timings or AlertTimings()
        self.couriers = [
            Courier(
                channel,
                on_dead_letter=self._on_dead_letter,
                on_recovered=self._on_recovered,
                timings=self._timings,
            )
            for channel in (open_channels(settings) if channels is None else channels)
        ]
        self._feed = feed
        self._bots: dict[str, _BotRules] = {}
        self._throttle = AlertThrottle(settings)
        self._clock = clock
        self._monotonic = monotonic
        self._reported_at: dict[str, float] = {}
        self._healthy_at = 0.0
        self._unwatch: Callable[[], None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._ping: _DeadManPing | None = None
        url = settings.dead_man.url.get_secret_value()
        if url:
            self._ping = _DeadManPing(
                url, settings.dead_man.every_s, self._is_healthy, 2 * self._timings.check_s
            )

    @property
    def needed(self) -> bool:
        """Whether the settings name a channel or a dead-man ping."""
        return bool(self.couriers) or self._ping is not None

    def start(self) -> None:
        """Begin to watch the feed; on the loop."""
        if not self.needed or self._task is not None:
            return
        for courier in self.couriers:
            courier.start()
        if self._ping is not None:
            self._ping.start()
        self._unwatch = self._feed.watch(self._on_event)
        self._feed.health.register("alerts", self._health)
        self._task = asyncio.create_task(self._check_forever(), name="alerts")

    async def close(self) -> None:
        """Deliver the queued messages, for ``close_s`` at most, and stop."""
        if self._unwatch is not None:
            self._unwatch()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        if self._ping is not None:
            self._ping.stop()
        if self._task is not None:
            closing = [
                threading.Thread(target=courier.close, args=(self._timings.close_s,), daemon=True)
                for courier in self.couriers
            ]
            for thread in closing:
                thread.start()
            until = time.monotonic() + self._timings.close_s + 0.2
            while any(thread.is_alive() for thread in closing) and time.monotonic() < until:
                await asyncio.sleep(0.01)

    # -- on the loop ----------------------------------------------------------------------

    def _on_event(self, event: dict[str, Any]) -> None:
        watched = self._watched(bot_of(event) or self._feed.bots.default_bot.name)
        if event.get("type") == "TERMINAL_STATUS":
            status = read(event, TerminalStatus)
            if status is not None and status.state == "connected":
                watched.disconnected_at = None
            elif watched.disconnected_at is None:
                watched.disconnected_at = self._monotonic()
        for alert in watched.rules.on_event(event):
            self._take(watched.named(alert))

    def _watched(self, name: str) -> _BotRules:
        found = self._bots.get(name)
        if found is None:
            own = name == self._feed.bots.default_bot.name
            found = self._bots[name] = _BotRules(AlertRules(self.settings), "" if own else name)
        return found

    def _take(self, alert: Alert) -> None:
        for due in self._throttle.take(alert, self._clock()):
            self._send(due)

    async def _check_forever(self) -> None:
        while True:
            try:
                self._check()
            except Exception:
                log.exception("alerts")
            await asyncio.sleep(self._timings.check_s)

    def _check(self) -> None:
        feed, now = self._feed, self._monotonic()
        for bot in (feed.bots.default_bot, *(bot for bot in feed.bots if not bot.own)):
            watched = self._watched(bot.name)
            seen = bot.state.updated.get("account")
            for alert in watched.rules.on_check(
                terminal=bot.state.typed.terminal,
                away_s=0.0 if watched.disconnected_at is None else now - watched.disconnected_at,
                data_s=None if seen is None else now - seen,
                journal=None if watched.name else feed.journal_trouble,
            ):
                self._take(watched.named(alert))
        for alert in self._throttle.due(self._clock()):
            self._send(alert)
        status = feed.own.typed.bot
        failed = status is not None and status.state == "error"
        if feed.health.report()["status"] != "down" and not failed:
            self._healthy_at = now

    def _send(self, alert: Alert) -> None:
        message = message_of(alert, self.settings)
        for courier in self.couriers:
            courier.put(message)

    def _is_healthy(self) -> bool:
        return self._monotonic() - self._healthy_at < self._timings.healthy_s

    def _health(self) -> HealthCheck:
        troubles = [f"{c.channel.name}: {c.trouble}" for c in self.couriers if c.trouble]
        if self._ping is not None and self._ping.trouble:
            troubles.append(f"dead-man ping: {self._ping.trouble}")
        dead = sum(courier.dead for courier in self.couriers)
        sent = sum(courier.delivered for courier in self.couriers)
        text = f"{sent} delivered, {dead} dead letters"
        if troubles:
            return HealthCheck("degraded", f"{text}; {'; '.join(troubles)}", value=dead)
        return HealthCheck("ok", text, value=dead)

    # -- in the couriers' threads ---------------------------------------------------------

    def _on_dead_letter(self, letter: DeadLetter) -> None:
        self.dead_letters.append(letter)
        now, interval = self._monotonic(), self._timings.failure_report_s
        if now - self._reported_at.get(letter.channel, -interval) < interval:
            return
        self._reported_at[letter.channel] = now
        self._feed.publish_threadsafe(
            RiskAlert(
                code="ALERT_UNDELIVERED",
                level="warning",
                text=f"an alert did not reach {letter.channel} ({letter.error}): "
                f"{letter.message.text}",
            )
        )

    def _on_recovered(self, channel: str) -> None:
        self._reported_at.pop(channel, None)
        self._feed.publish_threadsafe(
            RiskAlert(code="ALERT_DELIVERED", level="info", text=f"alerts reach {channel} again")
        )


def message_of(alert: Alert, settings: AlertSettings) -> Message:
    """The message of an alert. With ``hide_money`` it has no event."""
    mark = {"critical": "CRITICAL", "warning": "warning", "info": "info"}[alert.level]
    event = None if settings.hide_money else alert.event
    return Message(f"{settings.name} {mark}", alert.text, alert.level, alert.kind, now_iso(), event)


class _DeadManPing(threading.Thread):
    """GETs an address regularly, while the program is healthy.

    Args:
        url: The address.
        every_s: Seconds between two pings.
        is_healthy: Called in this thread before each ping.
        first_s: Seconds before the first ping at most: the first check has to be done.
    """

    def __init__(
        self, url: str, every_s: float, is_healthy: Callable[[], bool], first_s: float
    ) -> None:
        super().__init__(name="alerts-dead-man", daemon=True)
        self.trouble: str | None = None
        self._url, self._every_s, self._is_healthy = url, every_s, is_healthy
        self._first_s = first_s
        self._stop_it = threading.Event()

    def run(self) -> None:
        wait = min(self._first_s, self._every_s)
        while not self._stop_it.wait(wait):
            wait = self._every_s
            if not self._is_healthy():
                self.trouble = "held back: not all is well"
                continue
            try:
                request(self._url)
            except NotDelivered as error:
                self.trouble = str(error)
                log.warning("dead-man ping: %s", error)
            else:
                self.trouble = None

    def stop(self) -> None:
        """End at once."""
        self._stop_it.set()
