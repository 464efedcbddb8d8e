"""An example of a strategy of your own: buy the pullback of a trend, in forty lines.

    mt5dash tui --no-ui --config your.toml      # with: [strategy] name = "docs/examples/pullback.py:Pullback"

It runs in the same worker, with the same gates, sizing, position rules and risk desk as the
shipped one. It is an example of the interface, not advice.
"""

from __future__ import annotations

from collections.abc import Sequence

from strategy.base import Bars, Context, Setup
from strategy.indicators import wilder
from strategy.settings import StrategySettings


class Pullback:
    """Trend by ADX and the last 50 closes of the set-up timeframe, entry on an RSI dip."""

    name = "pullback"

    def __init__(self, settings: StrategySettings) -> None:
        self.settings = settings
        self.timeframes: tuple[str, ...] = (settings.trigger_timeframe, settings.setup_timeframe)

    def prepare(self, fresh: Sequence[Bars]) -> None:
        """Everything is computed in evaluate()."""

    def evaluate(self, context: Context) -> Setup:
        low, mid = (context.bars[timeframe] for timeframe in self.timeframes)
        fast, slow = wilder(low.high, low.low, low.close), wilder(mid.high, mid.low, mid.close)
        up = bool(mid.close[-1] > mid.close[-50:].mean())
        sign = 1 if up else -1
        rsi, adx, atr = float(fast.rsi[-1]), float(slow.adx[-1]), float(slow.atr[-1])
        dip = (50.0 - rsi) * sign
        trend = min(max(adx - 15.0, 0.0) * 2.0, 50.0)
        components = {"trend": trend, "dip": min(max(dip, 0.0) * 2.5, 50.0)}
        entry = context.tick.ask if up else context.tick.bid
        stop = max(
            1.5 * atr, self.settings.min_stop_spreads * (context.tick.ask - context.tick.bid)
        )
        digits = context.info.digits
        return Setup(
            symbol=context.symbol,
            direction="BUY" if up else "SELL",
            score=sum(components.values()),
            components=components,
            regime="TRENDING" if adx > 25 else "NORMAL",
            atr=atr,
            trigger=f"RSI {rsi:.0f} against the trend" if dip > 10 else None,
            waiting_for="no dip",
            entry=entry,
            sl=round(entry - sign * stop, digits),
            tp=round(entry + sign * self.settings.target_r * stop, digits),
        )
