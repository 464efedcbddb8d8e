"""A MetaTrader 5 terminal in memory: market, matching and account, on a virtual clock.

Import the names below, and ``execution.paper.metatrader5`` in place of the package.
"""

from .market.model import MarketError
from .opening import open_paper
from .server.terminal import PaperTerminal

__all__ = ["MarketError", "PaperTerminal", "open_paper"]
