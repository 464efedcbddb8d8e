"""Results of closed trades: the net profit of one, and statistics of many. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from streamer.protocol.messages import PositionClosed


class TradeResult(NamedTuple):
    """The result of one closed trade; ``None`` where unknown."""

    net: float | None
    """Account currency, swap and commission included."""
    r: float | None
    """In units of what was risked at first."""


def net_profit(closed: PositionClosed) -> float | None:
    """Profit with swap and commission, account currency; ``None`` where the profit is unknown."""
    if closed.profit is None:
        return None
    return closed.profit + (closed.swap or 0.0) + (closed.commission or 0.0)


@dataclass(frozen=True, slots=True)
class Statistics:
    """Statistics of closed trades. ``factor`` is won money over lost money, ``None`` without a
    loss."""

    closed: int
    won: int
    total: float
    factor: float | None
    average_r: float | None

    @classmethod
    def of(cls, results: Sequence[TradeResult]) -> Statistics:
        """The statistics of these trades; those with an unknown result are left out."""
        nets = [result.net for result in results if result.net is not None]
        won = sum(p for p in nets if p > 0)
        lost = -sum(p for p in nets if p < 0)
        rs = [result.r for result in results if result.r is not None]
        return cls(
            closed=len(nets),
            won=sum(1 for p in nets if p > 0),
            total=won - lost,
            factor=won / lost if lost > 0 else None,
            average_r=sum(rs) / len(rs) if rs else None,
        )
