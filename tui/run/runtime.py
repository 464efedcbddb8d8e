"""Builds the bot and its feed from settings, starts them, and stops them in order.

The runtime is independent of the screen: it is the same with one, without one, and after one is
lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from execution.account.audit import audit
from execution.account.observer import Observer
from execution.api.terminal import TerminalError
from execution.orders.intents import Intents
from execution.orders.orders import Orders
from execution.transport.client import TerminalClient
from strategy.trade.trade_book import OrderReason
from strategy.worker import Worker, build_strategy
from streamer.alerts.service import Alerts
from streamer.backbone.publisher import BackbonePublisher
from streamer.backoff import Backoff
from streamer.feed.health import HealthCheck
from streamer.journal.writer import Journal
from streamer.protocol.messages import RiskAlert, TerminalStatus
from streamer.service import Feed

from ..about import program_version
from ..paths import state_dir
from ..progress import Steps
from ..settings import Settings
from .files import intents_path, journal_path, prune_journals
from .listening import listen
from .restart_state import read_restart_state
from .threads import in_thread

log = logging.getLogger("mt5dash.runtime")

WORKER_STOP_S = 2.0
FEED_STOP_S = 2.0
TERMINAL_STOP_S = 0.5
"""Longest waits while stopping, seconds; together they stay below ``shutdown.STOP_S``."""
AUDIT_FIRST_S, AUDIT_EVERY_S = 90.0, 3600.0
"""Seconds to the first audit of the ledger, and between audits."""
SERVICE_SETTLED_S = 60.0
"""A service that has run for so many seconds begins with the shortest pause when it fails."""


async def supervise(name: str, run: Callable[[], Awaitable[None]], feed: Feed) -> None:
    """Run a service until it returns. One that raises is reported and started again, after a
    growing pause."""
    backoff = Backoff(0.5, 30.0, jitter=None)
    while True:
        started = time.monotonic()
        try:
            await run()
        except asyncio.CancelledError:
            raise
        except Exception as error:
            log.exception("%s failed", name)
            feed.publish(
                RiskAlert(
                    code="SERVICE_FAILED",
                    level="critical",
                    text=f"{name} failed and is started again: {type(error).__name__}: {error}",
                )
            )
        else:
            return
        if time.monotonic() - started > SERVICE_SETTLED_S:
            backoff.reset()
        await asyncio.sleep(backoff.next())


class Runtime:
    """Worker, execution and feed of one bot, on one loop."""

    def __init__(self, settings: Settings, steps: Steps | None = None) -> None:
        """
        Args:
            settings: All settings of the program.
            steps: Gets the progress of the start: the steps ``feed`` and ``terminal``.
        """
        self.settings = settings
        self.steps = steps or Steps()
        self.mode = settings.effective_mode
        self.kind = settings.backend_kind
        self.journal: Journal | None = None
        self.feed: Feed
        self.client: TerminalClient
        self.observer: Observer
        self.orders: Orders
        self.worker: Worker
        self.alerts: Alerts
        self.backbone: BackbonePublisher | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Listen first, then connect to the terminal: the feed works in any state of it.

        Raises:
            streamer.server.ports.PortTaken: The port asked for (or all of 8000-8009) is in use.
            tui.run.listening.CannotListen: The host is not an address of this machine.
            streamer.journal.schema.JournalError: The journal cannot be opened.
            streamer.server.tokens.AccessError: The settings would open the feed to everybody.
            streamer.backbone.model.BackboneError: The backbone's address cannot be used.
            execution.transport.registry.BackendError: There is no such terminal here.
            strategy.registry.StrategyNotFound: There is no such strategy.
        """
        settings, steps = self.settings, self.steps
        prepared: object = None
        if self.kind.preparing:
            steps.begin("feed", self.kind.preparing)
            progress = partial(steps.report, "feed")
            prepared = await in_thread(
                lambda: self.kind.prepare(settings.terminal, settings.paper, progress),
                "market-check",
            )
        steps.begin("feed", "opening the journal")
        path = journal_path(settings)
        if settings.journal.path is None and not settings.backend_traits.outlives_program:
            prune_journals(path.parent, self.kind.name)
        self.journal = Journal(path, settings.journal)
        self.feed = Feed(settings.feed, self.journal, version=program_version())
        await listen(self.feed.start, settings.feed.host)
        steps.begin("feed", f"listening on {self.feed.url}; restoring the state")
        try:
            await self._build(prepared)
        except BaseException:
            await self.feed.close()
            if self.backbone is not None:
                await self.backbone.close()
            raise
        steps.end("feed", f"listening on {self.feed.url}")
        steps.begin("terminal", self._where())
        await self.client.start()
        self._tasks = [
            asyncio.create_task(supervise(name, run, self.feed), name=name)
            for name, run in (
                ("observer", self.observer.run),
                ("orders", self.orders.run),
                ("worker", self.worker.run),
                ("ledger audit", self._audit),
            )
        ]

    async def _build(self, prepared: object) -> None:
        settings, feed = self.settings, self.feed
        assert self.journal is not None
        if settings.backbone.url.get_secret_value():
            self.backbone = BackbonePublisher(feed, settings.backbone)
            await self.backbone.start()
        halted, memory = await read_restart_state(self.journal, settings.feed.bot)
        if not settings.backend_traits.outlives_program:
            memory = None  # the account is a new one, only the journal continues
        terminal = settings.terminal
        self.client = TerminalClient(
            self.kind.open(
                terminal, settings.paper, partial(self.steps.report, "terminal"), prepared
            ),
            settings=terminal,
            on_status=self._on_terminal_status,
        )
        intents = Intents(intents_path(settings))
        self.orders = Orders(self.client, feed.publish, terminal, intents=intents)
        self.observer = Observer(
            self.client,
            feed.publish,
            settings=terminal,
            mode=self.mode,
            symbols=terminal.symbols,
            intents=intents,
            sent=self.orders.sent,
        )
        self.worker = Worker(
            self.client,
            self.observer,
            self.orders,
            feed.publish,
            strategy=build_strategy(settings.strategy),
            settings=settings.strategy,
            risk=settings.risk,
            mode=self.mode,
            journal_ok=lambda: self.journal is not None and self.journal.ok,
            models=state_dir() / "models" / terminal.backend,
            left_open={
                trade.ticket: OrderReason(trade.score, trade.components)
                for trade in feed.ledger
                if trade.owner == "bot" and not trade.closed
            },
            halted=halted,
            memory=memory,
        )
        self.alerts = Alerts(feed, settings.alerts)
        self.alerts.start()
        feed.set_commander(self.worker.command)
        feed.set_bars(self._bars)
        feed.health.register("worker", self._worker_health)

    def _where(self) -> str:
        """The terminal of the settings, in words."""
        return self.kind.where(self.settings.terminal, self.settings.paper)

    def _on_terminal_status(self, status: TerminalStatus) -> None:
        self.feed.publish(status)
        if status.state == "connected":
            self.steps.end("terminal", "connected")
        elif status.last_error is not None and status.last_error.code != "STARTING":
            self.steps.report("terminal", f"{self._where()}: {status.last_error.text}")

    async def _audit(self) -> None:
        """Compare the ledger with the terminal's history and publish each difference once."""
        published: set[str] = set()
        await asyncio.sleep(AUDIT_FIRST_S)
        while True:
            try:
                found = await audit(self.client, self.feed.ledger)
            except TerminalError as error:
                log.info("the ledger cannot be compared with the terminal's history: %s", error)
                found = []
            for text in sorted(set(found) - published):
                published.add(text)
                self.feed.publish(RiskAlert(code="LEDGER_DIFFERS", level="warning", text=text))
            await asyncio.sleep(AUDIT_EVERY_S)

    async def _bars(self, symbol: str, timeframe: str, count: int) -> list[dict[str, Any]] | None:
        """Closed bars that the worker holds, oldest first; ``time`` in server epoch seconds."""
        bars = self.worker.scanner.bar_cache.bars(symbol, timeframe)
        if bars is None:
            return None
        columns = {
            name: getattr(bars, name)[-count:].tolist()
            for name in ("time", "open", "high", "low", "close", "volume", "spread")
        }
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def _worker_health(self) -> HealthCheck:
        """The health of the worker: its last state, and the age of that."""
        state, at = self.feed.own.bot, self.feed.own.updated.get("bot")
        if state is None or at is None:
            return HealthCheck("degraded", "the worker has published no state yet")
        age = time.monotonic() - at
        late = age > 3 * self.settings.strategy.cycle_s + 5
        wrong = state["state"] == "error" or (late and state["state"] in ("scanning", "waiting"))
        return HealthCheck("degraded" if wrong else "ok", state["state"], age)

    async def stop(self) -> None:
        """End worker, terminal and feed in that order, each within its own time."""
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._stop(), name="stop")
        await asyncio.shield(self._stopping)

    async def _stop(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.worker.stop(), WORKER_STOP_S)
        closing = asyncio.create_task(self.alerts.close(), name="alerts close")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.orders.stop(), TERMINAL_STOP_S)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.client.close(), TERMINAL_STOP_S)
        await closing
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.feed.close(), FEED_STOP_S)
        if self.backbone is not None:  # last: it also stores the last events of the feed
            await self.backbone.close()
