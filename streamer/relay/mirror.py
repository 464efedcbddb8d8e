"""Applies another feed's snapshot to the relay's own state, beyond its log events.

A snapshot is ahead of the events that follow it and does not say how old its data are. So each
section that differs is published as a state event, each section that is equal keeps its age, and
history from before the relay's start is put before the relay's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from ..protocol.codec import iso
from ..state.reducer import MAX_EQUITY, MAX_TRADES, FeedState
from ..state.source import Wire
from .offsets import event_ref

STATUS = {"BOT_STATUS": "bot", "TERMINAL_STATUS": "terminal"}
"""Log events that also are a state, and the section of a snapshot that has the last one."""

_BOOKKEEPING = ("seq", "timestamp", "origin", "via", "bot")


def same_status(one: Mapping[str, Any] | None, other: Mapping[str, Any] | None) -> bool:
    """Whether two statuses are equal apart from when, and through which feed, they came."""
    if one is None or other is None:
        return one is other
    return _content(one) == _content(other)


def _content(status: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in status.items() if key not in _BOOKKEEPING}


def copied(state: FeedState) -> Wire:
    """The current data of one bot, as a snapshot has it."""
    part = state.sections()
    curve = {name: list(values) for name, values in state.equity.items()}
    return {**part, "recent_trades": list(state.recent_trades), "equity": curve}


def differences(state: FeedState, data: Mapping[str, Any]) -> Iterator[Wire]:
    """State events that bring ``state`` to a snapshot's ``data``.

    A feed without an account does not know its positions and orders yet: its empty lists are
    not taken for "no position".
    """
    account, quotes = data.get("account"), data.get("quotes")
    if isinstance(quotes, dict):
        new = {key: quote for key, quote in quotes.items() if state.quotes.get(key) != quote}
        clock = {key: data.get(key) for key in ("server_time", "speed") if data.get(key)}
        if new:
            yield {"type": "QUOTE_UPDATE", "quotes": new, **clock}
    if not isinstance(account, dict) or not account:
        return
    if any(state.account.get(key) != value for key, value in account.items()):
        yield {"type": "ACCOUNT_UPDATE", "account": account, **_account_time(data.get("equity"))}
    for section, kind in (("positions", "POSITION_UPDATE"), ("orders", "ORDERS_UPDATE")):
        rows = data.get(section)
        known = getattr(state, section)
        if isinstance(rows, list) and (rows != known or section not in state.updated):
            yield {"type": kind, section: rows}


def _account_time(curve: Any) -> dict[str, str]:
    """The time of the newest account, as the event's timestamp: the equity curve ends there."""
    times = curve.get("time") if isinstance(curve, dict) else None
    if not isinstance(times, list) or not times or type(times[-1]) is not int:
        return {}
    try:
        return {"timestamp": iso(datetime.fromtimestamp(times[-1], UTC))}
    except (ValueError, OverflowError, OSError):
        return {}


def fill_history(state: FeedState, data: Mapping[str, Any], epoch: str) -> bool:
    """Put the history from before the relay's start into ``state``: equity curve, trades, the
    last scan. Returns whether anything changed.

    Args:
        state: Changed in place, after all events that the snapshot contains were applied.
        data: The ``data`` of a snapshot.
        epoch: Epoch of the snapshot's feed.
    """
    touched = []
    if _fill_equity(state, data.get("equity")):
        touched.append("equity")
    if _fill_trades(state, data.get("recent_trades"), epoch):
        touched.append("trades")
    scan = data.get("scan_summary")
    if isinstance(scan, dict) and str(scan.get("timestamp") or "") > str(
        state.scan_summary.get("timestamp") or ""
    ):
        state.scan_summary = dict(scan)
        touched.append("scan")
    for section in touched:
        state.revisions[section] += 1
    if touched:
        state.revision += 1
    return bool(touched)


def _fill_equity(state: FeedState, curve: Any) -> bool:
    if not isinstance(curve, dict):
        return False
    times, values = curve.get("time"), curve.get("value")
    if not isinstance(times, list) or not isinstance(values, list) or len(times) != len(values):
        return False
    own = dict(zip(state.equity["time"], state.equity["value"], strict=True))
    whole = {**{t: v for t, v in zip(times, values, strict=True) if type(t) is int}, **own}
    if len(whole) == len(own):
        return False
    kept = sorted(whole)[-MAX_EQUITY:]
    state.equity = {"time": kept, "value": [whole[t] for t in kept]}
    return True


def _fill_trades(state: FeedState, trades: Any, epoch: str) -> bool:
    if not isinstance(trades, list):
        return False
    held = {event_ref(trade.get("origin")) for trade in state.recent_trades}
    older = []
    for trade in trades:
        if not isinstance(trade, dict):
            continue
        line = dict(trade)
        seq = line.pop("seq", None)
        if "origin" not in line and type(seq) is int:
            line["origin"] = f"{epoch}:{seq}"
        if event_ref(line.get("origin")) not in held:
            older.append(line)
    if not older:
        return False
    rows = [*state.recent_trades, *older]
    rows.sort(key=lambda trade: str(trade.get("timestamp") or ""), reverse=True)
    state.recent_trades = rows[:MAX_TRADES]
    return True
