"""Tokens and their roles, in one file.

A token has 256 random bits. The file holds only SHA-256 hashes, is readable by its owner only, and
is read again when it changed, so that a new or revoked token takes effect at once.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec
import platformdirs

from ..errors import USAGE, Mt5dashError
from ..protocol.codec import now_iso
from ..protocol.sanitise import clean
from ..settings import GIVEN_NAME

Role = Literal["view", "control", "publish"]
ROLES: tuple[Role, ...] = ("view", "control", "publish")


class AccessError(Mt5dashError):
    """Settings or a token file that must not be used; the text says what to do."""

    exit_code = USAGE


class Token(msgspec.Struct, frozen=True):
    """The entry of a token: ``sha256`` of its text in hex, ``name`` a note for people."""

    id: str
    role: Role
    name: str
    sha256: str
    created: str
    bot: str = ""
    """The bot that it publishes as; empty: as the feed's own."""


class _File(msgspec.Struct):
    tokens: list[Token] = []


def default_tokens_file() -> Path:
    """The token file unless the settings name another."""
    return Path(platformdirs.user_state_dir("mt5dash", appauthor=False)) / "tokens.json"


class TokenStore:
    """The tokens in one file.

    Args:
        path: The file; it may be missing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._stamp: tuple[int, int, int] | None = None
        self._tokens: tuple[Token, ...] = ()

    def list(self) -> tuple[Token, ...]:
        """All tokens, oldest first.

        Raises:
            AccessError: the file is readable for others, or is not a token file.
        """
        self._refresh()
        return self._tokens

    def new(self, role: Role, name: str = "", *, bot: str = "") -> tuple[str, Token]:
        """Make a token.

        Args:
            role: What it allows.
            name: A note for people.
            bot: For ``publish``: the bot that it publishes as; empty: the feed's own.

        Returns:
            Its text, which is stored nowhere, and its entry.

        Raises:
            AccessError: unknown role, invalid bot name, or the file cannot be used or written.
        """
        if role not in ROLES:
            raise AccessError(f"no role {role!r}; one of {', '.join(ROLES)}")
        if bot and role != "publish":
            raise AccessError("only a token with the role publish is a bot's")
        if bot and not GIVEN_NAME.fullmatch(bot):
            raise AccessError(
                f"{bot!r} is not a bot name: use 1 to 32 letters, digits, dots, _ or -, the first "
                "of them a letter or digit"
            )
        self._refresh()
        text = secrets.token_urlsafe(32)
        token = Token(
            id=secrets.token_hex(4),
            role=role,
            name=clean(name, 64),
            sha256=_digest(text).hex(),
            created=now_iso(),
            bot=bot,
        )
        self._write([*self._tokens, token])
        return text, token

    def revoke(self, id: str) -> bool:
        """Remove the token with this id; False when it does not exist."""
        self._refresh()
        left = [token for token in self._tokens if token.id != id]
        if len(left) == len(self._tokens):
            return False
        self._write(left)
        return True

    def find(self, text: str) -> Token | None:
        """The entry of a token, ``None`` when it is wrong. All entries are compared in constant time.

        Raises:
            AccessError: as ``list``.
        """
        self._refresh()
        digest = _digest(text)
        found = None
        for token in self._tokens:
            if hmac.compare_digest(digest, bytes.fromhex(token.sha256)):
                found = token
        return found

    def _refresh(self) -> None:
        try:
            facts = self.path.stat()
        except FileNotFoundError:
            self._stamp, self._tokens = None, ()
            return
        except OSError as error:
            raise AccessError(f"{self.path}: {error}") from None
        stamp = (facts.st_mtime_ns, facts.st_size, facts.st_ino)
        if stamp == self._stamp:
            return
        if sys.platform != "win32" and facts.st_mode & 0o077:
            raise AccessError(f"{self.path}: readable for other users; run: chmod 600 {self.path}")
        try:
            read = msgspec.json.decode(self.path.read_bytes(), type=_File)
            for token in read.tokens:
                if len(bytes.fromhex(token.sha256)) != 32:
                    raise ValueError("sha256 is not 32 bytes")
        except (OSError, ValueError, msgspec.MsgspecError) as error:
            raise AccessError(
                f"{self.path}: not a token file ({error}). Move it away and make new tokens."
            ) from None
        self._stamp, self._tokens = stamp, tuple(read.tokens)

    def _write(self, tokens: Sequence[Token]) -> None:
        folder = self.path.parent
        temporary = folder / f".{self.path.name}.{secrets.token_hex(4)}"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
            try:
                body = msgspec.json.format(msgspec.json.encode(_File(list(tokens))), indent=2)
                os.write(descriptor, body + b"\n")
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            temporary.replace(self.path)
        except OSError as error:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise AccessError(f"{self.path}: cannot be written: {error}") from None
        self._stamp = None
        self._refresh()


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()
