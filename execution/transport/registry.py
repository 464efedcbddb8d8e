"""Makes the backend that the settings ask for."""

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import TYPE_CHECKING

from streamer.errors import USAGE, Mt5dashError

from ..api import constants as c
from ..api.terminal import Terminal, TerminalError
from ..settings import PaperSettings, TerminalSettings
from .backend import Backend, InProcess

if TYPE_CHECKING:
    from ..paper.market.discovery import Quotes


class BackendError(Mt5dashError):
    """The settings ask for a terminal that cannot be had; says what to do."""

    exit_code = USAGE


def check_paper(
    paper: PaperSettings, tell: Callable[[str, int, int], None] | None = None
) -> Quotes | None:
    """Look whether the paper market's settings can work, without opening it. Reads folders.

    Args:
        tell: Hears how far it is, as for :func:`open_backend`.

    Returns:
        The quotes that were found, for :func:`open_backend`, which then need not look again.

    Raises:
        BackendError: the start is no moment, or there are no quotes where they should be.
    """
    from ..paper.market.discovery import discover
    from ..paper.market.model import MarketError, nobody
    from ..paper.opening import moment

    try:
        moment(paper.start)
        if paper.market is not None:
            return discover(paper.market, tell or nobody)
    except MarketError as error:
        raise BackendError(str(error)) from error
    return None


def open_backend(
    terminal: TerminalSettings,
    paper: PaperSettings,
    tell: Callable[[str, int, int], None] | None = None,
    quotes: Quotes | None = None,
) -> Backend:
    """The way to the terminal. Nothing is started or connected yet.

    Args:
        tell: Hears, in the terminal's thread, how far the opening of a paper market is: what is
            done, and how many of how many are.
        quotes: What :func:`check_paper` found.

    Raises:
        BackendError: a setting is missing or wrong, or this system has no such terminal.
    """
    if terminal.backend == "paper":
        found = [quotes]

        def open_terminal() -> Terminal:
            # Imported in the terminal's own thread: the market is built there, off the loop.
            from ..paper import MarketError, open_paper

            try:
                # A market that is opened again reads its files again.
                return open_paper(paper, tell=tell, quotes=found.pop() if found else None)
            except MarketError as error:
                raise TerminalError(c.RES_E_INTERNAL_FAIL_INIT, str(error)) from error

        return InProcess(open_terminal)
    if terminal.backend == "native":
        from .remote import Child

        if platform.system() != "Windows":
            raise BackendError(
                "the MetaTrader5 package exists for Windows only: run `mt5dash agent` where the "
                'terminal is and set terminal.backend = "agent", or use "paper"'
            )
        return Child()
    try:
        if terminal.backend == "rpyc":
            from .rpyc_backend import Rpyc

            return Rpyc(terminal.address)
        from .remote import Agent

        if terminal.token is None:
            raise BackendError(
                "the agent asks for a token: set MT5DASH_TERMINAL__TOKEN (or terminal.token) to "
                "what stands in its token file"
            )
        return Agent(terminal.address, terminal.token.get_secret_value())
    except ValueError as error:
        raise BackendError(str(error)) from error
