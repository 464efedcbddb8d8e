"""The review of a closed trade: computed from its prices and money, without a guess."""

from __future__ import annotations

import math

from execution.account.lifecycle import CloseReason
from streamer.protocol.messages import CriticReview

from .trade_history import ClosedTrade

REASONS: dict[CloseReason, str] = {
    "sl": "its stop",
    "tp": "its target",
    "stop_out": "a stop-out",
    "strategy": "the bot's rules",
    "operator": "the operator",
    "external": "another hand",
}


def review(trade: ClosedTrade) -> CriticReview:
    """Score 0 to 10: 5 plus 2 points for each R won or lost. The lesson follows from R and
    from how far the trade went both ways (MAE, MFE)."""
    score = 5.0 if math.isnan(trade.r) else min(max(5.0 + 2.0 * trade.r, 0.0), 10.0)
    why = REASONS[trade.why]
    side = "BUY" if trade.sign > 0 else "SELL"
    minutes = (trade.closed - trade.opened) / 60.0
    parts = [
        f"{side} closed by {why} after {minutes:.0f} min",
        f"{_r(trade.r)} ({trade.net:+.2f})",
        f"best {_r(trade.mfe_r)}, worst {_r(trade.mae_r)}",
    ]
    if trade.components:
        top = sorted(trade.components.items(), key=lambda item: -item[1])[:3]
        parts.append("opened on " + ", ".join(f"{name} {points:.0f}" for name, points in top))
    return CriticReview(
        symbol=trade.symbol,
        ticket=trade.ticket,
        score=round(score, 1),
        lesson=_lesson(trade),
        analysis="; ".join(parts),
    )


def _lesson(trade: ClosedTrade) -> str:
    """One sentence, the first rule that fits."""
    r, mfe, mae = trade.r, trade.mfe_r, trade.mae_r
    if math.isnan(r):
        return "No first stop is known, so the result cannot be put in R."
    if r < -1.2:
        return f"Lost more than was planned ({r:.1f} R): slippage, a gap or costs."
    if r <= -0.5 and mfe >= 1.0:
        return f"Was {mfe:.1f} R ahead and lost: the stop was not moved in time."
    if r <= -0.5 and mfe < 0.3:
        return "Never went anywhere: the entry was wrong or too early."
    if r <= -0.5:
        return "A plain loss within the plan."
    if r < 0.2:
        return f"About even after {mfe:.1f} R at best."
    if mfe > 0 and r < 0.4 * mfe:
        return f"Kept {100 * r / mfe:.0f} % of the {mfe:.1f} R it had been ahead."
    if mae <= -0.8:
        return f"Won after being {-mae:.1f} R behind: close to a loss."
    return "Went as planned."


def _r(value: float) -> str:
    return "R unknown" if math.isnan(value) else f"{value:+.2f} R"
