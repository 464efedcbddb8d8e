"""The server's clock, given by the terminal or estimated.

MetaTrader stores the broker's wall clock as if it were UTC, and has no call that returns it.
A paper terminal gives its own; for a real one the offset from UTC is the rounded difference
between a tick that has just arrived and our UTC clock.
"""

from __future__ import annotations

from datetime import UTC, datetime

QUARTER = 900.0
"""Broker offsets are whole quarters of an hour."""

LAG_MAX_S = 120.0
"""Clock error and tick age that an estimate may hold; more is no fresh tick."""

VOTES = 3
"""So many fresh ticks in a row must agree."""

DAY = 86_400


class ServerClock:
    """Server time from the offset. All arguments in seconds; no clock is read here."""

    def __init__(self, utc_offset: float | None = None) -> None:
        self.utc_offset = utc_offset
        """Server time minus UTC, seconds; ``None`` while it is unknown."""
        self.speed = 1.0
        self._given = utc_offset is not None
        self._candidate: float | None = None
        self._votes = 0
        self._anchor: tuple[float, float] | None = None

    def tell(self, server: float, mono: float, speed: float, utc_offset: float) -> None:
        """Set the time that the terminal gave (paper)."""
        self._anchor = (server, mono)
        self.speed = speed
        self.utc_offset = utc_offset

    def observe(self, tick_time: float, wall: float) -> None:
        """A quote with server time ``tick_time`` was seen to change at UTC ``wall``."""
        if self._anchor is not None or self._given:
            return
        offset = round((tick_time - wall) / QUARTER) * QUARTER
        if abs(tick_time - wall - offset) > LAG_MAX_S or abs(offset) > 14 * 3600:
            return
        # After a gap a terminal may hand over old ticks as new: one alone decides nothing.
        self._votes = self._votes + 1 if offset == self._candidate else 1
        self._candidate = offset
        if self._votes >= VOTES:
            self.utc_offset = offset

    def now(self, mono: float, wall: float) -> float | None:
        """Server epoch seconds at this moment, or ``None`` when the offset is unknown."""
        if self._anchor is not None:
            server, at = self._anchor
            return server + (mono - at) * self.speed
        return None if self.utc_offset is None else wall + self.utc_offset

    def iso(self, server: float | None) -> str | None:
        """A server time as UTC on the wire; ``None`` when it or the offset is unknown."""
        if not server or self.utc_offset is None:
            return None
        return iso(server - self.utc_offset)


def iso(epoch: float) -> str:
    """ISO 8601 in UTC with ``+00:00``, milliseconds only where there are any."""
    moment = datetime.fromtimestamp(round(epoch, 3), UTC)
    return moment.isoformat(timespec="milliseconds" if moment.microsecond else "seconds")


def midnight(server: float) -> int:
    """The server's last midnight, epoch seconds of server time."""
    return int(server // DAY) * DAY
