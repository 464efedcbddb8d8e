"""Opens a paper terminal from settings: which market, which clock, which account."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from ..api import constants as mt5
from ..settings import PaperSettings
from . import profile
from .account.ledger import AccountConfig
from .account.state import Saved, StateFile
from .market.clock import Clock, RunningClock
from .market.discovery import Quotes
from .market.generator import GeneratedMarket
from .market.model import Market, MarketError, Progress, no_progress
from .market.replay import ReplayMarket
from .market.sessions import demo_start
from .market.symbols import SPECS, with_suffix
from .profile import Broker
from .server.terminal import PaperTerminal

log = logging.getLogger(__name__)

_MARGIN_MODES = {
    "netting": mt5.ACCOUNT_MARGIN_MODE_RETAIL_NETTING,
    "exchange": mt5.ACCOUNT_MARGIN_MODE_EXCHANGE,
    "hedging": mt5.ACCOUNT_MARGIN_MODE_RETAIL_HEDGING,
}


def open_paper(
    settings: PaperSettings,
    clock: Callable[[float], Clock] | None = None,
    *,
    progress: Progress | None = None,
    quotes: Quotes | None = None,
) -> PaperTerminal:
    """A paper terminal as the settings want it; takes up to a second or two.

    Args:
        clock: Makes the clock from the market's start (UTC seconds), for a backtest; without
            it time runs at the settings' speed.
        progress: Called with the progress.
        quotes: What :func:`discover` found at ``settings.market``, if it was asked before.

    Raises:
        MarketError: the market's files, its start or the kept account do not serve; the text
            says what to do.
    """
    broker = None if settings.like is None else profile.load(settings.like)
    config = account_config(settings, broker)
    offset_h = settings.utc_offset_h
    if broker is not None and "utc_offset_h" not in settings.model_fields_set:
        offset_h = broker.profile.utc_offset_h
    offset_s = int(offset_h * 3600)
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
    market = _market(settings, broker, start, saved, progress or no_progress, quotes)
    if state is not None and saved is not None:
        state.missing(saved, market.specs)
    running = RunningClock(market.start, settings.speed)
    made = running if clock is None else clock(market.start)
    terminal = PaperTerminal(market, made, config, offset_s=offset_s, state=state, saved=saved)
    if broker is not None:
        _dress(terminal, broker)
    running.restart(market.start)  # the time it took to open does not count
    return terminal


def _dress(terminal: PaperTerminal, broker: Broker) -> None:
    """What a profile says of the terminal: Market Watch, and symbols that have no row."""
    terminal.left_out = broker.left_out
    terminal.build = broker.terminal.build or terminal.build
    terminal.max_bars = broker.terminal.maxbars or terminal.max_bars
    if terminal.market.lazy:
        for name, tape in terminal.tapes.items():
            tape.selected = name in broker.visible
    if broker.left_out:
        log.warning("symbols of the profile that are left out: %s", "; ".join(broker.left_out[:20]))


def account_config(settings: PaperSettings, broker: Broker | None = None) -> AccountConfig:
    """The account: a profile's, where there is one, and what the settings say of it."""
    config = AccountConfig() if broker is None else broker.account()
    given: dict[str, Any] = {
        "currency": settings.currency,
        "digits": 0 if settings.currency == "JPY" else 2,
        "balance": settings.balance,
        "leverage": settings.leverage,
        "margin_mode": _MARGIN_MODES[settings.margin_mode],
        "commission": settings.commission_per_lot,
    }
    if broker is not None:
        own = {"digits": "currency", "commission": "commission_per_lot"}
        chosen = settings.model_fields_set
        given = {name: value for name, value in given.items() if own.get(name, name) in chosen}
    if settings.login is not None:
        given["login"] = settings.login
    if settings.password is not None:
        given["password"] = settings.password.get_secret_value()
    if settings.server is not None:
        given |= {"server": settings.server, "only_server": True}
    return replace(config, **given)


def _market(
    settings: PaperSettings,
    broker: Broker | None,
    start: float | None,
    saved: Saved | None,
    progress: Progress,
    quotes: Quotes | None,
) -> Market:
    if settings.market is not None:
        market = ReplayMarket(settings.market, start, progress, quotes)
        if broker is not None:
            market.use_specs(broker.specs)
        return market
    specs = with_suffix(SPECS.values(), settings.suffix) if broker is None else broker.specs
    begin = demo_start(time.time()) if start is None else start
    made = GeneratedMarket(
        settings.seed,
        begin,
        specs,
        saved.levels if saved else None,
        progress,
        None if broker is None else broker.quoted(),
    )
    if broker is not None:
        made.text += f", like {settings.like}"
        if broker.left_out:
            made.text += f"; left out: {'; '.join(broker.left_out[:3])}"
            if len(broker.left_out) > 3:
                made.text += f"; and {len(broker.left_out) - 3} more"
    return made


def _market_name(settings: PaperSettings) -> str:
    if settings.market is not None:
        return str(settings.market.resolve())
    if settings.like is not None:
        return f"generated like {settings.like}"
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
