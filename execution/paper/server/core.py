"""The ground of the paper terminal: market, account and clock put together, the connection,
and the symbols. ``terminal.py`` adds quotes of the past and trading.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from math import ceil, inf
from typing import Any, TypeVar, overload

from streamer.errors import Mt5dashError

from ...api import call_forms
from ...api import constants as mt5
from ...api.structs import AccountInfo, BookInfo, SymbolInfo, TerminalInfo, Tick
from ..account.ledger import AccountConfig, Ledger
from ..account.matching import Engine
from ..account.money import Converter
from ..account.rollover import rollover
from ..account.rules import Rules
from ..account.state import Saved, StateFile, give, take
from ..account.trading import Desk
from ..market.clock import Clock
from ..market.model import Market
from ..market.tape import DAY_MS, Shelf, Tape
from .faults import Faults
from .info import account_info, symbol_info, terminal_info
from .masks import group_matches

R = TypeVar("R")

MAX_BARS = 1_000_000
BUILD = 5640
_SUCCESS = (mt5.RES_S_OK, "Success")
_KEEP_S = 2.0


class Failed(Mt5dashError):
    """A call that the terminal does not carry out. The call returns ``value``."""

    def __init__(self, code: int, text: str, value: Any = None) -> None:
        super().__init__(text)
        self.error = (code, text)
        self.value = value


NOT_FOUND = (mt5.RES_E_NOT_FOUND, "Terminal: Not found")
INVALID = (mt5.RES_E_INVALID_PARAMS, "Terminal: Invalid params")
NO_PIPE = (mt5.RES_E_INTERNAL_FAIL_CONNECT, "No IPC connection")
OLD_PACKAGE = (
    mt5.RES_E_INVALID_VERSION,
    "Terminal: Incompatible versions, please install the latest version of Terminal and Python "
    "module",
)

_FALSE = frozenset(
    {"initialize", "login", "symbol_select", "market_book_add", "market_book_release"}
)
"""Functions that fail with ``False``, not ``None``."""

_UNCONNECTED: dict[str, Failed] = {
    "version": Failed(*NO_PIPE, (0, 0, "")),
    # The package compares versions before it looks for the pipe.
    "symbols_total": Failed(*OLD_PACKAGE),
    "symbols_get": Failed(*OLD_PACKAGE),
    "market_book_add": Failed(*_SUCCESS, False),
    "market_book_release": Failed(*_SUCCESS, False),
}
"""What calls answer without a connection, where it is not the usual failure."""


@overload
def api(method: Callable[..., bool]) -> Callable[..., bool]: ...
@overload
def api(method: Callable[..., R]) -> Callable[..., R | None]: ...
def api(method: Callable[..., Any]) -> Callable[..., Any]:
    """A function of the package. Its arguments are read as the package reads them, a failure
    becomes ``last_error()``, and calls of several threads come one after another: the package
    holds the GIL from the start of a call to its end."""
    name = method.__name__

    def call(self: Core, /, *args: Any, **kwargs: Any) -> Any:
        call_forms.check_form(name, args, kwargs)
        with self.lock:
            return self._answer(name, method, args, kwargs)

    call.__name__, call.__doc__ = name, method.__doc__
    return call


class Core:
    """Market, ledger and engine behind one clock, and the calls that need no more."""

    def __init__(
        self,
        market: Market,
        clock: Clock,
        account: AccountConfig | None = None,
        *,
        offset_s: int = 0,
        faults: Faults | None = None,
        state: StateFile | None = None,
        saved: Saved | None = None,
    ) -> None:
        self.market = market
        self.clock = clock
        self.faults = faults or Faults()
        self._offset_s = offset_s
        self.lock = threading.RLock()
        """Held from the start of a call to its end."""
        self.build = BUILD
        self.max_bars = MAX_BARS
        self.left_out: list[str] = []
        """Symbols of a profile that have no row, each with the reason."""
        self._initialized = False
        self._error: tuple[int, str] = (0, "")
        before = market.begin_ms // 1000 + offset_s
        shelf = Shelf()
        self.tapes = {}
        for name, spec in market.specs.items():
            layers = partial(market.history, name) if market.lazy else market.history(name)
            self.tapes[name] = Tape(spec, layers, before, offset_s, market.past(name), shelf)
        config = account or AccountConfig()
        converter = Converter(self.tapes.values(), config.currency)
        self.ledger = Ledger(config, self.tapes, converter)
        self._rules = Rules(self.ledger, self.is_open)
        self._desk = Desk(self.ledger, self._rules, self.faults)
        self.engine = Engine(
            self.ledger,
            market.chunk,
            market.begin_ms + offset_s * 1000,
            offset_s * 1000,
            self.is_open,
        )
        self._state = state
        self._kept = (0, 0, 0)
        self._kept_at = -inf
        if saved is None:
            self.ledger.deposit(config.balance, int((market.start + offset_s) * 1000))
            self._advance()
        else:
            self._go_on(saved, self._advance())

    # Beyond the package

    @property
    def speed(self) -> float:
        """Market seconds a real second; 0.0 on a stepped clock."""
        return self.clock.speed

    @property
    def market_text(self) -> str:
        """The market in words."""
        speed = f" x{self.speed:g}" if self.speed not in (0.0, 1.0) else ""
        return self.market.text + speed

    @property
    def offset_s(self) -> int:
        """Server time minus UTC, seconds."""
        return self._offset_s

    def server_now(self) -> float:
        """Server time, epoch seconds of the server's wall clock."""
        return self.clock.now() + self._offset_s

    def is_open(self, symbol: str, server_ms: int) -> bool:
        """Does the symbol trade at this server time?"""
        tape = self.tapes[symbol]
        return self.market.is_open(tape.spec, server_ms - self._offset_s * 1000, self._quoted(tape))

    def _quoted(self, tape: Tape) -> int:
        return tape.quote_ms - self._offset_s * 1000

    def _advance(self) -> int:
        """Let everything happen up to now; returns now in server milliseconds."""
        now_ms = int(self.server_now() * 1000)
        self.engine.advance(now_ms)
        if self.engine.over and self.market.end_ms is not None:
            self.clock.cap(self.market.end_ms / 1000)
            now_ms = min(now_ms, self.market.end_ms + self._offset_s * 1000)
        return now_ms

    def _go_on(self, saved: Saved, now_ms: int) -> None:
        """Take up a kept account: only the nights in between have happened to it."""
        give(saved, self.ledger)
        for midnight in range((saved.server_ms // DAY_MS + 1) * DAY_MS, now_ms + 1, DAY_MS):
            rollover(self.ledger, midnight)

    def keep(self, *, now: bool = True) -> None:
        """Write the account to its state file, if it has one and anything changed; without
        ``now`` not more often than every two seconds."""
        if self._state is None:
            return
        ledger = self.ledger
        present = (ledger.revision, len(ledger.deals), len(ledger.done))
        if not now and (present == self._kept or time.monotonic() - self._kept_at < _KEEP_S):
            return
        self._kept, self._kept_at = present, time.monotonic()
        self._state.save(take(ledger, self._state.market, ceil(self.server_now() * 1000)))

    def _answer(
        self,
        name: str,
        method: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        self._error = _SUCCESS
        try:
            given = call_forms.read(name, args, kwargs)
        except call_forms.BadArgument as refusal:
            self._error = (mt5.RES_E_INVALID_PARAMS, str(refusal))
            if refusal.raises:
                raise call_forms.exception_of(name) from None
            return refusal.value
        try:
            value = method(self, *given.args, **given.kwargs)
        except Failed as failure:
            self._error = failure.error
            value = False if name in _FALSE else failure.value
        if given.raises:
            raise call_forms.exception_of(name)
        return value

    def _enter(self, function: str) -> int:
        """What comes before any answer: faults, the connection, the market up to now."""
        self.faults.enter(function)
        if self.faults.ipc_lost and self._initialized:
            self._initialized = False
            raise Failed(mt5.RES_E_INTERNAL_FAIL_SEND, "IPC send failed")
        if not self._initialized:
            raise _UNCONNECTED.get(function) or Failed(*NO_PIPE)
        now_ms = self._advance()
        self.keep(now=False)
        return now_ms

    # Connection

    @api
    def initialize(
        self,
        path: str = "",
        login: int = 0,
        password: str = "",
        server: str = "",
        timeout: int = 60_000,
        portable: bool = False,
    ) -> bool:
        """``initialize([path], login=, password=, server=, timeout=, portable=)``. There is one
        account; which terminal is wanted does not matter."""
        self.faults.enter("initialize")
        if self.faults.ipc_lost:
            why = "MetaTrader 5 x64 not found"
            if path:
                why = f"Process create failed '{path}'" if path.isascii() else ""
            raise Failed(mt5.RES_E_INTERNAL_FAIL_INIT, f"IPC initialize failed, {why}")
        if login:
            self._authorize(login, password, server)
        self._initialized = True
        return True

    @api
    def login(
        self, login: int, password: str = "", server: str = "", timeout: int = 60_000
    ) -> bool:
        """Log in to the paper account; there is only one."""
        self._enter("login")
        self._authorize(login, password, server)
        return True

    def _authorize(self, login: int, password: str, server: str) -> None:
        """Refuse what is not the account; an empty password or server means the known one."""
        account = self.ledger.config
        if (
            login != account.login
            or (password and account.password not in (None, password))
            or (server and account.only_server and server != account.server)
        ):
            raise Failed(mt5.RES_E_AUTH_FAILED, "Terminal: Authorization failed")

    @api
    def shutdown(self) -> bool:
        """Disconnect. A kept account is written to its file."""
        self._initialized = False
        self._advance()
        self.keep()
        return True

    def last_error(self, *args: Any, **kwargs: Any) -> tuple[int, str]:
        """Code and text of the last call; (0, "") before the first."""
        call_forms.check_form("last_error", args, kwargs)
        return self._error

    @api
    def version(self) -> tuple[int, int, str]:
        self._enter("version")
        return 500, self.build, "14 Nov 2025"

    @api
    def terminal_info(self) -> TerminalInfo:
        self._enter("terminal_info")
        return terminal_info(self.faults, self.market_text, self.build, self.max_bars)

    @api
    def account_info(self) -> AccountInfo:
        self._enter("account_info")
        return account_info(self.ledger, self.faults)

    # Symbols

    @api
    def symbols_total(self) -> int:
        self._enter("symbols_total")
        return len(self.tapes)

    @api
    def symbols_get(self, group: str | None = None) -> tuple[SymbolInfo, ...]:
        self._enter("symbols_get")
        return tuple(
            symbol_info(self.ledger, tape)
            for name, tape in self.tapes.items()
            if group is None or group_matches(group, name)
        )

    @api
    def symbol_info(self, symbol: str) -> SymbolInfo:
        self._enter("symbol_info")
        return symbol_info(self.ledger, self.tape_of(symbol))

    @api
    def symbol_info_tick(self, symbol: str) -> Tick:
        self._enter("symbol_info_tick")
        tape = self.selected(symbol)
        if self.faults.zero_tick or not tape.quote_ms:
            return Tick(0, 0.0, 0.0, 0.0, 0, 0, 0, 0.0)
        flags = mt5.TICK_FLAG_BID | mt5.TICK_FLAG_ASK
        at = tape.quote_ms
        return Tick(at // 1000, tape.quote_bid, tape.quote_ask, 0.0, 0, at, flags, 0.0)

    @api
    def symbol_select(self, symbol: str, enable: bool) -> bool:
        self._enter("symbol_select")
        tape = self.tape_of(symbol)
        if not enable and symbol in self.ledger.on:
            raise Failed(mt5.RES_E_FAIL, "Terminal: Call failed")
        tape.selected = enable
        if enable:
            for ticks in self.market.quote(symbol):
                self.engine.quote(symbol, ticks)
        return True

    # Depth of market: the paper market has none

    @api
    def market_book_add(self, symbol: str) -> bool:
        self._enter("market_book_add")
        self.selected(symbol)
        return True

    @api
    def market_book_get(self, symbol: str) -> tuple[BookInfo, ...]:
        self._enter("market_book_get")
        self.selected(symbol)
        return ()

    @api
    def market_book_release(self, symbol: str) -> bool:
        self._enter("market_book_release")
        self.selected(symbol)
        return True

    def tape_of(self, symbol: str) -> Tape:
        tape = self.tapes.get(symbol)
        if tape is None:
            raise Failed(*NOT_FOUND)
        return tape

    def selected(self, symbol: str) -> Tape:
        tape = self.tape_of(symbol)
        if not tape.selected:
            raise Failed(*NOT_FOUND)
        return tape
