"""A calendar of releases, and whether one is near for a symbol's currencies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

IMPACTS = ("low", "medium", "high")


@dataclass(frozen=True, slots=True)
class Release:
    """A release at ``utc`` (epoch seconds) that concerns one currency; "" means all."""

    utc: float
    currency: str
    title: str
    impact: str = "high"


@dataclass
class Calendar:
    """Releases and the silence around them. ``unreadable`` says why it could not be read."""

    before_s: float
    after_s: float
    impact: str = "high"
    releases: Sequence[Release] = ()
    unreadable: str | None = None
    currencies: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Currencies of each symbol; a symbol that is not here is matched by its name."""

    def blackout(self, symbol: str, utc: float) -> str | None:
        """The release that silences ``symbol`` at ``utc``, in words."""
        if math.isnan(utc):
            return None
        least = IMPACTS.index(self.impact)
        for release in self.releases:
            if IMPACTS.index(release.impact) < least:
                continue
            if not -self.after_s <= release.utc - utc <= self.before_s:
                continue
            if self._concerns(release.currency, symbol):
                minutes = (release.utc - utc) / 60
                when = f"in {minutes:.0f} min" if minutes > 0 else f"{-minutes:.0f} min ago"
                return f"{release.title} {release.currency} {when}".replace("  ", " ")
        return None

    def _concerns(self, currency: str, symbol: str) -> bool:
        if not currency:
            return True
        known = self.currencies.get(symbol)
        return currency in known if known is not None else currency in symbol.upper()
