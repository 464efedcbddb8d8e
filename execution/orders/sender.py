"""Sends a request once: its intent is stored before, its answer awaited or searched for after."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Literal

from streamer.backoff import Backoff
from streamer.protocol.messages import Event, OrderUpdate, RiskAlert

from ..api import constants as c
from ..api.retcodes import MOVED, UNDECIDED, words
from ..api.structs import OrderSendResult, SymbolInfo
from ..api.terminal import OutcomeUnknown, TerminalError
from ..settings import TerminalSettings
from ..transport.client import TerminalClient
from . import symbol_rules as rules
from .intents import Intent, Intents, IntentsError
from .kinds import BUY_TYPES
from .reconcile import Finding, look_for

log = logging.getLogger(__name__)

SENT_KEPT = 1000
"""Orders of which the intent is kept for the reader of their deals."""
PASSED = frozenset({0, c.TRADE_RETCODE_PLACED, c.TRADE_RETCODE_DONE})
"""``order_check`` answers 0; some servers answer as ``order_send`` does."""


@dataclass(frozen=True, slots=True)
class OrderOutcome:
    """The outcome of an order. ``price`` is that of the deal, or the new price when the order was
    rejected because the price moved. ``id`` is ours, in the comment."""

    status: Literal["done", "placed", "partial", "rejected", "unknown"]
    retcode: int | None
    text: str
    order: int | None = None
    deal: int | None = None
    price: float | None = None
    volume: float | None = None
    id: str | None = None

    @property
    def ok(self) -> bool:
        return self.status in {"done", "placed", "partial"}


class Sender:
    """The only way in which an order that opens or closes leaves the program."""

    def __init__(
        self,
        client: TerminalClient,
        publish: Callable[[Event], None],
        settings: TerminalSettings,
        intents: Intents,
    ) -> None:
        self.intents = intents
        self._client = client
        self._publish = publish
        self._settings = settings
        self._tasks: set[asyncio.Task[Any]] = set()
        self.sent: dict[int, Intent] = {}
        """Orders of this run by ticket, the newest ones."""
        self._claimed: set[int] = set()
        self._searched: set[str] = set()

    async def send(self, draft: Intent, info: SymbolInfo, request: dict[str, Any]) -> OrderOutcome:
        """Check, store the intent, send once. A failure of terminal or disk is an outcome."""
        # In a task of its own: the answer must be recorded also when the caller is cancelled.
        task = asyncio.create_task(self._send(draft, info, request), name=f"order-{draft.id}")
        self._keep(task)
        return await asyncio.shield(task)

    async def before(self, id: str) -> OrderOutcome | None:
        """The outcome of the order with this id, when it was requested before."""
        try:
            intent = await self.intents.find(id)
        except IntentsError as error:
            return OrderOutcome("rejected", None, f"not sent: {error}", id=id)
        if intent is None:
            return None
        if not intent.settled:
            return OrderOutcome("unknown", None, "asked for before, outcome not known", id=id)
        text = f"asked for before: {intent.state}"
        status: Any = "rejected" if intent.state == "missing" else intent.state
        return OrderOutcome(
            status, None, text, intent.order_ticket, intent.deal, None, intent.volume, id
        )

    def reject(
        self, intent: Intent, retcode: int | None, text: str, price: float | None = None
    ) -> OrderOutcome:
        if intent.symbol:
            self._publish_update(intent, "rejected", retcode=retcode, reason=text, price=price)
        return OrderOutcome("rejected", retcode, text, price=price, id=intent.id)

    async def resume(self) -> None:
        """Search for the orders that an earlier run of this account left open."""
        await self.intents.open()
        account = await self._account()
        for intent in list(self.intents.live.values()):
            if intent.state == "unknown" and intent.account == account:
                self._search(intent)

    async def close(self) -> None:
        """End the searches, wait for the answers of orders in flight, close the file. Unknown
        orders stay stored for the next run."""
        sending = {task for task in self._tasks if task.get_name().startswith("order-")}
        for task in self._tasks - sending:
            task.cancel()
        try:
            if sending:
                await asyncio.wait(sending, timeout=2.0)
        finally:
            await self.intents.close()

    # -- sending ------------------------------------------------------------------------------

    async def _send(self, draft: Intent, info: SymbolInfo, request: dict[str, Any]) -> OrderOutcome:
        intent = replace(
            draft,
            volume=request["volume"],
            price=request["price"],
            sl=request.get("sl", 0.0),
            tp=request.get("tp", 0.0),
        )
        try:
            refusal = await self._check(info, request)
            if refusal is not None:
                return self.reject(intent, *refusal)
            intent = replace(
                intent,
                account=await self._account(),
                sent_at=time.time(),
                sent_server=await self._client.server_now(),
            )
            await self.intents.record(intent)
        except TerminalError as error:
            return self.reject(intent, None, str(error))
        except IntentsError as error:
            return self.reject(intent, None, f"not sent, it could not be written down: {error}")
        try:
            result = await self._client.order_send(request)
        except TerminalError as error:
            await self.intents.settle(intent.id, "rejected")
            return self.reject(intent, None, str(error))
        except OutcomeUnknown as error:
            return await self._lost(intent, str(error.cause), None)
        if result.retcode in UNDECIDED:
            return await self._lost(intent, words(result.retcode), result.retcode)
        return await self._answered(intent, result)

    async def _check(
        self, info: SymbolInfo, request: dict[str, Any]
    ) -> tuple[int, str, float | None] | None:
        """Ask the terminal before sending; finds the filling policy that it takes. Returns the
        refusal, if there is one."""
        for filling in rules.fillings(info, request["type"]):
            request["type_filling"] = filling
            result = await self._client.order_check(request)
            if result.retcode != c.TRADE_RETCODE_INVALID_FILL:
                break
        if result.retcode in PASSED:
            return None
        moved = None
        if result.retcode in MOVED:
            tick = await self._client.symbol_info_tick(info.name)
            moved = (tick.ask if request["type"] in BUY_TYPES else tick.bid) or None
        return result.retcode, words(result.retcode, result.comment), moved

    async def _answered(self, intent: Intent, result: OrderSendResult) -> OrderOutcome:
        text = words(result.retcode, result.comment)
        order, deal, price = result.order or None, result.deal or None, result.price or None
        status: Literal["done", "placed", "partial"]
        if result.retcode == c.TRADE_RETCODE_PLACED or intent.pending:
            status = "placed"
        elif result.retcode == c.TRADE_RETCODE_DONE_PARTIAL:
            status = "partial"
        else:
            status = "done"
        if result.retcode not in {*PASSED, c.TRADE_RETCODE_DONE_PARTIAL}:
            await self.intents.settle(intent.id, "rejected")
            side = result.ask if intent.direction == "BUY" else result.bid
            moved = result.retcode in MOVED and side > 0
            return self.reject(intent, result.retcode, text, side if moved else None)
        if order is not None:
            self._claim(order, intent)
        self._publish_update(
            intent,
            "filled" if status == "done" else status,
            order=order,
            filled=None if status == "placed" else result.volume,
            price=price,
            retcode=result.retcode,
            reason=text,
        )
        await self.intents.settle(intent.id, status, order_ticket=order, deal=deal)
        volume = result.volume or None
        return OrderOutcome(status, result.retcode, text, order, deal, price, volume, intent.id)

    async def _lost(self, intent: Intent, why: str, retcode: int | None) -> OrderOutcome:
        text = f"the answer was lost ({why}); it is looked for and not sent again"
        self._publish_update(intent, "unknown", retcode=retcode, reason=text)
        now = await self.intents.settle(intent.id, "unknown")
        self._search(now or intent)
        return OrderOutcome("unknown", retcode, text, volume=intent.volume, id=intent.id)

    # -- an answer that was lost --------------------------------------------------------------

    def _search(self, intent: Intent) -> None:
        if intent.id not in self._searched:
            self._searched.add(intent.id)
            self._keep(asyncio.create_task(self._find(intent), name=f"reconcile-{intent.id}"))

    async def _find(self, intent: Intent) -> None:
        """Search for an order until it is found or ``reconcile_s`` of reading have passed."""
        read_s, last = 0.0, 0.0
        backoff = Backoff(0.2, 3.0, jitter=None, factor=1.5)
        while read_s < self._settings.reconcile_s:
            await self._client.wait_connected()
            try:
                finding = await look_for(self._client, intent, self._claimed)
            except TerminalError as error:
                log.info("looking for order %s: %s", intent.id, error)
                last = 0.0
            else:
                if finding is not None:
                    await self._found(intent, finding)
                    return
                # Only time in which the terminal could be read counts.
                now = time.monotonic()
                read_s += now - last if last else 0.0
                last = now
            await asyncio.sleep(backoff.next())
        text = (
            f"not found in {self._settings.reconcile_s:g} s of looking: most likely it never "
            "arrived; look in the terminal's Trade and History tabs before trading it again"
        )
        self._publish_update(intent, "unknown", reason=text)
        what = f"{intent.kind} {intent.direction} {intent.volume:g} {intent.symbol}"
        self._publish(
            RiskAlert(code="ORDER_MISSING", level="critical", text=f"{what} ({intent.id}): {text}")
        )
        await self.intents.settle(intent.id, "missing")

    async def _found(self, intent: Intent, finding: Finding) -> None:
        self._claim(finding.order, intent)
        self._publish_update(
            intent,
            finding.status,
            order=finding.order,
            filled=finding.filled,
            price=finding.price,
            reason=f"found at the terminal by {finding.how}",
        )
        state = {"filled": "done", "placed": "placed", "partial": "partial"}
        await self.intents.settle(
            intent.id,
            state.get(finding.status, "rejected"),
            order_ticket=finding.order,
            deal=finding.deal,
        )

    # -- small things -------------------------------------------------------------------------

    async def _account(self) -> str:
        account = await self._client.account_info()
        return f"{account.login}@{account.server}"

    def _claim(self, order: int, intent: Intent) -> None:
        self._claimed.add(order)
        self.sent[order] = intent
        while len(self.sent) > SENT_KEPT:
            del self.sent[next(iter(self.sent))]

    def _keep(self, task: asyncio.Task[Any]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        with suppress(asyncio.CancelledError):
            if error := task.exception():
                log.error("%s failed", task.get_name(), exc_info=error)

    def _publish_update(self, intent: Intent, status: Any, **more: Any) -> None:
        if status == "placed" and intent.pending:
            return  # the observer publishes it, as for every pending order
        self._publish(
            OrderUpdate(
                symbol=intent.symbol,
                direction=intent.direction,  # type: ignore[arg-type]
                kind=intent.kind,  # type: ignore[arg-type]
                status=status,
                volume=intent.volume,
                sl=intent.sl or None,
                tp=intent.tp or None,
                owner="bot",
                **({"order": None} | more),
            )
        )
