"""Money formulas of the paper account: margin, profit, swap and conversion between currencies.

Pure functions and one converter that reads current quotes. Formulas are those of MetaQuotes'
documentation for each ``SYMBOL_CALC_MODE_*``; results are unrounded unless their docstring gives digits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from ...api import constants as mt5
from ..market.symbols import Spec

_PRICE_MODES = frozenset(
    {
        mt5.SYMBOL_CALC_MODE_CFD,
        mt5.SYMBOL_CALC_MODE_EXCH_STOCKS,
        mt5.SYMBOL_CALC_MODE_EXCH_STOCKS_MOEX,
    }
)
_FUTURES = frozenset(
    {
        mt5.SYMBOL_CALC_MODE_FUTURES,
        mt5.SYMBOL_CALC_MODE_EXCH_FUTURES,
        mt5.SYMBOL_CALC_MODE_EXCH_OPTIONS,
        mt5.SYMBOL_CALC_MODE_EXCH_OPTIONS_MARGIN,
    }
)
_BONDS = frozenset({mt5.SYMBOL_CALC_MODE_EXCH_BONDS, mt5.SYMBOL_CALC_MODE_EXCH_BONDS_MOEX})


_KNOWN = (
    _PRICE_MODES
    | _FUTURES
    | _BONDS
    | {
        mt5.SYMBOL_CALC_MODE_FOREX,
        mt5.SYMBOL_CALC_MODE_FOREX_NO_LEVERAGE,
        mt5.SYMBOL_CALC_MODE_CFDINDEX,
        mt5.SYMBOL_CALC_MODE_CFDLEVERAGE,
        mt5.SYMBOL_CALC_MODE_SERV_COLLATERAL,
    }
)

CENTS = {"USC": "USD", "EUC": "EUR", "GBX": "GBP"}
"""Currencies of cent accounts: a hundred of one are one of the other."""


def calculable(spec: Spec) -> bool:
    """Is there a formula for this symbol's margin and profit?"""
    return spec.calc_mode in _KNOWN


class Quote(Protocol):
    """A symbol's present prices; 0.0 when there is none."""

    spec: Spec
    quote_bid: float
    quote_ask: float


class Converter:
    """Converts money at current quotes: directly where a symbol joins the two currencies, else
    over the dollar. A missing quote gives None, never a made-up rate."""

    def __init__(self, quotes: Iterable[Quote], currency: str) -> None:
        self.deposit = currency
        self.currency = CENTS.get(currency, currency)
        """What quotes convert to; the deposit's is a hundredth of it on a cent account."""
        self.unit = 100.0 if currency in CENTS else 1.0
        self._pairs: dict[tuple[str, str], Quote] = {}
        for quote in quotes:
            spec = quote.spec
            if spec.base != spec.profit:
                self._pairs.setdefault((spec.base, spec.profit), quote)

    def symbols(self, currency: str) -> list[Quote]:
        """The quotes that converting ``currency`` to ``self.currency`` depends on, in turn."""
        if currency == self.currency:
            return []
        direct = self._pair(currency, self.currency)
        if direct is not None:
            return [direct]
        over = [self._pair(currency, "USD"), self._pair("USD", self.currency)]
        return [quote for quote in over if quote is not None]

    def _pair(self, one: str, other: str) -> Quote | None:
        """The symbol that joins two currencies, if it is quoted."""
        for pair in ((one, other), (other, one)):
            quote = self._pairs.get(pair)
            if quote is not None and quote.quote_bid and quote.quote_ask:
                return quote
        return None

    def rate(self, source: str, *, buying: bool) -> float | None:
        """Deposit currency for one unit of ``source``. ``buying`` the source costs the ask of a
        direct pair; selling it brings the bid."""
        if source == self.deposit:
            return 1.0
        rate, currency = self.unit, source
        for quote in self.symbols(source):
            if quote.spec.base == currency:
                rate *= quote.quote_ask if buying else quote.quote_bid
                currency = quote.spec.profit
            else:
                rate /= quote.quote_bid if buying else quote.quote_ask
                currency = quote.spec.base
        return rate if currency == self.currency else None

    def profit(self, spec: Spec, amount: float, price_close: float) -> float | None:
        """An amount in the symbol's profit currency as deposit currency.

        Where the symbol itself joins the two, the closing price converts; else a profit is sold
        and a loss is bought, each at its worse side.
        """
        if spec.profit == self.deposit:
            return amount
        if spec.profit == self.currency:
            return amount * self.unit
        if spec.base == self.currency and price_close:
            return amount / price_close * self.unit
        rate = self.rate(spec.profit, buying=amount < 0)
        return None if rate is None else amount * rate


def raw_profit(spec: Spec, long: bool, lots: float, price_open: float, price_close: float) -> float:
    """Profit in the symbol's profit currency."""
    move = price_close - price_open if long else price_open - price_close
    if spec.calc_mode in _FUTURES:
        return move * spec.tick_value / spec.tick * lots
    if spec.calc_mode in _BONDS:
        return move * lots * spec.contract * spec.face_value / 100
    if spec.calc_mode == mt5.SYMBOL_CALC_MODE_SERV_COLLATERAL:
        return 0.0
    return move * spec.contract * lots


def raw_margin(spec: Spec, lots: float, price: float, leverage: int) -> float:
    """Margin in the symbol's margin currency. A ``margin_initial`` above zero replaces
    the formula: it is the margin of one lot."""
    mode, rate = spec.calc_mode, spec.margin_rate
    if mode == mt5.SYMBOL_CALC_MODE_SERV_COLLATERAL:
        return 0.0
    if mode in _FUTURES or spec.margin_initial > 0:
        return lots * spec.margin_initial * rate
    if mode == mt5.SYMBOL_CALC_MODE_FOREX:
        return lots * spec.contract / leverage * rate
    if mode == mt5.SYMBOL_CALC_MODE_FOREX_NO_LEVERAGE:
        return lots * spec.contract * rate
    if mode in _PRICE_MODES:
        return lots * spec.contract * price * rate
    if mode == mt5.SYMBOL_CALC_MODE_CFDINDEX:
        return lots * spec.contract * price * spec.tick_value / spec.tick * rate
    if mode == mt5.SYMBOL_CALC_MODE_CFDLEVERAGE:
        return lots * spec.contract * price / leverage * rate
    if mode in _BONDS:
        return lots * spec.contract * spec.face_value * price / 100 * rate
    raise ValueError(f"{spec.name}: unknown calculation mode {mode}")


def hedged_share(spec: Spec) -> float:
    """Margin of one covered lot, as a part of an uncovered lot's margin.

    ``margin_hedged`` is in units of the contract: the whole contract means two opposite lots
    cost what one lot costs; half of it, half; zero, nothing.
    """
    unit = spec.margin_initial if spec.margin_initial > 0 else spec.contract
    return spec.margin_hedged / unit if unit else 0.0


def hedged_margin(
    spec: Spec, longs: tuple[float, float], shorts: tuple[float, float], hedging: bool
) -> float:
    """Margin of one symbol's positions, in deposit currency.

    ``longs`` and ``shorts`` are (lots, sum of each position's own margin). Uncovered volume
    costs its side's average margin, covered volume the average of both times the hedged share;
    with ``hedged_use_leg`` only the larger side counts.
    """
    long_lots, long_margin = longs
    short_lots, short_margin = shorts
    if not hedging or not long_lots or not short_lots:
        return long_margin + short_margin
    if spec.hedged_use_leg:
        return max(long_margin, short_margin)
    covered = min(long_lots, short_lots)
    if long_lots >= short_lots:
        uncovered = (long_lots - short_lots) * long_margin / long_lots
    else:
        uncovered = (short_lots - long_lots) * short_margin / short_lots
    average = (long_margin + short_margin) / (long_lots + short_lots)
    return uncovered + covered * average * hedged_share(spec)


def swap_amount(
    spec: Spec,
    long: bool,
    lots: float,
    price_open: float,
    price_current: float,
) -> tuple[float, str]:
    """Swap of one night and the currency it is in (empty: the deposit currency)."""
    swap = spec.swap_long if long else spec.swap_short
    mode = spec.swap_mode
    if mode == mt5.SYMBOL_SWAP_MODE_POINTS:
        return lots * swap * spec.point * spec.contract, spec.profit
    if mode == mt5.SYMBOL_SWAP_MODE_CURRENCY_SYMBOL:
        return lots * swap, spec.base
    if mode == mt5.SYMBOL_SWAP_MODE_CURRENCY_MARGIN:
        return lots * swap, spec.margin
    if mode == mt5.SYMBOL_SWAP_MODE_CURRENCY_DEPOSIT:
        return lots * swap, ""
    if mode == mt5.SYMBOL_SWAP_MODE_INTEREST_CURRENT:
        return lots * spec.contract * price_current * swap / 100 / 360, spec.profit
    if mode == mt5.SYMBOL_SWAP_MODE_INTEREST_OPEN:
        return lots * spec.contract * price_open * swap / 100 / 360, spec.profit
    return 0.0, ""


def swap_nights(spec: Spec, weekday: int) -> int:
    """Nights charged at the midnight that ends ``weekday`` (MT5 days, Sunday 0)."""
    if weekday == spec.swap_3days:
        return 3
    return 0 if weekday in (mt5.DAY_OF_WEEK_SUNDAY, mt5.DAY_OF_WEEK_SATURDAY) else 1


def tick_values(spec: Spec, converter: Converter) -> tuple[float, float]:
    """Value of one tick of one lot in deposit currency, (in profit, in loss); 0.0 unknown.

    A profit is sold at the worse side, a loss bought (EURJPY on a dollar account: 100 yen over
    the ask of USDJPY in profit, over its bid in loss).
    """
    if spec.calc_mode in _FUTURES or spec.calc_mode == mt5.SYMBOL_CALC_MODE_CFDINDEX:
        unit = spec.tick_value
    else:
        unit = spec.contract * spec.tick
    out = []
    for buying in (False, True):
        rate = converter.rate(spec.profit, buying=buying)
        out.append(0.0 if rate is None else unit * rate)
    return out[0], out[1]


def side_sums(positions: Iterable[tuple[bool, float, float]]) -> Mapping[bool, tuple[float, float]]:
    """(lots, margin) of longs (True) and shorts (False) from (long, lots, margin) each."""
    sums = {True: (0.0, 0.0), False: (0.0, 0.0)}
    for long, lots, margin in positions:
        have = sums[long]
        sums[long] = (have[0] + lots, have[1] + margin)
    return sums
