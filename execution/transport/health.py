"""The state of a terminal in words, and what to do about it.

``state`` is published (connected, stale, disconnected); ``condition`` is the finer word:
starting, hung, logged out, no broker connection, trading off, market closed, ok.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from streamer.protocol.messages import Reason

from ..api import constants as c
from ..api.structs import AccountInfo, TerminalInfo
from ..api.terminal import TerminalError

State = Literal["connected", "stale", "disconnected"]


@dataclass(frozen=True, slots=True)
class Status:
    """A terminal's state. ``since`` is UTC epoch seconds of the last change of state,
    ``ping_ms`` the terminal's ping to its broker, or ours to the terminal where it gives none."""

    state: State
    condition: str
    backend: str
    since: float
    error: Reason | None = None
    ping_ms: float | None = None
    market: str | None = None

    @property
    def connected(self) -> bool:
        return self.state == "connected"


@dataclass(frozen=True, slots=True)
class HealthVerdict:
    """A judgement of a terminal: its state, the finer word, and the reason unless all is well."""

    state: State
    condition: str
    reason: Reason | None = None


STARTING = HealthVerdict("disconnected", "starting", Reason(code="STARTING", text="connecting"))
OK = HealthVerdict("connected", "ok")
CLOSED = HealthVerdict(
    "connected",
    "market closed",
    Reason(code="MARKET_CLOSED", text="no symbol has had a tick for five minutes"),
)


def verdict(info: TerminalInfo | None, account: AccountInfo | None) -> HealthVerdict:
    """Judge a terminal that answers."""
    if info is None:
        return _bad(
            "stale", "no answer", "NO_ANSWER", "the terminal gives no information about itself"
        )
    if account is None or account.login == 0:
        return _bad(
            "disconnected",
            "logged out",
            "LOGGED_OUT",
            "no account is logged in: log in in the terminal (File > Login to Trade Account), "
            "or set terminal.login, password and server",
        )
    if not info.connected:
        return _bad(
            "stale",
            "no broker connection",
            "NO_BROKER",
            "the terminal has no connection to the broker, prices are old: look at its bottom "
            "right corner, check the network and the trade server",
        )
    return trading_off(info, account) or OK


def trading_off(info: TerminalInfo, account: AccountInfo) -> HealthVerdict | None:
    """Why no order can be sent, when a switch is off; reads work all the same."""
    if info.tradeapi_disabled:
        text = (
            "the terminal refuses orders from Python: untick Tools > Options > Expert Advisors > "
            "Disable algorithmic trading via external Python API"
        )
    elif not info.trade_allowed:
        text = "AutoTrading is off: press Algo Trading in the terminal's toolbar (Ctrl+E)"
    elif not account.trade_allowed:
        text = (
            "the account may not trade: log in with the trading password (not the investor's), "
            "or ask the broker"
        )
    elif not account.trade_expert:
        text = "the broker does not allow automated trading on this account: ask the broker"
    else:
        return None
    return _bad("connected", "trading off", "TRADING_OFF", text)


def failure(error: TerminalError) -> HealthVerdict:
    """Judge a connection that failed or broke."""
    code, text = error.code, error.text
    if code == c.RES_E_AUTH_FAILED:
        return _bad(
            "disconnected",
            "logged out",
            "AUTH_FAILED",
            f"{text}: check login, password and server (the exact name in the terminal's list)",
        )
    if code == c.RES_E_INTERNAL_FAIL_INIT:
        return _bad(
            "disconnected",
            "not started",
            "NOT_STARTED",
            f"{text}: start the terminal, or set terminal.path to terminal64.exe",
        )
    if code == c.RES_E_INVALID_VERSION:
        return _bad(
            "disconnected",
            "old terminal",
            "OLD_TERMINAL",
            f"{text}: let the terminal update itself (Help > Check Desktop Updates)",
        )
    if code == c.RES_E_INTERNAL_FAIL_TIMEOUT:
        return _bad(
            "disconnected",
            "hung",
            "HUNG",
            f"{error.function or 'the terminal'}: {text}; it is restarted. If it stays: look for "
            "a dialog in the terminal's window",
        )
    return _bad("disconnected", "lost", "LOST", f"{text} ({code}); trying again")


def waiting(function: str, seconds: float) -> HealthVerdict:
    """A call is overdue but its deadline has not passed."""
    return _bad("stale", "hung", "NO_ANSWER", f"no answer to {function} for {seconds:.1f} s")


def _bad(state: State, condition: str, code: str, text: str) -> HealthVerdict:
    return HealthVerdict(state, condition, Reason(code=code, text=text))
