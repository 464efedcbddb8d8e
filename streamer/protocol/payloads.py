"""What events carry: the parts of a message that have no type of their own.

``None`` is not known. Units as in ``protocol``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, TypeVar

import msgspec

Direction = Literal["BUY", "SELL"]

T = TypeVar("T")
if TYPE_CHECKING:
    Sent: TypeAlias = T | None
else:
    Sent = Annotated[T, "sent"]
"""``Sent[int]``: every publisher of this protocol sends an integer, and the schema says so; a
reader finds ``None`` where a foreign publisher sent something else (see ``lenient``)."""


class Received(msgspec.Struct, kw_only=True, dict=True):
    """Base of what is read from the wire: the declared fields, and the rest in ``extra``."""

    @property
    def extra(self) -> Mapping[str, Any]:
        """Fields that were received and are not declared here; empty for what was made here."""
        known = self.__struct_config__
        skip = {*self.__struct_encode_fields__, known.tag_field}
        received: Mapping[str, Any] = self.__dict__.get("received", {})
        return {key: value for key, value in received.items() if key not in skip}


class Payload(Received, kw_only=True):
    """A part of a message that has no type of its own."""


class Position(Payload):
    """One open position. ``sl_price`` and ``tp_price`` are 0.0 when there is none."""

    ticket: Sent[int]
    symbol: Sent[str]
    type: int | None = None
    direction: str | None = None
    volume: float | None = None
    entry_price: float | None = None
    price_current: float | None = None
    sl_price: float | None = None
    tp_price: float | None = None
    profit: float | None = None
    swap: float | None = None
    commission: float | None = None
    opened_at: str | None = None
    magic: int | None = None
    comment: str | None = None
    digits: int | None = None
    owner: str | None = None
    risk: float | None = None
    """Money lost (negative) or locked in (positive) if the stop is hit now, costs aside;
    ``None`` without a stop."""
    initial_risk: float | None = None
    """Money that the first stop put at risk (positive); R = profit / initial_risk."""


class PendingOrder(Payload):
    """One pending order."""

    order: Sent[int]
    symbol: Sent[str]
    direction: str | None = None
    kind: str | None = None
    volume: float | None = None
    price: float | None = None
    stop_limit: float | None = None
    price_current: float | None = None
    sl: float | None = None
    tp: float | None = None
    placed_at: str | None = None
    expires_at: str | None = None
    magic: int | None = None
    comment: str | None = None
    digits: int | None = None
    owner: str | None = None


class Account(Payload):
    """The account. ``day_pl`` is realised since server midnight plus floating."""

    balance: float | None = None
    equity: float | None = None
    profit: float | None = None
    currency: str | None = None
    leverage: int | None = None
    day_pl: float | None = None
    margin: float | None = None
    margin_free: float | None = None
    margin_level: float | None = None
    """Percent; 0.0 while no margin is used."""
    login: int | None = None
    server: str | None = None
    name: str | None = None
    trade_allowed: bool | None = None
    drawdown_pct: float | None = None
    """Percent below the highest equity seen by this journal."""
    mode: str | None = None
    """observe, paper or live."""
    margin_mode: str | None = None
    """netting, exchange or hedging."""
    limits: dict[str, Limit] | None = None
    """Distance to the risk limits, by name (``daily_loss``, ``drawdown``, ``open_positions``)."""


class Limit(Payload):
    """A risk limit: ``value`` now, ``limit`` where trading stops, both in ``unit``."""

    value: float | None = None
    limit: float | None = None
    unit: str = ""
    left: float | None = None
    """Money that can still be lost before it trips; ``None`` where it is not about money."""


class Quote(Payload):
    """Last known prices of a symbol; ``None`` where a price is not known."""

    bid: float | None = None
    ask: float | None = None
    time: str | None = None
    digits: int | None = None


ScanCode = Literal[
    "CANDIDATE",
    "OK",
    "SCORE",
    "SPREAD",
    "SESSION",
    "NEWS",
    "COOLDOWN",
    "DATA",
    "REGIME",
    "COST",
    "RISK",
    "BLOCKED",
    "TERMINAL",
    "PAUSED",
    "ERROR",
]
"""Where a symbol stopped on its way to a trade. Each has a stage in ``streamer/web/words.json``."""


class ScanDetail(Payload):
    """Why a symbol does or does not trade, in numbers. ``gate`` names the gate that stopped it."""

    code: Sent[ScanCode]
    direction: str | None = None
    score: float | None = None
    """0 to 100."""
    gate: str | None = None
    spread: float | None = None
    """Points."""
    atr: float | None = None
    """Price units, of the trigger timeframe."""
    regime: str | None = None
    age_s: float | None = None
    """Server seconds since the last tick of the symbol when it was scanned."""
    components: dict[str, float] | None = None
    """Points of the score by component."""
    need: float | None = None
    """The score from which the symbol would trade."""
    entry: float | None = None
    sl: float | None = None
    tp: float | None = None
    r: float | None = None
    """Reward over risk of the suggested levels."""
    evidence: dict[str, int] | None = None
    """Opening times of the bars that justify it, by fact, in server epoch seconds (as in
    ``/api/bars``)."""


class Scan(Payload):
    """The last scan, as a snapshot holds it: by symbol the sentence and the numbers."""

    symbols: dict[str, str | None] = {}
    timestamp: str | None = None
    count: int | None = None
    candidates: int | None = None
    details: dict[str, ScanDetail] = {}


class Curve(Payload):
    """The equity curve: ``time`` in epoch seconds, ``value`` in account currency, oldest first,
    of one length."""

    time: tuple[int, ...] = ()
    value: tuple[float, ...] = ()


class BotPulse(Payload):
    """How one bot of a feed is, in a heartbeat."""

    data_age_s: float | None = None
    """Age of its account or prices, whichever is newer."""
    heard_s: float | None = None
    """Seconds since anything came from it."""
    terminal: str | None = None
    lost: str | None = None
    """Why nothing can come from it now, where that is known."""


class Reason(Payload):
    """A machine-readable code beside words for people."""

    code: Sent[str]
    text: Sent[str]


class RiskMemory(Payload):
    """What a restart must not forget of the risk limits, for one account. Money in account
    currency, times in server seconds."""

    login: int
    server: str
    peak_equity: float | None = None
    base_equity: float | None = None
    """Highest equity since the drawdown was released; ``None`` when it never was."""
    drawdown_hit: bool = False
    loss_day: int | None = None
    """Day (since 1970) on which the daily loss was reached."""
    forgiven: float | None = None
    """Losing trades up to this time do not count: the operator released the desk."""


class Expect(Payload, forbid_unknown_fields=True):
    """What the sender of a command sees: it is refused when the position (order) is another
    by now. What is left out is not compared."""

    ticket: int | None = None
    side: Direction | None = None
    volume: float | None = None
    symbol: str | None = None


class Confirm(Payload):
    """The feed's question before a command that cannot be taken back: repeat it unchanged on
    this connection, with ``nonce`` as its ``confirm``, within ``expires_s`` seconds."""

    nonce: str
    expires_s: float
    text: str


class CommandError(Payload):
    """``code`` is for programs, ``message`` for people."""

    code: str
    message: str
