"""The trade server's return codes in words, with what to do where there is something to do."""

from __future__ import annotations

from . import constants as c

TEXTS: dict[int, str] = {
    0: "would be accepted",
    c.TRADE_RETCODE_REQUOTE: "requote: the price has moved",
    c.TRADE_RETCODE_REJECT: "rejected by the broker",
    c.TRADE_RETCODE_CANCEL: "cancelled by the trader",
    c.TRADE_RETCODE_PLACED: "order placed",
    c.TRADE_RETCODE_DONE: "done",
    c.TRADE_RETCODE_DONE_PARTIAL: "filled in part, the rest was cancelled",
    c.TRADE_RETCODE_ERROR: "the server could not process the request",
    c.TRADE_RETCODE_TIMEOUT: "the server gave no answer in time",
    c.TRADE_RETCODE_INVALID: "invalid request",
    c.TRADE_RETCODE_INVALID_VOLUME: "invalid volume: look at the symbol's minimum, maximum and step",
    c.TRADE_RETCODE_INVALID_PRICE: "invalid price",
    c.TRADE_RETCODE_INVALID_STOPS: "invalid stops: too close to the price, or on the wrong side",
    c.TRADE_RETCODE_TRADE_DISABLED: "trading is disabled for this symbol or account",
    c.TRADE_RETCODE_MARKET_CLOSED: "the market is closed",
    c.TRADE_RETCODE_NO_MONEY: "not enough free margin",
    c.TRADE_RETCODE_PRICE_CHANGED: "the price has changed",
    c.TRADE_RETCODE_PRICE_OFF: "no quotes for this symbol: is it in Market Watch?",
    c.TRADE_RETCODE_INVALID_EXPIRATION: "invalid expiration",
    c.TRADE_RETCODE_ORDER_CHANGED: "the order has changed meanwhile",
    c.TRADE_RETCODE_TOO_MANY_REQUESTS: "too many requests: wait a little",
    c.TRADE_RETCODE_NO_CHANGES: "nothing to change",
    c.TRADE_RETCODE_SERVER_DISABLES_AT: "the broker has switched automated trading off",
    c.TRADE_RETCODE_CLIENT_DISABLES_AT: "AutoTrading is off in the terminal: press Algo Trading "
    "(Ctrl+E)",
    c.TRADE_RETCODE_LOCKED: "the request is locked while being processed",
    c.TRADE_RETCODE_FROZEN: "too close to its activation price to be changed (freeze level)",
    c.TRADE_RETCODE_INVALID_FILL: "this filling policy is not supported by the symbol",
    c.TRADE_RETCODE_CONNECTION: "no connection to the trade server",
    c.TRADE_RETCODE_ONLY_REAL: "only allowed on real accounts",
    c.TRADE_RETCODE_LIMIT_ORDERS: "the account's limit of pending orders is reached",
    c.TRADE_RETCODE_LIMIT_VOLUME: "the symbol's volume limit is reached",
    c.TRADE_RETCODE_INVALID_ORDER: "no such order, or of a kind that is not allowed",
    c.TRADE_RETCODE_POSITION_CLOSED: "the position is closed already",
    c.TRADE_RETCODE_INVALID_CLOSE_VOLUME: "more volume to close than the position has",
    c.TRADE_RETCODE_CLOSE_ORDER_EXIST: "an order to close this position exists already",
    c.TRADE_RETCODE_LIMIT_POSITIONS: "the account's limit of open positions is reached",
    c.TRADE_RETCODE_REJECT_CANCEL: "activation of the pending order was rejected, it is cancelled",
    c.TRADE_RETCODE_LONG_ONLY: "only long positions are allowed on this symbol",
    c.TRADE_RETCODE_SHORT_ONLY: "only short positions are allowed on this symbol",
    c.TRADE_RETCODE_CLOSE_ONLY: "only closing is allowed on this symbol",
    c.TRADE_RETCODE_FIFO_CLOSE: "positions must be closed oldest first (FIFO)",
    10046: "opposite positions on one symbol are not allowed",
}

MOVED = frozenset(
    {c.TRADE_RETCODE_REQUOTE, c.TRADE_RETCODE_PRICE_CHANGED, c.TRADE_RETCODE_PRICE_OFF}
)
"""The answer carries new prices: the caller may decide again."""

UNDECIDED = frozenset({c.TRADE_RETCODE_TIMEOUT})
"""The server may still carry the request out: the outcome is unknown."""


def words(retcode: int, comment: str = "") -> str:
    """A return code in words; with the server's own comment where that adds something."""
    known = TEXTS.get(retcode)
    if known is None:
        return f"{comment or 'unknown answer'} ({retcode})"
    return f"{known} ({retcode})"
