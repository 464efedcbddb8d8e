"""The trades ledger: every position from its opening to its close, from the events alone.

It answers the journal routes without touching a database, and is rebuilt from the journal
when the program starts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..protocol.lenient import typed_event, wire_key
from ..protocol.messages import Event, Position, PositionClosed, PositionModified, PositionOpened

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
    reported_at: str | None = None
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


_TICKET = wire_key(Position, lambda p: p.ticket)
_PROFIT = wire_key(Position, lambda p: p.profit)
_CLOSED = wire_key(PositionClosed, lambda p: p.ticket)
_MAE = wire_key(PositionClosed, lambda p: p.mae)
_MFE = wire_key(PositionClosed, lambda p: p.mfe)


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value


class TradeLedger:
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
        made = typed_event(event)
        if not isinstance(made, PositionOpened | PositionModified | PositionClosed):
            return
        if made.ticket is None:
            return
        trade = self._trades.get(made.ticket)
        if trade is None:
            trade = self._trades[made.ticket] = Trade(made.ticket)
            while len(self._trades) > MAX_TRADES:
                del self._trades[next(iter(self._trades))]
        trade.symbol = made.symbol if made.symbol is not None else trade.symbol
        trade.direction = made.direction if made.direction is not None else trade.direction
        trade.owner = made.owner if made.owner is not None else trade.owner
        if made.entry_price is not None:
            trade.entry_price = made.entry_price
        if isinstance(made, PositionOpened):
            self._open(trade, made)
        elif isinstance(made, PositionModified):
            self._resize(trade, made)
        else:
            self._close(trade, made)
            self.marks.pop(made.ticket, None)

    def _mark(self, positions: Any) -> None:
        """Note how far each open position went. One that is gone keeps its marks until its
        close is published."""
        if not isinstance(positions, list):
            return
        marks = dict(self.marks)
        for position in positions:
            if not isinstance(position, dict):
                continue
            ticket, profit = position.get(_TICKET), _number(position.get(_PROFIT))
            if type(ticket) is not int or profit is None:
                continue
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
        ticket = closing.get(_CLOSED)
        low, high = self.marks.get(ticket, (None, None)) if type(ticket) is int else (None, None)
        found = {_MAE: low, _MFE: high}
        return {name: value for name, value in found.items() if name not in closing}

    def _open(self, trade: Trade, event: PositionOpened) -> None:
        trade.volume = event.volume
        trade.opened_at = event.opened_at or _sent_at(event)
        trade.score = event.score
        trade.sl_price = event.sl_price
        trade.tp_price = event.tp_price
        trade.initial_risk = event.initial_risk
        if event.components is not None:
            trade.components = dict(event.components)

    def _resize(self, trade: Trade, event: PositionModified) -> None:
        volume, old = event.volume, event.old_volume
        if volume is None or old is None or volume == old:
            return
        moved, at = round(abs(volume - old), 8), _sent_at(event)
        if volume > old:
            trade.volume = round((trade.volume or 0.0) + moved, 8)
            trade.entries.append((at, moved, None))
        else:
            trade.exits.append((at, moved, event.profit))

    def _close(self, trade: Trade, event: PositionClosed) -> None:
        trade.closed = True
        trade.volume = event.volume if event.volume is not None else trade.volume
        trade.exit_price = event.exit_price
        trade.opened_at = trade.opened_at or event.opened_at
        trade.reported_at = _sent_at(event)
        trade.closed_at = event.closed_at or trade.reported_at
        trade.r_multiple = event.r_multiple
        trade.close_reason = event.close_reason
        costs = [part for part in (event.swap, event.commission) if part is not None]
        if event.profit is not None:
            trade.profit = round(event.profit + sum(costs), 8)
        if costs:
            trade.costs = round(sum(costs), 8)
        if isinstance(event.mae, int | float):
            trade.mae = event.mae
        if isinstance(event.mfe, int | float):
            trade.mfe = event.mfe

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


def _sent_at(event: Event) -> str | None:
    return event.timestamp if isinstance(event.timestamp, str) else None


def _on(moment: str | None, day: str) -> bool:
    return isinstance(moment, str) and moment.startswith(day)
