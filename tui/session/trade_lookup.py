"""The feed's own record of trades, for trades whose events this screen did not receive.

The ledger of a feed in this process is read at once; a feed elsewhere is asked over HTTP, and later
calls return the answer. No call waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field

from streamer.protocol.lenient import read
from streamer.protocol.payloads import Received
from streamer.state.source import Source
from streamer.state.trades import Trade, TradeLedger

from ..options import Clock
from . import fetch

TRADES_ASKED = 1000
ASK_AGAIN_S = 5.0


class TradeStep(Received):
    """One enlargement or reduction of a trade, as ``/api/journal/trades`` sends it."""

    time: str | None = None
    volume: float | None = None
    profit: float | None = None


class JournalTrade(Received):
    """A trade as ``/api/journal/trades`` sends it: the names of ``Trade.row``."""

    ticket: int | None = None
    symbol: str | None = None
    direction: str | None = None
    lot_size: float | None = None
    entry_price: float | None = None
    exit_price: float | None = None
    profit: float | None = None
    outcome: str | None = None
    entry_time: str | None = None
    exit_time: str | None = None
    r_multiple: float | None = None
    score: float | None = None
    owner: str | None = None
    close_reason: str | None = None
    sl_price: float | None = None
    tp_price: float | None = None
    initial_risk: float | None = None
    costs: float | None = None
    mae: float | None = None
    mfe: float | None = None
    components: dict[str, float] | None = None
    entries: list[TradeStep] | None = None
    exits: list[TradeStep] | None = None


def trade_of(row: Mapping[str, object]) -> Trade | None:
    """The trade that ``Trade.row`` wrote as this object; ``None`` for one without a ticket."""
    found = read(row, JournalTrade)
    if found is None or found.ticket is None:
        return None
    return Trade(
        ticket=found.ticket,
        symbol=found.symbol,
        direction=found.direction,
        volume=found.lot_size,
        entry_price=found.entry_price,
        exit_price=found.exit_price,
        sl_price=found.sl_price,
        tp_price=found.tp_price,
        opened_at=found.entry_time,
        closed_at=found.exit_time,
        profit=found.profit,
        costs=found.costs,
        r_multiple=found.r_multiple,
        initial_risk=found.initial_risk,
        mae=found.mae,
        mfe=found.mfe,
        score=found.score,
        components=found.components or {},
        entries=[(s.time, s.volume, None) for s in found.entries or () if s.volume is not None],
        exits=[(s.time, s.volume, s.profit) for s in found.exits or () if s.volume is not None],
        owner=found.owner,
        close_reason=found.close_reason,
        closed=found.outcome in ("WIN", "LOSS"),
    )


@dataclass(slots=True)
class TradeLookup:
    """The newest trades of one feed, open and closed. All of it is used on the loop."""

    source: Source
    clock: Clock
    revision: int = 0
    """Rises when trades were read."""
    _trades: dict[int, Trade] = field(default_factory=dict)
    _closed: list[Trade] = field(default_factory=list)
    _stamp: Hashable = None
    _at: float = -1e9
    _asking: asyncio.Task[None] | None = None

    def closed(self, stamp: Hashable) -> Sequence[Trade]:
        """Closed trades, newest first, as far as known; read again when ``stamp`` changed."""
        if stamp != self._stamp:
            self._refresh(stamp)
        return self._closed

    def trade(self, ticket: int | None) -> Trade | None:
        """One trade, at most a few seconds old."""
        if ticket is None:
            return None
        ledger = self._ledger
        if ledger is not None:
            return ledger.get(ticket)
        if self.clock.mono() - self._at >= ASK_AGAIN_S:
            self._refresh(self._stamp)
        return self._trades.get(ticket)

    @property
    def _ledger(self) -> TradeLedger | None:
        trades = self.source.capabilities.trades
        return None if trades is None else trades()

    def _refresh(self, stamp: Hashable) -> None:
        ledger = self._ledger
        if ledger is not None:
            self._stamp = stamp
            newest = list(ledger)[-TRADES_ASKED:]
            self._keep(newest[::-1])
            return
        if self._asking is not None and not self._asking.done():
            return
        url = fetch.address(self.source, "/api/journal/trades", limit=TRADES_ASKED)
        self._stamp, self._at = stamp, self.clock.mono()
        if url is not None:
            self._asking = asyncio.create_task(self._ask(url), name="trades")

    async def _ask(self, url: str) -> None:
        found = await asyncio.to_thread(_fetch, url, self.source.capabilities.token)
        if found is not None:
            self._keep(found)

    def _keep(self, trades: Sequence[Trade]) -> None:
        self._trades = {trade.ticket: trade for trade in trades}
        self._closed = [trade for trade in trades if trade.closed]
        self.revision += 1

    def close(self) -> None:
        """Cancel the request that is under way."""
        if self._asking is not None:
            self._asking.cancel()


def _fetch(url: str, token: str | None) -> list[Trade] | None:
    rows = fetch.rows(url, token)
    return None if rows is None else [t for row in rows if (t := trade_of(row)) is not None]
