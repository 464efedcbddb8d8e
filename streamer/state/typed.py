"""The state as the protocol's structs, for those that read it.

``FeedState`` keeps what was on the wire, so that a snapshot passes on every field of a foreign
publisher. Readers get attributes instead of string keys: ``state.typed.account.equity``. A
section is converted when it is first read after it changed; a feed without a reader pays nothing.

What is not known is ``None``; see ``streamer.protocol.lenient`` for values of a wrong type.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

from ..protocol.lenient import read, read_curve, read_list, read_map
from ..protocol.messages import (
    Account,
    BotStatus,
    Curve,
    PendingOrder,
    Position,
    Quote,
    Scan,
    TerminalStatus,
    TradeExecution,
)
from ..protocol.payloads import Received
from ..protocol.sections import SECTIONS

T = TypeVar("T")
R = TypeVar("R", bound=Received)


class Revised(Protocol):
    """What is read: each section under its key, ``FeedState`` in practice."""

    revisions: dict[str, int]
    """By section; a section's rises with each change of it."""


class TypedState:
    """A read-only view of one bot's state; the structs are shared and must not be changed.

    Args:
        state: What is read; it may change at any time.
    """

    __slots__ = ("_made", "_state")

    def __init__(self, state: Revised) -> None:
        self._state = state
        self._made: dict[str, tuple[int, Any, Any]] = {}

    @property
    def account(self) -> Account | None:
        """The account, merged from its updates; ``None`` before the first."""
        return self._one("account", Account)

    @property
    def positions(self) -> tuple[Position, ...]:
        """Open positions, in the order of ``FeedState.positions``. Empty also before the first
        update: ``"positions" in state.updated`` is true after it."""
        return self._rows("positions", Position)

    @property
    def orders(self) -> tuple[PendingOrder, ...]:
        """Pending orders, in the order of ``FeedState.orders``."""
        return self._rows("orders", PendingOrder)

    @property
    def quotes(self) -> Mapping[str, Quote]:
        """The last quote by symbol."""
        return self._by_name("quotes", Quote)

    @property
    def scan(self) -> Scan | None:
        """The last scan; ``None`` before the first."""
        return self._one("scan", Scan)

    @property
    def trades(self) -> tuple[TradeExecution, ...]:
        """Deals that opened or enlarged a position, newest first, at most 50."""
        return self._rows("trades", TradeExecution)

    @property
    def bot(self) -> BotStatus | None:
        """The bot's last status; ``None`` before the first."""
        return self._one("bot", BotStatus)

    @property
    def terminal(self) -> TerminalStatus | None:
        """The terminal's last status; ``None`` before the first."""
        return self._one("terminal", TerminalStatus)

    @property
    def equity(self) -> Curve:
        """The equity curve, one point for each five seconds of the last hour."""
        return self._section("equity", read_curve)

    def _one(self, name: str, struct: type[R]) -> R | None:
        return self._section(name, lambda raw: read(raw, struct) if raw else None)

    def _rows(self, name: str, struct: type[R]) -> tuple[R, ...]:
        return self._section(name, lambda raw: read_list(raw, struct))

    def _by_name(self, name: str, struct: type[R]) -> Mapping[str, R]:
        return self._section(name, lambda raw: read_map(raw, struct))

    def _section(self, name: str, make: Callable[[Any], T]) -> T:
        raw, revision = getattr(self._state, _KEYS[name]), self._state.revisions[name]
        known = self._made.get(name)
        # A section changes by a new object, or in place with a new revision.
        if known is None or known[0] != revision or known[1] is not raw:
            known = self._made[name] = (revision, raw, make(raw))
        made: T = known[2]
        return made


_KEYS = {section.name: section.key for section in SECTIONS}
