"""Opens a paper terminal from settings: which market, which clock, which account."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

from ..api import constants as mt5
from ..settings import PaperSettings
from .account.ledger import AccountConfig
from .account.state import Saved, StateFile
from .market.clock import Clock, RunningClock
from .market.discovery import Quotes
from .market.generator import GeneratedMarket
from .market.model import Market, MarketError, Tell, nobody
from .market.replay import ReplayMarket
from .market.sessions import demo_start
from .market.symbols import SPECS, with_suffix
from .server.terminal import PaperTerminal

_MARGIN_MODES = {
    "netting": mt5.ACCOUNT_MARGIN_MODE_RETAIL_NETTING,
    "exchange": mt5.ACCOUNT_MARGIN_MODE_EXCHANGE,
    "hedging": mt5.ACCOUNT_MARGIN_MODE_RETAIL_HEDGING,
}


def open_paper(
    settings: PaperSettings,
    clock: Callable[[float], Clock] | None = None,
    *,
    tell: Tell | None = None,
    quotes: Quotes | None = None,
) -> PaperTerminal:
    """A paper terminal as the settings want it; takes up to a second or two.

    Args:
        clock: Makes the clock from the market's start (UTC seconds), for a backtest; without
            it time runs at the settings' speed.
        tell: Hears how far it is.
        quotes: What :func:`discover` found at ``settings.market``, if it was asked before.

    Raises:
        MarketError: the market's files, its start or the kept account do not serve; the text
            says what to do.
    """
    config = account_config(settings)
    offset_s = int(settings.utc_offset_h * 3600)
    start = moment(settings.start)
    if start is not None:
        start -= offset_s
    state = saved = None
    if settings.state is not None:
        state = StateFile(settings.state, _market_name(settings))
        saved = state.load(config)
    if saved is not None:
        # Server time never goes back.
        kept = saved.server_ms / 1000 - offset_s
        start = kept if settings.market is not None else max(kept, start or demo_start(time.time()))
    market = _market(settings, start, saved, tell or nobody, quotes)
    if state is not None and saved is not None:
        state.missing(saved, market.specs)
    running = RunningClock(market.start, settings.speed)
    made = running if clock is None else clock(market.start)
    terminal = PaperTerminal(market, made, config, offset_s=offset_s, state=state, saved=saved)
    running.restart(market.start)  # the time it took to open does not count
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


def _market(
    settings: PaperSettings,
    start: float | None,
    saved: Saved | None,
    tell: Tell,
    quotes: Quotes | None,
) -> Market:
    if settings.market is not None:
        return ReplayMarket(settings.market, start, tell, quotes)
    specs = with_suffix(SPECS.values(), settings.suffix)
    begin = demo_start(time.time()) if start is None else start
    return GeneratedMarket(settings.seed, begin, specs, saved.levels if saved else None, tell)


def _market_name(settings: PaperSettings) -> str:
    if settings.market is not None:
        return str(settings.market.resolve())
    return "generated" + settings.suffix


def moment(text: str | None) -> float | None:
    """UTC seconds of an ISO 8601 moment; one without an offset is UTC. ``None`` for auto.

    Raises:
        MarketError: it is no moment.
    """
    if text is None or text == "auto":
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise MarketError(
            f"start {text!r} is no moment", do="Write it like 2014-05-06T09:00"
        ) from None
    if found.tzinfo is None:
        found = found.replace(tzinfo=UTC)
    return found.timestamp()
