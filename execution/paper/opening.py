"""Opens a paper terminal from settings: which market, which clock, which account."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from .. import constants as mt5
from ..settings import PaperSettings
from .clock import RunningClock
from .generator import GeneratedMarket
from .ledger import AccountConfig
from .market import Market, MarketError
from .replay import ReplayMarket
from .sessions import demo_start
from .terminal import PaperTerminal

_MARGIN_MODES = {
    "netting": mt5.ACCOUNT_MARGIN_MODE_RETAIL_NETTING,
    "exchange": mt5.ACCOUNT_MARGIN_MODE_EXCHANGE,
    "hedging": mt5.ACCOUNT_MARGIN_MODE_RETAIL_HEDGING,
}


def open_paper(settings: PaperSettings) -> PaperTerminal:
    """A paper terminal as the settings want it; takes up to a second or two.

    Raises:
        MarketError: the market's files or its start do not serve; the text says what to do.
    """
    start = _start(settings.start)
    market = _market(settings, start)
    clock = RunningClock(market.start, settings.speed)
    terminal = PaperTerminal(market, clock, account_config(settings))
    clock.restart(market.start)  # the time it took to open does not count
    return terminal


def account_config(settings: PaperSettings) -> AccountConfig:
    return AccountConfig(
        currency=settings.currency,
        digits=0 if settings.currency == "JPY" else 2,
        balance=settings.balance,
        leverage=settings.leverage,
        margin_mode=_MARGIN_MODES[settings.margin_mode],
        commission=settings.commission_per_lot,
    )


def _market(settings: PaperSettings, start: float | None) -> Market:
    if settings.market is not None:
        return ReplayMarket(settings.market, start)
    return GeneratedMarket(settings.seed, demo_start(time.time()) if start is None else start)


def _start(text: str | None) -> float | None:
    """UTC seconds of an ISO 8601 moment; one without an offset is UTC."""
    if text is None or text == "auto":
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise MarketError(
            f"start {text!r} is no moment", do="Write it like 2014-05-06T09:00"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.timestamp()
