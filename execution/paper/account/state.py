"""Keeps a paper account between runs: one JSON file, written whole and swapped in atomically.

Positions, orders, deals, counters, the server's time and the last prices. A generated market
goes on from those prices, a replay from that time; what is open is never re-priced in between.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import msgspec

from ...api.structs import TradeDeal, TradeOrder
from ..market.calibration import DRIVERS, FOLLOWERS
from ..market.model import MarketError
from ..market.symbols import Spec
from .ledger import AccountConfig, Ledger, Order, Position

VERSION = 1


class Saved(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of the file. ``server_ms`` is server time; ``levels`` mid prices of the
    drivers and their followers; ``market`` names the market that the account belongs to."""

    version: int
    market: str
    login: int
    currency: str
    margin_mode: int
    server_ms: int
    levels: dict[str, float]
    balance: float
    credit: float
    next_order: int
    next_deal: int
    positions: list[dict[str, Any]]
    orders: list[dict[str, Any]]
    done: list[tuple[Any, ...]]
    deals: list[tuple[Any, ...]]


def take(ledger: Ledger, market: str, server_ms: int) -> Saved:
    """What is to be kept of this account."""
    levels = {}
    for tape in ledger.tapes.values():
        name = tape.spec.price_name
        if (name in DRIVERS or name in FOLLOWERS) and tape.quote_ms:
            levels[name] = (tape.quote_bid + tape.quote_ask) / 2
    config = ledger.config
    return Saved(
        version=VERSION,
        market=market,
        login=config.login,
        currency=config.currency,
        margin_mode=config.margin_mode,
        server_ms=server_ms,
        levels=levels,
        balance=ledger.balance,
        credit=ledger.credit,
        next_order=ledger.next_order,
        next_deal=ledger.next_deal,
        positions=[asdict(each) for each in ledger.positions.values()],
        orders=[asdict(each) for each in ledger.orders.values()],
        done=[tuple(each) for each in ledger.done],
        deals=[tuple(each) for each in ledger.deals],
    )


def give(saved: Saved, ledger: Ledger) -> None:
    """Put a kept account into a fresh ledger."""
    ledger.balance, ledger.credit = saved.balance, saved.credit
    ledger.next_order, ledger.next_deal = saved.next_order, saved.next_deal
    ledger.deals = [TradeDeal(*each) for each in saved.deals]
    ledger.done = [TradeOrder(*each) for each in saved.done]
    for values in saved.positions:
        ledger.add_position(Position(**values))
    for values in saved.orders:
        ledger.add_order(Order(**values))
    ledger.changed()


class StateFile:
    """The file and what it must match."""

    def __init__(self, path: Path, market: str) -> None:
        self.path = path
        self.market = market

    def load(self, config: AccountConfig) -> Saved | None:
        """The kept account, None when there is no file yet.

        Raises:
            MarketError: it cannot be read, or belongs to another market or kind of account.
        """
        do = "Choose another state file, or remove this one to start fresh"
        try:
            saved = msgspec.json.decode(self.path.read_bytes(), type=Saved)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as error:
            raise MarketError(f"cannot be read: {error}", file=self.path, do=do) from error
        for what, kept, wanted in (
            ("version", saved.version, VERSION),
            ("market", saved.market, self.market),
            ("login", saved.login, config.login),
            ("currency", saved.currency, config.currency),
            ("margin mode", saved.margin_mode, config.margin_mode),
        ):
            if kept != wanted:
                raise MarketError(f"is of {what} {kept}, wanted is {wanted}", file=self.path, do=do)
        self._known(saved, do)
        return saved

    def _known(self, saved: Saved, do: str) -> None:
        for values, kind in ((saved.positions, Position), (saved.orders, Order)):
            names = {field.name for field in fields(kind)}
            if any(set(each) != names for each in values):
                raise MarketError("has other fields than this version", file=self.path, do=do)

    def missing(self, saved: Saved, specs: Mapping[str, Spec]) -> None:
        """Refuse an account that holds symbols the market does not have."""
        held = {each["symbol"] for each in (*saved.positions, *saved.orders)}
        held |= {each[TradeOrder._fields.index("symbol")] for each in saved.done}
        lost = sorted(held - set(specs))
        if lost:
            raise MarketError(
                f"holds {', '.join(lost)}, which the market does not have", file=self.path
            )

    def save(self, saved: Saved) -> None:
        """Write and swap in; a crash leaves the old file or the new one."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_name(self.path.name + ".new")
        descriptor = os.open(fresh, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(saved))
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.path)
