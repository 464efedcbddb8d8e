"""``Connection``: one terminal kept reachable, one call in flight at a time.

Orders go before reads, reads before history. Each class of call has a deadline. What hangs
is killed and restarted by the backend, what is lost is reconnected with back-off, and every
change of state is told once.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from streamer.backoff import Backoff
from streamer.protocol.messages import TerminalStatus
from streamer.protocol.sanitise import clean

from ..api import constants as c
from ..api.structs import SymbolInfo, TerminalInfo
from ..api.terminal import CallRefused, TerminalError
from ..settings import TerminalSettings
from . import health
from .backend import About, Backend, Reply
from .clock import ServerClock, iso
from .health import HealthVerdict, Status
from .values import cleaned

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
"""Codes after which the terminal must be connected anew."""

PROBE_S = 2.0
OVERDUE_S = 1.2
"""A call without answer for so long makes the terminal stale, before its deadline."""


@dataclass(order=True)
class Job:
    priority: int
    number: int
    name: str = field(compare=False)
    deadline: float = field(compare=False)
    work: Callable[[float], Any] = field(compare=False)
    answer: asyncio.Future[Any] = field(compare=False)
    expires: float = field(compare=False)


class Connection:
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
        self._jobs: asyncio.PriorityQueue[Job] = asyncio.PriorityQueue()
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
            self._tell(health.STARTING, force=True)
            self._task = asyncio.create_task(self._supervise(), name="terminal-client")

    def report_market(self, *, closed: bool) -> None:
        """Take in whether the market is closed, as the reader of the quotes finds it; the state
        of the terminal says so from the next probe on."""
        self._market_closed = closed

    async def wait_connected(self, timeout: float | None = None) -> bool:
        """Wait for the terminal; ``False`` when it did not come within ``timeout`` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._connected.wait()
        return self._connected.is_set()

    async def close(self) -> None:
        """Let an order in flight get its answer (2 s), then let go of the terminal; bounded to
        about 4 s, and far less when no order is on its way."""
        self._closing = True
        self._open = False
        self._refuse_waiting("the program is closing")
        try:
            if self._task is not None:
                wake: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
                wake.cancel()
                self._jobs.put_nowait(Job(ORDER, -1, "close", 0.0, _nothing, wake, 0.0))
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
            Job(
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

    async def _carry(self, job: Job) -> None:
        """Carry out one job. Raises when the terminal must be connected anew."""
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
            # Closing while the call is in flight: what it did is not known.
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
        timer = loop.call_later(overdue, lambda: self._tell(health.waiting(name, overdue)))
        began, self._flying = loop.time(), name
        try:
            result = await work(deadline)
        finally:
            timer.cancel()
            self._flying = ""
        if loop.time() - began >= overdue:
            self._tell(self._verdict)  # it did answer
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
        self._tell(verdict)
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
        """Ask the terminal how it is; its switches may change at any moment."""
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
        self._tell(self._verdict, ping or (self._probed - began) * 1000)

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

    def _tell(
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
