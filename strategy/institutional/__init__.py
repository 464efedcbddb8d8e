"""The shipped strategy, from indicators to scores. Pure: numpy only, no terminal and no loop.

Import ``InstitutionalStrategy`` from here; everything else is private to the room, except that
backtest and ml read ``features`` and ``structure``.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .strategy import InstitutionalStrategy

__all__ = ["InstitutionalStrategy"]


def __getattr__(name: str) -> object:
    # loaded on use: a bot with a strategy of its own never needs it
    if name == "InstitutionalStrategy":
        from .strategy import InstitutionalStrategy

        return InstitutionalStrategy
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
