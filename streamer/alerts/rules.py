"""Which events become alerts to people who do not look at the screen.

The sentences are those of ``streamer.words``.

Pure: events and states go in, alerts come out; ``delivery`` sends them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ..protocol.lenient import typed_event
from ..protocol.messages import (
    EVENT_TYPES,
    Account,
    AccountUpdate,
    BotStatus,
    Limit,
    OrderUpdate,
    PositionClosed,
    RiskAlert,
    TerminalStatus,
    TradeExecution,
)
from ..protocol.sanitise import clean
from ..words import events
from ..words.limits import limit_words
from .settings import AlertSettings

Level = Literal["info", "warning", "critical"]
Kind = Literal["trade", "limit", "stale", "halted", "error", "test", "summary"]

TEXT_MAX = 500
REARM = 0.9
"""A limit is "near" again only after its use has fallen below this share of the threshold."""

_ALERTED = (AccountUpdate, BotStatus, TradeExecution, PositionClosed, RiskAlert, OrderUpdate)
"""The events that can become an alert; the others are not looked into."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert. Alerts with the same ``key`` are repeats of each other."""

    kind: Kind
    level: Level
    key: str
    text: str
    event: Mapping[str, Any] | None = None


@dataclass
class AlertRules:
    """Makes alerts of events and lasting conditions; remembers each condition, so that it is
    reported once."""

    settings: AlertSettings
    _near: set[str] = field(default_factory=set)
    _bot: str = ""
    _missing: str = ""
    _journal: str = ""

    def on_event(self, event: Mapping[str, Any]) -> list[Alert]:
        """The alerts of one event; usually none."""
        kind, settings = event.get("type"), self.settings
        if not isinstance(kind, str) or EVENT_TYPES.get(kind) not in _ALERTED:
            return []
        match typed_event(event):
            case AccountUpdate(account=Account(limits=dict() as limits)):
                return self._limits(limits, event)
            case BotStatus() as status:
                return self._status(status, event)
            case TradeExecution() as trade if settings.trades:
                deal = trade.deal or trade.ticket or trade.seq
                return [Alert("trade", "info", f"trade:opened:{deal}", self._text(event), event)]
            case PositionClosed() as closed if settings.trades:
                ticket = closed.ticket or closed.seq
                return [Alert("trade", "info", f"trade:closed:{ticket}", self._text(event), event)]
            case RiskAlert() as alert if settings.errors:
                return self._risk(alert, event)
            case OrderUpdate() as order if settings.errors:
                return self._order(order, event)
        return []

    # -- events ---------------------------------------------------------------------------

    def _status(self, status: BotStatus, event: Mapping[str, Any]) -> list[Alert]:
        state = status.state or "?"
        if state == self._bot or state in ("starting", "stopped"):
            return []
        before, self._bot = self._bot, state
        if state == "halted" and self.settings.halted:
            return [Alert("halted", "critical", "bot:halted", self._text(event), event)]
        if state == "error" and self.settings.errors:
            return [Alert("error", "critical", "bot:error", self._text(event), event)]
        if before == "halted" and self.settings.halted:
            text = f"no longer halted: {_word(state)}"
            return [Alert("halted", "warning", "bot:on", text, event)]
        return []

    def _risk(self, alert: RiskAlert, event: Mapping[str, Any]) -> list[Alert]:
        code = alert.code or "?"
        if alert.level not in ("warning", "critical") or code.startswith("ALERT_"):
            return []
        return [Alert("error", alert.level, code, self._text(event), event)]

    def _order(self, order: OrderUpdate, event: Mapping[str, Any]) -> list[Alert]:
        if order.status not in ("rejected", "unknown"):
            return []
        key = f"order:{order.status}:{order.symbol}:{order.reason}"
        grade: Level = "critical" if order.status == "unknown" else "warning"
        return [Alert("error", grade, key, self._text(event), event)]

    def _limits(self, limits: Mapping[str, Limit], event: Mapping[str, Any]) -> list[Alert]:
        near = self.settings.limit_near_pct
        found = []
        for name, limit in limits.items():
            value, bound = limit.value, limit.limit
            if near is None or value is None or bound is None or bound <= 0:
                continue
            if limit.unit == "positions":
                continue  # as many positions as allowed is nothing to wake up for
            share = 100 * value / bound
            if share >= near and name not in self._near:
                self._near.add(name)
                text = f"{_word(limit_words(name).name)}: {share:.0f}% of the limit is used up"
                if not self.settings.hide_money or limit.unit == "%":
                    text += f" ({value:g} of {bound:g} {_word(limit.unit or None)})"
                found.append(Alert("limit", "warning", f"limit:{name}", text, event))
            elif share < near * REARM:
                self._near.discard(name)
        return found

    # -- what lasts -----------------------------------------------------------------------

    def on_check(
        self, *, terminal: TerminalStatus | None, away_s: float, data_s: float | None,
        journal: str | None,
    ) -> list[Alert]:  # fmt: skip
        """The alerts of conditions that have lasted too long.

        Args:
            terminal: The last TERMINAL_STATUS.
            away_s: Seconds since the terminal was last connected (0 while it is).
            data_s: Age of the account in seconds; ``None`` before the first one.
            journal: Why the journal cannot be written; ``None``: it can.
        """
        found = []
        limit = self.settings.stale_s
        if limit is not None:
            missing = ""
            if terminal is not None and away_s >= limit:
                missing = f"the terminal is {_word(terminal.state)}"
                if terminal.last_error is not None:
                    missing += f": {_word(terminal.last_error.text)}"
            elif data_s is not None and data_s >= limit:
                missing = "nothing new of the account"
            if bool(missing) != bool(self._missing):
                text = missing and f"for {limit:.0f} s {missing}"
                found.append(
                    Alert("stale", "critical", "stale", text)
                    if missing
                    else Alert("stale", "info", "stale:over", f"over: {self._missing}")
                )
                self._missing = missing
        if self.settings.errors and (journal or "") != self._journal:
            if journal and not self._journal:
                found.append(Alert("error", "critical", "journal", f"journal: {_word(journal)}"))
            elif not journal:
                found.append(Alert("error", "info", "journal:over", "the journal is written again"))
            self._journal = journal or ""
        return found

    def _text(self, event: Mapping[str, Any]) -> str:
        """The sentence of the word table about an event."""
        return _word(events.alert(event, mask=self.settings.hide_money))


def _word(value: Any) -> str:
    return "?" if value is None else clean(str(value), TEXT_MAX)
