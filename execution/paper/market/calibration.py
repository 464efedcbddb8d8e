"""Numbers the generated market is calibrated on.

Measured from public data: M1 volatility, spread and tick rate by UTC hour from Oanda and FXCM
quotes (QuantConnect Lean, nautilus_trader test data), levels of volatility and the correlation
of H4 returns from MT5 exports of 2012-2022 (ejtraderLabs historical-data). No quote is copied.
Start prices are round figures, not quotes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from .sessions import Session

DRIVERS: Final = (
    "EURUSD", "GBPUSD", "USDJPY", "USDCHF", "AUDUSD", "USDCAD", "XAUUSD", "BTCUSD",
)  # fmt: skip
"""Prices that are simulated with the measured correlations. Every other price follows them, or is
a product of their powers."""

START: Final = {
    "EURUSD": 1.1650, "GBPUSD": 1.3350, "USDJPY": 148.00, "USDCHF": 0.8000,
    "AUDUSD": 0.6550, "USDCAD": 1.3800, "XAUUSD": 3350.0, "BTCUSD": 108_000.0,
}  # fmt: skip

H4_CORRELATION: Final[npt.NDArray[np.float64]] = np.array(
    [
        # EURUSD GBPUSD USDJPY USDCHF AUDUSD USDCAD XAUUSD BTCUSD
        [1.00, 0.54, -0.33, -0.60, 0.46, -0.38, 0.31, 0.0],
        [0.54, 1.00, -0.14, -0.33, 0.47, -0.39, 0.17, 0.0],
        [-0.33, -0.14, 1.00, 0.38, -0.18, 0.10, -0.40, 0.0],
        [-0.60, -0.33, 0.38, 1.00, -0.27, 0.24, -0.29, 0.0],
        [0.46, 0.47, -0.18, -0.27, 1.00, -0.62, 0.27, 0.0],
        [-0.38, -0.39, 0.10, 0.24, -0.62, 1.00, -0.21, 0.0],
        [0.31, 0.17, -0.40, -0.29, 0.27, -0.21, 1.00, 0.0],
        [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0],
    ]
)

# Root mean square of M1 returns in basis points: H1 / sqrt(60), H4 / sqrt(240); BTCUSD is
# measured on M1.
M1_VOL_BP: Final = {
    "EURUSD": 19.78 / 240**0.5, "GBPUSD": 11.39 / 60**0.5, "USDJPY": 10.93 / 60**0.5,
    "USDCHF": 25.04 / 240**0.5, "AUDUSD": 25.71 / 240**0.5, "USDCAD": 19.08 / 240**0.5,
    "XAUUSD": 19.22 / 60**0.5, "BTCUSD": 13.66,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Follower:
    """A price that moves partly with the drivers: ``loads`` are the weights of their standardised
    returns, the rest is its own. Day shape, wild minutes and regimes are those of ``like``;
    ``vol_bp`` is the root mean square of an M1 return. All of it is assumed, not measured."""

    start: float
    vol_bp: float
    loads: Mapping[str, float] = field(default_factory=dict)
    like: str = "EURUSD"
    session: Session = "fx"


_BTC_VOL = M1_VOL_BP["BTCUSD"]
_INDEX_LOADS = {"AUDUSD": 0.35, "USDJPY": 0.25}
_OIL_LOADS = {"USDCAD": -0.35, "AUDUSD": 0.15}

FOLLOWERS: Final = {
    "NZDUSD": Follower(0.5950, M1_VOL_BP["AUDUSD"], {"AUDUSD": 0.85}, "AUDUSD"),
    "XAGUSD": Follower(38.50, M1_VOL_BP["XAUUSD"] * 1.8, {"XAUUSD": 0.78}, "XAUUSD", "metal"),
    "XPTUSD": Follower(1350.0, M1_VOL_BP["XAUUSD"] * 1.5, {"XAUUSD": 0.6}, "XAUUSD", "metal"),
    "XPDUSD": Follower(1150.0, M1_VOL_BP["XAUUSD"] * 2.0, {"XAUUSD": 0.4}, "XAUUSD", "metal"),
    "ETHUSD": Follower(3400.0, _BTC_VOL * 1.35, {"BTCUSD": 0.8}, "BTCUSD", "crypto"),
    "LTCUSD": Follower(95.0, _BTC_VOL * 1.5, {"BTCUSD": 0.7}, "BTCUSD", "crypto"),
    "XRPUSD": Follower(2.40, _BTC_VOL * 1.6, {"BTCUSD": 0.65}, "BTCUSD", "crypto"),
    "SOLUSD": Follower(160.0, _BTC_VOL * 1.7, {"BTCUSD": 0.7}, "BTCUSD", "crypto"),
    "BCHUSD": Follower(480.0, _BTC_VOL * 1.6, {"BTCUSD": 0.65}, "BTCUSD", "crypto"),
    "US500": Follower(6200.0, 2.5, _INDEX_LOADS, "GBPUSD", "metal"),
    "US30": Follower(44_500.0, 2.4, _INDEX_LOADS, "GBPUSD", "metal"),
    "USTEC": Follower(22_500.0, 3.2, _INDEX_LOADS, "GBPUSD", "metal"),
    "GER40": Follower(24_000.0, 2.7, _INDEX_LOADS, "EURUSD", "metal"),
    "UK100": Follower(8900.0, 2.1, _INDEX_LOADS, "GBPUSD", "metal"),
    "JP225": Follower(39_500.0, 3.0, _INDEX_LOADS, "USDJPY", "metal"),
    "XTIUSD": Follower(67.00, 5.9, _OIL_LOADS, "USDCAD", "metal"),
    "XBRUSD": Follower(70.00, 5.7, _OIL_LOADS, "USDCAD", "metal"),
    "XNGUSD": Follower(3.20, 9.0, {}, "USDCAD", "metal"),
    "USDSEK": Follower(9.60, 1.7, {"EURUSD": -0.75}),
    "USDNOK": Follower(10.10, 1.8, {"EURUSD": -0.65}),
    "USDDKK": Follower(6.40, 1.25, {"EURUSD": -0.98}),
    "USDPLN": Follower(3.65, 1.7, {"EURUSD": -0.75}),
    "USDHUF": Follower(342.0, 1.9, {"EURUSD": -0.7}),
    "USDCZK": Follower(21.10, 1.6, {"EURUSD": -0.75}),
    "USDMXN": Follower(18.70, 1.9, {"AUDUSD": -0.4}, "USDCAD"),
    "USDZAR": Follower(17.80, 2.3, {"AUDUSD": -0.45}, "GBPUSD"),
    "USDTRY": Follower(40.50, 1.0, {"EURUSD": -0.2}),
    "USDSGD": Follower(1.2850, 0.8, {"EURUSD": -0.5, "AUDUSD": -0.25}),
    "USDHKD": Follower(7.8400, 0.12),
    "USDCNH": Follower(7.1800, 0.7, {"AUDUSD": -0.4}, "AUDUSD"),
}  # fmt: skip
"""Prices that follow the drivers, with a start price as round as theirs."""

ALIASES: Final = {
    "US500": ("US500", "SPX500", "SP500", "USA500", "SPX"),
    "US30": ("US30", "DJ30", "WS30", "DJI30", "USA30"),
    "USTEC": ("USTEC", "NAS100", "US100", "NDX100", "USTECH100", "NASDAQ"),
    "GER40": ("GER40", "DE40", "DAX40", "GER30", "DE30", "DAX"),
    "UK100": ("UK100", "FTSE100", "FTSE"),
    "JP225": ("JP225", "JPN225", "NIKKEI225", "NI225"),
    "XTIUSD": ("XTIUSD", "USOIL", "WTI", "CRUDOIL"),
    "XBRUSD": ("XBRUSD", "UKOIL", "BRENT"),
    "XNGUSD": ("XNGUSD", "NATGAS", "NGAS"),
}
"""What brokers call a price that is not a pair of currencies."""


_EUR = (0.445, 0.347, 0.347, 0.292, 0.293, 0.386, 0.727, 1.078, 0.831, 0.89, 0.886, 1.114,
        2.328, 1.055, 1.44, 0.973, 0.675, 0.668, 0.507, 0.363, 0.394, 0.382, 0.306, 0.25)  # fmt: skip
_GBP = (0.945, 0.805, 1.195, 0.809, 0.666, 0.646, 0.891, 1.291, 1.472, 1.763, 1.498, 1.349,
        1.514, 1.737, 1.65, 2.086, 1.659, 1.034, 1.076, 1.045, 0.964, 0.87, 1.401, 0.91)  # fmt: skip
_JPY = (1.867, 2.057, 1.752, 1.673, 1.659, 1.849, 1.76, 2.262, 2.721, 2.187, 2.315, 2.08,
        1.91, 3.677, 2.613, 3.152, 2.375, 1.828, 1.872, 2.498, 3.176, 1.909, 2.095, 1.951)  # fmt: skip
_XAU = (1.907, 4.446, 1.971, 1.421, 0.851, 1.823, 1.595, 3.3, 2.798, 2.311, 1.909, 1.912,
        2.987, 2.601, 1.949, 1.717, 1.062, 1.424, 0.956, 1.205, 0.847, 1.595, 2.839, 1.559)  # fmt: skip
_BTC = (13.583, 14.548, 11.216, 10.561, 9.274, 8.805, 9.506, 9.416, 14.098, 13.536, 10.905,
        12.165, 14.301, 17.257, 17.693, 19.094, 14.592, 13.152, 16.178, 14.799, 13.033, 9.408,
        12.649, 19.764)  # fmt: skip

HOUR_SHAPE: Final = {
    "EURUSD": _EUR, "GBPUSD": _GBP, "USDJPY": _JPY, "USDCHF": _EUR, "AUDUSD": _GBP,
    "USDCAD": _EUR, "XAUUSD": _XAU, "BTCUSD": _BTC,
}  # fmt: skip
"""M1 volatility by UTC hour; only its shape is used, scaled to ``M1_VOL_BP``."""

_EUR_TICKS = (13.3, 10.4, 10.3, 7.8, 8.1, 10.7, 27.8, 43.3, 38.6, 37.6, 35.0, 43.3, 101.1,
              63.9, 76.8, 44.5, 23.9, 22.5, 15.5, 12.1, 13.3, 10.6, 7.5, 5.1)  # fmt: skip
_XAU_TICKS = (25.9, 62.5, 37.0, 28.5, 11.2, 32.1, 54.9, 72.2, 86.3, 60.4, 49.6, 54.4, 102.8,
              71.7, 85.7, 56.1, 32.3, 32.6, 16.5, 24.6, 14.0, 20.0, 113.7, 46.5)  # fmt: skip
_FLAT_TICKS = (30.0,) * 24

_EUR_SPREAD = (12, 12, 12, 12, 12, 12, 12, 12, 11, 11, 11, 11, 14, 11, 11, 11, 11, 11, 11, 11,
               12, 20, 17, 13)  # fmt: skip
_GBP_SPREAD = (9, 9, 9, 9, 9, 9, 8, 6, 5, 5, 5, 5, 5, 5, 5, 5, 5, 7, 7, 7, 7.5, 9, 18, 10)
_XAU_SPREAD = (39.5, 33.4, 32, 30.6, 28.2, 29.3, 27, 28.2, 41.3, 42.4, 36.4, 35.6, 37.1, 26.9,
               27.4, 26.3, 25.7, 25.9, 25.6, 27.1, 32.7, 160, 63.3, 43.3)  # fmt: skip
_JPY_SPREAD = (3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 5, 11, 3)


@dataclass(frozen=True, slots=True)
class Quoting:
    """How a symbol is quoted: ``ticks`` a minute and median ``spread`` in points by UTC hour,
    ``noise`` as a part of the half spread, ``floor`` the narrowest spread in points."""

    ticks: tuple[float, ...]
    spread: tuple[float, ...]
    floor: int
    noise: float = 0.28


def _scaled(spread: tuple[float, ...], factor: float) -> tuple[float, ...]:
    return tuple(s * factor for s in spread)


# Spreads of USDCHF, AUDUSD, USDCAD, the crosses and the followers are assumed, some as multiples of
# measured ones; BTCUSD's is a broker's (about 12 USD), wider than the exchange's top of book.
QUOTING: Final = {
    "EURUSD": Quoting(_EUR_TICKS, _EUR_SPREAD, 6),
    "GBPUSD": Quoting(_EUR_TICKS, _GBP_SPREAD, 3),
    "USDJPY": Quoting(_EUR_TICKS, _JPY_SPREAD, 2),
    "USDCHF": Quoting(_EUR_TICKS, _scaled(_EUR_SPREAD, 1.2), 8),
    "AUDUSD": Quoting(_EUR_TICKS, _EUR_SPREAD, 7),
    "USDCAD": Quoting(_EUR_TICKS, _scaled(_EUR_SPREAD, 1.3), 9),
    "EURJPY": Quoting(_EUR_TICKS, _scaled(_EUR_SPREAD, 1.3), 8),
    "GBPJPY": Quoting(_EUR_TICKS, _scaled(_EUR_SPREAD, 1.8), 12),
    "XAUUSD": Quoting(_XAU_TICKS, _XAU_SPREAD, 15, noise=0.6),
    "BTCUSD": Quoting(_FLAT_TICKS, (1200.0,) * 24, 800),
    "NZDUSD": Quoting(_EUR_TICKS, _scaled(_EUR_SPREAD, 1.3), 9),
    "EURGBP": Quoting(_EUR_TICKS, _scaled(_EUR_SPREAD, 1.2), 8),
    "XAGUSD": Quoting(_XAU_TICKS, _scaled(_XAU_SPREAD, 0.8), 12, noise=0.6),
    "ETHUSD": Quoting(_FLAT_TICKS, (160.0,) * 24, 100),
    "US500": Quoting(_EUR_TICKS, (50.0,) * 24, 30),
    "XTIUSD": Quoting(_XAU_TICKS, (30.0,) * 24, 20),
}
OTHER: Final = Quoting(_EUR_TICKS, _scaled(_EUR_SPREAD, 1.5), 8)
