"""``mt5dash status``: the state of a running feed, for people and for scripts.

The exit code is a contract: 0 ok, 1 degraded, 2 wrong usage or token, 3 down or not reachable.
"""

from __future__ import annotations

import io
import json
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode, urlsplit

import typer

from streamer.errors import Mt5dashError
from streamer.http_get import HttpClient, HttpResponse, NoResponse
from streamer.protocol.lenient import read_list
from streamer.protocol.payloads import Position
from streamer.protocol.sanitise import clean

from ..render import format as f
from .common import USAGE, feed_url, token_from

EXIT = {"ok": 0, "degraded": 1, "down": 3}
UNREACHABLE = EXIT["down"]
PORTS = range(8000, 8010)
ANSWER_MAX = 32_000_000
TRANSFER_S = 20.0
"""Longest transfer of an answer, beyond the wait for it."""
POSITIONS_SHOWN = 12

EPILOG = (
    "Exit codes: 0 ok; 1 degraded (it runs, something is late or missing); 2 wrong usage, or the "
    "feed refused the token; 3 down, or no feed answers."
)


class NoAnswer(Mt5dashError):
    """The feed did not answer, or not as a feed does. The text is for people."""

    exit_code = UNREACHABLE


class NoSuchBot(Mt5dashError):
    """The feed does not know this bot. The text is for people."""

    exit_code = USAGE


class NotAllowed(Mt5dashError):
    """The feed refuses this token, or asks for one. The text is for people."""

    exit_code = USAGE


def get(base: str, path: str, token: str | None, timeout: float) -> dict[str, Any]:
    """The JSON object at ``base + path``; health that is down counts as an answer.

    Raises:
        NoAnswer: nothing there, or something else than a feed.
        NotAllowed: it wants a token, or another one.
    """
    headers = {"Accept": "application/json"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    client = HttpClient(
        timeout_s=timeout + TRANSFER_S, stall_s=timeout, max_bytes=ANSWER_MAX, use_proxies=False
    )
    try:
        answer = client.get(base + path, headers)
    except NoResponse as error:
        what = "not a mt5dash feed: " if error.connected else ""
        raise NoAnswer(f"{base}: {what}{clean(str(error), 200)}") from None
    if answer.status in (401, 403):
        raise NotAllowed(_refusal(base, answer, token))
    if answer.status == 404 and "bot=" in path:
        raise NoSuchBot(_message(answer))
    if not answer.ok and answer.status != 503:
        raise NoAnswer(f"{base}{path}: HTTP {answer.status}; is this a mt5dash feed?")
    try:
        found = json.loads(answer.body)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise NoAnswer(f"{base}{path}: the answer is no JSON object; is this a mt5dash feed?")
    return found


def _message(answer: HttpResponse) -> str:
    """What the feed says is wrong."""
    try:
        return clean(str(json.loads(answer.body)["error"]["message"]), 300)
    except (ValueError, KeyError, TypeError):
        return f"HTTP {answer.status}"


def others(base: str, token: str | None, timeout: float) -> dict[str, Any]:
    """The bots of a feed by name; none of a feed that does not know the question."""
    try:
        return get(base, "/api/bots", token, timeout)
    except NoAnswer:
        return {}


def _refusal(base: str, answer: HttpResponse, token: str | None) -> str:
    if token is None:
        return (
            f"{base}: this feed wants a token: make one with `mt5dash token new --role view`, "
            "then give it with --token-file FILE or in MT5DASH_TOKEN"
        )
    return (
        f"{base}: the feed refused the token (HTTP {answer.status}); `mt5dash token list`, where the "
        "feed runs, shows the ones it knows"
    )


def find(timeout: float) -> str:
    """The first feed on this machine's ports 8000 to 8009, asked without any token.

    Raises:
        NoAnswer: there is none.
    """
    for port in PORTS:
        base = f"http://127.0.0.1:{port}"
        try:
            if get(base, "/", None, timeout).get("service") == "mt5dash":
                return base
        except (NoAnswer, NotAllowed):
            continue
    raise NoAnswer(
        f"no feed answers on 127.0.0.1, ports {PORTS[0]} to {PORTS[-1]}: start one with "
        "`mt5dash tui`, or name it: `mt5dash status HOST:PORT`"
    )


def base_of(url: str) -> str:
    """``http(s)://HOST:PORT`` of an address as people type it."""
    for plain, socket in (("http://", "ws://"), ("https://", "wss://")):
        if url.startswith(plain):
            url = socket + url[len(plain) :]
    parts = urlsplit(feed_url(url))
    scheme = "https" if parts.scheme == "wss" else "http"
    return f"{scheme}://{parts.netloc.rpartition('@')[2]}"


def status(
    url: Annotated[
        str | None,
        typer.Argument(help="The feed [first that answers of 127.0.0.1:8000-8009]."),
    ] = None,
    bot: Annotated[
        str | None, typer.Option(metavar="NAME", help="A bot of the feed [its own].")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Status, health and the whole state as JSON.")
    ] = False,
    token_file: Annotated[
        Path | None, typer.Option("--token-file", metavar="FILE", help="File with a token.")
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=0.1, max=60.0, metavar="S", help="Seconds to wait for an answer.")
    ] = 3.0,
) -> None:
    """Print the state of a running feed; the exit code says whether it is well."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a console of another code page has no arrows
    token = token_from(token_file)
    named = None if url is None else base_of(url)
    try:
        base = named or find(min(timeout, 1.0))
        which = "" if bot is None else f"?{urlencode({'bot': bot})}"
        health = get(base, f"/api/health{which}", token, timeout)
        state = get(base, f"/api/state{which}", token, timeout)
        bots = others(base, token, timeout)
        word = health.get("status")
        if not isinstance(word, str) or word not in EXIT:
            raise NoAnswer(f"{base}: its health names no status; is this a mt5dash feed?")
    except NoAnswer as error:
        if as_json:
            print(json.dumps({"status": "unreachable", "url": named, "error": str(error)}))
        raise
    if as_json:
        found = {"status": word, "url": base, "health": health, "state": state, "bots": bots}
        print(json.dumps(found))
    else:
        shown = str(state.get("bot_name"))
        for line in words(base, health, state, time.time(), _dict(bots.get(shown))):
            print(line.rstrip())
        for line in bot_words(bots, shown):
            print(line.rstrip())
    raise typer.Exit(EXIT[word])


# -- one screen of words -----------------------------------------------------------------------


def _t(value: Any, limit: int = 40) -> str:
    """Text of a feed for a terminal: no control bytes, never ``None``."""
    return f.UNKNOWN if value is None or value == "" else clean(str(value), limit)


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _rows(value: Any) -> list[dict[str, Any]]:
    return [v for v in value if isinstance(v, dict)] if isinstance(value, list) else []


def words(
    base: str,
    health: Mapping[str, Any],
    state: Mapping[str, Any],
    now: float,
    bot: Mapping[str, Any],
) -> Iterator[str]:
    """Lines for people. ``now`` is UTC epoch seconds; ``bot`` is what the feed knows of the bot
    shown: a relay has the age of its account nowhere else."""
    account = _dict(state.get("account"))
    checks = {k: _dict(v) for k, v in _dict(health.get("checks")).items()}
    mode = _t(account.get("mode") or _dict(state.get("bot")).get("mode"), 10)
    name = f"{_t(account.get('login'), 16)}@{_t(account.get('server'))}"
    yield f"{_t(health.get('status')).upper()}  {mode}  {name}  feed {base}"
    for check, found in sorted(checks.items(), key=lambda c: -EXIT.get(str(c[1].get("status")), 0)):
        if found.get("status") != "ok":
            yield f"  {_t(found.get('status')).upper():<8} {_t(check, 16)}: {_t(found.get('text'), 200)}"
    when = f.parse_time(state.get("server_time"))
    age = f.known(_dict(checks.get("data")).get("age_s", bot.get("data_age_s")))
    heard = "no account seen yet" if age is None else f"account seen {f.whole_age(age)} ago"
    speed = f.speed(state.get("speed"))
    yield f"Server   {f.stamp(when, '%Y-%m-%d %H:%M:%S')}{f' {speed}' if speed else ''}  {heard}"
    currency = "" if account.get("currency") is None else f" {_t(account['currency'], 6)}"
    yield (
        f"Money    balance {f.money(account.get('balance'))}  equity "
        f"{f.money(account.get('equity'))}{currency}  open {f.money(account.get('profit'), sign=True)}"
        f"  day {f.money(account.get('day_pl'), sign=True)}"
    )
    yield (
        f"Margin   used {f.money(account.get('margin'))}  free "
        f"{f.money(account.get('margin_free'))}  level {f.percent(account.get('margin_level'), 0)}"
        f"  drawdown {f.percent(account.get('drawdown_pct'))}"
    )
    limits = [_limit(k, _dict(v)) for k, v in _dict(account.get("limits")).items()]
    if limits:
        yield "Limits   " + ", ".join(limits)
    yield "Bot      " + _bot(_dict(state.get("bot")), _dict(state.get("scan_summary")), now)
    yield from _open(_rows(state.get("positions")), _rows(state.get("orders")))


def bot_words(bots: Mapping[str, Any], shown: str) -> Iterator[str]:
    """A line for each other bot of the feed."""
    for name, value in bots.items():
        found = _dict(value)
        if name == shown:
            continue
        heard = f.known(found.get("heard_s"))
        ago = "not heard of yet" if heard is None else f"heard {f.whole_age(heard)} ago"
        lost = f", {_t(found['lost'], 80)}" if found.get("lost") else ""
        refused = f"  {found['refused']} events refused" if found.get("refused") else ""
        word = _t(found.get("status")).upper()
        yield f"Also     {_t(name, 32)}  {word}  {_t(found.get('account'))}  {ago}{lost}{refused}"


def _limit(name: str, limit: Mapping[str, Any]) -> str:
    unit = _t(limit.get("unit"), 12)
    decimals = 1 if unit == "%" else 0 if unit in ("trades", "positions") else 2
    value, most = (f.number(limit.get(k), decimals) for k in ("value", "limit"))
    return f"{_t(name, 24).replace('_', ' ')} {value} of {most}{'%' if unit == '%' else ''}"


def _bot(bot: Mapping[str, Any], scan: Mapping[str, Any], now: float) -> str:
    parts = [_t(bot.get("state"), 16) if bot else "none has spoken on this feed"]
    reason = _dict(bot.get("reason"))
    if reason:
        parts.append(_t(reason.get("text") or reason.get("code"), 120))
    scanned, due = f.parse_time(scan.get("timestamp")), f.parse_time(bot.get("next_scan_at"))
    if scanned is not None:
        found, count = f.number(scan.get("candidates")), f.number(scan.get("count"))
        parts.append(f"scan {f.whole_age(now - scanned)} ago: {found} of {count} a candidate")
    if due is not None:
        parts.append(f"next {f.countdown(due - now)}")
    return ", ".join(parts)


def _open(rows: list[dict[str, Any]], orders: list[dict[str, Any]]) -> Iterator[str]:
    positions = read_list(rows, Position)

    def total(values: Iterable[float | None]) -> float | None:
        known = list(values)
        return None if None in known else sum(value for value in known if value is not None)

    bare = sum(1 for p in positions if not p.sl_price)
    risk = total(p.risk for p in positions)
    to_stops = "" if bare or not positions else f", to their stops {f.money(risk, sign=True)}"
    unprotected = f", {bare} WITHOUT STOP" if bare else ""
    lots, profit = total(p.volume for p in positions), total(p.profit for p in positions)
    yield (
        f"Open     {len(positions)} positions, {f.lots(lots)} lots, "
        f"{f.money(profit, sign=True)}{to_stops}{unprotected}; {len(orders)} pending orders"
    )
    for p in positions[:POSITIONS_SHOWN]:
        yield (
            f"  #{_t(p.ticket, 20):<11} {f.side(p.direction, p.type):<5} "
            f"{f.lots(p.volume):>6} {_t(p.symbol, 16):<10} "
            f"{f.price(p.entry_price, p.digits):>10} -> "
            f"{f.price(p.price_current, p.digits):<10} "
            f"{f.money(p.profit, sign=True):>11}  SL {f.price(p.sl_price, p.digits)}"
        )
    if len(positions) > POSITIONS_SHOWN:
        yield f"  and {len(positions) - POSITIONS_SHOWN} more: --json has them all"
