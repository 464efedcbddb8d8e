"""Limits the alerts that are sent: repeats are sent once with a count, quiet hours collect.

Pure: the caller passes the time.
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
LISTED = 12
"""Alerts of the quiet hours that the summary lists one by one."""


@dataclass(slots=True)
class _Repeat:
    """A key that was sent: its newest alert, until when repeats are only counted, and the count."""

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
    """Decides which alerts are sent now.

    Args:
        settings: Repeats and quiet hours.
    """

    def __init__(self, settings: AlertSettings) -> None:
        self._settings = settings
        self._sent: OrderedDict[str, _Repeat] = OrderedDict()
        self._held: list[Alert] = []
        self._held_more = 0

    def take(self, alert: Alert, now: float) -> list[Alert]:
        """Take one alert; returns the alerts to send now (it, or none).

        Args:
            alert: The alert.
            now: Epoch seconds.
        """
        known = self._sent.get(alert.key)
        if known is not None and now < known.until:
            known.more += 1
            known.last = alert
            return []
        if self._settings.repeat_s:
            self._sent[alert.key] = _Repeat(alert, now + self._settings.repeat_s)
            self._sent.move_to_end(alert.key)
            while len(self._sent) > KEYS_MAX:
                self._sent.popitem(last=False)
        return self._unless_quiet(alert, now)

    def due(self, now: float) -> list[Alert]:
        """The alerts that have become due: counts of repeats, and the summary of the quiet hours."""
        out: list[Alert] = []
        for key, known in list(self._sent.items()):
            if now < known.until:
                continue
            if not known.more:
                del self._sent[key]
                continue
            text = f"{known.last.text} ({known.more} more in {self._settings.repeat_s:.0f} s)"
            self._sent[key] = _Repeat(known.last, now + self._settings.repeat_s)
            out += self._unless_quiet(replace(known.last, text=text), now)
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
        lines = [alert.text for alert in held[-LISTED:]]
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
