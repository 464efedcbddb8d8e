"""The ways to a terminal, by the name in ``terminal.backend``: built-in ones and installed ones.

A package brings its own by an entry point of group ``mt5dash.backends`` that names a
:class:`BackendKind`. This module is loaded with the settings, so it loads no backend itself.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, TypeAlias

from streamer.errors import USAGE, Mt5dashError

from ..settings import PaperSettings, TerminalSettings
from .traits import IN_MEMORY, REAL, Traits

if TYPE_CHECKING:
    from ..api.terminal import Terminal
    from .backend import Backend

ENTRY_POINTS = "mt5dash.backends"
RESERVED = frozenset({"journal", "intents"})
"""Names that no backend can have: files are named by the backend, and these are of all of them."""

Progress: TypeAlias = Callable[[str, int, int], None]
"""Gets what is being done, how many are done, and of how many; from any thread."""


class BackendError(Mt5dashError):
    """The settings ask for a terminal that cannot be reached from here, with the remedy."""

    exit_code = USAGE


def _silent(what: str, done: int, total: int) -> None:
    pass


class BackendKind:
    """One way to a terminal. Subclass it, and override what differs."""

    name: str
    """Its name in ``terminal.backend``: lower-case letters, digits and underscores."""
    package: str = ""
    """The package that it imports and mt5dash does not depend on; `mt5dash doctor` checks it."""
    install: str = ""
    """The command that installs that package."""
    preparing: str = ""
    """What :meth:`prepare` does, in words; empty: it does nothing."""

    def traits(self, terminal: TerminalSettings, paper: PaperSettings) -> Traits:
        """What the terminal of these settings is. Must be quick: it opens and reads nothing."""
        return REAL

    def where(self, terminal: TerminalSettings, paper: PaperSettings) -> str:
        """What is being done until the terminal answers, in words."""
        return f"reaching for {self.name}"

    def prepare(
        self, terminal: TerminalSettings, paper: PaperSettings, progress: Progress
    ) -> object:
        """Check the settings before the feed listens. Runs beside the loop, may read files.

        Returns:
            Whatever :meth:`open` can use, so that it need not be done again.

        Raises:
            BackendError: the settings cannot work.
        """
        return None

    def open(
        self,
        terminal: TerminalSettings,
        paper: PaperSettings,
        progress: Progress,
        prepared: object = None,
    ) -> Backend:
        """Make the backend. Nothing is started or connected yet.

        Args:
            progress: Gets how far a long start is.
            prepared: The result of :meth:`prepare`, or ``None`` when it was not called.

        Raises:
            BackendError: a setting is missing or wrong, or this system has no such terminal.
        """
        raise NotImplementedError


class PaperKind(BackendKind):
    """The terminal in memory."""

    name = "paper"
    preparing = "looking at the paper market's settings"

    def traits(self, terminal: TerminalSettings, paper: PaperSettings) -> Traits:
        if paper.state is None:
            return IN_MEMORY
        return Traits(simulated=True, watches_all=True, account_file=paper.state)

    def where(self, terminal: TerminalSettings, paper: PaperSettings) -> str:
        return f"paper: opening {paper.market}" if paper.market else "paper: making a market"

    def prepare(
        self, terminal: TerminalSettings, paper: PaperSettings, progress: Progress
    ) -> object:
        """Returns the quotes that were found."""
        from ..paper.market.discovery import discover
        from ..paper.market.model import MarketError
        from ..paper.opening import moment

        try:
            moment(paper.start)
            if paper.market is not None:
                return discover(paper.market, progress)
        except MarketError as error:
            raise BackendError(str(error)) from error
        return None

    def open(
        self,
        terminal: TerminalSettings,
        paper: PaperSettings,
        progress: Progress,
        prepared: object = None,
    ) -> Backend:
        from ..api import constants as c
        from ..api.terminal import TerminalError
        from .backend import InProcess

        found: list[Any] = [prepared]

        def open_terminal() -> Terminal:
            # Imported in the terminal's own thread: the market is built there, off the loop.
            from ..paper import MarketError, open_paper

            try:
                # A market that is opened again reads its files again.
                return open_paper(paper, progress=progress, quotes=found.pop() if found else None)
            except MarketError as error:
                raise TerminalError(c.RES_E_INTERNAL_FAIL_INIT, str(error)) from error

        return InProcess(open_terminal, traits=self.traits(terminal, paper))


class NativeKind(BackendKind):
    """The MetaTrader5 package in a child process."""

    name = "native"
    package = "MetaTrader5"
    install = 'pip install "mt5dash[mt5]"'

    def where(self, terminal: TerminalSettings, paper: PaperSettings) -> str:
        return "starting MetaTrader 5"

    def open(
        self,
        terminal: TerminalSettings,
        paper: PaperSettings,
        progress: Progress,
        prepared: object = None,
    ) -> Backend:
        from .remote import Child

        if platform.system() != "Windows":
            raise BackendError(
                "the MetaTrader5 package exists for Windows only: run `mt5dash agent` where the "
                'terminal is and set terminal.backend = "agent", or use "paper"'
            )
        return Child()


class AtAddress(BackendKind):
    """A terminal behind ``terminal.address``."""

    def where(self, terminal: TerminalSettings, paper: PaperSettings) -> str:
        return f"reaching for {self.name} {terminal.address}"


class AgentKind(AtAddress):
    """A terminal behind `mt5dash agent`."""

    name = "agent"

    def open(
        self,
        terminal: TerminalSettings,
        paper: PaperSettings,
        progress: Progress,
        prepared: object = None,
    ) -> Backend:
        from .remote import Agent

        if terminal.token is None:
            raise BackendError(
                "the agent asks for a token: set MT5DASH_TERMINAL__TOKEN (or terminal.token) to "
                "the content of its token file"
            )
        try:
            return Agent(terminal.address, terminal.token.get_secret_value())
        except ValueError as error:
            raise BackendError(str(error)) from error


class RpycKind(AtAddress):
    """A terminal behind an mt5linux server."""

    name = "rpyc"
    package = "rpyc"
    install = 'pip install "mt5dash[rpyc]"'

    def open(
        self,
        terminal: TerminalSettings,
        paper: PaperSettings,
        progress: Progress,
        prepared: object = None,
    ) -> Backend:
        from .rpyc_backend import Rpyc

        try:
            return Rpyc(terminal.address)
        except ValueError as error:
            raise BackendError(str(error)) from error


BUILT_IN: dict[str, BackendKind] = {
    kind.name: kind for kind in (PaperKind(), NativeKind(), AgentKind(), RpycKind())
}


def backend_kind(name: str) -> BackendKind:
    """The backend with this name: a built-in one, else an installed one.

    Raises:
        BackendError: there is none, or its package cannot be loaded.
    """
    if name in BUILT_IN:
        return BUILT_IN[name]
    found = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    if name not in found or name in RESERVED:
        known = ", ".join(sorted({*BUILT_IN, *found}))
        raise BackendError(
            f"no backend is called {name!r}; known are: {known}. Give one of these, or install "
            "the package that brings it."
        )
    try:
        kind = found[name].load()
        kind = kind() if isinstance(kind, type) else kind
    except Exception as error:
        # foreign code may fail in any way; its own error is kept as the cause
        text = f"the backend {name!r} cannot be loaded: {type(error).__name__}: {error}"
        raise BackendError(text) from error
    if not isinstance(kind, BackendKind):
        raise BackendError(
            f"the backend {name!r} is {kind!r}; its entry point must name a BackendKind of "
            "execution.transport.registry"
        )
    kind.name = name  # files are named by the name in the settings
    return kind


def open_backend(
    terminal: TerminalSettings,
    paper: PaperSettings,
    progress: Progress = _silent,
    prepared: object = None,
) -> Backend:
    """The backend that ``terminal.backend`` names. Nothing is started or connected yet.

    Raises:
        BackendError: see :func:`backend_kind` and :meth:`BackendKind.open`.
    """
    return backend_kind(terminal.backend).open(terminal, paper, progress, prepared)
