"""The terminal's structs as the feed's payloads. Pure; server times become UTC."""

from __future__ import annotations

from streamer.protocol.messages import Account, Direction, PendingOrder, Position, Quote

from ..api import constants as c
from ..api.structs import AccountInfo, TerminalInfo, Tick, TradeOrder, TradePosition
from ..orders.kinds import KINDS
from ..transport.clock import ServerClock
from .lifecycle import Life

MARGIN_MODES = {
    c.ACCOUNT_MARGIN_MODE_RETAIL_NETTING: "netting",
    c.ACCOUNT_MARGIN_MODE_EXCHANGE: "exchange",
    c.ACCOUNT_MARGIN_MODE_RETAIL_HEDGING: "hedging",
}


def side(buy: bool) -> Direction:
    return "BUY" if buy else "SELL"


def owner(magic: int, ours: int) -> str:
    """The owner of a position or order, by the magic that it was opened with."""
    return "bot" if magic == ours else "manual"


def account(
    info: AccountInfo,
    terminal: TerminalInfo | None,
    *,
    mode: str,
    day_pl: float | None,
    drawdown_pct: float | None,
) -> Account:
    """``trade_allowed`` only when account, broker and terminal all allow a bot's order."""
    allowed = info.trade_allowed and info.trade_expert
    if terminal is not None:
        allowed = allowed and terminal.trade_allowed and not terminal.tradeapi_disabled
    digits = info.currency_digits
    return Account(
        balance=info.balance,
        equity=info.equity,
        profit=info.profit,
        currency=info.currency,
        leverage=info.leverage,
        day_pl=None if day_pl is None else round(day_pl, digits),
        margin=info.margin,
        margin_free=info.margin_free,
        margin_level=info.margin_level,
        login=info.login,
        server=info.server,
        name=info.name,
        trade_allowed=bool(allowed),
        drawdown_pct=None if drawdown_pct is None else round(drawdown_pct, 4),
        mode=mode,
        margin_mode=MARGIN_MODES.get(info.margin_mode),
    )


def position(
    info: TradePosition,
    life: Life | None,
    clock: ServerClock,
    *,
    magic: int,
    digits: int | None,
    risk: float | None,
    initial_risk: float | None,
) -> Position:
    """``life`` gives what the terminal's list lacks: commission, and the magic that the
    position was opened with."""
    buy = info.type == c.POSITION_TYPE_BUY
    return Position(
        ticket=info.ticket,
        symbol=info.symbol,
        type=info.type,
        direction=side(buy),
        volume=info.volume,
        entry_price=info.price_open,
        price_current=info.price_current or None,
        sl_price=info.sl,
        tp_price=info.tp,
        profit=info.profit,
        swap=info.swap,
        commission=None if life is None or life.partial else round(life.commission, 2),
        opened_at=clock.iso(info.time_msc / 1000 if info.time_msc else info.time),
        magic=info.magic,
        comment=info.comment,
        digits=digits,
        owner=owner(info.magic if life is None else life.magic, magic),
        risk=None if risk is None else round(risk, 2),
        initial_risk=None if initial_risk is None else round(initial_risk, 2),
    )


def pending(
    order: TradeOrder, clock: ServerClock, *, magic: int, digits: int | None
) -> PendingOrder:
    kind, direction = KINDS.get(order.type, ("market", "BUY"))
    return PendingOrder(
        order=order.ticket,
        symbol=order.symbol,
        direction=direction,
        kind=kind,
        volume=order.volume_current,
        price=order.price_open,
        stop_limit=order.price_stoplimit or None,
        price_current=order.price_current or None,
        sl=order.sl,
        tp=order.tp,
        placed_at=clock.iso(order.time_setup),
        expires_at=clock.iso(order.time_expiration),
        magic=order.magic,
        comment=order.comment,
        digits=digits,
        owner=owner(order.magic, magic),
    )


def quote(tick: Tick | None, clock: ServerClock, digits: int | None) -> Quote:
    """A price of 0 is an unknown price."""
    if tick is None:
        return Quote(digits=digits)
    return Quote(
        bid=tick.bid or None,
        ask=tick.ask or None,
        time=clock.iso(tick.time_msc / 1000 if tick.time_msc else tick.time),
        digits=digits,
    )
