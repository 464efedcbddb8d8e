"""``TerminalClient``: one terminal, async and never blocking, kept reachable.

The functions of the MetaTrader5 module have their own names; a failure is an exception instead of
``None``. One call is in flight at a time: orders go before reads, reads before history. Each class
of call has a deadline. A backend that hangs is killed and started again, a lost connection is made
again with back-off, and every change of state is published once.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from streamer.backoff import Backoff
from streamer.protocol.messages import TerminalStatus
from streamer.protocol.sanitise import clean

from ..api import constants as c
from ..api.coerce import coerce
from ..api.structs import (
    AccountInfo,
    OrderCheckResult,
    OrderSendResult,
    SymbolInfo,
    TerminalInfo,
    Tick,
    TradeDeal,
    TradeOrder,
    TradePosition,
)
from ..api.terminal import Array, CallRefused, OutcomeUnknown, TerminalError, TerminalTimeout, When
from ..settings import TerminalSettings
from . import health
from .backend import About, Backend, Call, InProcess, Reply
from .clock import ServerClock, iso
from .health import HealthVerdict, Status
from .values import cleaned, expect, value

log = logging.getLogger(__name__)

ORDER, READ, HISTORY = 0, 1, 2

PRIORITY = {"order_send": ORDER, "order_check": ORDER} | dict.fromkeys(
    (
        "copy_rates_from",
        "copy_rates_from_pos",
        "copy_rates_range",
        "copy_ticks_from",
        "copy_ticks_range",
        "history_orders_get",
        "history_deals_get",
        "history_orders_total",
        "history_deals_total",
        "symbols_get",
    ),
    HISTORY,
)

LOST = frozenset(
    {
        c.RES_E_INTERNAL_FAIL,
        c.RES_E_INTERNAL_FAIL_SEND,
        c.RES_E_INTERNAL_FAIL_RECEIVE,
        c.RES_E_INTERNAL_FAIL_CONNECT,
        c.RES_E_INTERNAL_FAIL_TIMEOUT,
    }
)
"""Codes after which the terminal must be connected again."""

NEVER_SENT = frozenset(
    {
        c.RES_E_INVALID_PARAMS,
        c.RES_E_INVALID_VERSION,
        c.RES_E_AUTH_FAILED,
        c.RES_E_UNSUPPORTED,
        c.RES_E_AUTO_TRADING_DISABLED,
        c.RES_E_INTERNAL_FAIL_INIT,
        c.RES_E_INTERNAL_FAIL_CONNECT,
    }
)
"""Codes of ``order_send`` that mean the order certainly did not leave; any other failure
leaves its outcome unknown."""

BATCH = 64
"""Reads in one round trip."""

PROBE_S = 2.0
"""Between two questions how the terminal is."""
OVERDUE_S = 1.2
"""A call without an answer for so long makes the terminal stale, before its deadline."""


@dataclass(order=True)
class _Job:
    """A call that waits for its turn: by priority, then in the order of asking."""

    priority: int
    number: int
    name: str = field(compare=False)
    deadline: float = field(compare=False)
    work: Callable[[float], Any] = field(compare=False)
    answer: asyncio.Future[Any] = field(compare=False)
    expires: float = field(compare=False)


class TerminalClient:
    """A terminal over a :class:`Backend`: supervised, with its state in words.

    ``on_status`` gets a ``TERMINAL_STATUS`` event at every change of state or reason, on the
    loop. ``start()`` returns at once; calls are refused until the terminal is connected.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        settings: TerminalSettings,
        on_status: Callable[[TerminalStatus], None],
    ) -> None:
        self.backend = backend
        self.settings = settings
        self.clock = ServerClock(
            None if settings.utc_offset_h is None else settings.utc_offset_h * 3600.0
        )
        self.about = About()
        self.terminal: TerminalInfo | None = None
        self.connections = 0
        """How often the terminal was connected; a reader that sees it rise re-reads all."""
        self._on_status = on_status
        self._jobs: asyncio.PriorityQueue[_Job] = asyncio.PriorityQueue()
        self._numbers = itertools.count()
        self._task: asyncio.Task[None] | None = None
        self._open = False
        self._closing = False
        self._connected = asyncio.Event()
        self._verdict: HealthVerdict = health.STARTING
        self._specs: dict[str, tuple[float, SymbolInfo]] = {}
        self._market_closed = False
        self._probed = 0.0
        self._flying = ""
        """The call in flight."""
        self._status = Status(
            "disconnected", "starting", backend.name, time.time(), health.STARTING.reason
        )

    # -- life -------------------------------------------------------------------------------

    @property
    def status(self) -> Status:
        return self._status

    async def start(self) -> None:
        if self._task is None:
            self._publish(health.STARTING, force=True)
            self._task = asyncio.create_task(self._supervise(), name="terminal-client")

    def report_market(self, *, closed: bool) -> None:
        """Note whether the market is closed, as the reader of the quotes finds it; it is part of
        the terminal's state from the next probe on."""
        self._market_closed = closed

    async def wait_connected(self, timeout: float | None = None) -> bool:
        """Wait for the terminal; ``False`` when it did not come within ``timeout`` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._connected.wait()
        return self._connected.is_set()

    async def close(self) -> None:
        """Wait for the answer of an order in flight (2 s), then release the terminal; bounded to
        about 4 s, and far less when no order is in flight."""
        self._closing = True
        self._open = False
        self._refuse_waiting("the program is closing")
        try:
            if self._task is not None:
                wake: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
                wake.cancel()
                self._jobs.put_nowait(_Job(ORDER, -1, "close", 0.0, _nothing, wake, 0.0))
                grace = 2.0 if self._flying == "order_send" else 0.2
                await asyncio.wait({self._task}, timeout=grace)
                self._task.cancel()
                await asyncio.wait({self._task}, timeout=0.5)
            async with asyncio.timeout(1.0):
                await self.backend.stop()
        except (TimeoutError, TerminalError) as error:
            log.info("terminal: %s", error)
        finally:
            # Also when this is cancelled: nothing of ours outlives the program.
            if self._task is not None:
                self._task.cancel()
            self.backend.kill()

    # -- the functions of the module ------------------------------------------------------------

    async def call(self, function: str, *args: Any, **kwargs: Any) -> Any:
        """Call a function of the module by its name.

        Raises:
            CallRefused: it never reached the terminal.
            TerminalError: the terminal answered with a failure, or the connection broke.
            TerminalTimeout: no answer in time.
            OutcomeUnknown: ``order_send`` only: the order may have been carried out or not.
        """
        reply: Reply = await self._submit(
            function,
            lambda deadline: self.backend.call(function, args, kwargs, deadline),
        )
        return value(function, reply)

    async def batch(self, calls: Sequence[Call]) -> list[Any]:
        """Reads in one round trip for each ``BATCH`` of them; within one nothing happens
        between. An entry that failed is the ``TerminalError``, not raised. Never for orders.
        """
        if any(function == "order_send" for function, _, _ in calls):
            raise ValueError("an order is never sent in a batch")
        out: list[Any] = []
        for start in range(0, len(calls), BATCH):
            out += await self._batch(calls[start : start + BATCH])
        return out

    async def reads(self, calls: Sequence[Call]) -> list[Any]:
        """Like :meth:`batch`, all or nothing: raises the first failure."""
        answers = await self.batch(calls)
        for answer in answers:
            if isinstance(answer, TerminalError):
                raise answer
        return answers

    async def _batch(self, calls: Sequence[Call]) -> list[Any]:
        slow = any(PRIORITY.get(function) == HISTORY for function, _, _ in calls)
        replies: list[Reply] = await self._submit(
            "history_deals_get" if slow else "batch",
            lambda deadline: self.backend.batch(calls, deadline),
            priority=READ,
        )
        out: list[Any] = []
        for (function, _, _), reply in zip(calls, replies, strict=True):
            try:
                out.append(value(function, reply))
            except TerminalError as error:
                out.append(error)
        return out

    async def account_info(self) -> AccountInfo:
        return expect(AccountInfo, await self.call("account_info"))

    async def terminal_info(self) -> TerminalInfo:
        return expect(TerminalInfo, await self.call("terminal_info"))

    async def symbols_get(self, group: str | None = None) -> tuple[SymbolInfo, ...]:
        kwargs = {} if group is None else {"group": group}
        return tuple(await self.call("symbols_get", **kwargs))

    async def symbol_info(self, symbol: str) -> SymbolInfo:
        info = expect(SymbolInfo, await self.call("symbol_info", symbol))
        self._specs[symbol] = (time.monotonic(), info)
        return info

    async def spec(self, symbol: str, max_age: float = 60.0) -> SymbolInfo:
        """``symbol_info`` from a cache: for what seldom changes, never for prices."""
        known = self._specs.get(symbol)
        if known is not None and time.monotonic() - known[0] < max_age:
            return known[1]
        return await self.symbol_info(symbol)

    async def symbol_info_tick(self, symbol: str) -> Tick:
        return expect(Tick, await self.call("symbol_info_tick", symbol))

    async def symbol_select(self, symbol: str, enable: bool = True) -> bool:
        return bool(await self.call("symbol_select", symbol, enable))

    async def copy_rates_from_pos(
        self, symbol: str, timeframe: int, start_pos: int, count: int
    ) -> Array:
        rates: Array = await self.call("copy_rates_from_pos", symbol, timeframe, start_pos, count)
        return rates

    async def positions_get(self, **kwargs: Any) -> tuple[TradePosition, ...]:
        return tuple(await self.call("positions_get", **kwargs))

    async def orders_get(self, **kwargs: Any) -> tuple[TradeOrder, ...]:
        return tuple(await self.call("orders_get", **kwargs))

    async def history_deals_get(self, *dates: When, **kwargs: Any) -> tuple[TradeDeal, ...]:
        return tuple(await self.call("history_deals_get", *dates, **kwargs))

    async def history_orders_get(self, *dates: When, **kwargs: Any) -> tuple[TradeOrder, ...]:
        return tuple(await self.call("history_orders_get", *dates, **kwargs))

    async def order_calc_margin(
        self, action: int, symbol: str, volume: float, price: float
    ) -> float:
        return float(
            await self.call("order_calc_margin", action, symbol, float(volume), float(price))
        )

    async def order_calc_profit(
        self, action: int, symbol: str, volume: float, price_open: float, price_close: float
    ) -> float:
        return float(
            await self.call(
                "order_calc_profit",
                action,
                symbol,
                float(volume),
                float(price_open),
                float(price_close),
            )
        )

    async def order_check(self, request: Mapping[str, Any]) -> OrderCheckResult:
        return expect(OrderCheckResult, await self.call("order_check", coerce(request)))

    async def order_send(self, request: Mapping[str, Any]) -> OrderSendResult:
        """Send an order once.

        Raises:
            TerminalError: it certainly was not sent.
            OutcomeUnknown: it may have been; it must not be sent again.
        """
        exact = coerce(request)
        try:
            return expect(OrderSendResult, await self.call("order_send", exact))
        except CallRefused:
            raise
        except TerminalError as error:
            if error.code in NEVER_SENT:
                raise
            raise OutcomeUnknown(exact, error) from error

    async def server_now(self) -> float | None:
        """Server time in epoch seconds; ``None`` for a real terminal that has not shown a
        fresh tick yet (set ``terminal.utc_offset_h`` to know it always)."""
        if self.about.server_now is not None:
            with suppress(TerminalError):
                await self._learn(await self._submit("about", self.backend.about))
        return self.clock.now(time.monotonic(), time.time())

    # -- one at a time ------------------------------------------------------------------------

    def _deadline(self, function: str) -> float:
        if function == "order_send":
            return self.settings.order_s
        if PRIORITY.get(function) == HISTORY:
            return self.settings.history_s
        return self.settings.read_s

    async def _submit(
        self, function: str, work: Callable[[float], Any], priority: int | None = None
    ) -> Any:
        if not self._open:
            reason = self._verdict.reason
            raise CallRefused(
                c.RES_E_INTERNAL_FAIL_CONNECT,
                f"the terminal is not connected: {reason.text if reason else 'connecting'}",
                function,
            )
        deadline = self._deadline(function)
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        # A scan may queue a hundred reads; an order must not become old while waiting.
        patience = deadline if function == "order_send" else deadline + 30.0
        self._jobs.put_nowait(
            _Job(
                PRIORITY.get(function, READ) if priority is None else priority,
                next(self._numbers),
                function,
                deadline,
                work,
                answer,
                time.monotonic() + patience,
            )
        )
        return await answer

    async def _carry(self, job: _Job) -> None:
        """Carry out one job. Raises when the terminal must be connected again."""
        if job.answer.done():
            return  # the caller gave up while it was waiting
        if time.monotonic() > job.expires:
            job.answer.set_exception(
                CallRefused(c.RES_E_INTERNAL_FAIL_TIMEOUT, "waited too long, not sent", job.name)
            )
            return
        try:
            result = await self._timed(job.name, job.work, job.deadline)
        except TerminalError as error:
            if not job.answer.done():
                job.answer.set_exception(error)
            raise
        except asyncio.CancelledError:
            # Closing while the call is in flight: its effect is unknown.
            if not job.answer.done():
                job.answer.set_exception(
                    TerminalError(c.RES_E_INTERNAL_FAIL_RECEIVE, "closed meanwhile", job.name)
                )
            raise
        if not job.answer.done():
            job.answer.set_result(result)
        for reply in result if isinstance(result, list) else (result,):
            if isinstance(reply, Reply) and reply.failed and reply.code in LOST:
                raise TerminalError(reply.code, clean(reply.text), job.name)

    async def _timed(self, name: str, work: Callable[[float], Any], deadline: float) -> Any:
        """Run a call; past ``OVERDUE_S`` the terminal is stale until it answers."""
        overdue = min(OVERDUE_S, deadline * 0.8)
        loop = asyncio.get_running_loop()
        timer = loop.call_later(overdue, lambda: self._publish(health.waiting(name, overdue)))
        began, self._flying = loop.time(), name
        try:
            result = await work(deadline)
        finally:
            timer.cancel()
            self._flying = ""
        if loop.time() - began >= overdue:
            self._publish(self._verdict)  # it did answer
        return result

    async def _supervise(self) -> None:
        backoff = Backoff(0.1, self.settings.backoff_max_s, jitter=(0.7, 1.0))
        while not self._closing:
            try:
                await self._connect()
                backoff.reset()
                await self._serve()
            except TerminalError as error:
                self._lose(health.failure(error))
            except Exception as error:
                log.exception("terminal client")
                self._lose(
                    health.failure(
                        TerminalError(c.RES_E_INTERNAL_FAIL, f"{type(error).__name__}: {error}")
                    )
                )
            finally:
                self._open = False
                self._connected.clear()
            await asyncio.sleep(backoff.next())

    def _lose(self, verdict: HealthVerdict) -> None:
        self._open = False
        self._verdict = verdict
        self._publish(verdict)
        self._refuse_waiting((verdict.reason and verdict.reason.text) or "connection lost")
        self.backend.kill()

    async def _connect(self) -> None:
        s = self.settings
        await self.backend.start(s.connect_s)
        kwargs: dict[str, Any] = {"timeout": int(max(1.0, s.connect_s - 5) * 1000)}
        if s.login is not None:
            kwargs["login"] = s.login
        if s.password is not None:
            kwargs["password"] = s.password.get_secret_value()
        if s.server is not None:
            kwargs["server"] = s.server
        args = () if s.path is None else (str(s.path),)
        reply = await self.backend.call("initialize", args, kwargs, s.connect_s)
        if reply.failed:
            raise TerminalError(reply.code, clean(reply.text), "initialize")
        await self._learn(await self.backend.about(s.read_s))
        self._specs.clear()
        await self._probe()
        self.connections += 1
        self._open = True
        self._connected.set()

    async def _serve(self) -> None:
        while not self._closing:
            if time.monotonic() - self._probed >= PROBE_S:
                await self._probe()
            try:
                async with asyncio.timeout(PROBE_S / 2):
                    job = await self._jobs.get()
            except TimeoutError:
                continue
            await self._carry(job)

    async def _probe(self) -> None:
        """Read the terminal's state; its switches may change at any moment."""
        began = time.monotonic()
        info, account = await self._timed(
            "terminal_info",
            lambda deadline: self.backend.batch(
                [("terminal_info", (), {}), ("account_info", (), {})], deadline
            ),
            self.settings.read_s,
        )
        self._probed = time.monotonic()
        for name, reply in (("terminal_info", info), ("account_info", account)):
            if reply.failed and reply.code in LOST:
                raise TerminalError(reply.code, clean(reply.text), name)
        self.terminal = None if info.failed else cleaned(info.value)
        verdict = health.verdict(self.terminal, None if account.failed else account.value)
        self._verdict = health.CLOSED if verdict is health.OK and self._market_closed else verdict
        ping = self.terminal.ping_last / 1000 if self.terminal is not None else 0.0
        self._publish(self._verdict, ping or (self._probed - began) * 1000)

    async def _learn(self, about: About) -> None:
        self.about = about
        if about.server_now is not None:
            self.clock.tell(
                about.server_now, time.monotonic(), about.speed, about.utc_offset or 0.0
            )

    def _refuse_waiting(self, why: str) -> None:
        while not self._jobs.empty():
            job = self._jobs.get_nowait()
            if not job.answer.done():
                job.answer.set_exception(CallRefused(c.RES_E_INTERNAL_FAIL_CONNECT, why, job.name))
                job.answer.exception()  # the caller may be gone already

    def _publish(
        self, verdict: HealthVerdict, ping_ms: float | None = None, *, force: bool = False
    ) -> None:
        state, condition, error = verdict.state, verdict.condition, verdict.reason
        old = self._status
        changed = (state, condition) != (old.state, old.condition) or (
            (error and error.text) != (old.error and old.error.text)
        )
        since = old.since if state == old.state else time.time()
        ping = old.ping_ms if ping_ms is None else round(ping_ms, 2)
        market = None if self.about.market is None else clean(self.about.market)
        changed = changed or market != old.market
        self._status = Status(state, condition, self.backend.name, since, error, ping, market)
        if changed or force:
            self._on_status(
                TerminalStatus(
                    state=state,
                    backend=self.backend.name,
                    last_error=error,
                    ping_ms=ping,
                    since=iso(since),
                    market=market,
                )
            )


async def _nothing(deadline: float) -> None:
    """The work of the job that only wakes the queue's reader."""


__all__ = [
    "Backend",
    "CallRefused",
    "InProcess",
    "OutcomeUnknown",
    "Status",
    "TerminalClient",
    "TerminalError",
    "TerminalTimeout",
]
