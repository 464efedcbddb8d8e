"""The feed's own record of trades, for what this screen did not see happen.

Of this process it is read at once; of a feed elsewhere it is asked for over HTTP and is there
the next time. Asking never waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

from streamer.state.source import Source
from streamer.state.trades import Ledger

from ..options import Clock
from . import fetch

TRADES_ASKED = 1000
ASK_AGAIN_S = 5.0
Trade = dict[str, Any]
"""A trade as ``/api/journal/trades`` gives it (``streamer.state.trades.Trade.row``)."""


@dataclass(slots=True)
class Books:
    """The newest trades of one feed, open and closed. All of it is used on the loop."""

    source: Source
    clock: Clock
    revision: int = 0
    """Rises when trades were read."""
    _rows: dict[str, Trade] = field(default_factory=dict)
    _closed: list[Trade] = field(default_factory=list)
    _stamp: Hashable = None
    _at: float = -1e9
    _asking: asyncio.Task[None] | None = None

    def closed(self, stamp: Hashable) -> Sequence[Trade]:
        """Closed trades, newest first, as far as known; read anew when ``stamp`` changed."""
        if stamp != self._stamp:
            self._refresh(stamp)
        return self._closed

    def trade(self, ticket: Any) -> Trade | None:
        """One trade, at most a few seconds old."""
        ledger = self._ledger
        if ledger is not None:
            found = ledger.get(ticket) if isinstance(ticket, int) else None
            return None if found is None else found.row()
        if self.clock.mono() - self._at >= ASK_AGAIN_S:
            self._refresh(self._stamp)
        return self._rows.get(str(ticket))

    @property
    def _ledger(self) -> Ledger | None:
        trades = self.source.capabilities.trades
        return None if trades is None else trades()

    def _refresh(self, stamp: Hashable) -> None:
        ledger = self._ledger
        if ledger is not None:
            self._stamp = stamp
            self._keep(ledger.newest(TRADES_ASKED))
            return
        if self._asking is not None and not self._asking.done():
            return
        url = fetch.address(self.source, "/api/journal/trades", limit=TRADES_ASKED)
        self._stamp, self._at = stamp, self.clock.mono()
        if url is not None:
            self._asking = asyncio.create_task(self._ask(url), name="books")

    async def _ask(self, url: str) -> None:
        found = await asyncio.to_thread(fetch.rows, url, self.source.capabilities.token)
        if found is not None:
            self._keep(found)

    def _keep(self, trades: Sequence[Trade]) -> None:
        self._rows = {str(t.get("ticket")): t for t in trades}
        self._closed = [t for t in trades if t.get("outcome") in ("WIN", "LOSS")]
        self.revision += 1

    def close(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
