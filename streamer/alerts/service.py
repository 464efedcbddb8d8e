"""Alerts out: tells people who do not look at the screen, and never waits for them.

AlertRules look at the feed's events on the loop; delivery has threads of its own. A dead-man ping
goes out while all is well, so that somebody else notices when this program is silent.
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
from ..protocol.messages import RiskAlert
from ..state.reducer import bot_of
from .channels import Channel, Message, NotDelivered, channels, fetch
from .delivery import DEAD_KEPT, DELAYS_S, Courier, DeadLetter
from .rules import Alert, AlertRules
from .settings import AlertSettings
from .throttle import AlertThrottle

if TYPE_CHECKING:
    from ..feed.feed import Feed

log = logging.getLogger("mt5dash.alerts")

LOOK_S = 1.0
ALIVE_S = 10.0
"""The loop must have been well so lately for a ping to go out."""
TELL_S = 60.0
"""A channel that fails is told on the feed once in so long."""
CLOSE_S = 1.0


@dataclass
class _Watched:
    """One bot of the feed; ``name`` is empty for the feed's own."""

    rules: AlertRules
    name: str
    away_since: float | None = None

    def named(self, alert: Alert) -> Alert:
        """The alert as it is told: another bot's says whose it is."""
        if not self.name:
            return alert
        return replace(alert, key=f"{self.name} {alert.key}", text=f"{self.name}: {alert.text}")


class Alerts:
    """The alerts of one feed.

    Args:
        feed: Whose events are looked at.
        settings: What is told, and where to.
        ways: The channels, instead of those of the settings.
        clock: Epoch seconds, for quiet hours and repeats.
        delays: Seconds before each further try of a delivery.
    """

    def __init__(
        self,
        feed: Feed,
        settings: AlertSettings,
        *,
        ways: Sequence[Channel] | None = None,
        clock: Callable[[], float] = time.time,
        delays: Sequence[float] = DELAYS_S,
    ) -> None:
        self.settings = settings
        self.dead_letters: deque[DeadLetter] = deque(maxlen=DEAD_KEPT)
        self.couriers = [
            Courier(way, lost=self._lost, back=self._back, delays=delays)
            for way in (channels(settings) if ways is None else ways)
        ]
        self._feed = feed
        self._bots: dict[str, _Watched] = {}
        self._gate = AlertThrottle(settings)
        self._clock = clock
        self._told: dict[str, float] = {}
        self._well_at = 0.0
        self._unwatch: Callable[[], None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._ping: _DeadMan | None = None
        url = settings.dead_man.url.get_secret_value()
        if url:
            self._ping = _DeadMan(url, settings.dead_man.every_s, self._alive)

    @property
    def needed(self) -> bool:
        """Whether the settings name any way out."""
        return bool(self.couriers) or self._ping is not None

    def start(self) -> None:
        """Begin to look; on the loop."""
        if not self.needed or self._task is not None:
            return
        for courier in self.couriers:
            courier.start()
        if self._ping is not None:
            self._ping.start()
        self._unwatch = self._feed.watch(self._heard)
        self._feed.health.register("alerts", self._health)
        self._task = asyncio.create_task(self._look(), name="alerts")

    async def close(self) -> None:
        """Let what waits go out, for a second at most, and stop."""
        if self._unwatch is not None:
            self._unwatch()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        if self._ping is not None:
            self._ping.stop()
        if self._task is not None:
            closing = [
                threading.Thread(target=courier.close, args=(CLOSE_S,), daemon=True)
                for courier in self.couriers
            ]
            for thread in closing:
                thread.start()
            until = time.monotonic() + CLOSE_S + 0.2
            while any(thread.is_alive() for thread in closing) and time.monotonic() < until:
                await asyncio.sleep(0.01)

    # -- on the loop ----------------------------------------------------------------------

    def _heard(self, event: dict[str, Any]) -> None:
        watched = self._watched(bot_of(event) or self._feed.bots.speaker.name)
        if event.get("type") == "TERMINAL_STATUS":
            away = event.get("state") != "connected"
            if not away:
                watched.away_since = None
            elif watched.away_since is None:
                watched.away_since = time.monotonic()
        for alert in watched.rules.heard(event):
            self._take(watched.named(alert))

    def _watched(self, name: str) -> _Watched:
        found = self._bots.get(name)
        if found is None:
            own = name == self._feed.bots.speaker.name
            found = self._bots[name] = _Watched(AlertRules(self.settings), "" if own else name)
        return found

    def _take(self, alert: Alert) -> None:
        for due in self._gate.take(alert, self._clock()):
            self._send(due)

    async def _look(self) -> None:
        while True:
            try:
                self._once()
            except Exception:
                log.exception("alerts")
            await asyncio.sleep(LOOK_S)

    def _once(self) -> None:
        feed, now = self._feed, time.monotonic()
        for bot in (feed.bots.speaker, *(bot for bot in feed.bots if not bot.own)):
            watched = self._watched(bot.name)
            seen = bot.state.updated.get("account")
            for alert in watched.rules.looked(
                terminal=bot.state.terminal,
                away_s=0.0 if watched.away_since is None else now - watched.away_since,
                data_s=None if seen is None else now - seen,
                journal=None if watched.name else feed.journal_trouble,
            ):
                self._take(watched.named(alert))
        for alert in self._gate.due(self._clock()):
            self._send(alert)
        said = feed.own.bot
        if feed.health.report()["status"] != "down" and (said or {}).get("state") != "error":
            self._well_at = now

    def _send(self, alert: Alert) -> None:
        message = message_of(alert, self.settings)
        for courier in self.couriers:
            courier.put(message)

    def _alive(self) -> bool:
        return time.monotonic() - self._well_at < ALIVE_S

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

    def _lost(self, letter: DeadLetter) -> None:
        self.dead_letters.append(letter)
        now = time.monotonic()
        if now - self._told.get(letter.channel, -TELL_S) < TELL_S:
            return
        self._told[letter.channel] = now
        self._feed.publish_threadsafe(
            RiskAlert(
                code="ALERT_UNDELIVERED",
                level="warning",
                text=f"an alert did not reach {letter.channel} ({letter.error}): "
                f"{letter.message.text}",
            )
        )

    def _back(self, channel: str) -> None:
        self._told.pop(channel, None)
        self._feed.publish_threadsafe(
            RiskAlert(code="ALERT_DELIVERED", level="info", text=f"alerts reach {channel} again")
        )


def message_of(alert: Alert, settings: AlertSettings) -> Message:
    """An alert as it leaves the program. With ``hide_money`` its event stays here."""
    mark = {"critical": "CRITICAL", "warning": "warning", "info": "info"}[alert.level]
    event = None if settings.hide_money else alert.event
    return Message(f"{settings.name} {mark}", alert.text, alert.level, alert.kind, now_iso(), event)


class _DeadMan(threading.Thread):
    """GETs an address again and again, while ``well`` says yes."""

    def __init__(self, url: str, every_s: float, well: Callable[[], bool]) -> None:
        super().__init__(name="alerts-dead-man", daemon=True)
        self.trouble: str | None = None
        self._url, self._every_s, self._well = url, every_s, well
        self._stop_it = threading.Event()

    def run(self) -> None:
        # Just after the start nothing is known: the first look takes a second.
        wait = min(2 * LOOK_S, self._every_s)
        while not self._stop_it.wait(wait):
            wait = self._every_s
            if not self._well():
                self.trouble = "held back: not all is well"
                continue
            try:
                fetch(self._url)
            except NotDelivered as error:
                self.trouble = str(error)
                log.warning("dead-man ping: %s", error)
            else:
                self.trouble = None

    def stop(self) -> None:
        """End at once."""
        self._stop_it.set()
