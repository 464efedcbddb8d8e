"""Which events become alerts to people who do not look at the screen.

The sentences are those of ``streamer.words``.

Pure: events and states go in, alerts come out; ``delivery`` sends them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ..protocol.sanitise import clean
from ..words import events
from ..words.limits import limit_words
from .settings import AlertSettings

Level = Literal["info", "warning", "critical"]
Kind = Literal["trade", "limit", "stale", "halted", "error", "test", "summary"]

TEXT_MAX = 500
REARM = 0.9
"""A limit is "near" again only after its use has fallen below this share of the threshold."""


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
        kind = event.get("type")
        if kind == "ACCOUNT_UPDATE":
            return self._limits(event)
        if kind == "BOT_STATUS":
            return self._status(event)
        settings = self.settings
        if settings.trades and kind in ("TRADE_EXECUTION", "POSITION_CLOSED"):
            return [self._trade(event, opened=kind == "TRADE_EXECUTION")]
        if not settings.errors:
            return []
        if kind == "RISK_ALERT":
            return self._risk(event)
        if kind == "ORDER_UPDATE" and event.get("status") in ("rejected", "unknown"):
            return [self._order(event)]
        return []

    # -- events ---------------------------------------------------------------------------

    def _trade(self, event: Mapping[str, Any], *, opened: bool) -> Alert:
        ticket = event.get("deal") or event.get("ticket")
        return Alert("trade", "info", f"trade:{opened}:{ticket}", self._text(event), event)

    def _status(self, event: Mapping[str, Any]) -> list[Alert]:
        state = str(event.get("state"))
        if state == self._bot or state in ("starting", "stopped"):
            return []
        before, self._bot = self._bot, state
        if state == "halted" and self.settings.halted:
            return [Alert("halted", "critical", "bot:halted", self._text(event), event)]
        if state == "error" and self.settings.errors:
            return [Alert("error", "critical", "bot:error", self._text(event), event)]
        if before == "halted" and self.settings.halted:
            return [Alert("halted", "warning", "bot:on", f"no longer halted: {state}", event)]
        return []

    def _risk(self, event: Mapping[str, Any]) -> list[Alert]:
        level, code = event.get("level"), str(event.get("code"))
        if level not in ("warning", "critical") or code.startswith("ALERT_"):
            return []
        grade: Level = "critical" if level == "critical" else "warning"
        return [Alert("error", grade, code, self._text(event), event)]

    def _order(self, event: Mapping[str, Any]) -> Alert:
        status = str(event.get("status"))
        key = f"order:{status}:{event.get('symbol')}:{event.get('reason')}"
        grade: Level = "critical" if status == "unknown" else "warning"
        return Alert("error", grade, key, self._text(event), event)

    def _limits(self, event: Mapping[str, Any]) -> list[Alert]:
        near = self.settings.limit_near_pct
        account = event.get("account")
        limits = account.get("limits") if isinstance(account, Mapping) else None
        if near is None or not isinstance(limits, Mapping):
            return []
        found = []
        for name, limit in limits.items():
            if not isinstance(limit, Mapping) or limit.get("unit") == "positions":
                continue  # as many positions as allowed is nothing to wake up for
            value, bound = _number(limit.get("value")), _number(limit.get("limit"))
            if value is None or bound is None or bound <= 0:
                continue
            share = 100 * value / bound
            if share >= near and name not in self._near:
                self._near.add(name)
                unit = _word(limit.get("unit"))
                text = f"{_word(limit_words(str(name)).name)}: {share:.0f}% of the limit is used up"
                if not self.settings.hide_money or unit == "%":
                    text += f" ({value:g} of {bound:g} {unit})"
                found.append(Alert("limit", "warning", f"limit:{name}", text, event))
            elif share < near * REARM:
                self._near.discard(name)
        return found

    # -- what lasts -----------------------------------------------------------------------

    def on_check(
        self, *, terminal: Mapping[str, Any] | None, away_s: float, data_s: float | None,
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
                missing = f"the terminal is {_word(terminal.get('state'))}"
                error = terminal.get("last_error")
                if isinstance(error, Mapping):
                    missing += f": {_word(error.get('text'))}"
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


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def _word(value: Any) -> str:
    return "?" if value is None else clean(str(value), TEXT_MAX)
