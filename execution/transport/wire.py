"""The agent's wire, our side: frames over asyncio streams, and its values as our structs.

The other side and the format's description are :mod:`execution.agent`.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..agent import pack
from ..api import constants as c
from ..api import structs
from ..api.terminal import CallRefused, TerminalError, TerminalTimeout
from .backend import About, Call, Reply

MOST = 512 * 1024 * 1024
"""Bytes of an answer: a hundred times the largest sensible one."""

LARGE = 256 * 1024
"""A header of more bytes is decoded off the loop."""

DTYPES = (structs.RATES_DTYPE, structs.TICKS_DTYPE)

STRUCTS: dict[str, type[Any]] = {
    kind.__name__: kind
    for kind in (
        structs.TradePosition,
        structs.TradeOrder,
        structs.TradeDeal,
        structs.TradeRequest,
        structs.SymbolInfo,
        structs.Tick,
        structs.TerminalInfo,
        structs.AccountInfo,
        structs.BookInfo,
        structs.OrderSendResult,
        structs.OrderCheckResult,
    )
}


class WireError(TerminalError):
    """The other side sent what cannot be: another version, or no agent at all."""

    def __init__(self, text: str) -> None:
        super().__init__(c.RES_E_INTERNAL_FAIL_RECEIVE, text)


class Wire:
    """One connection to an agent; one request at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._numbers = itertools.count(1)
        self.broken = False
        """No request may follow: the streams are closed, or an answer is still due."""

    async def read(self) -> bytes:
        """One frame's content. Raises :class:`TerminalError` when there is none."""
        try:
            size = struct.unpack("!I", await self._reader.readexactly(4))[0]
            if not 4 <= size <= MOST:
                raise WireError("no mt5dash agent answers there")
            return await self._reader.readexactly(size)
        except (asyncio.IncompleteReadError, OSError) as error:
            self.broken = True
            raise TerminalError(c.RES_E_INTERNAL_FAIL_RECEIVE, "the agent is gone") from error

    async def write(self, header: dict[str, Any]) -> None:
        content = pack(header, [])
        try:
            self._writer.write(struct.pack("!I", len(content)) + content)
            await self._writer.drain()
        except OSError as error:
            self.broken = True
            raise TerminalError(c.RES_E_INTERNAL_FAIL_SEND, "the agent is gone") from error

    async def ask(self, request: dict[str, Any], what: str, deadline: float) -> bytes:
        """One request and the content of its answer."""
        if self.broken:
            raise CallRefused(c.RES_E_INTERNAL_FAIL_CONNECT, "no connection to the agent", what)
        try:
            async with asyncio.timeout(deadline):
                await self.write({"id": next(self._numbers)} | request)
                return await self.read()
        except TimeoutError:
            self.broken = True
            raise TerminalTimeout(what, deadline) from None
        except asyncio.CancelledError:
            self.broken = True
            raise

    def close(self) -> None:
        self.broken = True
        self._writer.close()


async def unpacked(content: bytes) -> tuple[dict[str, Any], memoryview]:
    """A frame's header and the bytes of its arrays."""
    if len(content) > LARGE:
        size = struct.unpack_from("!I", content)[0]
        if size > LARGE:
            return await asyncio.to_thread(unpack, content)
    return unpack(content)


def unpack(content: bytes) -> tuple[dict[str, Any], memoryview]:
    size = struct.unpack_from("!I", content)[0]
    try:
        header = json.loads(content[4 : 4 + size])
    except ValueError as error:
        raise WireError("no mt5dash agent answers there") from error
    if not isinstance(header, dict):
        raise WireError("no mt5dash agent answers there")
    return header, memoryview(content)[4 + size :]


def request(calls: Sequence[Call]) -> dict[str, Any]:
    """The header that asks for these calls."""
    return {"calls": [[name, [plain(arg) for arg in args], kwargs] for name, args, kwargs in calls]}


def plain(argument: Any) -> Any:
    """An argument as JSON has it; a datetime as epoch seconds (a naive one is local time)."""
    return int(argument.timestamp()) if hasattr(argument, "timestamp") else argument


def replies(header: dict[str, Any], arrays: memoryview, expected: int) -> list[Reply]:
    """The replies of an answer. Raises :class:`WireError` when they are not."""
    try:
        found = header["replies"]
        if len(found) != expected:
            raise WireError(f"the agent gave {len(found)} answers to {expected} questions")
        cut = Cut(arrays)
        return [Reply(cut.value(one["v"]), int(one["e"][0]), str(one["e"][1]), bool(one["f"]))
                for one in found]  # fmt: skip
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise WireError(f"the agent's answer cannot be read: {error!r}") from error


def about_of(header: dict[str, Any]) -> About:
    try:
        return About(**header["about"])
    except (KeyError, TypeError) as error:
        raise WireError(f"the agent's answer cannot be read: {error!r}") from error


class Cut:
    """Decodes values, taking arrays from the bytes in their order."""

    def __init__(self, arrays: memoryview) -> None:
        self._arrays = arrays
        self._at = 0

    def value(self, item: Any) -> Any:
        if not isinstance(item, dict):
            return item
        if "t" in item:
            make = maker(item["t"], item["n"])
            return tuple(make([self.value(part) for part in row]) for row in item["r"])
        if "s" in item:
            return maker(item["s"], item["n"])([self.value(part) for part in item["v"]])
        if "l" in item:
            return tuple(self.value(part) for part in item["l"])
        descr, rows = item["a"]
        return self._array([tuple(field) for field in descr], rows)

    def _array(self, descr: list[tuple[Any, ...]], rows: int) -> Any:
        for dtype in DTYPES:
            if descr == dtype.descr:
                size = rows * dtype.itemsize
                part = self._arrays[self._at : self._at + size]
                self._at += size
                # A copy: the caller may write to it, and the frame can be freed.
                return np.frombuffer(part, dtype=dtype, count=rows).copy()
        raise WireError(f"the agent sent an array of an unknown kind: {descr}")


def maker(name: str, fields: list[str]) -> Any:
    """How to build the struct ``name`` from values in the order ``fields``. A newer package may
    have more fields; one that lacks some of ours cannot be used."""
    kind = STRUCTS[name]
    if fields == list(kind._fields):
        return kind._make
    missing = [field for field in kind._fields if field not in fields]
    if missing:
        raise WireError(
            f"the terminal's package is too old: its {name} has no {', '.join(missing)}; update "
            "it there: python -m pip install -U MetaTrader5"
        )
    places = [fields.index(field) for field in kind._fields]
    return lambda values: kind._make([values[place] for place in places])
