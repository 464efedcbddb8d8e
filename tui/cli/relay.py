"""``mt5dash relay``: the arguments of a relay; ``tui/run/relay.py`` runs it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from .common import (
    USAGE,
    Config,
    Host,
    Plaintext,
    Port,
    RequireToken,
    TlsCert,
    TlsKey,
    fail,
    feed_url,
    load_settings,
    program_log,
    token_from,
)

if TYPE_CHECKING:
    from ..settings import Settings


def relay(
    upstream: Annotated[
        list[str] | None,
        typer.Option(metavar="URL", help="A feed to relay: ws://HOST:PORT/ws. May be repeated."),
    ] = None,
    token_file: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Token for the upstreams: one file for all, or one for each, in their order "
            "[MT5DASH_TOKEN, MT5DASH_TOKEN_1, MT5DASH_TOKEN_2...].",
        ),
    ] = None,
    host: Host = None,
    port: Port = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    plaintext: Plaintext = None,
    require_token: RequireToken = None,
    journal: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Journal file (SQLite); it says where to resume."),
    ] = None,
    check: Annotated[
        bool,
        typer.Option("--check", help="Only check whether it would work, and print what would not."),
    ] = False,
    config: Config = None,
) -> None:
    """Serve the events of other feeds to many viewers, and forward their commands."""
    flags = {
        "relay": {"upstreams": upstream, "token_files": token_file},
        "feed": {
            "host": host,
            "port": port,
            "tls_cert": tls_cert,
            "tls_key": tls_key,
            "plaintext": plaintext,
            "require_token": require_token,
        },
        "journal": {"path": journal},
    }
    loaded = load_settings(flags, config)
    addresses = upstreams_of(loaded.settings)
    from ..run.relay import run_check, run_relay

    if check:
        raise typer.Exit(asyncio.run(run_check(loaded.settings, addresses)))
    with program_log(loaded, screen=False):
        raise typer.Exit(asyncio.run(run_relay(loaded.settings, addresses)))


def upstreams_of(settings: Settings) -> list[tuple[str, str | None]]:
    """The URL of each upstream and the token for it.

    A token given for all upstreams is used for feeds only; a backbone takes its password from the
    environment variable of its number.

    Raises:
        typer.Exit: The addresses or the token files cannot be used.
    """
    from streamer.backbone.address import is_backbone

    urls = [upstream_url(url) for url in settings.relay.upstreams]
    if not urls:
        raise fail("name the feed to relay: --upstream ws://HOST:PORT/ws", USAGE)
    files = settings.relay.token_files
    if len(files) > 1 and len(files) != len(urls):
        raise fail(
            f"{len(files)} token files for {len(urls)} upstreams: give one for all, or one for "
            "each, in the order of the upstreams",
            USAGE,
        )
    tokens: list[str | None] = []
    for number, url in enumerate(urls):
        own = os.environ.get(f"MT5DASH_TOKEN_{number + 1}")
        if len(files) == len(urls):
            tokens.append(token_from(files[number]))
        elif own or is_backbone(url):
            tokens.append(own or None)
        else:
            tokens.append(token_from(files[0] if files else None))
    return list(zip(urls, tokens, strict=True))


def upstream_url(url: str) -> str:
    """The URL of an upstream's address as people type it.

    Raises:
        typer.Exit: It is not an address, or it contains a token.
    """
    from streamer.backbone.address import is_backbone

    if not is_backbone(url):
        url = feed_url(url)
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise fail(f"an upstream's address cannot be used: {error}", USAGE) from None
    if parts.password or parts.username or "token=" in parts.query:
        raise fail(
            f"{parts.hostname}: a token in an address is seen by many; put it in a file and "
            "give --token-file, or in the environment (MT5DASH_TOKEN_1 is the first upstream's)",
            USAGE,
        )
    return url
