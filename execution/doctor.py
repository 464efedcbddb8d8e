"""Checks a set-up from Python to the broker; each check says what is wrong and what to do.

Each check is one :class:`Check`. Nothing is traded, and nothing is changed except that the symbols
asked for are selected in Market Watch.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import importlib.util
import platform
import statistics
import struct
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from streamer.protocol.messages import Event, RiskAlert

from . import agent
from .account.shapes import MARGIN_MODES
from .account.symbols import Symbols
from .api import constants as c
from .api.oddity import oddity
from .api.structs import Tick
from .api.terminal import TerminalError
from .orders.intents import Intents, IntentsError
from .settings import PaperSettings, TerminalSettings
from .transport import health
from .transport.client import TerminalClient
from .transport.registry import BackendError, backend_kind, open_backend

CONNECT_S = 40.0
FRESH_TICK_S = 6.0
SLOW_MS = 50.0
DAY = 86_400

Result = Literal["ok", "warning", "failed", "skipped"]


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check. ``todo`` is what to do unless all is well."""

    name: str
    result: Result
    text: str
    todo: str = ""


async def examine(
    terminal: TerminalSettings,
    paper: PaperSettings,
    *,
    intents: Path | None = None,
    profile: Path | None = None,
) -> AsyncIterator[Check]:
    """All checks of the execution floor, each as soon as it is known.

    Args:
        terminal: The terminal that is looked at.
        paper: Its market and account when it is the paper one.
        intents: The file of intents; None: the settings'.
        profile: Where the broker's profile is written to, if it is wanted.
    """
    yield python()
    yield package(terminal)
    yield await intents_file(intents or terminal.intents)
    try:
        backend = open_backend(terminal, paper)
    except BackendError as error:
        yield Check("terminal", "failed", f"backend {terminal.backend}", str(error))
        return
    client = TerminalClient(backend, settings=terminal, on_status=lambda event: None)
    await client.start()
    try:
        async for check in connected(client, terminal):
            yield check
        if profile is not None:
            yield await save_profile(client, profile)
    finally:
        await client.close()


def python() -> Check:
    """The interpreter: version and width."""
    bits = struct.calcsize("P") * 8
    text = f"{platform.python_version()} on {platform.system()} {platform.machine()}, {bits} bit"
    if platform.system() == "Windows" and (bits != 64 or platform.machine() != "AMD64"):
        return Check("python", "warning", text, "MetaTrader5 needs 64-bit Python for x86-64")
    return Check("python", "ok", text)


def package(terminal: TerminalSettings) -> Check:
    """The package that the backend needs, without importing it."""
    try:
        kind = backend_kind(terminal.backend)
    except BackendError as error:
        return Check("package", "failed", f"backend {terminal.backend}", str(error))
    needs = kind.package
    if not needs:
        return Check("package", "ok", f"backend {terminal.backend} needs no other package")
    if importlib.util.find_spec(needs) is None:
        return Check("package", "failed", f"{needs} is not installed", kind.install)
    return Check("package", "ok", f"{needs} {importlib.metadata.version(needs)}")


async def intents_file(path: Path | None) -> Check:
    """The file in which orders are written down before they are sent."""
    if path is None:
        return Check("intents", "ok", "kept in memory: a paper account ends with the program")
    intents = Intents(path)
    try:
        await intents.open()
        lost = len(intents.live)
    except IntentsError as error:
        return Check("intents", "failed", str(error), "no order can be sent until it is writable")
    finally:
        await intents.close()
    if lost:
        return Check(
            "intents",
            "warning",
            f"{path}: {lost} orders of an earlier run without a known outcome",
            "start mt5dash: it looks for them at the terminal",
        )
    return Check("intents", "ok", str(path))


async def connected(client: TerminalClient, terminal: TerminalSettings) -> AsyncIterator[Check]:
    """Everything that needs the terminal; one failed check when it is not there."""
    await client.wait_connected(min(terminal.connect_s, CONNECT_S))
    status = client.status
    if client.connections == 0:
        error = status.error
        todo = (error and error.text) or "start the terminal"
        yield Check("terminal", "failed", f"{status.backend}: {status.condition}", todo)
        return
    try:
        yield await responsive(client)
        yield broker(client)
        yield await account(client)
        yield await trading(client)
        async for check in market(client, terminal):
            yield check
        yield await history(client)
    except TerminalError as error:
        yield Check("terminal", "failed", str(error), "the connection broke while looking: again")


async def save_profile(client: TerminalClient, path: Path) -> Check:
    """Write how the broker sets up the account and its symbols, for ``paper.like``."""
    if client.connections == 0:
        return Check("profile", "skipped", "no terminal answers")
    try:
        account, info = await client.account_info(), await client.terminal_info()
        symbols = await client.symbols_get()
        made = agent.profile_of(account, info, symbols)
        await asyncio.to_thread(agent.save_profile, made, str(path))
    except TerminalError as error:
        return Check("profile", "failed", str(error), "the connection broke while reading: again")
    except OSError as error:
        return Check("profile", "failed", f"{path}: {error.strerror}", "choose another file")
    odd = [f"{each.name} ({reason})" for each in symbols if (reason := oddity(each)) is not None]
    text = f"{path}: {len(symbols)} symbols of {account.server}"
    if odd:
        some = ", ".join(odd[:3]) + (" ..." if len(odd) > 3 else "")
        return Check("profile", "ok", f"{text}; left out when it is used: {some}")
    return Check("profile", "ok", text)


async def responsive(client: TerminalClient) -> Check:
    """How long a call takes."""
    took = []
    for _ in range(20):
        began = time.perf_counter()
        await client.account_info()
        took.append((time.perf_counter() - began) * 1000)
    middle, market = statistics.median(took), client.about.market
    text = f"{client.backend.name}, a call takes {middle:.1f} ms" + (
        f", {market}" if market else ""
    )
    if middle > SLOW_MS:
        return Check("terminal", "warning", text, "run mt5dash nearer to the terminal")
    return Check("terminal", "ok", text)


def broker(client: TerminalClient) -> Check:
    """The terminal's connection to its trade server."""
    info = client.terminal
    if info is None or not info.connected:
        return Check(
            "broker",
            "failed",
            "the terminal has no connection to the trade server",
            "look at its bottom right corner: network, trade server, account",
        )
    ping = f", ping {info.ping_last / 1000:.0f} ms" if info.ping_last else ""
    return Check("broker", "ok", f"{info.company or 'connected'}, build {info.build}{ping}")


async def account(client: TerminalClient) -> Check:
    """The account that is logged in."""
    found = await client.account_info()
    kind = {
        c.ACCOUNT_TRADE_MODE_DEMO: "demo",
        c.ACCOUNT_TRADE_MODE_CONTEST: "contest",
        c.ACCOUNT_TRADE_MODE_REAL: "REAL MONEY",
    }.get(found.trade_mode, "unknown kind")
    mode = MARGIN_MODES.get(found.margin_mode, "unknown margin mode")
    text = (
        f"{found.login} at {found.server}, {kind}, {mode}, 1:{found.leverage}, "
        f"{found.balance:,.2f} {found.currency}"
    )
    return Check("account", "ok", text)


async def trading(client: TerminalClient) -> Check:
    """The switches that stop a bot's orders."""
    info = client.terminal
    if info is None:
        return Check("trading", "skipped", "the terminal gives no information")
    off = health.trading_off(info, await client.account_info())
    if off is None or off.reason is None:
        return Check("trading", "ok", "orders of a bot are allowed")
    return Check(
        "trading", "warning", "no order can be sent; watching works", off.reason.text or ""
    )


async def market(client: TerminalClient, terminal: TerminalSettings) -> AsyncIterator[Check]:
    """Symbols, their quotes, the server's clock, and bars."""
    alerts: list[Event] = []
    table = Symbols(client, terminal.symbols, alerts.append)
    await table.find()
    for alert in alerts:
        if isinstance(alert, RiskAlert):
            yield Check("symbols", "failed", alert.text or "", "correct terminal.symbols")
    if not table.names:
        yield Check(
            "symbols", "failed", "nothing to watch", "set terminal.symbols or fill Market Watch"
        )
        return
    before = await ticks(client, table.names)
    silent = [name for name in table.names if before.get(name) is None]
    text = f"{len(table.names)} watched: {', '.join(table.names[:6])}" + (
        " ..." if len(table.names) > 6 else ""
    )
    if silent:
        todo = "the market may be closed, or the broker does not quote them now"
        yield Check("symbols", "warning", f"{text}; no quote of {', '.join(silent[:6])}", todo)
    else:
        yield Check("symbols", "ok", text)
    yield await clock(client, terminal, table.names, before)
    rates = await client.copy_rates_from_pos(table.names[0], c.TIMEFRAME_H1, 0, 100)
    if len(rates) < 100:
        todo = "open its chart once, so that the terminal loads history; raise Max bars in chart"
        yield Check("bars", "warning", f"{len(rates)} of 100 H1 bars of {table.names[0]}", todo)
    else:
        yield Check("bars", "ok", f"100 H1 bars of {table.names[0]}")


async def clock(
    client: TerminalClient,
    terminal: TerminalSettings,
    names: list[str],
    before: dict[str, Tick | None],
) -> Check:
    """Server time minus UTC: given by the terminal, or estimated from a new tick."""
    if client.about.server_now is not None:
        return Check("clock", "ok", "the terminal gives its own time")
    given = client.clock.utc_offset
    guess = type(client.clock)()
    until = time.monotonic() + FRESH_TICK_S
    while guess.utc_offset is None and time.monotonic() < until:
        await asyncio.sleep(0.25)
        for name, tick in (await ticks(client, names)).items():
            old = before.get(name)
            if tick is not None and old is not None and tick.time_msc > old.time_msc:
                guess.observe(tick.time_msc / 1000, time.time())
    if guess.utc_offset is None:
        if given is not None:
            return Check("clock", "ok", f"server time is UTC{given / 3600:+g} h, as set")
        return Check(
            "clock",
            "warning",
            "no tick came: the server's time is unknown",
            "set terminal.utc_offset_h, or look again when the market is open",
        )
    hours = guess.utc_offset / 3600
    if given is not None and given != guess.utc_offset:
        return Check(
            "clock",
            "warning",
            f"ticks say UTC{hours:+g} h, terminal.utc_offset_h says {terminal.utc_offset_h:+g}",
            "remove terminal.utc_offset_h, or correct it (summer time?)",
        )
    return Check("clock", "ok", f"server time is UTC{hours:+g} h")


async def history(client: TerminalClient) -> Check:
    """The account's deals, the source of profit and lifecycle events."""
    now = time.time()
    with suppress(TerminalError):
        deals = await client.history_deals_get(int(now) - 30 * DAY, int(now) + 2 * DAY)
        return Check("history", "ok", f"{len(deals)} deals in 30 days")
    return Check(
        "history",
        "failed",
        "the account's history cannot be read",
        "open the terminal's History tab once and choose All History",
    )


async def ticks(client: TerminalClient, names: list[str]) -> dict[str, Tick | None]:
    """The last tick of each symbol; ``None`` where there is none."""
    answers = await client.batch([("symbol_info_tick", (name,), {}) for name in names])
    return {
        name: tick if isinstance(tick, Tick) and tick.time else None
        for name, tick in zip(names, answers, strict=True)
    }
