"""What Enter opens and what commands act on, for the rows of each panel.

``tui/board.py`` names these functions.
"""

from __future__ import annotations

from typing import Protocol

from ..panels.positions import PositionRow
from ..panels.trades import TradeRow
from ..session.session import LogLine
from .base import Sheet
from .detail import EventSheet, PositionSheet, SymbolSheet, TradeSheet


class HasSymbol(Protocol):
    """A row about one symbol."""

    @property
    def symbol(self) -> str: ...


def position_sheet(row: PositionRow) -> Sheet:
    """An open position, a pending order, or a trade that was closed just now."""
    if row.closed is not None:
        return TradeSheet(row.closed)
    return PositionSheet(row)


def symbol_sheet(row: HasSymbol) -> Sheet:
    """The symbol of the row."""
    return SymbolSheet(row.symbol)


def event_sheet(row: LogLine) -> Sheet:
    """The event of a log line."""
    return EventSheet(row.event, row.count)


def trade_sheet(row: TradeRow) -> Sheet:
    """A closed trade, an open position, or the symbol of an order without either."""
    if row.closed is not None:
        return TradeSheet(row.closed)
    if row.position is not None:
        return PositionSheet(PositionRow.of_position(row.position))
    return SymbolSheet(row.symbol)


def position_target(row: PositionRow) -> PositionRow:
    """The position or order of the row itself."""
    return row


def trade_target(row: TradeRow) -> PositionRow | None:
    """The position of a trade that is still open."""
    if row.position is None or row.closed is not None:
        return None
    return PositionRow.of_position(row.position)
