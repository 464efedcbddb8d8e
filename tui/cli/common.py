"""What all commands share: exit codes, errors for people, settings.

Standard output is data, standard error is for people, exit codes are a contract.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer

from ..terminal import first_frame

if TYPE_CHECKING:
    from ..logs import Log
    from ..settings import Loaded

FAILED, USAGE, IN_USE = 1, 2, 3
"""Exit codes beside 0: failed; wrong usage or settings; the port or the journal is in use."""

FILE_NAME = "mt5dash.toml"

Config = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Settings file (TOML)."),
]

# How a feed listens, for every command that starts one.
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
    """Tell a person what is wrong, each line once, and give the exit to raise."""
    first_frame.leave()
    for line in text.splitlines():
        print(f"mt5dash: {line}", file=sys.stderr)
    return typer.Exit(code)


def open_log(loaded: Loaded, *, screen: bool) -> Log:
    """The program's log: where a screen is, always a file; else standard error too.

    Ends the program in words when the file's folder cannot be used.
    """
    from ..logs import Log, default_log_file

    asked = loaded.settings.log
    file = asked.file or (default_log_file() if screen else None)
    try:
        return Log(level=asked.level, file=file, console=not screen)
    except OSError as error:
        raise fail(
            f"{file}: the log cannot be written: {error.strerror or error}; check the rights of its "
            "folder, or name another file in [log] file",
            USAGE,
        ) from None


def plain_wanted(args: Sequence[str]) -> bool:
    """Whether environment or settings file ask for ASCII; only for the first frame, which comes
    before arguments and settings are read in full. What cannot be read asks for nothing here."""
    said = os.environ.get("MT5DASH_UI__ASCII")
    if said is not None:
        return said.strip().lower() in ("1", "true", "yes", "on", "y", "t")
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
    """The settings in force; ends the program with a clear error when they cannot be used."""
    from ..settings import SettingsError, load

    try:
        return load(flags, file=config)
    except SettingsError as error:
        raise fail(str(error), USAGE) from None


def token_from(file: Path | None) -> str | None:
    """A token is never an argument: every user of the machine can read those."""
    if file is None:
        return os.environ.get("MT5DASH_TOKEN") or None
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise fail(f"{file}: the token cannot be read: {error}", USAGE) from None


def feed_url(url: str) -> str:
    """An address as people type it, as the feed's; ends the program when it is none."""
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
