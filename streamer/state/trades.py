"""The trades ledger: every position from its opening to its close, from the events alone.

It answers the journal routes without touching a database, and is rebuilt from the journal
when the program starts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

MAX_TRADES = 20_000


@dataclass(slots=True)
class Trade:
    """One position. Money in account currency, volume in lots; ``None`` where not known.

    ``volume`` is all that was entered; ``profit`` what it brought in all, partial closes, swap
    and commission included, once closed; ``costs`` the swap and commission in it. ``mae`` and
    ``mfe`` are the lowest and highest profit seen while it was open. ``entries`` and ``exits``
    are what it was enlarged and reduced by, each (time, lots, money realised or ``None``).
    """

    ticket: int
    symbol: str | None = None
    direction: str | None = None
    volume: float | None = None
    entry_price: float | None = None
    exit_price: float | None = None
    sl_price: float | None = None
    """The stop it was opened with."""
    tp_price: float | None = None
    opened_at: str | None = None
    closed_at: str | None = None
    profit: float | None = None
    costs: float | None = None
    r_multiple: float | None = None
    initial_risk: float | None = None
    mae: float | None = None
    mfe: float | None = None
    score: float | None = None
    components: dict[str, float] = field(default_factory=dict)
    entries: list[tuple[str | None, float, None]] = field(default_factory=list)
    exits: list[tuple[str | None, float, float | None]] = field(default_factory=list)
    owner: str | None = None
    close_reason: str | None = None
    closed: bool = False
    told_at: str | None = None
    """UTC time of the event that closed it (``closed_at`` is the market's clock)."""

    @property
    def outcome(self) -> str:
        """OPEN, WIN, LOSS; a closed trade that brought nothing is a LOSS, as it cost time."""
        if not self.closed:
            return "OPEN"
        return "WIN" if (self.profit or 0.0) > 0 else "LOSS"

    def row(self) -> dict[str, Any]:
        """The trade as ``/api/journal/trades`` gives it."""
        return {
            "ticket": self.ticket,
            "symbol": self.symbol,
            "direction": self.direction,
            "lot_size": self.volume,
            "entry_price": self.entry_price,
            "exit_price": self.exit_price,
            "profit": self.profit,
            "outcome": self.outcome,
            "entry_time": self.opened_at,
            "exit_time": self.closed_at,
            "r_multiple": self.r_multiple,
            "score": self.score,
            "owner": self.owner,
            "close_reason": self.close_reason,
            "sl_price": self.sl_price,
            "tp_price": self.tp_price,
            "initial_risk": self.initial_risk,
            "costs": self.costs,
            "mae": self.mae,
            "mfe": self.mfe,
            "components": self.components,
            "entries": [{"time": t, "volume": v} for t, v, _ in self.entries],
            "exits": [{"time": t, "volume": v, "profit": p} for t, v, p in self.exits],
        }


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value


class Ledger:
    """Trades by ticket, in the order they were first seen; the oldest go past 20,000.

    Attributes:
        marks: Lowest and highest profit seen of each open position, by ticket.
    """

    def __init__(self) -> None:
        self._trades: dict[int, Trade] = {}
        self.marks: dict[int, tuple[float, float]] = {}

    def __len__(self) -> int:
        return len(self._trades)

    def __iter__(self) -> Iterator[Trade]:
        return iter(self._trades.values())

    def get(self, ticket: int) -> Trade | None:
        """The trade of this ticket."""
        return self._trades.get(ticket)

    def apply(self, event: Mapping[str, Any]) -> None:
        """Take in one event; all but those about positions are ignored."""
        kind = event.get("type")
        if kind == "POSITION_UPDATE":
            self._mark(event.get("positions"))
            return
        if kind not in ("POSITION_OPENED", "POSITION_MODIFIED", "POSITION_CLOSED"):
            return
        ticket = event.get("ticket")
        if type(ticket) is not int:
            return
        trade = self._trades.get(ticket)
        if trade is None:
            trade = self._trades[ticket] = Trade(ticket)
            while len(self._trades) > MAX_TRADES:
                del self._trades[next(iter(self._trades))]
        for name in ("symbol", "direction", "owner"):
            if isinstance(event.get(name), str):
                setattr(trade, name, event[name])
        entry = _number(event.get("entry_price"))
        trade.entry_price = entry if entry is not None else trade.entry_price
        if kind == "POSITION_OPENED":
            self._open(trade, event)
        elif kind == "POSITION_MODIFIED":
            self._resize(trade, event)
        else:
            self._close(trade, event)
            self.marks.pop(ticket, None)

    def _mark(self, positions: Any) -> None:
        """Note how far each open position went. One that is gone keeps its marks until its
        close was told."""
        if not isinstance(positions, list):
            return
        marks = dict(self.marks)
        for position in positions:
            if not isinstance(position, dict) or type(position.get("ticket")) is not int:
                continue
            profit = _number(position.get("profit"))
            if profit is None:
                continue
            ticket = position["ticket"]
            low, high = marks.get(ticket, (profit, profit))
            marks[ticket] = (min(low, profit), max(high, profit))
            trade = self._trades.get(ticket)
            if trade is not None and not trade.closed:
                trade.mae, trade.mfe = marks[ticket]
        if len(marks) > MAX_TRADES:
            del marks[next(iter(marks))]
        if marks != self.marks:
            self.marks = marks

    def extremes(self, closing: Mapping[str, Any]) -> dict[str, float | None]:
        """What a POSITION_CLOSED lacks of ``mae`` and ``mfe``."""
        ticket = closing.get("ticket")
        low, high = self.marks.get(ticket, (None, None)) if type(ticket) is int else (None, None)
        found = {"mae": low, "mfe": high}
        return {name: value for name, value in found.items() if name not in closing}

    def _open(self, trade: Trade, event: Mapping[str, Any]) -> None:
        trade.volume = _number(event.get("volume"))
        trade.opened_at = event.get("opened_at") or event.get("timestamp")
        trade.score = _number(event.get("score"))
        trade.sl_price = _number(event.get("sl_price"))
        trade.tp_price = _number(event.get("tp_price"))
        trade.initial_risk = _number(event.get("initial_risk"))
        components = event.get("components")
        if isinstance(components, dict):
            trade.components = {k: v for k, v in components.items() if _number(v) is not None}

    def _resize(self, trade: Trade, event: Mapping[str, Any]) -> None:
        volume, old = _number(event.get("volume")), _number(event.get("old_volume"))
        if volume is None or old is None or volume == old:
            return
        moved, at = round(abs(volume - old), 8), event.get("timestamp")
        if volume > old:
            trade.volume = round((trade.volume or 0.0) + moved, 8)
            trade.entries.append((at, moved, None))
        else:
            trade.exits.append((at, moved, _number(event.get("profit"))))

    def _close(self, trade: Trade, event: Mapping[str, Any]) -> None:
        trade.closed = True
        entered = _number(event.get("volume"))
        trade.volume = entered if entered is not None else trade.volume
        trade.exit_price = _number(event.get("exit_price"))
        trade.opened_at = trade.opened_at or event.get("opened_at")
        trade.closed_at = event.get("closed_at") or event.get("timestamp")
        told = event.get("timestamp")
        trade.told_at = told if isinstance(told, str) else None
        trade.r_multiple = _number(event.get("r_multiple"))
        trade.close_reason = event.get("close_reason")
        parts = [_number(event.get(name)) for name in ("profit", "swap", "commission")]
        if parts[0] is not None:
            trade.profit = round(sum(part for part in parts if part is not None), 8)
        if any(part is not None for part in parts[1:]):
            trade.costs = round(sum(part for part in parts[1:] if part is not None), 8)
        for name in ("mae", "mfe"):
            seen = _number(event.get(name))
            if seen is not None:
                setattr(trade, name, seen)

    def newest(self, limit: int) -> list[dict[str, Any]]:
        """Rows of the newest trades, newest first."""
        trades = list(self._trades.values())[-limit:] if limit > 0 else []
        return [trade.row() for trade in reversed(trades)]

    def daily(self, day: str) -> dict[str, Any]:
        """The numbers of one day (``YYYY-MM-DD``, as the trades' own times say).

        Trades opened or closed that day count in ``total``; wins, losses, profit and
        averages are over those closed that day. ``win_rate`` is 0 to 100.
        """
        closed = [t for t in self._trades.values() if t.closed and _on(t.closed_at, day)]
        total = sum(
            1 for t in self._trades.values() if _on(t.opened_at, day) or _on(t.closed_at, day)
        )
        wins = sum(1 for t in closed if t.outcome == "WIN")
        ratios = [t.r_multiple for t in closed if t.r_multiple is not None]
        scores = [t.score for t in closed if t.score is not None]
        return {
            "total": total,
            "wins": wins,
            "losses": len(closed) - wins,
            "total_profit": round(sum(t.profit or 0.0 for t in closed), 2),
            "avg_rr": round(sum(ratios) / len(ratios), 4) if ratios else 0.0,
            "avg_confluence": round(sum(scores) / len(scores), 4) if scores else 0.0,
            "win_rate": round(100.0 * wins / len(closed), 2) if closed else 0.0,
        }

    def confluence(self, limit: int) -> dict[str, dict[str, Any]]:
        """How often each component of a score was there and won, over the newest closed
        trades. A component counts when it gave points."""
        closed = [t for t in self._trades.values() if t.closed][-limit:] if limit > 0 else []
        found: dict[str, dict[str, Any]] = {}
        for trade in closed:
            for name, points in trade.components.items():
                if points > 0:
                    entry = found.setdefault(name, {"total": 0, "wins": 0, "win_rate": 0.0})
                    entry["total"] += 1
                    entry["wins"] += trade.outcome == "WIN"
        for entry in found.values():
            entry["win_rate"] = round(100.0 * entry["wins"] / entry["total"], 2)
        return found


def _on(moment: str | None, day: str) -> bool:
    return isinstance(moment, str) and moment.startswith(day)
