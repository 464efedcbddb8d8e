"""What a kind of terminal is: facts that settings, files and screens go by. Imports nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Traits:
    """The traits of a backend. The defaults are those of a broker's real account."""

    simulated: bool = False
    """No real money is at stake: the bot's mode is paper by default, and live is refused."""
    outlives_program: bool = True
    """The account continues when the program ends, and so do journal, intents and the memory of
    the risk limits. Otherwise each run has a new account and a journal of its own."""
    watches_all: bool = False
    """Without ``terminal.symbols`` all symbols of the terminal are watched; otherwise those of
    its Market Watch."""
    account_file: Path | None = None
    """The file that keeps the account between runs; journal and intents lie beside it. Only of
    an account that outlives the program."""


REAL = Traits()
IN_MEMORY = Traits(simulated=True, outlives_program=False, watches_all=True)
"""A terminal in memory: a new account at each start of the program."""
