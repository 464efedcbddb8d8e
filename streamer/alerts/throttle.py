"""Between a rule and a message: repeats are told once with a count, quiet hours wait.

Pure: the clocks are handed in.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

from .rules import Alert
from .settings import AlertSettings

KEYS_MAX = 1000
HELD_MAX = 500
SHOWN = 12
"""Alerts of the quiet hours that are told one by one."""


@dataclass(slots=True)
class _Repeat:
    last: Alert
    until: float
    more: int = 0


def quiet_at(settings: AlertSettings, now: float) -> bool:
    """Whether ``now`` (epoch seconds) is in the quiet hours of the settings."""
    if not settings.quiet:
        return False
    begin, _, end = settings.quiet.partition("-")
    first, last = time.fromisoformat(begin), time.fromisoformat(end)
    moment = datetime.fromtimestamp(now, UTC)
    zone = ZoneInfo(settings.quiet_zone) if settings.quiet_zone else None
    clock = moment.astimezone(zone).time()
    if first <= last:
        return first <= clock < last
    return clock >= first or clock < last


class AlertThrottle:
    """Decides what goes out now."""

    def __init__(self, settings: AlertSettings) -> None:
        self._settings = settings
        self._told: OrderedDict[str, _Repeat] = OrderedDict()
        self._held: list[Alert] = []
        self._held_more = 0

    def take(self, alert: Alert, now: float) -> list[Alert]:
        """One alert; what is to be told of it now. ``now`` is epoch seconds."""
        told = self._told.get(alert.key)
        if told is not None and now < told.until:
            told.more += 1
            told.last = alert
            return []
        if self._settings.repeat_s:
            self._told[alert.key] = _Repeat(alert, now + self._settings.repeat_s)
            self._told.move_to_end(alert.key)
            while len(self._told) > KEYS_MAX:
                self._told.popitem(last=False)
        return self._unless_quiet(alert, now)

    def due(self, now: float) -> list[Alert]:
        """What has become due since: counts of repeats, and what the quiet hours held."""
        out: list[Alert] = []
        for key, told in list(self._told.items()):
            if now < told.until:
                continue
            if not told.more:
                del self._told[key]
                continue
            text = f"{told.last.text} ({told.more} more in {self._settings.repeat_s:.0f} s)"
            self._told[key] = _Repeat(told.last, now + self._settings.repeat_s)
            out += self._unless_quiet(replace(told.last, text=text), now)
        if self._held and not quiet_at(self._settings, now):
            out.append(self._summary())
        return out

    def _unless_quiet(self, alert: Alert, now: float) -> list[Alert]:
        if alert.level == "critical" or not quiet_at(self._settings, now):
            return [alert]
        if len(self._held) < HELD_MAX:
            self._held.append(alert)
        else:
            self._held_more += 1
        return []

    def _summary(self) -> Alert:
        held, more = self._held, self._held_more
        self._held, self._held_more = [], 0
        lines = [alert.text for alert in held[-SHOWN:]]
        count = len(held) + more
        if count > len(lines):
            lines.insert(0, f"the newest {len(lines)} of {count}:")
        level = "warning" if any(alert.level == "warning" for alert in held) else "info"
        return Alert(
            "summary",
            "warning" if level == "warning" else "info",
            "quiet",
            f"{count} in the quiet hours\n" + "\n".join(lines),
        )
