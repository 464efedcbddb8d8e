"""What the bot says of itself: BOT_STATUS, told when something in it has changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Literal, TypeAlias

from execution.health import Status
from strategy.case import Stop
from streamer.protocol import BotStatus, Event, Reason

Mode = Literal["observe", "paper", "live"]
State = Literal["starting", "waiting", "paused", "halted", "error", "stopped"]
Verdict: TypeAlias = tuple[State, Reason | None]

STARTING: Verdict = ("starting", Reason(code="STARTING", text="waiting for the terminal"))
STOPPED: Verdict = ("stopped", Reason(code="STOPPED", text="the program is stopping"))


def state_of(
    *,
    enabled: bool,
    mode: Mode,
    paused: bool,
    halted: str | None,
    error: str | None,
    terminal: Status,
    stops: tuple[Stop, ...],
    journal_ok: bool,
) -> Verdict:
    """The bot's state and the one reason that matters most to an operator."""
    if not enabled:
        return "paused", Reason(code="DISABLED", text="strategy.enabled is off")
    if halted is not None:
        return "halted", Reason(code="KILL_SWITCH", text=halted)
    if error is not None:
        return "error", Reason(code="WORKER_ERROR", text=error)
    if paused:
        return "paused", Reason(code="PAUSED", text="paused by the operator")
    if not terminal.connected:
        text = terminal.condition if terminal.error is None else terminal.error.text
        return "waiting", Reason(code="TERMINAL", text=f"terminal {terminal.state}: {text}")
    if stops:
        return "halted", Reason(code=stops[0].gate.upper(), text=stops[0].text)
    if not journal_ok:
        text = "the journal is not being written: nothing is opened"
        return "waiting", Reason(code="JOURNAL", text=text)
    if mode == "observe":
        return "waiting", Reason(code="OBSERVE", text="observing only: no order is sent")
    return "waiting", None


class Teller:
    """Publishes BOT_STATUS, once for each change."""

    def __init__(
        self, publish: Callable[[Event], None], strategy: str, mode: Mode, cycle_s: float
    ) -> None:
        self._publish = publish
        self._strategy, self._mode, self._cycle_s = strategy, mode, cycle_s
        self._told: tuple[object, ...] | None = None

    def tell(self, verdict: Verdict, funnel: Mapping[str, int], upcoming: datetime | None) -> None:
        """Publish the state, the funnel of the last scan and when the next one is (UTC)."""
        state, reason = verdict
        at = None if upcoming is None else upcoming.isoformat(timespec="milliseconds")
        words = None if reason is None else (reason.code, reason.text)
        told = (state, words, tuple(funnel.items()), at)
        if told == self._told:
            return
        self._told = told
        self._publish(
            BotStatus(
                state=state,
                reason=reason,
                strategy=self._strategy,
                mode=self._mode,
                next_scan_at=at,
                gates=dict(funnel),
                cycle_s=self._cycle_s,
            )
        )
