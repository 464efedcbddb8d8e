"""The supervised loops of one bot: scan, gates, trades, position rules, commands.

One loop scans in a cycle of market time, the other manages positions at each observation of the
account. A failure in either is published and tried again; observer and feed depend on neither.
The limits of the account are judged as a step of each observation, before it is published.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from execution.account.observer import Observation, Observer
from execution.api.structs import SymbolInfo
from execution.api.terminal import TerminalError
from execution.orders.orders import Orders
from execution.transport.client import TerminalClient
from streamer.backoff import Backoff
from streamer.protocol.commands import (
    TEXT_MAX,
    Args,
    BadCommand,
    CancelOrder,
    ClosePosition,
    Flatten,
    Halt,
    ModifyPosition,
    NoArgs,
    refusal,
)
from streamer.protocol.messages import (
    Command,
    CommandResult,
    Event,
    RiskAlert,
    RiskMemory,
    ScanStart,
    ScanSummary,
)
from streamer.protocol.sanitise import clean

from .base import Setup, Strategy
from .ml.model_gate import Judge
from .ml.trainer import Trainer
from .operator import OperatorOrders, check
from .registry import load as build_strategy
from .risk import account
from .risk.risk_limits import RiskLimits
from .scan.gate_context import AccountView, Block
from .scan.gates import funnel
from .scan.news import Calendar
from .scan.scanner import Scanner, ScanResult, SymbolResult
from .scan.worker_thread import Compute, Thread
from .settings import RiskSettings, StrategySettings
from .status import Mode, StatusPublisher, starting, state_of, stopped
from .trade.executor import Executor
from .trade.position_manager import PositionManager
from .trade.trade_book import OrderReason, TradeBook

__all__ = ["Worker", "build_strategy"]

log = logging.getLogger(__name__)

MIN_WAIT_S = 1.0
"""Least real seconds between two scans, however fast the market's clock runs."""
LONGEST_PAUSE_S = 60.0
"""Longest pause after scans that failed."""
MOST_TRADES = 2
"""New trades of one scan."""

Level = Literal["info", "warning", "critical"]

ALL_CLEAR_TEXT = {
    "daily_loss": "the loss of the day stops trading no more: the server's next day has begun",
    "drawdown": "the drawdown stops trading no more: it was released and counts from here",
    "consecutive_losses": "the pause after losses in a row is over",
}
"""Published when a risk limit that was hit no longer blocks."""


class Worker:
    """One bot. ``run()`` until cancelled; ``stop()`` ends it in order; ``command()`` is the
    feed's commander.

    Args:
        observer: Its observations are judged from now on, also before ``run()``.
        journal_ok: Whether log events are being written; without that nothing is opened.
        halted: Why the kill switch is on from the start (it survives a restart).
        memory: The risk limits of an earlier run; used for the same account only.
        compute: Where the strategy runs; a thread of its own when not given.
        models: Folder of the learned models. Not given: nothing is learned, as in a backtest,
            where a model of today would know the future.
        left_open: The bot's positions that were open when the run before ended, by ticket.
    """

    def __init__(
        self,
        client: TerminalClient,
        observer: Observer,
        orders: Orders,
        publish: Callable[[Event], None],
        *,
        strategy: Strategy,
        settings: StrategySettings,
        risk: RiskSettings,
        mode: Mode,
        journal_ok: Callable[[], bool],
        halted: str | None = None,
        memory: RiskMemory | None = None,
        compute: Compute | None = None,
        models: Path | None = None,
        left_open: Mapping[int, OrderReason] | None = None,
    ) -> None:
        self.client, self.observer, self.orders = client, observer, orders
        self.settings, self.risk, self.mode = settings, risk, mode
        self.publish, self._journal_ok = publish, journal_ok
        self.magic = client.settings.magic
        self.risk_limits = RiskLimits(risk, halted=halted)
        self.memory = memory
        if memory is not None and memory.peak_equity is not None:
            observer.recall_peak(memory.login, memory.server, memory.peak_equity)
        self.paused = False
        self.stopping = False
        self.setups: dict[str, Setup] = {}
        self.book = TradeBook(self.magic, open_at_last_exit=left_open or {})
        self.calendar = Calendar(settings.news) if settings.news.source else None
        self.scanner = Scanner(client, strategy, settings, compute or Thread(), self.calendar)
        self.trainer = self._trainer(strategy, models)
        self.executor = Executor(client, orders, self.book, settings, risk, self._justify)
        self.operator = OperatorOrders(client, orders, observer, self.magic)
        self._order_lock = asyncio.Lock()
        """Held while an order of the bot is on its way; ``stop()`` waits for it."""
        self.positions = PositionManager(
            client,
            self.book,
            self.executor,
            publish,
            settings=settings,
            applies_rules=mode != "observe",
            must_flatten=self._must_flatten,
            setups=self.setups,
            order_lock=self._order_lock,
        )
        self._error: str | None = None
        self._unjudged = False
        self._sent: list[tuple[float, str]] = []
        """``time.monotonic()`` and symbol of orders that no observation shows yet."""
        self._selected: set[str] = set()
        self._funnel: dict[str, int] = {}
        self._next: datetime | None = None
        self._status = StatusPublisher(publish, strategy.name, mode, settings.cycle_s)
        self._wake = asyncio.Event()
        self._observed = asyncio.Event()
        self._connections = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._unwatch = observer.watch(self._on_observation)

    def _trainer(self, strategy: Strategy, models: Path | None) -> Trainer | None:
        settings = self.settings
        if models is None or not (settings.enabled and settings.trainer.enabled):
            return None
        judge = self.scanner.judge = Judge(settings, strategy.timeframes)
        return Trainer(
            self.client,
            judge,
            self.publish,
            strategy=strategy,
            settings=settings,
            symbols=lambda: tuple(settings.symbols) or tuple(self.observer.symbols),
            folder=models,
        )

    # -- life -------------------------------------------------------------------------------

    async def run(self) -> None:
        """Scan and manage until cancelled or stopped."""
        self._status.publish(starting(self.risk_limits.halted), {}, None, self._remembered())
        self._tasks = [
            asyncio.create_task(self._scans(), name="worker-scan"),
            asyncio.create_task(self._management(), name="worker-manage"),
        ]
        if self.calendar is not None:
            news = self.calendar.run(self._on_calendar)
            self._tasks.append(asyncio.create_task(news, name="worker-news"))
        if self.trainer is not None:
            learning = self.trainer.run()
            self._tasks.append(asyncio.create_task(learning, name="worker-trainer"))
        try:
            await asyncio.gather(*self._tasks)
        except asyncio.CancelledError:
            if not self.stopping:
                raise
        finally:
            self._unwatch()
            for task in self._tasks:
                task.cancel()

    async def stop(self) -> None:
        """Open nothing more, wait for an order in flight, and publish the last status."""
        if self.stopping:
            return
        self.stopping = True
        self.positions.stop()
        self._wake.set()
        async with self._order_lock:
            for task in self._tasks:
                task.cancel()
        self._status.publish(
            stopped(self.risk_limits.halted), self._funnel, None, self._remembered()
        )

    # -- commands ---------------------------------------------------------------------------

    async def command(self, command: Command, actor: str) -> CommandResult:
        """Carry out a command; a refusal is an answer, never an exception."""
        try:
            args = check(command, self.mode)
            result = await self._carry_out(command, args, actor)
        except BadCommand as error:
            return refusal(command.id, error.code, str(error))
        except TerminalError as error:
            return refusal(command.id, "TERMINAL", str(error))
        except Exception as error:
            log.exception("command %s", command.name)
            return refusal(command.id, "FAILED", f"{type(error).__name__}: {error}")
        self.publish_status()
        return CommandResult(id=command.id, ok=True, result=result)

    async def _carry_out(self, command: Command, args: Args, actor: str) -> dict[str, Any]:
        match args:
            case ClosePosition():
                return await self.operator.close(args, command.id)
            case ModifyPosition():
                return await self.operator.modify(args)
            case CancelOrder():
                return await self.operator.cancel(args)
            case Flatten():
                return await self.operator.flatten(args, command.id)
            case Halt():
                return await self._halt(args, command.id, actor)
            case NoArgs() if command.name == "pause":
                self.paused = True
                return {"paused": True}
            case NoArgs() if command.name == "resume":
                self.paused = False
                self.wake()
                return {"paused": False, "halted": self.risk_limits.halted is not None}
            case NoArgs() if command.name == "scan_now":
                self.wake()
                return {"scan": "started"}
            case NoArgs() if command.name == "release":
                return await self._release(actor)
            case _:
                raise BadCommand("UNKNOWN_COMMAND", f"{command.name} is not carried out here")

    async def _halt(self, args: Halt, id: str, actor: str) -> dict[str, Any]:
        """The kill switch is on before anything is closed, and stays on when closing fails."""
        reason = clean(args.reason or "", TEXT_MAX) or "halted by the operator"
        self.risk_limits.halted = reason
        self.alert("KILL_SWITCH", f"kill switch on: {reason} ({actor})")
        self.publish_status()
        result: dict[str, Any] = {"halted": True, "reason": reason}
        if args.flatten:
            try:
                result |= await self.operator.flatten(Flatten(), id)
            except (BadCommand, TerminalError) as error:
                code = error.code if isinstance(error, BadCommand) else "TERMINAL"
                raise BadCommand(code, f"the kill switch is on, but {error}") from None
        return result

    async def _release(self, actor: str) -> dict[str, Any]:
        now = await self.client.server_now()
        self.risk_limits.release(math.inf if now is None else now)
        self.alert("RELEASED", f"kill switch off, limits counted from now on ({actor})")
        self.wake()
        return {"halted": False}

    def wake(self) -> None:
        """Scan now."""
        self._wake.set()

    # -- scanning ---------------------------------------------------------------------------

    async def _scans(self) -> None:
        backoff = Backoff(2.0, LONGEST_PAUSE_S, jitter=None)
        while not self.stopping:
            # a wake-up during the scan counts for the next one
            self._wake.clear()
            wait = max(self.settings.cycle_s / max(self.client.clock.speed, 1e-9), MIN_WAIT_S)
            try:
                if self.settings.enabled:
                    await self.cycle()
                self._error = None
                backoff.reset()
            except TerminalError as error:
                log.info("cycle: %s", error)
                self._error = None
            except Exception as error:
                wait = min(max(wait, backoff.next()), LONGEST_PAUSE_S)
                log.exception("scan")
                self._error = f"{type(error).__name__}: {error}"
                self.alert("WORKER_ERROR", f"the scan failed: {self._error}", "critical")
            self._next = datetime.now(UTC) + timedelta(seconds=wait)
            self.publish_status()
            try:
                async with asyncio.timeout(wait):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def cycle(self) -> ScanResult | None:
        """Scan once and trade the best candidates; ``None`` without symbols."""
        symbols = await self._universe()
        if not symbols:
            return None
        self.publish(ScanStart(count=len(symbols)))
        now = await self._now()
        view = await self._account_view()
        scan = await self.scanner.scan(
            symbols,
            view,
            now=now,
            utc_offset=self.client.clock.utc_offset,
            since_last_trade_s={} if now is None else self.book.since_last_trade_s(now),
        )
        rows = dict(scan.rows)
        for symbol, row in rows.items():
            if row.case.setup is not None:
                self.setups[symbol] = row.case.setup
        candidates = scan.candidates
        if self.mode != "observe":
            sent = 0
            for row in candidates:
                if sent >= MOST_TRADES or self.stopping:
                    break
                async with self._order_lock:
                    block, was_sent = await self._take(row)
                sent += was_sent
                rows[row.case.symbol] = replace(row, block=block)
        self._funnel = funnel(row.block for row in rows.values())
        self.publish(
            ScanSummary(
                symbols={symbol: row.text for symbol, row in rows.items()},
                count=len(rows),
                candidates=sum(row.block is None for row in rows.values()),
                details={symbol: row.detail() for symbol, row in rows.items()},
                duration_ms=scan.duration_ms,
            )
        )
        return replace(scan, rows=rows)

    async def _take(self, row: SymbolResult) -> tuple[Block | None, bool]:
        """Try a candidate. Returns the block that it met, and whether an order was sent."""
        symbol = row.case.symbol
        try:
            taken = await self.executor.take(row, await self._account_view())
        except TerminalError as error:
            return Block("TERMINAL", f"Exec Block: {error}", "terminal"), False
        if taken.outcome is None:
            return taken.block, False
        outcome = taken.outcome
        now = await self._now()
        if now is not None:
            # also after a refusal: the same order is not tried again every scan
            self.book.last[symbol] = now
        if not outcome.ok and outcome.status != "unknown":
            return Block("BLOCKED", f"Exec Block: Order Rejected ({outcome.text})", "order"), True
        self._sent.append((time.monotonic(), symbol))
        if outcome.status == "unknown":
            return Block("BLOCKED", "Exec Block: Order Outcome Unknown", "unknown_order"), True
        await self.observer.refresh()
        return None, True

    async def _universe(self) -> tuple[str, ...]:
        """The symbols to scan: as set, else all that are watched."""
        watched = tuple(self.observer.symbols)
        wanted = tuple(self.settings.symbols) or watched
        for symbol in set(wanted) - set(watched) - self._selected:
            await self.client.symbol_select(symbol)
            self._selected.add(symbol)
        return wanted

    async def _now(self) -> float | None:
        try:
            return await self.client.server_now()
        except TerminalError:
            return None

    async def _account_view(self) -> AccountView:
        """The account-wide side of the gates, from the newest observation."""
        seen, status = self.observer.latest, self.client.status
        text = (status.error and status.error.text) or status.condition
        view = AccountView(
            self.settings,
            self.risk,
            enabled=self.settings.enabled,
            paused=self.paused or self.stopping,
            halted=self.risk_limits.halted,
            mode=self.mode,
            terminal=status.state if seen is not None or not status.connected else "stale",
            terminal_text=text if seen is not None else "the account was not read yet",
            journal_ok=self._journal_ok(),
            unknown=frozenset(intent.symbol for intent in self.orders.unknown.values()),
            blocks=self.risk_limits.blocks,
        )
        if seen is None:
            return view
        self._sent = [(at, symbol) for at, symbol in self._sent if at >= seen.at]
        sent = [symbol for _, symbol in self._sent]
        return account.with_observation(view, seen, self.magic, sent, await self._infos(seen))

    async def _infos(self, seen: Observation) -> dict[str, SymbolInfo]:
        out = {}
        for symbol in {position.symbol for position in seen.positions}:
            try:
                out[symbol] = await self.client.spec(symbol)
            except TerminalError:
                log.info("no specification of %s", symbol)
        return out

    def _justify(self, order: int, setup: Setup, risk: float) -> None:
        self.book.justify(order, setup.score, setup.components)
        self.observer.justify(
            order, score=setup.score, components=dict(setup.components), initial_risk=risk
        )

    # -- observations -----------------------------------------------------------------------

    def _on_observation(self, seen: Observation) -> None:
        """Judge the limits, so that they are published with the account they belong to."""
        try:
            self.judge(seen)
            self._unjudged = False
        except Exception as error:
            log.exception("judging the limits of the account")
            # what cannot be judged lets nothing through
            self.risk_limits.block_unjudged()
            if not self._unjudged:
                text = f"judging the limits failed: {type(error).__name__}: {error}"
                self.alert("WORKER_ERROR", text, "critical")
            self._unjudged = True
        self.observer.limits = dict(self.risk_limits.limits)
        self._observed.set()
        if self._connections != self.client.connections:
            # the first observation after a connection: scan now, not a cycle later
            self._connections = self.client.connections
            self._wake.set()

    def judge(self, seen: Observation) -> None:
        """Judge the limits of the account by an observation; publish what has changed."""
        limits, memory, self.memory = self.risk_limits, self.memory, None
        if memory is not None and (memory.login, memory.server) == (
            seen.account.login,
            seen.account.server,
        ):
            limits.recall(memory)
        before = {block.gate for block in limits.blocks}
        # a block without a value only meant an unknown figure: its end is not published
        hit = {block.gate for block in limits.blocks if block.value is not None}
        now = account.figures(seen, self.magic, self.observer.peak_equity)
        blocks = limits.judge(now, self.book.losses())
        for block in blocks:
            if block.gate not in before and block.value is not None:
                level: Level = "warning" if block.gate == "consecutive_losses" else "critical"
                self.alert(block.gate.upper(), block.text, level, block.value, block.limit)
        after = {block.gate for block in blocks}
        for gate in sorted(hit - after):
            self.alert(gate.upper(), ALL_CLEAR_TEXT[gate], "info")
        if after != before:
            self.publish_status()

    def _must_flatten(self) -> bool:
        return self.risk.flatten_on_limit and any(
            block.gate in ("daily_loss", "drawdown") and block.value is not None
            for block in self.risk_limits.blocks
        )

    async def _management(self) -> None:
        failing = False
        while not self.stopping:
            await self._observed.wait()
            self._observed.clear()
            seen = self.observer.latest
            if seen is None:
                continue
            try:
                await self.manage(seen)
                failing = False
            except TerminalError as error:
                log.info("managing: %s", error)
            except Exception as error:
                log.exception("managing positions")
                if not failing:
                    text = f"managing positions failed: {type(error).__name__}: {error}"
                    self.alert("WORKER_ERROR", text, "critical")
                failing = True
                await asyncio.sleep(1.0)

    async def manage(self, seen: Observation) -> None:
        """Follow the bot's trades and apply the position rules."""
        await self.positions.manage(seen)

    # -- publishing -------------------------------------------------------------------------

    def publish_status(self) -> None:
        """Publish BOT_STATUS if anything in it has changed."""
        if self.stopping:
            return
        verdict = state_of(
            enabled=self.settings.enabled,
            mode=self.mode,
            paused=self.paused,
            halted=self.risk_limits.halted,
            error=self._error,
            terminal=self.client.status,
            blocks=self.risk_limits.blocks,
            journal_ok=self._journal_ok(),
        )
        self._status.publish(verdict, self._funnel, self._next, self._remembered())

    def _remembered(self) -> RiskMemory | None:
        seen = self.observer.latest
        if seen is None or self.memory is not None:
            return self.memory
        account = seen.account
        peak = self.observer.peak_equity
        return self.risk_limits.memory(account.login, account.server, peak, account.equity)

    def alert(
        self,
        code: str,
        text: str,
        level: Level = "warning",
        value: float | None = None,
        limit: float | None = None,
    ) -> None:
        """Publish RISK_ALERT."""
        self.publish(RiskAlert(code=code, level=level, text=text, value=value, limit=limit))

    def _on_calendar(self, trouble: str | None) -> None:
        if trouble is None:
            self.alert("NEWS_CALENDAR", "the news calendar was read", "info")
            return
        stops = self.settings.news.when_unreadable == "stop"
        what = "nothing is opened until it can be" if stops else "trading goes on without it"
        self.alert("NEWS_CALENDAR", f"the news calendar cannot be read: {trouble}; {what}")
