"""How much to trade: money at risk to volume, in the broker's steps, never above the risk."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal

from execution.api.structs import SymbolInfo

from ..settings import RiskSettings


@dataclass(frozen=True, slots=True)
class Size:
    """A volume in lots and the money it loses at the stop; ``refused`` is the reason where there is none."""

    volume: float
    risk: float
    refused: str | None = None


def floor_to_step(volume: float, step: float) -> float:
    """The greatest multiple of ``step`` that is not above ``volume``, in decimal arithmetic.

    0.3 lots in steps of 0.1 are three steps, although 0.3 / 0.1 is 2.9999999999999996.
    """
    if not (math.isfinite(volume) and math.isfinite(step)) or step <= 0:
        return 0.0
    unit = Decimal(repr(step))
    # twelve digits are more than any volume has; what is beyond is noise of the division
    exact = Decimal(repr(round(volume, 12)))
    return float((exact / unit).to_integral_value(ROUND_FLOOR) * unit)


def allowed_risk(equity: float, risk: RiskSettings, kelly: float | None = None) -> float:
    """Money that a trade may lose: ``risk_per_trade_pct``, or less where Kelly allows less."""
    share = risk.risk_per_trade_pct / 100.0
    if kelly is not None:
        share = min(share, kelly)
    return equity * share


def size(money: float, loss_per_lot: float, info: SymbolInfo, max_lot: float | None = None) -> Size:
    """The volume that loses at most ``money`` when the stop is hit.

    ``loss_per_lot`` is what one lot loses from entry to stop, costs included, in account
    currency (positive). The smallest lot is not forced: when it would lose more than
    ``money``, there is no trade.
    """
    if not (money > 0 and math.isfinite(money)):
        return Size(0.0, 0.0, "Exec Block: No Money to Risk")
    if not (loss_per_lot > 0 and math.isfinite(loss_per_lot)):
        return Size(0.0, 0.0, "Exec Block: Loss at the Stop Unknown")
    bounds = (info.volume_max, max_lot, info.volume_limit)
    most = min((bound for bound in bounds if bound), default=math.inf)
    volume = floor_to_step(min(money / loss_per_lot, most), info.volume_step)
    if volume < info.volume_min:
        least = info.volume_min * loss_per_lot
        return Size(0.0, 0.0, f"Exec Block: Min Lot Risks Too Much ({least:.2f} > {money:.2f})")
    loss = volume * loss_per_lot
    if loss > money * (1 + 1e-9):
        return Size(0.0, 0.0, f"Exec Block: Rounded Lot Risks Too Much ({loss:.2f} > {money:.2f})")
    return Size(volume, loss)


def kelly_share(profits_r: list[float], fraction: float, min_trades: int) -> float | None:
    """Fraction of the Kelly stake from closed trades in R, as a share of the equity.

    f = W - (1 - W) / (average win / average loss); Kelly 1956. ``None`` while there are
    fewer than ``min_trades``; 0.0 when the trades so far show no edge.
    """
    known = [r for r in profits_r if math.isfinite(r)]
    if len(known) < min_trades:
        return None
    wins = [r for r in known if r > 0]
    losses = [-r for r in known if r < 0]
    if not wins:
        return 0.0
    if not losses:
        return fraction
    rate = len(wins) / len(known)
    payoff = (sum(wins) / len(wins)) / (sum(losses) / len(losses))
    return max(0.0, fraction * (rate - (1 - rate) / payoff))
