"""What several commands share: options, errors for people, settings, tokens, addresses.

Standard output is data, standard error is for people, exit codes are a contract.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer

from streamer.errors import FAILED, USAGE, Mt5dashError

from ..terminal import first_frame

if TYPE_CHECKING:
    from ..settings import Loaded

FILE_NAME = "mt5dash.toml"

Config = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Settings file (TOML)."),
]

# Where a feed listens: options of every command that starts one.
Host = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="Address to listen on [127.0.0.1].")
]
Port = Annotated[
    int | None,
    typer.Option(min=0, max=65535, help="Port to listen on [first free of 8000-8009]."),
]
TlsCert = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Certificate chain, to serve wss.")
]
TlsKey = Annotated[Path | None, typer.Option(metavar="FILE", help="Its private key.")]
Plaintext = Annotated[
    bool | None,
    typer.Option("--plaintext", help="Allow listening beyond this machine without TLS."),
]
RequireToken = Annotated[
    bool | None, typer.Option("--require-token", help="Ask for a token for viewing, too.")
]


def fail(text: str, code: int = FAILED) -> typer.Exit:
    """Print an error for people and return the exit to raise."""
    first_frame.leave()
    for line in text.splitlines():
        print(f"mt5dash: {line}", file=sys.stderr)
    return typer.Exit(code)


@contextlib.contextmanager
def program_log(loaded: Loaded, *, screen: bool) -> Iterator[None]:
    """The program's log while the block runs: with a screen always a file, otherwise standard
    error too.

    Raises:
        typer.Exit: The file's folder cannot be used.
    """
    from ..logs import Log, default_log_file

    asked = loaded.settings.log
    file = asked.file or (default_log_file() if screen else None)
    try:
        log = Log(level=asked.level, file=file, console=not screen)
    except OSError as error:
        raise fail(
            f"{file}: the log cannot be written: {error.strerror or error}; check the rights of its "
            "folder, or name another file in [log] file",
            USAGE,
        ) from None
    try:
        yield
    except Mt5dashError:
        # People get one line (``CommandGroup.invoke``); where it came from is for developers.
        logging.getLogger("mt5dash").debug("the command ends with an error", exc_info=True)
        raise
    finally:
        log.close()


def plain_wanted(args: Sequence[str]) -> bool:
    """Whether the environment or the settings file asks for ASCII.

    Only for the first frame, which comes before arguments and settings are read in full.
    Unreadable settings count as no here; they are reported later.
    """
    value = os.environ.get("MT5DASH_UI__ASCII")
    if value is not None:
        return value.strip().lower() in ("1", "true", "yes", "on", "y", "t")
    named = os.environ.get("MT5DASH_CONFIG")
    for word, after in zip(args, [*args[1:], ""], strict=True):
        if word == "--config":
            named = after
        elif word.startswith("--config="):
            named = word.partition("=")[2]
    import platformdirs

    file = Path(named or platformdirs.user_config_path("mt5dash", appauthor=False) / FILE_NAME)
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False
    if "ascii" not in text:
        return False
    import tomllib

    try:
        ui = tomllib.loads(text).get("ui")
    except tomllib.TOMLDecodeError:
        return False
    return isinstance(ui, dict) and ui.get("ascii") is True


def load_settings(flags: dict[str, Any], config: Path | None) -> Loaded:
    """The settings in force.

    Raises:
        tui.settings.SettingsError: They cannot be used.
    """
    from ..settings import load

    return load(flags, file=config)


def token_from(file: Path | None) -> str | None:
    """The token in ``file`` or the environment; never an argument, which every user can read."""
    if file is None:
        return os.environ.get("MT5DASH_TOKEN") or None
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise fail(f"{file}: the token cannot be read: {error}", USAGE) from None


def feed_url(url: str) -> str:
    """The WebSocket URL of a feed's address as people type it.

    Raises:
        typer.Exit: It is not the address of a feed.
    """
    if "://" not in url:
        url = f"ws://{url}"
    parts = urlsplit(url)
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        raise fail(f"{url}: not a feed address; it looks like ws://HOST:PORT/ws", USAGE)
    try:
        _ = parts.port
    except ValueError:
        raise fail(f"{url}: the port is not a number up to 65535", USAGE) from None
    return url if parts.path not in ("", "/") else f"{url.rstrip('/')}/ws"


__all__ = [
    "FAILED",
    "USAGE",
    "Config",
    "Host",
    "Plaintext",
    "Port",
    "RequireToken",
    "TlsCert",
    "TlsKey",
    "fail",
    "feed_url",
    "load_settings",
    "plain_wanted",
    "program_log",
    "token_from",
]
