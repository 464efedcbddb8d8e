"""The watched symbols, with digits and point of each."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence

from streamer.protocol.messages import Event, RiskAlert

from ..api.oddity import oddity
from ..api.structs import SymbolInfo
from ..api.terminal import TerminalError
from ..transport.backend import Call
from ..transport.client import TerminalClient

log = logging.getLogger(__name__)


class Symbols:
    """The watched symbols of a terminal. ``wanted`` empty: all symbols where the
    backend's traits say so, otherwise those of Market Watch."""

    def __init__(
        self, client: TerminalClient, wanted: Sequence[str], publish: Callable[[Event], None]
    ) -> None:
        self.names: list[str] = list(wanted)
        self.digits: dict[str, int] = {}
        self.points: dict[str, float] = {}
        self._client = client
        self._wanted = tuple(dict.fromkeys(wanted))
        self._publish = publish
        self._reported: set[str] = set()

    async def find(self) -> None:
        """Look up the watched symbols and select them. Raises :class:`TerminalError`."""
        if self._wanted:
            answers = await self._client.batch(
                [("symbol_info", (name,), {}) for name in self._wanted]
            )
            infos = []
            for name, answer in zip(self._wanted, answers, strict=True):
                if isinstance(answer, SymbolInfo):
                    infos.append(answer)
                else:
                    await self._unknown(name, answer)
        else:
            everything = self._client.backend.traits.watches_all
            found = await self._client.symbols_get()
            infos = [info for info in found if everything or info.select]
        infos = [info for info in infos if self._usable(info)]
        self._take(infos)
        self.names = [info.name for info in infos]
        calls: list[Call] = [
            ("symbol_select", (info.name, True), {}) for info in infos if not info.select
        ]
        for call, answer in zip(calls, await self._client.batch(calls), strict=True):
            if isinstance(answer, TerminalError):
                log.warning("%s cannot be selected: %s", call[1][0], answer)

    async def learn(self, names: Iterable[str]) -> None:
        """Read digits and point of these symbols, also of symbols that are not watched."""
        missing = sorted({name for name in names if name and name not in self.digits})
        if missing:
            answers = await self._client.batch([("symbol_info", (name,), {}) for name in missing])
            infos = [answer for answer in answers if isinstance(answer, SymbolInfo)]
            self._take([info for info in infos if oddity(info) is None])

    def _usable(self, info: SymbolInfo) -> bool:
        """Can the symbol be computed with? One that cannot is reported once and left out."""
        reason = oddity(info)
        if reason is not None and info.name not in self._reported:
            self._reported.add(info.name)
            self._publish(
                RiskAlert(
                    code="SYMBOL_ODD",
                    level="warning",
                    text=f"{info.name} is left out: its {reason}; remove it from Market Watch, or ask "
                    "the broker",
                )
            )
        return reason is None

    def _take(self, infos: Iterable[SymbolInfo]) -> None:
        for info in infos:
            self.digits[info.name] = info.digits
            self.points[info.name] = info.point

    async def _unknown(self, name: str, error: TerminalError) -> None:
        if error.code in (-10000, -10001, -10002, -10004, -10005):
            raise error
        if name in self._reported:
            return
        self._reported.add(name)
        near = await self._client.symbols_get(group=f"*{name[:6].upper()}*")
        hint = f"; the broker has {', '.join(info.name for info in near[:5])}" if near else ""
        self._publish(
            RiskAlert(
                code="SYMBOL_UNKNOWN",
                level="warning",
                text=f"{name} is not known to the broker{hint}: correct terminal.symbols",
            )
        )
