"""What may stop a trade: one function for each gate, in a declared order.

A gate looks at a :class:`Case` and returns a :class:`Stop` or ``None``. Conditions are
written so that NaN stops: ``not value <= limit``. The texts keep the words by which deployed
dashboards tell them apart ("session", "spread", "news", "Exec Block", ...); programs read
``code`` and ``gate``.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import TypeAlias

from execution.api import constants as c

from .gate_context import Case, Stop

Gate: TypeAlias = Callable[[Case], Stop | None]


def paused(case: Case) -> Stop | None:
    """The operator paused trading, or the strategy is switched off."""
    if not case.desk.enabled:
        return Stop("PAUSED", "Disabled (strategy.enabled is off)")
    return Stop("PAUSED", "Paused") if case.desk.paused else None


def halted(case: Case) -> Stop | None:
    """The kill switch."""
    if case.desk.halted is None:
        return None
    return Stop("RISK", f"Risk Block: Kill Switch Active ({case.desk.halted})")


def terminal(case: Case) -> Stop | None:
    """The terminal answers and is joined to its broker."""
    if case.desk.terminal == "connected":
        return None
    words = case.desk.terminal_text or "no answer"
    return Stop("TERMINAL", f"Terminal {case.desk.terminal.title()} ({words})")


def journal(case: Case) -> Stop | None:
    """No order without a record of it."""
    if case.desk.journal_ok:
        return None
    return Stop("BLOCKED", "Exec Block: Journal Not Writing")


def fault(case: Case) -> Stop | None:
    """The symbol could be read and looked at."""
    return Stop("ERROR", f"Error: {case.error}") if case.error is not None else None


def tradable(case: Case) -> Stop | None:
    """The broker lets the symbol be traded in this direction."""
    if case.info is None:
        return Stop("DATA", "Risk Block: Symbol Info Not Found")
    mode = case.info.trade_mode
    if mode == c.SYMBOL_TRADE_MODE_DISABLED:
        return Stop("BLOCKED", "Exec Block: Trading Disabled by Broker")
    if mode == c.SYMBOL_TRADE_MODE_CLOSEONLY:
        return Stop("BLOCKED", "Exec Block: Close Only")
    if mode == c.SYMBOL_TRADE_MODE_LONGONLY and case.sign < 0:
        return Stop("BLOCKED", "Exec Block: Long Only")
    if mode == c.SYMBOL_TRADE_MODE_SHORTONLY and case.sign > 0:
        return Stop("BLOCKED", "Exec Block: Short Only")
    return None


def session(case: Case) -> Stop | None:
    """One of the sessions asked for is open."""
    wanted = case.desk.settings.sessions
    if not wanted or case.sessions & set(wanted):
        return None
    hour = "?" if math.isnan(case.utc) else f"{datetime.fromtimestamp(case.utc, UTC):%H:%M}"
    return Stop("SESSION", f"Off-Session (UTC {hour} | Active: {', '.join(wanted)})")


def news(case: Case) -> Stop | None:
    """No release is near; an unreadable calendar stops only where the setting says so."""
    if case.news is not None:
        return Stop("NEWS", f"News Blackout ({case.news})")
    if case.news_unreadable and case.desk.settings.news.when_unreadable == "stop":
        return Stop("NEWS", "News Calendar Unreadable")
    return None


def data(case: Case) -> Stop | None:
    """There is a fresh tick and enough sound bars."""
    if case.tick is None or not (case.tick.bid > 0 and case.tick.ask >= case.tick.bid):
        return Stop("DATA", "Risk Block: No Tick Data")
    limit = case.desk.settings.max_tick_age_s
    if not case.tick_age <= limit:
        age = "?" if math.isnan(case.tick_age) else f"{case.tick_age:.0f}s"
        return Stop("DATA", f"Old Tick ({age} > {limit:.0f}s)", value=case.tick_age, limit=limit)
    if case.data_fault is not None:
        return Stop("DATA", case.data_fault)
    return Stop("DATA", "Insufficient Data") if case.setup is None else None


def spread(case: Case) -> Stop | None:
    """The spread is not much above the symbol's usual one."""
    value, limit = case.spread, case.spread_limit
    if value <= limit:
        return None
    if math.isnan(value) or math.isnan(limit):
        return Stop("SPREAD", "Spread unknown", value=value, limit=limit)
    text = f"Spread too wide ({value / 10:.1f} > {limit / 10:.1f} pips)"
    return Stop("SPREAD", text, value=value, limit=limit)


def cooldown(case: Case) -> Stop | None:
    """The symbol has rested since the bot's last trade in it."""
    limit = case.desk.settings.cooldown_s
    if case.rested >= limit:
        return None
    text = f"Cooldown ({_wait(limit - case.rested)} left)"
    return Stop("COOLDOWN", text, value=case.rested, limit=limit)


def _wait(seconds: float) -> str:
    """A stretch of time as a person says it: 50s, 35min, 5h57m; ``?`` when it is unknown."""
    if math.isnan(seconds):
        return "?"
    minutes = round(seconds / 60)
    if seconds < 120:
        return f"{seconds:.0f}s"
    return f"{minutes}min" if minutes < 120 else f"{minutes // 60}h{minutes % 60:02d}m"


def regime(case: Case) -> Stop | None:
    """The market is not in a state that the settings keep out of."""
    found = case.seen.regime
    if found is None:
        return Stop("REGIME", "Bad Regime: UNKNOWN - Skip trading")
    if found in case.desk.settings.block_regimes:
        return Stop("REGIME", f"Bad Regime: {found} - Skip trading")
    return None


def score(case: Case) -> Stop | None:
    """The score reaches what the settings ask for."""
    value, limit = case.seen.score, case.desk.settings.min_score
    if value >= limit and case.sign:
        return None
    short = f"{value:.0f} < {limit:.0f}"
    if f"{value:.0f}" == f"{limit:.0f}":
        short = f"{value:.1f} < {limit:.1f}"
    return Stop("SCORE", f"Low Score ({short})", value=value, limit=limit)


def trigger(case: Case) -> Stop | None:
    """Something happened just now that starts the trade."""
    if case.seen.trigger is not None:
        return None
    return Stop("SCORE", f"No Trigger ({case.seen.waiting_for})")


def probability(case: Case) -> Stop | None:
    """The strategy's own probability of success, where it states one, is enough."""
    value, limit = case.seen.probability, case.desk.settings.min_probability
    if value is None or value >= limit:
        return None
    return Stop("SCORE", f"Low ML Prob ({value:.2f} < {limit:.2f})", value=value, limit=limit)


def levels(case: Case) -> Stop | None:
    """Stop and target stand on the right sides of the entry."""
    setup = case.seen
    if case.sign * (setup.entry - setup.sl) > 0 and case.sign * (setup.tp - setup.entry) > 0:
        return None
    return Stop("RISK", "Exec Block: No Valid Stop or Target")


def cost_in_price(case: Case) -> float:
    """Spread and commission of a round trip as a distance in price; NaN when not known."""
    info = case.info
    if info is None:
        return math.nan
    commission = 0.0
    if case.desk.settings.commission_per_lot:
        value = info.trade_tick_value_loss or info.trade_tick_value
        if not (value > 0 and info.trade_tick_size > 0):
            return math.nan
        commission = case.desk.settings.commission_per_lot * info.trade_tick_size / value
    return case.spread * info.point + commission


def minimum_r(case: Case) -> Stop | None:
    """Reward over risk, the commission taken from the one and put on the other.

    The spread is in the levels already: a stop is reached by the other side of the quote.
    """
    fee = cost_in_price(case) - case.spread * case.spec.point
    value = (case.seen.reward - fee) / (case.seen.risk + fee) if case.seen.risk > 0 else math.nan
    limit = case.desk.settings.min_r
    if value >= limit - 1e-9:
        return None
    return Stop("COST", f"Low R:R ({value:.2f} < {limit:.2f})", value=value, limit=limit)


def cost(case: Case) -> Stop | None:
    """The costs are a small part of the target."""
    reward = case.seen.reward
    value = 100.0 * cost_in_price(case) / reward if reward > 0 else math.nan
    limit = case.desk.settings.max_cost_pct
    if value <= limit:
        return None
    text = f"Exec Block: Cost Too High ({value:.0f}% of TP > {limit:.0f}%)"
    return Stop("COST", text, value=value, limit=limit)


def open_positions(case: Case) -> Stop | None:
    """There is room for one more, in all and in this symbol."""
    risk, held = case.desk.risk, case.desk.open_symbols
    if sum(held.values()) >= risk.max_open:
        text = f"Exec Block: Max Concurrent Trades ({risk.max_open}) reached"
        return Stop("BLOCKED", text, value=float(sum(held.values())), limit=float(risk.max_open))
    if held.get(case.symbol, 0) >= risk.max_per_symbol:
        text = f"Exec Block: Already Open ({held[case.symbol]} in {case.symbol})"
        return Stop("BLOCKED", text, value=held[case.symbol], limit=float(risk.max_per_symbol))
    return None


def unknown_order(case: Case) -> Stop | None:
    """No order of this symbol waits for its outcome."""
    if case.symbol not in case.desk.unknown:
        return None
    return Stop("BLOCKED", "Exec Block: Order Outcome Unknown")


def exposure(case: Case) -> Stop | None:
    """No currency carries too much risk on one side."""
    equity, limit = case.desk.equity, case.desk.risk.max_currency_risk_pct
    for (currency, sign), money in case.desk.exposure.after(
        case.spec, case.sign, case.desk.planned_risk
    ).items():
        value = 100.0 * money / equity if equity > 0 else math.nan
        if value <= limit + 1e-9:
            continue
        side = "LONG" if sign > 0 else "SHORT"
        words = "unknown: a position has no stop" if math.isnan(value) else f"{value:.1f}%"
        text = f"Exec Block: Currency Exposure {side} {currency} ({words} > {limit:.1f}%)"
        return Stop("BLOCKED", text, value=value, limit=limit)
    return None


def correlation(case: Case) -> Stop | None:
    """No open position moves the same way already."""
    limit = case.desk.risk.max_correlation
    for other, side in case.desk.open_sides.items():
        if other == case.symbol:
            continue
        value = case.correlate(other) * case.sign * side
        if value <= limit:
            continue
        name = "BUY" if side > 0 else "SELL"
        words = "unknown" if math.isnan(value) else f"{value:.2f}"
        text = f"Exec Block: Correlation Conflict: {words} with {other} ({name})"
        return Stop("BLOCKED", text, value=value, limit=limit)
    return None


def _desk_stop(name: str) -> Gate:
    def gate(case: Case) -> Stop | None:
        return next((stop for stop in case.desk.stops if stop.gate == name), None)

    gate.__name__ = name
    gate.__doc__ = f"The risk desk's {name.replace('_', ' ')} limit."
    return gate


daily_loss = _desk_stop("daily_loss")
drawdown = _desk_stop("drawdown")
consecutive_losses = _desk_stop("consecutive_losses")


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
"""The order in which they are asked; the first that stops gives the row its reason.

Observing is no gate: a candidate is shown as one, and the worker sends no order for it.
"""


def first_stop(case: Case, gates: Iterable[Gate] = GATES) -> Stop | None:
    """The first gate that stops the case. A gate that fails stops it too."""
    for gate in gates:
        try:
            stop = gate(case)
        except (LookupError, ArithmeticError, ValueError, TypeError, AttributeError) as error:
            stop = Stop("ERROR", f"Error: gate {gate.__name__}: {type(error).__name__}: {error}")
        if stop is not None:
            return Stop(stop.code, stop.text, gate.__name__, stop.value, stop.limit)
    return None


def funnel(stops: Iterable[Stop | None]) -> dict[str, int]:
    """How many symbols each gate stopped."""
    counts = Counter(stop.gate for stop in stops if stop is not None)
    order = [gate.__name__ for gate in GATES]
    return {
        name: counts[name] for name in (*order, *sorted(set(counts) - set(order))) if counts[name]
    }
