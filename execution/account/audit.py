"""Compares the trades ledger with the terminal's own history: their money must be the same."""

from __future__ import annotations

from collections.abc import Iterable

from streamer.protocol.codec import epoch_seconds
from streamer.state.trades import TradeLedger

from ..api import constants as c
from ..api.structs import TradeDeal
from ..orders.reconcile import LATEST
from ..transport.client import TerminalClient
from ..transport.clock import DAY
from .lifecycle import TRADES, moment, realised

DAYS = 3
SETTLED_S = 60.0
"""A close this young, in server seconds, may not be published yet."""
CENT = 0.011


async def audit(client: TerminalClient, ledger: TradeLedger) -> list[str]:
    """Compare the deals of the last days; one line for each position that differs.

    Raises:
        TerminalError: the terminal does not answer.
    """
    now = await client.server_now()
    if now is None:
        return []
    deals = await client.history_deals_get(
        max(1, int(now) - DAYS * DAY), min(int(now) + DAY, LATEST)
    )
    return differences(deals, ledger, now)


def differences(deals: Iterable[TradeDeal], ledger: TradeLedger, now: float) -> list[str]:
    """The same for deals that were read.

    A position is compared when all of its deals are in ``deals`` and it was opened after the
    ledger's first one. A netting position that was reversed has several tickets and is left out.
    """
    begins = [at for trade in ledger if (at := epoch_seconds(trade.opened_at)) is not None]
    if not begins:
        return []
    lives: dict[int, list[TradeDeal]] = {}
    for deal in deals:
        if deal.type in TRADES and deal.position_id:
            lives.setdefault(deal.position_id, []).append(deal)
    found = []
    for position, life in lives.items():
        life.sort(key=moment)
        entered = sum(d.volume for d in life if d.entry == c.DEAL_ENTRY_IN)
        left = sum(d.volume for d in life if d.entry in (c.DEAL_ENTRY_OUT, c.DEAL_ENTRY_OUT_BY))
        whole = life[0].entry == c.DEAL_ENTRY_IN and abs(entered - left) < 1e-6
        if (
            not whole
            or any(d.entry == c.DEAL_ENTRY_INOUT for d in life)
            or moment(life[-1]) > now - SETTLED_S
            or moment(life[0]) < min(begins)
        ):
            continue
        money = round(sum(realised(d) for d in life), 2)
        trade = ledger.get(life[0].order or position) or ledger.get(position)
        name = f"position {position} {life[0].symbol}"
        if trade is None or not trade.closed:
            state = "is not in the ledger" if trade is None else "is open in the ledger"
            found.append(f"{name} closed with {money:+.2f} at the broker and {state}")
        elif trade.profit is None or abs(trade.profit - money) > CENT:
            known = "not known" if trade.profit is None else f"{trade.profit:+.2f}"
            found.append(f"{name} brought {money:+.2f} at the broker; the ledger has {known}")
    return found
