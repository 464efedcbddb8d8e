"""The gates that may block a trade: one function each, in a declared order.

A gate looks at a :class:`GateInput` and returns a :class:`Block` or ``None``. Conditions are
written so that NaN blocks: ``not value <= limit``. The texts keep the words by which deployed
dashboards distinguish them ("session", "spread", "news", "Exec Block", ...); programs read
``code`` and ``gate``.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import TypeAlias

from execution.api import constants as c

from .gate_context import Block, GateInput

log = logging.getLogger(__name__)

Gate: TypeAlias = Callable[[GateInput], Block | None]


def paused(case: GateInput) -> Block | None:
    """The operator paused trading, or the strategy is switched off."""
    if not case.account.enabled:
        return Block("PAUSED", "Disabled (strategy.enabled is off)")
    return Block("PAUSED", "Paused") if case.account.paused else None


def halted(case: GateInput) -> Block | None:
    """The kill switch."""
    if case.account.halted is None:
        return None
    return Block("RISK", f"Risk Block: Kill Switch Active ({case.account.halted})")


def terminal(case: GateInput) -> Block | None:
    """The terminal answers and is joined to its broker."""
    if case.account.terminal == "connected":
        return None
    words = case.account.terminal_text or "no answer"
    return Block("TERMINAL", f"Terminal {case.account.terminal.title()} ({words})")


def journal(case: GateInput) -> Block | None:
    """No order without a record of it."""
    if case.account.journal_ok:
        return None
    return Block("BLOCKED", "Exec Block: Journal Not Writing")


def fault(case: GateInput) -> Block | None:
    """The symbol could be read and evaluated."""
    return Block("ERROR", f"Error: {case.error}") if case.error is not None else None


def tradable(case: GateInput) -> Block | None:
    """The broker lets the symbol be traded in this direction."""
    if case.info is None:
        return Block("DATA", "Risk Block: Symbol Info Not Found")
    mode = case.info.trade_mode
    if mode == c.SYMBOL_TRADE_MODE_DISABLED:
        return Block("BLOCKED", "Exec Block: Trading Disabled by Broker")
    if mode == c.SYMBOL_TRADE_MODE_CLOSEONLY:
        return Block("BLOCKED", "Exec Block: Close Only")
    if mode == c.SYMBOL_TRADE_MODE_LONGONLY and case.sign < 0:
        return Block("BLOCKED", "Exec Block: Long Only")
    if mode == c.SYMBOL_TRADE_MODE_SHORTONLY and case.sign > 0:
        return Block("BLOCKED", "Exec Block: Short Only")
    return None


def session(case: GateInput) -> Block | None:
    """One of the sessions asked for is open."""
    wanted = case.account.settings.sessions
    if not wanted or case.sessions & set(wanted):
        return None
    hour = "?" if math.isnan(case.utc) else f"{datetime.fromtimestamp(case.utc, UTC):%H:%M}"
    return Block("SESSION", f"Off-Session (UTC {hour} | Active: {', '.join(wanted)})")


def news(case: GateInput) -> Block | None:
    """No release is near; an unreadable calendar blocks only where the setting asks for it."""
    if case.news is not None:
        return Block("NEWS", f"News Blackout ({case.news})")
    if case.news_unreadable and case.account.settings.news.when_unreadable == "stop":
        return Block("NEWS", "News Calendar Unreadable")
    return None


def data(case: GateInput) -> Block | None:
    """There is a fresh tick and enough sound bars."""
    if case.tick is None or not (case.tick.bid > 0 and case.tick.ask >= case.tick.bid):
        return Block("DATA", "Risk Block: No Tick Data")
    limit = case.account.settings.max_tick_age_s
    if not case.tick_age <= limit:
        age = "?" if math.isnan(case.tick_age) else f"{case.tick_age:.0f}s"
        return Block("DATA", f"Old Tick ({age} > {limit:.0f}s)", value=case.tick_age, limit=limit)
    if case.data_fault is not None:
        return Block("DATA", case.data_fault)
    return Block("DATA", "Insufficient Data") if case.setup is None else None


def spread(case: GateInput) -> Block | None:
    """The spread is not much above the symbol's usual one."""
    value, limit = case.spread, case.spread_limit
    if value <= limit:
        return None
    if math.isnan(value) or math.isnan(limit):
        return Block("SPREAD", "Spread unknown", value=value, limit=limit)
    text = f"Spread too wide ({value / 10:.1f} > {limit / 10:.1f} pips)"
    return Block("SPREAD", text, value=value, limit=limit)


def cooldown(case: GateInput) -> Block | None:
    """Enough time has passed since the bot's last trade in the symbol."""
    limit = case.account.settings.cooldown_s
    if case.since_last_trade_s >= limit:
        return None
    text = f"Cooldown ({_wait(limit - case.since_last_trade_s)} left)"
    return Block("COOLDOWN", text, value=case.since_last_trade_s, limit=limit)


def _wait(seconds: float) -> str:
    """A duration in short: 50s, 35min, 5h57m; ``?`` when it is unknown."""
    if math.isnan(seconds):
        return "?"
    minutes = round(seconds / 60)
    if seconds < 120:
        return f"{seconds:.0f}s"
    return f"{minutes}min" if minutes < 120 else f"{minutes // 60}h{minutes % 60:02d}m"


def regime(case: GateInput) -> Block | None:
    """The market is not in a state that the settings keep out of."""
    found = case.setup_or_raise.regime
    if found is None:
        return Block("REGIME", "Bad Regime: UNKNOWN - Skip trading")
    if found in case.account.settings.block_regimes:
        return Block("REGIME", f"Bad Regime: {found} - Skip trading")
    return None


def score(case: GateInput) -> Block | None:
    """The score reaches what the settings ask for."""
    value, limit = case.setup_or_raise.score, case.account.settings.min_score
    if value >= limit and case.sign:
        return None
    short = f"{value:.0f} < {limit:.0f}"
    if f"{value:.0f}" == f"{limit:.0f}":
        short = f"{value:.1f} < {limit:.1f}"
    return Block("SCORE", f"Low Score ({short})", value=value, limit=limit)


def trigger(case: GateInput) -> Block | None:
    """Something happened just now that starts the trade."""
    if case.setup_or_raise.trigger is not None:
        return None
    return Block("SCORE", f"No Trigger ({case.setup_or_raise.waiting_for})")


def probability(case: GateInput) -> Block | None:
    """The strategy's own probability of success, where it states one, is enough."""
    value, limit = case.setup_or_raise.probability, case.account.settings.min_probability
    if value is None or value >= limit:
        return None
    return Block("SCORE", f"Low ML Prob ({value:.2f} < {limit:.2f})", value=value, limit=limit)


def levels(case: GateInput) -> Block | None:
    """Stop and target are on the right sides of the entry."""
    setup = case.setup_or_raise
    if case.sign * (setup.entry - setup.sl) > 0 and case.sign * (setup.tp - setup.entry) > 0:
        return None
    return Block("RISK", "Exec Block: No Valid Stop or Target")


def cost_in_price(case: GateInput) -> float:
    """Spread and commission of a round trip as a distance in price; NaN when unknown."""
    info = case.info
    if info is None:
        return math.nan
    commission = 0.0
    if case.account.settings.commission_per_lot:
        value = info.trade_tick_value_loss or info.trade_tick_value
        if not (value > 0 and info.trade_tick_size > 0):
            return math.nan
        commission = case.account.settings.commission_per_lot * info.trade_tick_size / value
    return case.spread * info.point + commission


def minimum_r(case: GateInput) -> Block | None:
    """Reward over risk, the commission taken from the one and put on the other.

    The spread is in the levels already: a stop is reached by the other side of the quote.
    """
    fee = cost_in_price(case) - case.spread * case.info_or_raise.point
    value = (
        (case.setup_or_raise.reward - fee) / (case.setup_or_raise.risk + fee)
        if case.setup_or_raise.risk > 0
        else math.nan
    )
    limit = case.account.settings.min_r
    if value >= limit - 1e-9:
        return None
    return Block("COST", f"Low R:R ({value:.2f} < {limit:.2f})", value=value, limit=limit)


def cost(case: GateInput) -> Block | None:
    """The costs are a small part of the target."""
    reward = case.setup_or_raise.reward
    value = 100.0 * cost_in_price(case) / reward if reward > 0 else math.nan
    limit = case.account.settings.max_cost_pct
    if value <= limit:
        return None
    text = f"Exec Block: Cost Too High ({value:.0f}% of TP > {limit:.0f}%)"
    return Block("COST", text, value=value, limit=limit)


def open_positions(case: GateInput) -> Block | None:
    """There is room for one more, in all and in this symbol."""
    risk, held = case.account.risk, case.account.open_symbols
    if sum(held.values()) >= risk.max_open:
        text = f"Exec Block: Max Concurrent Trades ({risk.max_open}) reached"
        return Block("BLOCKED", text, value=float(sum(held.values())), limit=float(risk.max_open))
    if held.get(case.symbol, 0) >= risk.max_per_symbol:
        text = f"Exec Block: Already Open ({held[case.symbol]} in {case.symbol})"
        return Block("BLOCKED", text, value=held[case.symbol], limit=float(risk.max_per_symbol))
    return None


def unknown_order(case: GateInput) -> Block | None:
    """No order of this symbol waits for its outcome."""
    if case.symbol not in case.account.unknown:
        return None
    return Block("BLOCKED", "Exec Block: Order Outcome Unknown")


def exposure(case: GateInput) -> Block | None:
    """No currency carries too much risk on one side."""
    equity, limit = case.account.equity, case.account.risk.max_currency_risk_pct
    for (currency, sign), money in case.account.exposure.after(
        case.info_or_raise, case.sign, case.account.planned_risk
    ).items():
        value = 100.0 * money / equity if equity > 0 else math.nan
        if value <= limit + 1e-9:
            continue
        side = "LONG" if sign > 0 else "SHORT"
        words = "unknown: a position has no stop" if math.isnan(value) else f"{value:.1f}%"
        text = f"Exec Block: Currency Exposure {side} {currency} ({words} > {limit:.1f}%)"
        return Block("BLOCKED", text, value=value, limit=limit)
    return None


def correlation(case: GateInput) -> Block | None:
    """No open position moves the same way already."""
    limit = case.account.risk.max_correlation
    for other, side in case.account.open_sides.items():
        if other == case.symbol:
            continue
        value = case.correlate(other) * case.sign * side
        if value <= limit:
            continue
        name = "BUY" if side > 0 else "SELL"
        words = "unknown" if math.isnan(value) else f"{value:.2f}"
        text = f"Exec Block: Correlation Conflict: {words} with {other} ({name})"
        return Block("BLOCKED", text, value=value, limit=limit)
    return None


def _risk_limit(name: str) -> Gate:
    def gate(case: GateInput) -> Block | None:
        return next((block for block in case.account.blocks if block.gate == name), None)

    gate.__name__ = name
    gate.__doc__ = f"The risk limits' {name.replace('_', ' ')} limit."
    return gate


daily_loss = _risk_limit("daily_loss")
drawdown = _risk_limit("drawdown")
consecutive_losses = _risk_limit("consecutive_losses")


GATES: tuple[Gate, ...] = (
    paused,
    halted,
    terminal,
    journal,
    fault,
    session,
    news,
    data,
    tradable,
    spread,
    cooldown,
    regime,
    score,
    trigger,
    probability,
    levels,
    minimum_r,
    cost,
    unknown_order,
    open_positions,
    exposure,
    correlation,
    daily_loss,
    drawdown,
    consecutive_losses,
)
"""The order of evaluation; the first gate that blocks gives the row its reason.

Observing is no gate: a candidate is shown as one, and the worker sends no order for it.
"""


_logged: set[tuple[str, type[Exception]]] = set()
"""Failures of gates that are in the log already: they repeat for each symbol of each scan."""


def first_block(case: GateInput, gates: Iterable[Gate] = GATES) -> Block | None:
    """The first gate that blocks. A gate that raises blocks too; its error is logged once."""
    for gate in gates:
        try:
            block = gate(case)
        except (LookupError, ArithmeticError, ValueError, TypeError, AttributeError) as error:
            if (gate.__name__, type(error)) not in _logged:
                _logged.add((gate.__name__, type(error)))
                log.exception("gate %s, symbol %s", gate.__name__, case.symbol)
            block = Block("ERROR", f"Error: gate {gate.__name__}: {type(error).__name__}: {error}")
        if block is not None:
            return Block(block.code, block.text, gate.__name__, block.value, block.limit)
    return None


def funnel(blocks: Iterable[Block | None]) -> dict[str, int]:
    """How many symbols each gate blocked."""
    counts = Counter(block.gate for block in blocks if block is not None)
    order = [gate.__name__ for gate in GATES]
    return {
        name: counts[name] for name in (*order, *sorted(set(counts) - set(order))) if counts[name]
    }
