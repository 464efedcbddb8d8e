"""Every message of the feed as a typed struct: the wire contract in code.

A frame is one flat JSON object whose ``type`` names it. *State* events replace their
predecessor and carry no ``seq``; every other event is a *log* event, numbered without a
hole. ``docs/protocol.md`` is the same contract for people.

Fields that are ``None`` are sent as ``null``: unknown. Fields that are ``UNSET`` are not sent at
all. Prices are in quote currency, money in account currency, volumes in lots, durations in
seconds, times in ISO 8601 UTC with ``+00:00``.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from .payloads import Account as Account
from .payloads import BotPulse as BotPulse
from .payloads import CommandError as CommandError
from .payloads import Confirm as Confirm
from .payloads import Curve as Curve
from .payloads import Direction as Direction
from .payloads import Expect as Expect
from .payloads import Limit as Limit
from .payloads import Payload as Payload
from .payloads import PendingOrder as PendingOrder
from .payloads import Position as Position
from .payloads import Quote as Quote
from .payloads import Reason as Reason
from .payloads import Received, Sent
from .payloads import RiskMemory as RiskMemory
from .payloads import Scan as Scan
from .payloads import ScanCode as ScanCode
from .payloads import ScanDetail as ScanDetail

PROTOCOL_VERSION = 1
SUBPROTOCOL = "mt5dash.v1"

LEGACY_STATE_TYPES = frozenset({"ACCOUNT_UPDATE", "POSITION_UPDATE"})
"""The state events that a client without the subprotocol is sent."""

RESERVED_TYPES = frozenset({"CONNECTED", "DISCONNECTED", "REST_POLL", "UNKNOWN"})
"""Names deployed dashboards use inside; no event may carry them."""

REPLY_TYPES = frozenset({"STATE_SNAPSHOT", "ERROR", "PONG", "AUTH_OK", "COMMAND_RESULT"})
"""Frames addressed to one client; never published, never numbered."""


# -- events -------------------------------------------------------------------------------


class Event(Received, kw_only=True, tag_field="type"):
    """Base of every event. The feed fills ``timestamp`` and, for log events, ``seq``.

    It also adds ``bot``, the bot's name, and ``account``, ``LOGIN@SERVER`` of the bot's account
    once that is known (but not to ACCOUNT_UPDATE, where ``account`` is an object).

    A relay adds ``origin`` to a log event: its place, ``EPOCH:SEQ``, on the feed that numbered it
    first; and ``via``, its place on the feed that the relay received it from, when that is another.
    """

    timestamp: str | UnsetType = UNSET
    seq: int | UnsetType = UNSET
    bot: str | UnsetType = UNSET
    origin: str | UnsetType = UNSET
    via: str | UnsetType = UNSET


class StateEvent(Event):
    """Base of the events of which only the newest counts: they are not numbered, and a client
    that is slow is sent the newest one of each type."""


class AccountUpdate(StateEvent, tag="ACCOUNT_UPDATE"):
    account: Sent[Account]


class PositionUpdate(StateEvent, tag="POSITION_UPDATE"):
    positions: Sent[list[Position]]


class OrdersUpdate(StateEvent, tag="ORDERS_UPDATE"):
    orders: Sent[list[PendingOrder]]


class QuoteUpdate(StateEvent, tag="QUOTE_UPDATE"):
    """``server_time`` is the market's own clock, ``speed`` how fast it runs (replay)."""

    quotes: Sent[dict[str, Quote]]
    server_time: str | None = None
    speed: float = 1.0


class Heartbeat(StateEvent, tag="HEARTBEAT"):
    seq: Sent[int]  # type: ignore[assignment]
    epoch: Sent[str]
    sent: Sent[int]
    clients: Sent[int]
    loop_lag_ms: float | None = None
    terminal: str | None = None
    data_age_s: float | None = None
    journal: str | None = None
    """ok, or why log events are not being written (and therefore not sent)."""
    bots: dict[str, BotPulse] = msgspec.field(default_factory=dict)
    """Each bot of the feed by name, the feed's own first."""


class ScanStart(Event, tag="SCAN_START"):
    count: Sent[int]


class ScanSummary(Event, tag="SCAN_SUMMARY"):
    symbols: Sent[dict[str, str]]
    count: Sent[int]
    candidates: Sent[int]
    details: Sent[dict[str, ScanDetail]]
    duration_ms: float | None = None


class TradeExecution(Event, tag="TRADE_EXECUTION"):
    """A deal opened or enlarged a position."""

    symbol: Sent[str]
    direction: Sent[Direction]
    price: Sent[float]
    lot: Sent[float]
    ticket: int | None = None
    order: int | None = None
    deal: int | None = None
    sl: float | None = None
    tp: float | None = None
    score: float | None = None
    slippage: float | None = None
    """Points, positive when worse than asked for."""
    owner: str | None = None


class ResearchStart(Event, tag="RESEARCH_START"):
    symbol: Sent[str]
    data: Sent[dict[str, Any]]


class ResearchResult(Event, tag="RESEARCH_RESULT"):
    symbol: Sent[str]
    action: Sent[str]
    confidence: Sent[float]
    reason: Sent[str]


class CriticReview(Event, tag="CRITIC_REVIEW"):
    symbol: Sent[str]
    score: Sent[float]
    lesson: Sent[str]
    analysis: Sent[str]
    ticket: int | None = None


class OrderUpdate(Event, tag="ORDER_UPDATE"):
    """``order`` is ``None`` until the terminal gave it a number."""

    order: int | None
    symbol: Sent[str]
    direction: Sent[Direction]
    kind: Sent[Literal["market", "limit", "stop", "stop_limit", "close"]]
    status: Sent[
        Literal["placed", "partial", "filled", "cancelled", "expired", "rejected", "unknown"]
    ]
    volume: Sent[float]
    filled: float | None = None
    price: float | None = None
    sl: float | None = None
    tp: float | None = None
    retcode: int | None = None
    reason: str | None = None
    owner: str | None = None


class PositionOpened(Event, tag="POSITION_OPENED"):
    ticket: Sent[int]
    symbol: Sent[str]
    direction: Sent[Direction]
    volume: Sent[float]
    entry_price: Sent[float]
    sl_price: float | None = None
    tp_price: float | None = None
    opened_at: str | None = None
    owner: str | None = None
    score: float | None = None
    components: dict[str, float] | None = None
    """The score's components that justified the trade, when it is the bot's."""
    initial_risk: float | None = None
    """Account currency."""


class PositionModified(Event, tag="POSITION_MODIFIED"):
    ticket: Sent[int]
    symbol: Sent[str]
    direction: Sent[Direction]
    volume: Sent[float]
    entry_price: float | None = None
    sl_price: float | None = None
    tp_price: float | None = None
    old_sl_price: float | None = None
    old_tp_price: float | None = None
    old_volume: float | None = None
    profit: float | None = None
    """Money realised by a partial close."""
    owner: str | None = None
    reason: str | None = None


class PositionClosed(Event, tag="POSITION_CLOSED"):
    ticket: Sent[int]
    symbol: Sent[str]
    direction: Sent[Direction]
    volume: Sent[float]
    entry_price: float | None = None
    exit_price: float | None = None
    profit: float | None = None
    swap: float | None = None
    commission: float | None = None
    r_multiple: float | None = None
    duration_s: float | None = None
    close_reason: Literal["sl", "tp", "stop_out", "strategy", "operator", "external"] | None = None
    opened_at: str | None = None
    closed_at: str | None = None
    owner: str | None = None
    mae: float | UnsetType | None = UNSET
    """Lowest profit while it was open, account currency; the feed fills it from the
    POSITION_UPDATE events; ``None`` when there was none."""
    mfe: float | UnsetType | None = UNSET
    """The highest."""


class BotStatus(Event, tag="BOT_STATUS"):
    state: Sent[Literal["starting", "scanning", "waiting", "paused", "halted", "error", "stopped"]]
    reason: Reason | None = None
    strategy: str | None = None
    mode: Literal["observe", "paper", "live"] | None = None
    next_scan_at: str | None = None
    gates: dict[str, int] | None = None
    cycle_s: float | None = None
    risk: RiskMemory | UnsetType = UNSET


class TerminalStatus(Event, tag="TERMINAL_STATUS"):
    state: Sent[Literal["connected", "stale", "disconnected"]]
    backend: Sent[str]
    last_error: Reason | None = None
    ping_ms: float | None = None
    since: str | None = None
    market: str | None = None
    """Where the quotes come from, in words: a broker, a generator, a replayed folder."""


class RiskAlert(Event, tag="RISK_ALERT"):
    code: Sent[str]
    level: Sent[Literal["info", "warning", "critical"]]
    text: Sent[str]
    value: float | None = None
    limit: float | None = None


class TrainerStatus(Event, tag="TRAINER_STATUS"):
    state: Sent[str]
    next_run_at: str | None = None
    progress: float | None = None
    text: str | None = None


class ModelSwapped(Event, tag="MODEL_SWAPPED"):
    model: Sent[str]
    metrics: Sent[dict[str, float]]
    previous: dict[str, float] | None = None


class CommandAudit(Event, tag="COMMAND_AUDIT"):
    """Published twice for a command that is carried out: ``given`` (``ok`` is ``None``), on disk
    before the effect, and ``done`` with the result after it. ``refused`` is published once."""

    id: Sent[str]
    name: Sent[str]
    args: Sent[dict[str, Any]]
    actor: Sent[str]
    ok: bool | None
    state: Sent[Literal["given", "done", "refused"]] = "done"
    result: dict[str, Any] | UnsetType | None = UNSET
    error: CommandError | UnsetType | None = UNSET


EVENTS: tuple[type[Event], ...] = (
    *StateEvent.__subclasses__(),
    *(struct for struct in Event.__subclasses__() if struct is not StateEvent),
)
EVENT_TYPES: dict[str, type[Event]] = {cls.__struct_config__.tag: cls for cls in EVENTS}  # type: ignore[misc]
STATE_TYPES = frozenset(
    kind for kind, struct in EVENT_TYPES.items() if issubclass(struct, StateEvent)
)
"""Latest value wins; never numbered, never in the rolling log."""


# -- replies ------------------------------------------------------------------------------


class CommandResult(msgspec.Struct, kw_only=True, tag_field="type", tag="COMMAND_RESULT"):
    """The answer to one command: ``result`` when ``ok``, else ``error``; ``confirm`` when it
    is a question (the error's code is then CONFIRM)."""

    id: str
    ok: bool
    result: dict[str, Any] | None = None
    error: CommandError | None = None
    confirm: Confirm | UnsetType = UNSET


class ErrorReply(msgspec.Struct, kw_only=True, tag_field="type", tag="ERROR"):
    code: str
    message: str
    id: str | UnsetType = UNSET


# -- what clients send --------------------------------------------------------------------


class Subscribe(msgspec.Struct, kw_only=True, tag_field="type", tag="SUBSCRIBE"):
    types: list[str] | None = None
    symbols: list[str] | None = None
    bots: list[str] | None = None
    """The first one is on the top level of the snapshot that answers."""


class Ping(msgspec.Struct, kw_only=True, tag_field="type", tag="PING"):
    id: str | int | None = None


class Auth(msgspec.Struct, kw_only=True, tag_field="type", tag="AUTH"):
    token: str


class Command(msgspec.Struct, kw_only=True, tag_field="type", tag="COMMAND"):
    """``id`` is made by the client and unique: a repeat returns the first result. ``confirm``
    answers the feed's question (``Confirm``). ``bot`` names who is to act; without it the
    feed's own bot."""

    id: str
    name: str
    args: dict[str, Any] = {}
    confirm: str | None = None
    bot: str | None = None


class Publish(msgspec.Struct, kw_only=True, tag_field="type", tag="PUBLISH"):
    event: dict[str, Any]


ClientMessage = Subscribe | Ping | Auth | Command | Publish


def is_state(event_type: str) -> bool:
    """Whether a newer event of this type replaces an older one."""
    return event_type in STATE_TYPES
