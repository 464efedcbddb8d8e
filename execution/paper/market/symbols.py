"""Specifications of the paper market's symbols, as a broker would publish them."""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ...api import constants as mt5
from .sessions import Session

FILL_FOK, FILL_IOC, FILL_BOC = 1, 2, 4
"""Bits of ``filling_mode``; not the values of ``ORDER_FILLING_*``."""


@dataclass(frozen=True, slots=True)
class Spec:
    """One symbol. Levels in points, volumes in lots, swaps by ``swap_mode``, ``margin_rate``
    multiplies the margin formula; ``margin_hedged`` in units of the contract.

    For a generated market: ``price`` is what it follows where that is not the pair of its
    currencies, ``reference`` the price it starts at (0: the calibrated one), ``spread`` its usual
    spread in points (0: the calibrated one).
    """

    name: str
    base: str
    profit: str
    margin: str
    digits: int
    contract: float
    description: str = ""
    path: str = "Forex"
    session: Session = "fx"
    calc_mode: int = mt5.SYMBOL_CALC_MODE_FOREX
    exemode: int = mt5.SYMBOL_TRADE_EXECUTION_MARKET
    trade_mode: int = mt5.SYMBOL_TRADE_MODE_FULL
    chart_mode: int = mt5.SYMBOL_CHART_MODE_BID
    filling_mode: int = FILL_FOK | FILL_IOC
    expiration_mode: int = 15
    order_mode: int = 127
    gtc_mode: int = mt5.SYMBOL_ORDERS_GTC
    stops_level: int = 0
    freeze_level: int = 0
    volume_min: float = 0.01
    volume_max: float = 100.0
    volume_step: float = 0.01
    volume_limit: float = 0.0
    tick_size: float = 0.0
    tick_value: float = 0.0
    margin_rate: float = 1.0
    margin_initial: float = 0.0
    margin_maintenance: float = 0.0
    margin_hedged: float = 0.0
    hedged_use_leg: bool = False
    face_value: float = 0.0
    liquidity_rate: float = 0.0
    swap_mode: int = mt5.SYMBOL_SWAP_MODE_POINTS
    swap_long: float = 0.0
    swap_short: float = 0.0
    swap_3days: int = mt5.DAY_OF_WEEK_WEDNESDAY
    commissioned: bool = True
    stops_on_open: bool = True
    price: str = ""
    reference: float = 0.0
    spread: float = 0.0

    @property
    def price_name(self) -> str:
        """What its price is called in a generated market."""
        return self.price or self.base + self.profit

    @property
    def point(self) -> float:
        return float(10.0**-self.digits)

    @property
    def tick(self) -> float:
        """The smallest price step."""
        return self.tick_size or float(10.0**-self.digits)

    def round(self, price: float) -> float:
        return round(price, self.digits)

    def on_grid(self, prices: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Prices as the symbol quotes them: multiples of its tick, with its digits."""
        if self.tick_size and abs(self.tick_size - self.point) > self.point * 1e-6:
            prices = np.rint(prices / self.tick_size) * self.tick_size
        return np.round(prices, self.digits)


def _forex(pair: str, description: str, swap_long: float, swap_short: float) -> Spec:
    return Spec(
        name=pair,
        base=pair[:3],
        profit=pair[3:],
        margin=pair[:3],
        digits=3 if pair.endswith("JPY") else 5,
        contract=100_000.0,
        description=description,
        path="Forex\\" + pair,
        margin_hedged=100_000.0,
        swap_long=swap_long,
        swap_short=swap_short,
    )


SPECS: dict[str, Spec] = {
    spec.name: spec
    for spec in (
        _forex("EURUSD", "Euro vs US Dollar", -7.2, 3.1),
        _forex("GBPUSD", "Great Britain Pound vs US Dollar", -2.4, -1.6),
        _forex("USDJPY", "US Dollar vs Japanese Yen", 9.8, -19.4),
        _forex("USDCHF", "US Dollar vs Swiss Franc", 6.1, -11.5),
        _forex("AUDUSD", "Australian Dollar vs US Dollar", -3.0, 0.4),
        _forex("USDCAD", "US Dollar vs Canadian Dollar", 2.2, -6.7),
        _forex("EURJPY", "Euro vs Japanese Yen", 4.6, -12.8),
        _forex("GBPJPY", "Great Britain Pound vs Japanese Yen", 11.2, -24.0),
        _forex("NZDUSD", "New Zealand Dollar vs US Dollar", -1.9, -0.6),
        _forex("EURGBP", "Euro vs Great Britain Pound", -6.4, 2.2),
        Spec(
            name="XAUUSD",
            base="XAU",
            profit="USD",
            margin="USD",
            digits=2,
            contract=100.0,
            description="Gold vs US Dollar",
            path="Metals\\XAUUSD",
            session="metal",
            calc_mode=mt5.SYMBOL_CALC_MODE_CFDLEVERAGE,
            margin_hedged=100.0,
            swap_long=-58.0,
            swap_short=24.0,
        ),
        Spec(
            name="XAGUSD",
            base="XAG",
            profit="USD",
            margin="USD",
            digits=3,
            contract=5000.0,
            description="Silver vs US Dollar",
            path="Metals\\XAGUSD",
            session="metal",
            calc_mode=mt5.SYMBOL_CALC_MODE_CFDLEVERAGE,
            margin_hedged=5000.0,
            swap_long=-7.5,
            swap_short=3.0,
        ),
        Spec(
            name="BTCUSD",
            base="BTC",
            profit="USD",
            margin="USD",
            digits=2,
            contract=1.0,
            description="Bitcoin vs US Dollar",
            path="Crypto\\BTCUSD",
            session="crypto",
            calc_mode=mt5.SYMBOL_CALC_MODE_CFDLEVERAGE,
            margin_rate=10.0,
            margin_hedged=1.0,
            volume_max=10.0,
            swap_mode=mt5.SYMBOL_SWAP_MODE_INTEREST_CURRENT,
            swap_long=-18.0,
            swap_short=-8.0,
            swap_3days=mt5.DAY_OF_WEEK_FRIDAY,
            commissioned=False,
        ),
        Spec(
            name="ETHUSD",
            base="ETH",
            profit="USD",
            margin="USD",
            digits=2,
            contract=1.0,
            description="Ethereum vs US Dollar",
            path="Crypto\\ETHUSD",
            session="crypto",
            calc_mode=mt5.SYMBOL_CALC_MODE_CFDLEVERAGE,
            margin_rate=10.0,
            margin_hedged=1.0,
            swap_mode=mt5.SYMBOL_SWAP_MODE_INTEREST_CURRENT,
            swap_long=-18.0,
            swap_short=-8.0,
            swap_3days=mt5.DAY_OF_WEEK_FRIDAY,
            commissioned=False,
        ),
        Spec(
            name="US500",
            base="USD",
            profit="USD",
            margin="USD",
            digits=2,
            contract=1.0,
            description="US 500 Index",
            path="Indices\\US500",
            session="metal",
            calc_mode=mt5.SYMBOL_CALC_MODE_CFDLEVERAGE,
            margin_hedged=1.0,
            volume_min=0.1,
            volume_step=0.1,
            swap_mode=mt5.SYMBOL_SWAP_MODE_INTEREST_CURRENT,
            swap_long=-6.5,
            swap_short=1.0,
            swap_3days=mt5.DAY_OF_WEEK_FRIDAY,
            commissioned=False,
            price="US500",
        ),
        Spec(
            name="XTIUSD",
            base="XTI",
            profit="USD",
            margin="USD",
            digits=3,
            contract=1000.0,
            description="Crude Oil (WTI) vs US Dollar",
            path="Energies\\XTIUSD",
            session="metal",
            calc_mode=mt5.SYMBOL_CALC_MODE_CFDLEVERAGE,
            margin_hedged=1000.0,
            swap_long=-20.0,
            swap_short=-6.0,
            commissioned=False,
        ),
    )
}
"""The symbols of the generated market."""


def spec_for(name: str, digits: int | None = None) -> Spec:
    """The specification of a symbol from a file: a known one, or one made from the letters of
    its name (six letters are a currency pair, anything else is a CFD quoted in USD)."""
    plain = name.upper()
    spec = SPECS.get(plain)
    if spec is None:
        if len(plain) == 6 and plain.isalpha():
            spec = _forex(plain, f"{plain[:3]} vs {plain[3:]}", 0.0, 0.0)
        else:
            spec = Spec(
                name=plain,
                base="USD",
                profit="USD",
                margin="USD",
                digits=2,
                contract=1.0,
                description=plain,
                path="CFD\\" + plain,
                calc_mode=mt5.SYMBOL_CALC_MODE_CFDLEVERAGE,
                commissioned=False,
            )
    if digits is not None and digits != spec.digits:
        spec = replace(spec, digits=digits)
    return spec


def with_suffix(specs: Iterable[Spec], suffix: str) -> list[Spec]:
    """The same symbols as a broker with a suffix names them (``EURUSD.m``)."""
    return [replace(spec, name=spec.name + suffix) for spec in specs]


def legs(spec: Spec, known: Container[str]) -> dict[str, int]:
    """The prices whose powers multiply to this symbol's, of those that are ``known``.

    EURJPY = EURUSD * USDJPY and EURGBP = EURUSD / GBPUSD: crosses leave no arbitrage. A symbol
    whose currencies are not all known is a price of its own.
    """
    own = {spec.price_name: 1}
    if spec.price or spec.base == spec.profit:
        return own
    out: dict[str, int] = {}
    for currency, sign in ((spec.base, 1), (spec.profit, -1)):
        if currency == "USD":
            continue
        for pair, direction in ((currency + "USD", sign), ("USD" + currency, -sign)):
            if pair in known:
                out[pair] = out.get(pair, 0) + direction
                break
        else:
            return own
    return {name: power for name, power in out.items() if power} or own
