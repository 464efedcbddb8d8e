"""Reads the terminal and publishes what changed: account, positions, orders, quotes, deals.

State events carry the present values. Lifecycle events are published once each, from the deals.
While the terminal does not answer nothing is published: the last values stay, and the events of
the gap are published when it answers again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from streamer.protocol.messages import (
    AccountUpdate,
    Event,
    Limit,
    OrdersUpdate,
    PositionUpdate,
    QuoteUpdate,
)

from ..api import constants as c
from ..api.structs import AccountInfo, Tick, TradeDeal, TradeOrder, TradePosition
from ..api.terminal import TerminalError
from ..orders.intents import Intent, Intents, IntentsError
from ..settings import TerminalSettings
from ..transport.backend import Call
from ..transport.client import TerminalClient
from . import shapes
from .announce import Announcer, Reading, TradeReason, not_published
from .history import DealHistory
from .lifecycle import DEPOSITS, TRADES, Change, PositionBook, order_of
from .pending import PendingBook
from .risk import Risks
from .symbols import Symbols

log = logging.getLogger(__name__)

REPEAT_S = 5.0
"""A state that does not change is published again after so long. The account is published at
each reading: viewers read the age of all values from its age."""

QUIET_S, QUIET_REAL_S = 300.0, 15.0
"""No tick of any symbol for so long, in server and in real seconds: the market is closed."""


@dataclass(frozen=True, slots=True)
class Observation:
    """One reading of the terminal. ``at`` is ``time.monotonic()``, ``server_time`` server epoch
    seconds; money in the account's currency; ``None`` is unknown."""

    account: AccountInfo
    positions: tuple[TradePosition, ...]
    orders: tuple[TradeOrder, ...]
    at: float
    server_time: float | None
    day_pl: float | None
    realised_today: float | None
    ticks: dict[str, Tick] = field(default_factory=dict)


class Observer:
    """Polls one terminal and publishes what it sees.

    Args:
        mode: observe, paper or live; shown with the account.
        symbols: Names to watch; empty: all of Market Watch, or all symbols where the traits of
            the backend say so.
        intents: With a file, it keeps which deal was published last: what happened while the
            program was away is published when it is back.
        sent: The orders of this run by ticket (:attr:`Orders.sent`): the price asked for and
            the closer of a position are read from it.
    """

    def __init__(
        self,
        client: TerminalClient,
        publish: Callable[[Event], None],
        *,
        settings: TerminalSettings,
        mode: str,
        symbols: Sequence[str] = (),
        intents: Intents | None = None,
        sent: Mapping[int, Intent] | None = None,
    ) -> None:
        self.latest: Observation | None = None
        self.limits: dict[str, Limit] | None = None
        """How far each risk limit is used, published with the account. A watcher sets it: watchers
        are called before the account is published. ``None``: there are no limits."""
        self.market_closed = False
        """No symbol has had a tick for a while."""
        self.peak_equity: float | None = None
        """The highest equity seen; the drawdown is measured from it."""
        self._recalled: tuple[int, str, float] | None = None
        self._client = client
        self._publish = publish
        self._settings = settings
        self._mode = mode
        self._intents = intents or Intents()
        self._marking: asyncio.Task[None] | None = None
        self._table = Symbols(client, symbols, publish)
        self._announcer = Announcer(client.clock, settings.magic, {} if sent is None else sent)
        self._outbox: deque[Event] = deque()
        """Events of counted deals that are not published yet; empty unless the feed refuses."""
        self._history = DealHistory(client)
        self._pending = PendingBook()
        self._risks = Risks(client)
        self._account: tuple[int, str] | None = None
        self._positions: dict[int, TradePosition] = {}
        self._held: dict[int, TradeDeal] = {}
        self._ticks: dict[str, Tick] = {}
        self._ticked: tuple[float | None, float] | None = None
        self._connections = 0
        self._published: dict[str, tuple[float, Any]] = {}
        self._watchers: list[Callable[[Observation], None]] = []
        self._lock = asyncio.Lock()

    @property
    def symbols(self) -> list[str]:
        """The watched symbols; complete once the terminal has answered."""
        return self._table.names

    # -- used by the worker ---------------------------------------------------------------------

    def recall_peak(self, login: int, server: str, equity: float) -> None:
        """The highest equity that an earlier run saw; used when it is the same account."""
        self._recalled = (login, server, equity)

    def watch(self, callback: Callable[[Observation], None]) -> Callable[[], None]:
        """Call ``callback`` with each reading, before its states are published. Returns a
        function that ends it."""
        self._watchers.append(callback)
        return lambda: self._watchers.remove(callback)

    def justify(
        self,
        order: int,
        *,
        score: float | None = None,
        components: dict[str, float] | None = None,
        initial_risk: float | None = None,
    ) -> None:
        """Note why the bot sent ``order``; the reason is published with its trade."""
        self._announcer.why[order] = TradeReason(score, components, initial_risk)
        while len(self._announcer.why) > 1000:
            del self._announcer.why[next(iter(self._announcer.why))]

    async def refresh(self) -> Observation | None:
        """Read now. ``None`` when the terminal does not answer; never raises for that."""
        try:
            async with self._lock:
                return await self._poll()
        except TerminalError as error:
            log.info("refresh: %s", error)
            return None

    async def run(self) -> None:
        """Poll until cancelled; a reading that fails is tried again."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._repeat(self._poll_once, self._settings.poll_s))
            tasks.create_task(self._repeat(self._quotes, self._settings.quotes_s))

    # -- loops ------------------------------------------------------------------------------------

    async def _repeat(self, work: Callable[[], Any], period: float) -> None:
        while True:
            began = time.monotonic()
            pause = 0.0
            await self._client.wait_connected()
            try:
                await work()
            except TerminalError as error:
                log.info("%s", error)  # the client publishes the state of the terminal
                pause = min(period, 0.5)
            except Exception:
                # The supervision boundary: one bad reading must not end the watch.
                log.exception("observer")
                pause = 1.0
            await asyncio.sleep(max(pause, period - (time.monotonic() - began)))

    async def _poll_once(self) -> None:
        async with self._lock:
            await self._poll()

    async def _quotes(self) -> None:
        client = self._client
        if not self.symbols or self._connections != client.connections:
            return  # the first reading finds the symbols
        now = await client.server_now()
        calls: list[Call] = [("symbol_info_tick", (symbol,), {}) for symbol in self.symbols]
        answers = await client.batch(calls)
        wall, moved = time.time(), False
        for symbol, tick in zip(self.symbols, answers, strict=True):
            if not isinstance(tick, Tick) or not tick.time:
                continue  # no quote yet: the last one stays, with its age
            old = self._ticks.get(symbol)
            if old is not None and tick.time_msc > old.time_msc:
                moved = True
                client.clock.observe(tick.time_msc / 1000, wall)
            self._ticks[symbol] = tick
        self._detect_closed_market(now, moved)
        quotes = {
            symbol: shapes.quote(
                self._ticks.get(symbol), client.clock, self._table.digits.get(symbol)
            )
            for symbol in self.symbols
        }
        event = QuoteUpdate(
            quotes=quotes, server_time=client.clock.iso(now), speed=client.about.speed
        )
        self._state("quotes", event, quotes)

    def _detect_closed_market(self, now: float | None, moved: bool) -> None:
        """A market is closed when no symbol had a tick for a while on both clocks."""
        mono = time.monotonic()
        if moved or self._ticked is None:
            self._ticked = (now, mono)
        server, real = self._ticked
        self.market_closed = (
            now is not None
            and server is not None
            and now - server > QUIET_S
            and mono - real > QUIET_REAL_S
        )
        self._client.report_market(closed=self.market_closed)

    # -- one reading ------------------------------------------------------------------------------

    async def _poll(self) -> Observation:
        client = self._client
        if self._outbox:
            self._flush()
            if not self._outbox:
                self._mark()
        if self._connections != client.connections:
            connection = client.connections
            await self._table.find()
            self._connections = connection
        now = await client.server_now()
        account, positions, orders, deals = await client.reads(
            [
                ("account_info", (), {}),
                ("positions_get", (), {}),
                ("orders_get", (), {}),
                ("history_deals_get", self._history.window(now), {}),
            ]
        )
        if (account.login, account.server) != self._account:
            await self._begin(account, positions, orders, now)
        else:
            await self._differences(positions, orders, deals)
        await self._history.roll(now)
        await self._risks.update(positions)
        await self._table.learn(p.symbol for p in (*positions, *orders))
        self._positions = by_identifier(positions)
        self.latest = self._observe(account, positions, orders, now)
        for callback in list(self._watchers):
            callback(self.latest)
        self._states(self.latest)
        return self.latest

    async def _begin(
        self,
        account: AccountInfo,
        positions: tuple[TradePosition, ...],
        orders: tuple[TradeOrder, ...],
        now: float | None,
    ) -> None:
        """The first reading of an account: its positions and orders are no events."""
        if self._account is not None:
            log.warning("another account is logged in: %s on %s", account.login, account.server)
            self.peak_equity = None
        elif self._recalled is not None and self._recalled[:2] == (account.login, account.server):
            self.peak_equity = self._recalled[2]
        history, risks = DealHistory(self._client), Risks(self._client)
        since = None
        try:
            since = await self._intents.marked(f"{account.login}@{account.server}")
        except IntentsError as error:
            log.warning("events since the last run are not published: %s", error)
        await history.begin(positions, now, since)
        await risks.first(history.book.lives)
        self._history, self._risks = history, risks
        self._pending = PendingBook()
        self._pending.load(orders)
        self._held.clear()
        self._published.clear()
        self._account = (account.login, account.server)
        self._mark()

    async def _differences(
        self,
        positions: tuple[TradePosition, ...],
        orders: tuple[TradeOrder, ...],
        deals: tuple[TradeDeal, ...],
    ) -> None:
        """Publish what happened since the last reading.

        Everything that can fail is read before anything is counted, so a reading that breaks in
        the middle is done again. The events exist before their deals are counted.
        """
        history, why = self._history, self._announcer.why
        ready, held = self._ready(history.news(deals))
        pending = self._pending.copy()
        steps = pending.read(orders)
        tickets = {deal.order for deal in ready if deal.order} | pending.leaving
        found = await self._ended(sorted(tickets))
        await self._table.learn(deal.symbol for deal in ready)
        book = history.book.copy() if ready else history.book
        changes = [(deal, _apply(book, deal)) for deal in ready]
        reading = Reading(
            positions=by_identifier(positions),
            orders=found,
            risks=self._risks.initial,
        )
        try:
            await self._risks.opened([one for _, some in changes for one in some], reading, why)
        except TerminalError:
            raise
        except Exception:
            log.exception("the initial risk of new positions is unknown")
        ends = [step for order in found.values() if (step := pending.end(order))]
        events = self._announcer.order_steps([*steps, *ends])
        for deal, some in changes:
            point = self._table.points.get(deal.symbol)
            events += self._announcer.deal(deal, some, reading, point)
        for identifier, new in reading.positions.items():
            old = self._positions.get(identifier)
            if old is not None and (new.sl, new.tp) != (old.sl, old.tp):
                events += self._announcer.stop_change(old, new, book.lives.get(identifier))
        # From here on nothing waits and nothing raises: what is counted is in the outbox.
        history.count(ready, book)
        self._pending, self._held = pending, held
        self._outbox.extend(events)
        for deal in ready:
            if deal.type in DEPOSITS and self.peak_equity is not None:
                self.peak_equity += deal.profit
        self._positions = dict(reading.positions)
        self._risks.drop(life.ticket for life in book.lives.values())
        self._flush()
        if ready and not self._outbox:
            self._mark()

    def _flush(self) -> None:
        """Publish the outbox, in its order. Never raises.

        An event that the feed refuses is published raw. Where the feed refuses that too, the
        event stays, and the next reading tries again; until then no deal is marked as published.
        """
        while self._outbox:
            event = self._outbox[0]
            if not self._try(event) and not self._try(not_published(event)):
                return
            self._outbox.popleft()

    def _try(self, event: Event) -> bool:
        try:
            self._publish(event)
        except Exception:
            log.exception("%s was not published", event.__struct_config__.tag)
            return False
        return True

    def _mark(self) -> None:
        """Store the newest published deal, without waiting for the disk."""
        if self._account is not None:
            account = f"{self._account[0]}@{self._account[1]}"
            self._marking = asyncio.create_task(
                self._intents.mark(account, self._history.mark), name="mark"
            )

    def _ready(self, news: list[TradeDeal]) -> tuple[list[TradeDeal], dict[int, TradeDeal]]:
        """Deals to publish now, in their order, and deals to hold for one reading: entries of
        our own that :meth:`justify` has not explained yet (the worker does so right after the
        order's answer), and what follows them on the same position."""
        ready: list[TradeDeal] = []
        held: dict[int, TradeDeal] = {}
        waiting: set[int] = set()
        for deal in sorted({**self._held, **{d.ticket: d for d in news}}.values(), key=order_of):
            entry = deal.entry in (c.DEAL_ENTRY_IN, c.DEAL_ENTRY_INOUT)
            ours = entry and deal.type in TRADES and deal.magic == self._settings.magic
            unexplained = ours and deal.order not in self._announcer.why
            if deal.position_id in waiting or (unexplained and deal.ticket not in self._held):
                waiting.add(deal.position_id)
                held[deal.ticket] = deal
            else:
                ready.append(deal)
        return ready, held

    async def _ended(self, tickets: list[int]) -> dict[int, TradeOrder]:
        """Orders of the history, by ticket; one that is not there yet is left out."""
        answers = await self._client.reads(
            [("history_orders_get", (), {"ticket": ticket}) for ticket in tickets]
        )
        return {order.ticket: order for found in answers for order in found}

    # -- states -----------------------------------------------------------------------------------

    def _observe(
        self,
        account: AccountInfo,
        positions: tuple[TradePosition, ...],
        orders: tuple[TradeOrder, ...],
        now: float | None,
    ) -> Observation:
        realised = self._history.realised_today
        self.peak_equity = max(self.peak_equity or account.equity, account.equity)
        return Observation(
            account=account,
            positions=positions,
            orders=orders,
            at=time.monotonic(),
            server_time=now,
            day_pl=None if realised is None else realised + account.profit,
            realised_today=realised,
            ticks=dict(self._ticks),
        )

    def _states(self, seen: Observation) -> None:
        clock, magic = self._client.clock, self._settings.magic
        peak = self.peak_equity
        account = shapes.account(
            seen.account,
            self._client.terminal,
            mode=self._mode,
            day_pl=seen.day_pl,
            drawdown_pct=(peak - seen.account.equity) / peak * 100 if peak and peak > 0 else None,
        )
        account.limits = self.limits
        lives = self._history.book.lives
        self._state("account", AccountUpdate(account=account), account)
        positions = [
            shapes.position(
                position,
                lives.get(identifier),
                clock,
                magic=magic,
                digits=self._table.digits.get(position.symbol),
                risk=self._risks.at_stop(identifier),
                initial_risk=self._risks.initial.get(position.ticket),
            )
            for identifier, position in self._positions.items()
        ]
        self._state("positions", PositionUpdate(positions=positions), positions)
        orders = [
            shapes.pending(order, clock, magic=magic, digits=self._table.digits.get(order.symbol))
            for order in self._pending.orders.values()
        ]
        self._state("orders", OrdersUpdate(orders=orders), orders)

    def _state(self, section: str, event: Event, content: object) -> None:
        """Publish a state that has changed, or that was published ``REPEAT_S`` ago or more."""
        now = time.monotonic()
        at, last = self._published.get(section, (0.0, None))
        if content != last or section == "account" or now - at >= REPEAT_S:
            self._published[section] = (now, content)
            self._publish(event)


def _apply(book: PositionBook, deal: TradeDeal) -> list[Change]:
    """What the deal did; nothing, and so published raw, where the book cannot take it."""
    try:
        return book.apply(deal)
    except Exception:
        log.exception("deal %s changes no position", deal.ticket)
        return []


def by_identifier(positions: Sequence[TradePosition]) -> dict[int, TradePosition]:
    """Positions by their identifier, which stays when netting changes the ticket."""
    return {position.identifier or position.ticket: position for position in positions}
