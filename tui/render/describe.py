"""Feed events in words: a short tag, a level and one line of text for each.

Events are an open world: what is not known here is shown by its type and its fields.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from . import format as f

DEBUG, INFO, WARN, ERROR = 0, 1, 2, 3
LEVELS = ("ALL", "INFO", "WARN", "ERR")
LEVEL_STYLE = {DEBUG: "faint", INFO: "text", WARN: "warn", ERROR: "crit"}

Event = Mapping[str, Any]

MASK = "•••"

_TAGS = {
    "SCAN_START": "SCAN",
    "SCAN_SUMMARY": "SCAN",
    "TRADE_EXECUTION": "FILL",
    "POSITION_OPENED": "OPEN",
    "POSITION_MODIFIED": "MODIFY",
    "POSITION_CLOSED": "CLOSE",
    "ORDER_UPDATE": "ORDER",
    "BOT_STATUS": "BOT",
    "TERMINAL_STATUS": "TERM",
    "RISK_ALERT": "RISK",
    "TRAINER_STATUS": "TRAIN",
    "MODEL_SWAPPED": "MODEL",
    "COMMAND_AUDIT": "CMD",
    "RESEARCH_START": "RESRCH",
    "RESEARCH_RESULT": "RESRCH",
    "CRITIC_REVIEW": "CRITIC",
    "STAT_ARB_HEDGE": "ARB",
    "STAT_ARB_FLATTEN": "ARB",
}

CLOSE_REASON = {
    "sl": "stop hit",
    "tp": "target hit",
    "stop_out": "STOP OUT",
    "strategy": "by the strategy",
    "operator": "by hand",
    "external": "from outside",
}


def event_type(event: Event) -> str:
    value = event.get("type")
    return value if isinstance(value, str) and value else "?"


def tag(event: Event) -> str:
    """At most six letters that name the kind."""
    name = event_type(event)
    return _TAGS.get(name) or name.replace("_", " ")[:6].strip()


def level(event: Event) -> int:
    """How much an event matters: DEBUG, INFO, WARN or ERROR."""
    name = event_type(event)
    if name == "SCAN_START":
        return DEBUG
    if name == "BOT_STATUS":
        state = event.get("state")
        return {"error": ERROR, "halted": WARN, "paused": WARN}.get(str(state), DEBUG)
    if name == "TERMINAL_STATUS":
        if connecting(event):
            return INFO
        return {"disconnected": ERROR, "stale": WARN}.get(str(event.get("state")), INFO)
    if name == "ORDER_UPDATE":
        if event.get("kind") == "market" and event.get("status") in ("placed", "filled"):
            return DEBUG  # the deal itself comes as TRADE_EXECUTION
        return {"rejected": ERROR, "unknown": ERROR}.get(str(event.get("status")), INFO)
    if name == "RISK_ALERT":
        return {"warning": WARN, "critical": ERROR}.get(str(event.get("level")), INFO)
    if name == "POSITION_CLOSED" and event.get("close_reason") == "stop_out":
        return ERROR
    if name == "COMMAND_AUDIT" and event.get("ok") is not True:
        return DEBUG if event.get("state") == "given" else WARN
    if "ERROR" in name or "FAIL" in name:
        return ERROR
    return INFO


def connecting(status: Any) -> bool:
    """Whether a terminal's status says that it is being reached for the first time."""
    error = status.get("last_error") if isinstance(status, Mapping) else None
    return isinstance(error, Mapping) and error.get("code") == "STARTING"


def style(event: Event) -> str:
    """The style of the tag."""
    name = event_type(event)
    grade = level(event)
    if grade >= WARN:
        return LEVEL_STYLE[grade]
    if name == "POSITION_CLOSED":
        profit = f.known(event.get("profit"))
        return "dim" if profit is None else "up" if profit >= 0 else "down"
    if name in ("TRADE_EXECUTION", "POSITION_OPENED", "ORDER_UPDATE"):
        return "info"
    if name in ("POSITION_MODIFIED", "COMMAND_AUDIT", "MODEL_SWAPPED"):
        return "accent"
    return "dim"


def repeat_key(event: Event) -> object | None:
    """What must be equal for two events to be shown as one line with a count.

    ``None``: never folded (trades, orders, commands: each of them counts by itself).
    """
    name = event_type(event)
    if name == "SCAN_SUMMARY":
        return (name, event.get("candidates"), event.get("count"), _candidates(event))
    if name == "SCAN_START":
        return (name, event.get("count"))
    if name == "RISK_ALERT":
        return (name, event.get("code"), event.get("level"))
    if name == "BOT_STATUS":
        return (name, event.get("state"), _reason(event.get("reason")))
    if name == "TERMINAL_STATUS":
        return (name, event.get("state"), _reason(event.get("last_error")))
    if name == "ORDER_UPDATE" and event.get("status") == "rejected":
        return (name, event.get("symbol"), event.get("retcode"), event.get("reason"))
    return None


def text(event: Event, *, mask: bool = False) -> str:
    """One line that says what happened, in the words of a trader."""
    writer = _WRITERS.get(event_type(event))
    return writer(event, mask) if writer else _foreign(event)


def _cash(value: Any, mask: bool) -> str:
    return MASK if mask else f.money(value, sign=True)


def _str(value: Any) -> str:
    return f.UNKNOWN if value is None else str(value)


def _reason(value: Any) -> str:
    if isinstance(value, Mapping):
        return _str(value.get("text") or value.get("code"))
    return "" if value is None else str(value)


def _ticket(event: Event) -> str:
    ticket = event.get("ticket")
    return "" if ticket is None else f"  #{ticket}"


def _digits(*prices: Any) -> int:
    """Digits that show every one of the prices as it was sent."""
    digits = 0
    for value in prices:
        number = f.known(value)
        if number is not None:
            digits = max(digits, len(f"{number:.6f}".rstrip("0").partition(".")[2]))
    return digits


def _levels(event: Event, sl: str, tp: str) -> str:
    digits = _digits(event.get(sl), event.get(tp))
    parts = [
        f"{label} {f.price(event.get(key), digits)}"
        for label, key in (("sl", sl), ("tp", tp))
        if f.known(event.get(key))
    ]
    return "  " + " ".join(parts) if parts else ""


def _candidates(event: Event) -> str:
    details = event.get("details")
    if not isinstance(details, Mapping):
        return ""
    names = [
        f"{symbol} {detail.get('direction') or ''}".strip()
        for symbol, detail in details.items()
        if isinstance(detail, Mapping) and detail.get("code") == "CANDIDATE"
    ]
    return ", ".join(names)


def _scan_start(event: Event, mask: bool) -> str:
    return f"{_str(event.get('count'))} symbols: scan started"


def _scan(event: Event, mask: bool) -> str:
    count = event.get("candidates")
    names = _candidates(event)
    found = "no candidate" if count == 0 else f"{_str(count)} candidate{'s' * (count != 1)}"
    took = f.known(event.get("duration_ms"))
    return (
        f"{_str(event.get('count'))} symbols, {found}"
        + (f" ({names})" if names else "")
        + (f"  {took:.0f} ms" if took is not None else "")
    )


def _fill(event: Event, mask: bool) -> str:
    slip = f.known(event.get("slippage"))
    score = f.known(event.get("score"))
    return (
        f"{_str(event.get('symbol'))} {_str(event.get('direction'))} {f.lots(event.get('lot'))}"
        f" @ {f.price(event.get('price'), _digits(event.get('price')))}"
        + (f"  slip {slip:+g}pt" if slip is not None else "")
        + (f"  score {score:.0f}" if score is not None else "")
        + _ticket(event)
    )


def _opened(event: Event, mask: bool) -> str:
    risk = f.known(event.get("initial_risk"))
    return (
        f"{_str(event.get('symbol'))} {_str(event.get('direction'))} "
        f"{f.lots(event.get('volume'))} @ "
        f"{f.price(event.get('entry_price'), _digits(event.get('entry_price')))}"
        + _levels(event, "sl_price", "tp_price")
        + (f"  risk {MASK if mask else f.money(risk)}" if risk is not None else "")
        + _ticket(event)
    )


def _change(label: str, old: Any, new: Any) -> str:
    if new is None or old == new:
        return ""
    digits = _digits(old, new)
    return f"  {label} {f.price(old, digits)} → {f.price(new, digits)}"


def _modified(event: Event, mask: bool) -> str:
    entry, stop = f.known(event.get("entry_price")), f.known(event.get("sl_price"))
    locked = (
        entry is not None
        and bool(stop)
        and stop is not None
        and (stop - entry) * (1 if event.get("direction") == "BUY" else -1) >= 0
    )
    old, new = event.get("old_volume"), event.get("volume")
    volume = "" if old is None or old == new else f"  lots {f.lots(old)} → {f.lots(new)}"
    profit = event.get("profit")
    return (
        f"{_str(event.get('symbol'))}"
        + _change("SL", event.get("old_sl_price"), event.get("sl_price"))
        + _change("TP", event.get("old_tp_price"), event.get("tp_price"))
        + volume
        + (f"  realised {_cash(profit, mask)}" if profit is not None else "")
        + ("  (no loss possible)" if locked and event.get("sl_price") else "")
        + (f"  {event['reason']}" if event.get("reason") else "")
        + _ticket(event)
    )


def _closed(event: Event, mask: bool) -> str:
    r = f.known(event.get("r_multiple"))
    duration = f.known(event.get("duration_s"))
    why = CLOSE_REASON.get(str(event.get("close_reason")), "")
    return (
        f"{_str(event.get('symbol'))} {_str(event.get('direction'))} "
        f"{f.lots(event.get('volume'))}  {_cash(event.get('profit'), mask)}"
        + (f"  {f.multiple(r)}R" if r is not None else "")
        + (f"  {why}" if why else "")
        + (f" after {f.whole_age(duration)}" if duration is not None else "")
        + _ticket(event)
    )


def _order(event: Event, mask: bool) -> str:
    code = event.get("retcode")
    price = event.get("price")
    return (
        f"{_str(event.get('symbol'))} {_str(event.get('direction'))} "
        f"{event.get('kind') or ''} {f.lots(event.get('volume'))}"
        + (f" @ {f.price(price, _digits(price))}" if f.known(price) else "")
        + f"  {str(event.get('status') or '?').upper()}"
        + (f" {event['reason']}" if event.get("reason") else "")
        + (f" ({code})" if code is not None and event.get("status") == "rejected" else "")
        + _levels(event, "sl", "tp")
        + ("" if event.get("order") is None else f"  #{event['order']}")
    )


def _bot(event: Event, mask: bool) -> str:
    reason = _reason(event.get("reason"))
    return f"{_str(event.get('state'))}" + (f": {reason}" if reason else "")


def _terminal(event: Event, mask: bool) -> str:
    reason = _reason(event.get("last_error"))
    if connecting(event):
        return f"{_str(event.get('backend'))} terminal: {reason}"
    return (
        f"{_str(event.get('backend'))} terminal {_str(event.get('state'))}"
        + (f": {reason}" if reason else "")
        + (f" ({event['market']})" if event.get("market") and not reason else "")
    )


def _risk(event: Event, mask: bool) -> str:
    return f"{_str(event.get('text') or event.get('code'))}"


def _command(event: Event, mask: bool) -> str:
    args = event.get("args")
    given = ""
    if isinstance(args, Mapping):
        given = " ".join(f"{k}={v}" for k, v in args.items() if k != "expect")
    error = event.get("error")
    why = f" ({_str(error.get('message'))})" if isinstance(error, Mapping) else ""
    if event.get("state") == "given":
        ended = "given"
    else:
        ended = "done" if event.get("ok") else f"refused{why}"
    return (
        f"{_str(event.get('name'))} {given}".rstrip() + f" by {_str(event.get('actor'))}: {ended}"
    )


def _trainer(event: Event, mask: bool) -> str:
    progress = f.known(event.get("progress"))
    return (
        _str(event.get("state"))
        + (f" {progress * 100:.0f}%" if progress is not None and progress <= 1 else "")
        + (f": {event['text']}" if event.get("text") else "")
    )


def _swapped(event: Event, mask: bool) -> str:
    new, old = event.get("metrics"), event.get("previous")
    text = f"{_str(event.get('model'))} takes over"
    if isinstance(new, Mapping):
        shown = list(new.items())[:6]
        text += "  " + "  ".join(f"{_str(k)} {f.number(v, 3)}" for k, v in shown)
    if isinstance(old, Mapping) and "log_loss" in old:
        text += f"  (before: log_loss {f.number(old['log_loss'], 3)})"
    return text


def _tried(event: Event, mask: bool) -> str:
    data = event.get("data")
    given = (
        "  ".join(f"{_str(k)} {_str(v)}" for k, v in data.items())
        if isinstance(data, Mapping)
        else ""
    )
    return f"{_str(event.get('symbol'))}  {given}".rstrip()


def _research(event: Event, mask: bool) -> str:
    return (
        f"{_str(event.get('symbol'))} {_str(event.get('action'))} "
        f"{f.number(event.get('confidence'))}%: {_str(event.get('reason'))}"
    )


def _critic(event: Event, mask: bool) -> str:
    score = f.number(event.get("score"), 1)
    return f"{_str(event.get('symbol'))} {score}/10: {_str(event.get('lesson'))}"


def _arb(event: Event, mask: bool) -> str:
    return f"{_str(event.get('symbol'))}: {_str(event.get('message'))}"


def _foreign(event: Event) -> str:
    rest = {k: v for k, v in event.items() if k not in ("type", "timestamp", "seq")}
    try:
        body = json.dumps(rest, ensure_ascii=False, default=str, separators=(",", ":"))
    except (TypeError, ValueError):
        body = str(rest)
    return f"{event_type(event)} {body[:2000]}"


_WRITERS: dict[str, Callable[[Event, bool], str]] = {
    "SCAN_START": _scan_start,
    "SCAN_SUMMARY": _scan,
    "TRADE_EXECUTION": _fill,
    "POSITION_OPENED": _opened,
    "POSITION_MODIFIED": _modified,
    "POSITION_CLOSED": _closed,
    "ORDER_UPDATE": _order,
    "BOT_STATUS": _bot,
    "TERMINAL_STATUS": _terminal,
    "RISK_ALERT": _risk,
    "COMMAND_AUDIT": _command,
    "TRAINER_STATUS": _trainer,
    "MODEL_SWAPPED": _swapped,
    "RESEARCH_START": _tried,
    "RESEARCH_RESULT": _research,
    "CRITIC_REVIEW": _critic,
    "STAT_ARB_HEDGE": _arb,
    "STAT_ARB_FLATTEN": _arb,
}
