"""What a face draws from: a state, a change signal, commands, and what else the source offers.

``Feed`` (this process), ``FeedClient`` (another machine), ``BackboneSource`` (a stream),
``Replay`` (a journal) and ``BotSource`` (one bot of any of them) are sources. A face does not
know which one it has: it reads ``Source.capabilities``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ..protocol.messages import CommandResult
from .reducer import FeedState
from .trades import TradeLedger

Wire = dict[str, Any]
"""An event as JSON values, ``type`` included."""


@dataclass(frozen=True, slots=True)
class Link:
    """How this face is joined to its feed.

    ``state`` is local (same process), connecting, live, or lost; ``since`` and
    ``last_frame`` are ``time.monotonic()`` seconds; ``clients`` counts the others.
    """

    state: str
    url: str
    since: float
    last_frame: float | None = None
    detail: str = ""
    clients: int | None = None


class BarsProvider(Protocol):
    """Bars from the cache of this process."""

    async def __call__(
        self, symbol: str, timeframe: str, count: int, /
    ) -> list[dict[str, Any]] | None:
        """The newest ``count`` bars, oldest first; ``None`` for a symbol without any."""
        ...


class TradesProvider(Protocol):
    """The trades that this process keeps."""

    def __call__(self, bot: str = "", /) -> TradeLedger | None:
        """The ledger of one bot, of the source's own bot when no name is given; ``None`` for an
        unknown bot."""
        ...


class HealthReporter(Protocol):
    """The checks of a feed in this process."""

    def report(self) -> dict[str, Any]:
        """``{status, checks}`` as ``/api/health`` returns it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a source offers beside its state. ``None``: this source does not offer it.

    Attributes:
        token: The token that the source was opened with; the feed's HTTP routes accept it too.
        bars: Bars from this process. Without it they come from ``/api/bars``.
        trades: Ledgers of this process. Without it trades come from ``/api/journal/trades``.
        health: The checks of the feed in this process.
        own: The state of the bot that this process runs.
        journal_path: The journal that the feed in this process writes.
        journal_trouble: Why that journal cannot be written; ``None`` while it can, or where
            there is none.
    """

    token: str | None = None
    bars: BarsProvider | None = None
    trades: TradesProvider | None = None
    health: HealthReporter | None = None
    own: FeedState | None = None
    journal_path: Path | None = None
    journal_trouble: str | None = None


NO_CAPABILITIES = Capabilities()
"""A source that offers its state and nothing else."""


class Source(Protocol):
    """The one interface between a face and a feed. All of it is used on the loop."""

    @property
    def state(self) -> FeedState:
        """The state now; it changes in place, ``state.revision`` rises with each change."""
        ...

    @property
    def link(self) -> Link: ...

    @property
    def capabilities(self) -> Capabilities:
        """What it offers beside the state, as of now: read it again rather than keep it."""
        ...

    def watch(self, callback: Callable[[Wire], None]) -> Callable[[], None]:
        """Call ``callback`` with each event after it was applied.

        The callback must be quick and must not raise: it runs inside the feed.

        Returns:
            A function that ends it.
        """
        ...

    async def command(
        self,
        name: str,
        args: Mapping[str, Any] | None = None,
        *,
        id: str | None = None,
        bot: str | None = None,
    ) -> CommandResult:
        """Send a command to a bot; to the feed's own one unless ``bot`` names another.

        Never raises for a refusal: the result says so.
        """
        ...
