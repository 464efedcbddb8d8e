"""What a face draws from: a state, a change signal and commands.

``Feed`` (this process), ``FeedClient`` (another machine) and a replay are sources. A face
does not know which one it has.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ..protocol.messages import CommandResult
from .reducer import FeedState

Wire = dict[str, Any]
"""An event as it stands on the wire: JSON values, ``type`` included."""


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


class Source(Protocol):
    """The one interface between a face and a feed. All of it is used on the loop."""

    @property
    def state(self) -> FeedState:
        """The state now; it changes in place, ``state.revision`` rises with each change."""
        ...

    @property
    def link(self) -> Link: ...

    def watch(self, callback: Callable[[Wire], None]) -> Callable[[], None]:
        """Call ``callback`` with each event after it was applied; returns the way to stop.

        The callback must be quick and must not raise: it runs inside the feed.
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
        """Ask a bot for something to be done, the feed's own one unless it is named; never
        raises for a refusal."""
        ...
