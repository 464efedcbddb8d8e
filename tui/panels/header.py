"""The first line: mode, freshness of terminal, bot and feed, server time and its speed."""

from __future__ import annotations

from collections.abc import Sequence

from streamer.words.table import TABLE

from ..render import format as f
from ..render.lines import Line, Part, bar
from ..session.freshness import Badge
from ..session.view import View, word
from .base import LineView, Styled

MODE_STYLE = {"paper": "badge-paper", "observe": "badge-observe", "live": "badge-live"}


def mode(view: View) -> str | None:
    """observe, paper or live, as account or bot say; ``None`` when neither does."""
    bot = view.session.state.typed.bot
    return view.session.account.mode or (None if bot is None else bot.mode)


def mode_badge(view: View) -> Line:
    found = mode(view)
    name = TABLE.modes.get(found, word(found, 10).upper()) if found else "MODE ?"
    return [(f" {name} ", MODE_STYLE.get(found or "", "badge-observe"))]


def _badge(badge: Badge, name: str, extra: str = "") -> Line:
    style = badge.grade
    line: Line = [(badge.sign, style), (f" {name} " if name else " ", "dim"), (badge.word, style)]
    if extra:
        line.append((f" {extra}", "text" if badge.grade == "ok" else style))
    return line


def _past(badge: Badge, name: str) -> Part:
    """The state of a source at the moment that a replay shows; not its state now."""
    return Part(([(f"{name} was ", "dim"), (badge.word, "text")],), 1)


def _terminal(badge: Badge) -> Part:
    age = "" if badge.age is None else f.age(badge.age)
    return Part((_badge(badge, "terminal", age), _badge(badge, "term", age)), 0)


def _bot(view: View, badge: Badge) -> Part:
    age, left = badge.age, view.session.next_scan()
    scanned = "" if age is None else f"scan {f.short_age(age)} ago"
    due = "" if left is None else f"next {f.countdown(left):<4}"
    long = "  ".join(t for t in (scanned, due) if t)
    middle = " ".join(t for t in ("" if age is None else f"scan {f.short_age(age)}", due) if t)
    short: Line = [(badge.sign, badge.grade), (f" {middle or badge.word}", "text")]
    forms = [_badge(badge, "bot", long), _badge(badge, "bot", middle)]
    # The state of a bot that is paused or late is shown even where room is short.
    if badge.grade == "ok":
        forms.append(short)
    return Part(tuple(forms), 0)


def _feed(view: View, badge: Badge) -> Part:
    link = view.session.source.link
    address = link.url.removeprefix("ws://").removeprefix("wss://").removesuffix("/ws")
    port = address.rpartition(":")[2]
    local = link.state == "local"
    where = f":{port}" if local else address
    clients = "" if link.clients is None else f"{link.clients} client{'s' * (link.clients != 1)}"
    few = "" if link.clients is None else f"{link.clients}c"
    sign = (badge.sign, badge.grade)
    if badge.grade == "ok" and local:
        long: Line = [sign, (" feed ", "dim"), (where, "text"), (f" {clients}", "dim")]
        short: Line = [sign, (f" :{port}", "text"), (f" {few}" if few else "", "dim")]
        return Part((long, short, [sign, (" feed", "dim")]), 2)
    age = "" if badge.age is None else f.age(badge.age)
    forms = [
        _badge(badge, "feed", f"{age} {where} {clients}".strip()),
        _badge(badge, "feed", f"{age} :{port}".strip()),
        _badge(badge, "feed", age),
    ]
    # The state of a feed that is lost or late is always shown in words.
    return Part((*forms, [sign, (" feed", "dim")]) if badge.grade == "ok" else tuple(forms), 1)


def _server_time(view: View) -> Part:
    when = f.stamp(view.server_now) if view.server_now is not None else f.UNKNOWN
    day = f.stamp(view.server_now, "%Y-%m-%d") if view.server_now is not None else ""
    speed = f.speed(view.session.state.speed)
    tail: Line = [(f" {speed}", "accent")] if speed else []
    if view.server_now is not None and day != f.stamp(view.session.now(), "%Y-%m-%d"):
        # Another day than today (a replay, a market kept over the weekend) is always shown.
        return Part(
            (
                [("server ", "dim"), (f"{day} {when}", "accent"), *tail],
                [(f"{day} {when}", "accent"), *tail],
                [(f"{day} {when[:5]}", "accent"), *tail],
            ),
            0,
        )
    return Part(
        (
            [("server ", "dim"), (f"{day} {when}".strip(), "text"), *tail],
            [("server ", "dim"), (when, "text"), *tail],
            [(when, "text"), *tail],
        ),
        2,
    )


def _account(view: View) -> Part:
    account = view.session.account
    login, server = account.login, account.server
    if login is None and not server:
        return Part(())
    name = f"{word(login, 16)}@{word(server, 32)}" if server else word(login, 16)
    if view.session.bot:
        name = f"{word(view.session.bot, 32)} {name}"
    rest = [word(account.currency, 6)] if account.currency else []
    if account.leverage:
        rest.append(f"1:{account.leverage}")
    if account.margin_mode:
        rest.append(word(account.margin_mode, 10))
    return Part(
        (
            [(name, "text"), (f" {' '.join(rest)}", "dim")],
            [(name, "text")],
            [(word(login, 16), "text")],
        ),
        1,
    )


def _market(view: View) -> Part:
    terminal = view.session.state.typed.terminal
    market = None if terminal is None else terminal.market
    return Part(([("market: ", "dim"), (word(market, 60), "dim")],), 6) if market else Part(())


def header_line(view: View, cells: int, *, frozen: str = "", tabs: Line | None = None) -> Line:
    """The whole line. ``frozen`` is the text shown while the panels are held."""
    terminal, bot, feed = view.session.badges()
    left = [Part((mode_badge(view),), 0)]
    if tabs:
        left.append(Part((tabs,), 0))
    if frozen:
        short = frozen.removesuffix(" events")
        left.append(Part(([(f" {frozen} ", "alert")], [(f" {short} ", "alert")]), 0))
    if view.session.source.link.state == "replay":
        left += [Part(([("REPLAY", "warn")],), 0), _past(terminal, "terminal"), _past(bot, "bot")]
    else:
        left += [_terminal(terminal), _bot(view, bot), _feed(view, feed)]
    right = [_market(view), _account(view), _server_time(view)]
    return bar(left, right, cells)


class HeaderBar(LineView):
    """The widget of the first line."""

    frozen = ""
    tabs: Line | None = None

    def lines(self, view: View, cells: int, rows: int) -> Sequence[Styled]:
        return [(header_line(view, cells, frozen=self.frozen, tabs=self.tabs), "")]
