"""BOT_STATUS of the bot, published when something in it has changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Literal, TypeAlias

from msgspec import UNSET

from execution.transport.health import Status
from streamer.protocol.messages import BotStatus, Event, Reason, RiskMemory

from .scan.gate_context import Block

Mode = Literal["observe", "paper", "live"]
State = Literal["starting", "waiting", "paused", "halted", "error", "stopped"]
Verdict: TypeAlias = tuple[State, Reason | None]

KILL_SWITCH = "KILL_SWITCH"


def starting(halted: str | None) -> Verdict:
    """Before the first scan. The kill switch is named in every status while it is on."""
    return "starting", _reason("STARTING", "waiting for the terminal", halted)


def stopped(halted: str | None) -> Verdict:
    """The last status of a run; it carries the kill switch over to the next."""
    return "stopped", _reason("STOPPED", "the program is stopping", halted)


def _reason(code: str, text: str, halted: str | None) -> Reason:
    return Reason(code=code, text=text) if halted is None else Reason(code=KILL_SWITCH, text=halted)


def halted_before(bot: Mapping[str, Any] | None) -> str | None:
    """Why the kill switch was on when ``bot``, the last BOT_STATUS of an earlier run, was
    published; ``None`` when it was off. Give it to the worker, so that a restart does not release."""
    reason = (bot or {}).get("reason")
    if not isinstance(reason, Mapping) or reason.get("code") != KILL_SWITCH:
        return None
    return str(reason.get("text") or "halted before the restart")


def state_of(
    *,
    enabled: bool,
    mode: Mode,
    paused: bool,
    halted: str | None,
    error: str | None,
    terminal: Status,
    blocks: tuple[Block, ...],
    journal_ok: bool,
) -> Verdict:
    """The bot's state and the one reason that matters most to an operator."""
    if halted is not None:
        return "halted", Reason(code=KILL_SWITCH, text=halted)
    if not enabled:
        return "paused", Reason(code="DISABLED", text="strategy.enabled is off")
    if error is not None:
        return "error", Reason(code="WORKER_ERROR", text=error)
    if paused:
        return "paused", Reason(code="PAUSED", text="paused by the operator")
    if not terminal.connected:
        text = terminal.condition if terminal.error is None else terminal.error.text
        return "waiting", Reason(code="TERMINAL", text=f"terminal {terminal.state}: {text}")
    if blocks:
        return "halted", Reason(code=blocks[0].gate.upper(), text=blocks[0].text)
    if not journal_ok:
        text = "the journal is not being written: nothing is opened"
        return "waiting", Reason(code="JOURNAL", text=text)
    if mode == "observe":
        return "waiting", Reason(code="OBSERVE", text="observing only: no order is sent")
    return "waiting", None


class StatusPublisher:
    """Publishes BOT_STATUS, once for each change."""

    def __init__(
        self, publish: Callable[[Event], None], strategy: str, mode: Mode, cycle_s: float
    ) -> None:
        self._publish = publish
        self._strategy, self._mode, self._cycle_s = strategy, mode, cycle_s
        self._published: tuple[object, ...] | None = None

    def publish(
        self,
        verdict: Verdict,
        funnel: Mapping[str, int],
        upcoming: datetime | None,
        risk: RiskMemory | None = None,
    ) -> None:
        """Publish the state, the funnel of the last scan and when the next one is (UTC).
        ``risk`` goes along for the next run; a change of it alone is not published."""
        state, reason = verdict
        at = None if upcoming is None else upcoming.isoformat(timespec="milliseconds")
        words = None if reason is None else (reason.code, reason.text)
        content = (state, words, tuple(funnel.items()), at)
        if content == self._published:
            return
        self._published = content
        self._publish(
            BotStatus(
                state=state,
                reason=reason,
                strategy=self._strategy,
                mode=self._mode,
                next_scan_at=at,
                gates=dict(funnel),
                cycle_s=self._cycle_s,
                risk=UNSET if risk is None else risk,
            )
        )
