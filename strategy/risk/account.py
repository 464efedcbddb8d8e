"""What an observation of the account means for the gates. Pure."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from execution.api import constants as c
from execution.api.structs import AccountInfo, SymbolInfo, TradeOrder, TradePosition

from ..scan.gate_context import AccountView, Exposure, sides
from .risk_limits import Figures


class Seen(Protocol):
    """What is used of an ``Observation``."""

    @property
    def account(self) -> AccountInfo: ...
    @property
    def positions(self) -> tuple[TradePosition, ...]: ...
    @property
    def orders(self) -> tuple[TradeOrder, ...]: ...
    @property
    def server_time(self) -> float | None: ...
    @property
    def day_pl(self) -> float | None: ...
    @property
    def realised_today(self) -> float | None: ...


def sign_of(position: TradePosition) -> int:
    """+1 for a long, -1 for a short."""
    return 1 if position.type == c.POSITION_TYPE_BUY else -1


def open_symbols(
    positions: Iterable[TradePosition], orders: Iterable[TradeOrder], magic: int
) -> Counter[str]:
    """The bot's open positions and pending orders, counted by symbol."""
    counts = Counter(p.symbol for p in positions if p.magic == magic)
    counts.update(o.symbol for o in orders if o.magic == magic)
    return counts


def open_sides(positions: Iterable[TradePosition]) -> dict[str, int]:
    """The side of each symbol's net volume, whoever opened it; none where it is level."""
    net: dict[str, float] = defaultdict(float)
    for position in positions:
        net[position.symbol] += sign_of(position) * position.volume
    return {symbol: 1 if v > 0 else -1 for symbol, v in net.items() if abs(v) > 1e-9}


def money_at_risk(position: TradePosition, info: SymbolInfo | None) -> float:
    """What the position loses from here when its stop is hit, account currency.

    0.0 once the stop locks in what there is; NaN without a stop or a tick value.
    """
    value = (info.trade_tick_value_loss or info.trade_tick_value) if info is not None else 0.0
    if position.sl <= 0 or info is None or not (value > 0 and info.trade_tick_size > 0):
        return math.nan
    distance = max(sign_of(position) * (position.price_open - position.sl), 0.0)
    return distance / info.trade_tick_size * value * position.volume


def exposure(positions: Iterable[TradePosition], infos: Mapping[str, SymbolInfo]) -> Exposure:
    """Money at risk by currency and side over all positions of the account."""
    total: dict[tuple[str, int], float] = defaultdict(float)
    for position in positions:
        info = infos.get(position.symbol)
        money = money_at_risk(position, info)
        if info is not None:
            for key in sides(info, sign_of(position)):
                total[key] += money
    return Exposure(dict(total))


def with_observation(
    view: AccountView, seen: Seen, magic: int, sent: Sequence[str], infos: Mapping[str, SymbolInfo]
) -> AccountView:
    """The view with what was observed. ``sent`` names the symbols of orders that the
    observation does not show yet; they count as open."""
    counts = open_symbols(seen.positions, seen.orders, magic)
    counts.update(sent)
    return replace(
        view,
        equity=seen.account.equity,
        margin=seen.account.margin,
        currency=seen.account.currency,
        open_symbols=counts,
        open_sides=open_sides(seen.positions),
        exposure=exposure(seen.positions, infos),
    )


def figures(seen: Seen, magic: int, peak: float | None) -> Figures:
    """The figures that the risk limits are judged by; NaN where one is unknown."""
    equity = seen.account.equity
    return Figures(
        now=_or_nan(seen.server_time),
        balance=seen.account.balance,
        equity=equity,
        day_pl=_or_nan(seen.day_pl),
        realised=_or_nan(seen.realised_today),
        peak=max(peak or 0.0, equity),
        open_positions=open_symbols(seen.positions, seen.orders, magic).total(),
        currency=seen.account.currency,
    )


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value
