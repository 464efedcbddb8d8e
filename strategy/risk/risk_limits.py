"""The risk limits of the account, judged on every observation.

Day and drawdown limits are latched: a loss of the day that recovers does not start trading
again before the server's next day; a drawdown needs the operator's ``release``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from streamer.protocol.messages import Limit, RiskMemory

from ..scan.gate_context import Block
from ..settings import RiskSettings

DAY = 86_400


@dataclass(frozen=True, slots=True)
class Figures:
    """The figures that are judged. Money in account currency, ``now`` in server seconds.

    ``day_pl`` is realised since server midnight plus floating, ``realised`` the first part;
    NaN where it is unknown. ``peak`` is the highest equity known.
    """

    now: float
    balance: float
    equity: float
    day_pl: float
    realised: float
    peak: float
    open_positions: int
    currency: str = ""

    @property
    def day_start(self) -> float:
        """The balance at server midnight, what was realised since taken away."""
        return self.balance - self.realised


@dataclass
class RiskLimits:
    """Limits, latches and the kill switch. Pure: figures in, blocks out."""

    risk: RiskSettings
    halted: str | None = None
    blocks: tuple[Block, ...] = ()
    limits: dict[str, Limit] = field(default_factory=dict)
    forgiven: float = -math.inf
    """Server time up to which losing trades do not count: the operator released the limits."""
    _day: int | None = None
    _deep: bool = False
    _base: float | None = None
    """Highest equity since the last release, which then replaces the account's peak."""

    def judge(self, now: Figures, losses: list[float]) -> tuple[Block, ...]:
        """The limits that are hit. ``losses`` are the closing times (server seconds) of the
        newest losing trades in a row, newest first."""
        found = [self._daily(now), self._drawdown(now), self._streak(now, losses)]
        self.limits["open_positions"] = Limit(
            value=float(now.open_positions), limit=float(self.risk.max_open), unit="positions"
        )
        self.blocks = tuple(stop for stop in found if stop is not None)
        return self.blocks

    def block_unjudged(self) -> None:
        """Let nothing through until the limits can be judged again."""
        self.blocks = (Block("RISK", "Risk Block: Limits Could Not Be Judged", "daily_loss"),)

    def release(self, now: float) -> None:
        """Let the bot trade again: kill switch off, drawdown counted from here, losing
        trades up to now forgiven. The day's loss stays: it ends with the day."""
        self.halted = None
        self.forgiven = now
        self._deep, self._base = False, -math.inf

    def memory(self, login: int, server: str, peak: float | None, equity: float) -> RiskMemory:
        """The state of the limits for the next run of this account; ``peak`` is its highest equity."""
        base = self._base
        if base is not None and not math.isfinite(base):
            base = equity  # released just now, not judged since
        return RiskMemory(
            login=login,
            server=server,
            peak_equity=peak,
            base_equity=base,
            drawdown_hit=self._deep,
            loss_day=self._day,
            forgiven=self.forgiven if math.isfinite(self.forgiven) else None,
        )

    def recall(self, memory: RiskMemory) -> None:
        """Continue from the state of an earlier run of the same account."""
        self._base, self._deep, self._day = memory.base_equity, memory.drawdown_hit, memory.loss_day
        if memory.forgiven is not None:
            self.forgiven = memory.forgiven

    def _daily(self, now: Figures) -> Block | None:
        share = self.risk.daily_loss_pct
        if share is None:
            self.limits.pop("daily_loss", None)
            return None
        limit, lost = now.day_start * share / 100.0, max(-now.day_pl, 0.0)
        if math.isnan(now.day_pl):
            lost = math.nan
        self.limits["daily_loss"] = _limit(lost, limit, now.currency, limit - lost)
        day = int(now.now // DAY) if math.isfinite(now.now) else None
        if math.isnan(lost) or math.isnan(limit) or day is None:
            return Block("RISK", "Risk Block: Result of the Day Unknown", "daily_loss")
        if lost >= limit:
            self._day = day
        if self._day != day:
            return None
        text = f"Risk Block: Daily Loss Limit Hit ({-lost:.2f}, limit -{limit:.2f} {now.currency})"
        return Block("RISK", text, "daily_loss", lost, limit)

    def _drawdown(self, now: Figures) -> Block | None:
        share = self.risk.max_drawdown_pct
        if share is None:
            self.limits.pop("drawdown", None)
            return None
        if self._base is not None:
            self._base = max(self._base, now.equity)
        peak = max(now.peak, now.equity) if self._base is None else self._base
        value = 100.0 * (peak - now.equity) / peak if peak > 0 else math.nan
        self.limits["drawdown"] = _limit(
            value, share, "%", now.equity - peak * (1.0 - share / 100.0)
        )
        if math.isnan(value):
            return Block("RISK", "Risk Block: Drawdown Unknown", "drawdown", None, share)
        self._deep = self._deep or value >= share
        if not self._deep:
            return None
        text = f"Risk Block: Drawdown Limit Hit ({value:.1f}%, limit {share:.1f}%)"
        return Block("RISK", text, "drawdown", value, share)

    def _streak(self, now: Figures, losses: list[float]) -> Block | None:
        most = self.risk.max_consecutive_losses
        if most is None:
            self.limits.pop("consecutive_losses", None)
            return None
        counted = [at for at in losses if at > self.forgiven]
        self.limits["consecutive_losses"] = Limit(
            value=float(len(counted)), limit=float(most), unit="trades"
        )
        if len(counted) < most:
            return None
        left = counted[0] + self.risk.loss_pause_s - now.now
        if left <= 0:
            return None
        words = "?" if math.isnan(left) else f"{left / 60:.0f} min left"
        text = f"Risk Block: {len(counted)} Losses in a Row ({words})"
        return Block("RISK", text, "consecutive_losses", float(len(counted)), float(most))


def _limit(value: float, limit: float, unit: str, left: float) -> Limit:
    return Limit(
        value=round(value, 4) if math.isfinite(value) else None,
        limit=round(limit, 4) if math.isfinite(limit) else None,
        unit=unit,
        left=round(max(left, 0.0), 2) if math.isfinite(left) else None,
    )
