"""Confirmation questions before commands that cannot be undone, and their one-use nonces."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from hmac import compare_digest

from ..protocol.commands import BadCommand

LIFETIME_S = 30.0
OPEN_MAX = 256
OPEN_PER_SESSION = 8


@dataclass(frozen=True, slots=True)
class _Open:
    session: str
    content: bytes
    until: float


class Confirmations:
    """Open questions: each belongs to one connection and one command content, and is answered
    once, within ``lifetime_s`` seconds.

    Args:
        clock: Monotonic seconds.
    """

    lifetime_s = LIFETIME_S

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self._open: OrderedDict[str, _Open] = OrderedDict()

    def new(self, session: str, content: bytes) -> str:
        """Open a question and return its nonce. When there are too many, the oldest is dropped.

        Args:
            session: The connection that is asked.
            content: The command, hashed.
        """
        now = self.clock()
        for nonce in [n for n, question in self._open.items() if question.until < now]:
            del self._open[nonce]
        own = [n for n, question in self._open.items() if question.session == session]
        if len(own) >= OPEN_PER_SESSION:
            del self._open[own[0]]
        elif len(self._open) >= OPEN_MAX:
            self._open.popitem(last=False)
        nonce = secrets.token_urlsafe(16)
        self._open[nonce] = _Open(session, content, now + self.lifetime_s)
        return nonce

    def use(self, session: str, nonce: str, content: bytes) -> None:
        """Use an answer up, right or wrong. An answer from another connection is ignored, so that
        no client can spoil another one's question.

        Raises:
            BadCommand: CONFIRM_FAILED, with the reason.
        """
        question = self._open.get(nonce)
        if question is None or question.session != session:
            raise BadCommand(
                "CONFIRM_FAILED",
                "this `confirm` is not of this connection, or was used; ask again without it",
            )
        del self._open[nonce]
        if question.until < self.clock():
            raise BadCommand(
                "CONFIRM_FAILED",
                f"this `confirm` is older than {self.lifetime_s:.0f} s; ask again without it",
            )
        if not compare_digest(question.content, content):
            raise BadCommand(
                "CONFIRM_FAILED",
                "the command was changed after the question; ask again without `confirm`",
            )
