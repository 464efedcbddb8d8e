"""The ``Backend`` interface, and the backend in this process.

A backend carries one call at a time and reports what happened to it; deadlines, back-off and
health belong to :class:`execution.transport.client.TerminalClient`.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any, NamedTuple, Protocol

from .. import agent
from ..api import constants as c
from ..api.terminal import CallRefused, Terminal, TerminalError, TerminalTimeout
from .traits import IN_MEMORY, Traits

log = logging.getLogger(__name__)

Call = tuple[str, Sequence[Any], dict[str, Any]]
"""A function's name, its positional and its keyword arguments."""


class Reply(NamedTuple):
    """A call's value and ``last_error()`` right after it. ``failed`` by the module's rules."""

    value: Any
    code: int = c.RES_S_OK
    text: str = "Success"
    failed: bool = False


class About(NamedTuple):
    """What a terminal knows of its market beyond the module's functions.

    ``server_now`` is server time in epoch seconds, ``utc_offset`` server time minus UTC in
    seconds. A real terminal gives none of it.
    """

    market: str | None = None
    speed: float = 1.0
    server_now: float | None = None
    utc_offset: float | None = None


class Backend(Protocol):
    """A terminal somewhere. All of it is used on the loop, one call in flight at a time."""

    name: str
    traits: Traits

    async def start(self, deadline: float) -> None:
        """Make the terminal reachable. Raises :class:`TerminalError`. May be called again."""
        ...

    async def call(
        self, function: str, args: Sequence[Any], kwargs: dict[str, Any], deadline: float
    ) -> Reply:
        """One call. Raises :class:`TerminalTimeout` when there is no answer in time,
        :class:`CallRefused` when it was not handed over, :class:`TerminalError` when the way to
        the terminal broke."""
        ...

    async def batch(self, calls: Sequence[Call], deadline: float) -> list[Reply]:
        """Several reads in one round trip, in order, nothing between them."""
        ...

    async def about(self, deadline: float) -> About: ...

    async def stop(self) -> None:
        """End in order; the caller bounds the wait and kills after it."""
        ...

    def kill(self) -> None:
        """Drop what hangs, at once. ``start()`` makes a new one."""
        ...


Work = tuple[Callable[[Any], Any], asyncio.AbstractEventLoop, "asyncio.Future[Any]"]


class Threaded:
    """A resource that blocks, made and used in one daemon thread, called from the loop.

    A thread cannot be killed: after a deadline it is left to finish, calls are refused
    meanwhile, and ``start()`` waits for it.
    """

    def __init__(self, factory: Callable[[], Any], name: str) -> None:
        self.name = name
        self._factory = factory
        self._queue: SimpleQueue[Work | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._busy: asyncio.Future[Any] | None = None
        self._ready = False

    async def start(self, deadline: float) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._ready = False
            self._queue = SimpleQueue()
            self._thread = threading.Thread(
                target=self._run, args=(self._queue,), name=f"terminal-{self.name}", daemon=True
            )
            self._thread.start()
        if self._busy is not None and not self._busy.done():
            await asyncio.wait({self._busy}, timeout=deadline)
            if not self._busy.done():
                raise TerminalTimeout("start", deadline)
        if not self._ready:
            await self._do("start", lambda resource: None, deadline)
            self._ready = True

    async def stop(self) -> None:
        self._queue.put(None)
        thread = self._thread
        while thread is not None and thread.is_alive():
            await asyncio.sleep(0.01)

    def kill(self) -> None:
        """Nothing to kill: the thread is waited for by the next ``start()``."""

    def abandon(self) -> None:
        """Abandon the thread; the next ``start()`` makes another."""
        self._queue.put(None)
        self._thread = None
        self._busy = None

    async def _do(self, function: str, work: Callable[[Any], Any], deadline: float) -> Any:
        if self._thread is None:
            raise CallRefused(
                c.RES_E_INTERNAL_FAIL_CONNECT, "the terminal is not started", function
            )
        if self._busy is not None and not self._busy.done():
            raise CallRefused(
                c.RES_E_INTERNAL_FAIL_TIMEOUT, "still busy with an earlier call", function
            )
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        self._busy = answer
        self._queue.put((work, loop, answer))
        # asyncio.wait neither cancels the future nor raises: a late answer still ends "busy".
        await asyncio.wait({answer}, timeout=deadline)
        if not answer.done():
            raise TerminalTimeout(function, deadline)
        return answer.result()

    def _run(self, queue: SimpleQueue[Work | None]) -> None:
        resource: Any = None
        while (work := queue.get()) is not None:
            do, loop, answer = work
            try:
                if resource is None:
                    resource = self._factory()
                result: Any = do(resource)
                failure: BaseException | None = None
            except TerminalError as error:
                result, failure = None, error
            except Exception as error:
                # The supervision boundary of the thread: every call gets an answer.
                log.warning("terminal thread: %s", error, exc_info=not isinstance(error, OSError))
                result = None
                failure = TerminalError(
                    c.RES_E_INTERNAL_FAIL, f"{type(error).__name__}: {error}", "terminal"
                )
            try:
                loop.call_soon_threadsafe(_settle, answer, result, failure)
            except RuntimeError:
                return  # the loop is closed: there is no caller any more


class InProcess(Threaded):
    """A terminal in a thread of this process: for paper, and for tests. (The real module holds
    the GIL and therefore never runs here.)"""

    def __init__(
        self,
        factory: Callable[[], Terminal],
        name: str = "paper",
        traits: Traits = IN_MEMORY,
    ) -> None:
        super().__init__(factory, name)
        self.traits = traits

    async def call(
        self, function: str, args: Sequence[Any], kwargs: dict[str, Any], deadline: float
    ) -> Reply:
        return (await self.batch([(function, args, kwargs)], deadline))[0]

    async def batch(self, calls: Sequence[Call], deadline: float) -> list[Reply]:
        def work(terminal: Terminal) -> list[Reply]:
            return [Reply(*agent.perform(terminal, call)) for call in calls]

        replies: list[Reply] = await self._do(calls[0][0] if calls else "batch", work, deadline)
        return replies

    async def about(self, deadline: float) -> About:
        return About(**await self._do("about", agent.about, deadline))


def _settle(answer: asyncio.Future[Any], result: Any, failure: BaseException | None) -> None:
    if answer.done():
        return
    if failure is not None:
        answer.set_exception(failure)
        answer.exception()  # counts as seen, also when the caller gave up at its deadline
    else:
        answer.set_result(result)
