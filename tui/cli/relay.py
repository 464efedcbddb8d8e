"""``mt5dash relay``: a feed without a bot, whose events come from other feeds.

It runs without a screen; screens, pages and other relays attach to it as to any feed.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from .common import (
    FAILED,
    IN_USE,
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
    open_log,
    token_from,
)

if TYPE_CHECKING:
    from streamer.relay.relay import Relay

    from ..settings import Loaded, Settings

RELAY_BOTS = 64
CHECK_S = 8.0

Address = tuple[str, str | None]
"""Address of an upstream and the token for it."""


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
        typer.Option(metavar="FILE", help="Journal file (SQLite): where it goes on from."),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Only look whether it would work, and say what not.")
    ] = False,
    config: Config = None,
) -> None:
    """Serve the events of other feeds to many viewers, and pass their commands on."""
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
    if check:
        raise typer.Exit(asyncio.run(run_check(loaded.settings, addresses)))
    raise typer.Exit(_run(loaded, addresses))


def upstreams_of(settings: Settings) -> list[Address]:
    """The upstreams with their tokens; ends the program when they cannot be used.

    What stands for all of them is for feeds: a broker's password is its own.
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
    """An address as people type it; ends the program when it is none, or holds a token."""
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


def journal_path(settings: Settings) -> Path:
    """The relay's journal: it tells where to go on after a restart, so it is always kept."""
    from ..run.runtime import state_dir

    if settings.journal.path is not None:
        return settings.journal.path
    port = settings.feed.port
    return state_dir() / (f"relay-{port}.db" if port else "relay.db")


def build(settings: Settings, addresses: Sequence[Address]) -> Relay:
    """The relay of these settings, not started."""
    from streamer.feed.feed import Feed
    from streamer.journal.writer import Journal
    from streamer.relay.relay import Relay

    from ..about import program_version

    path = journal_path(settings)
    asked = settings.feed
    bots = RELAY_BOTS if "max_bots" not in asked.model_fields_set else asked.max_bots
    feed = Feed(
        asked.model_copy(update={"bot": "", "max_bots": bots}),
        Journal(path, settings.journal),
        version=program_version(),
    )
    return Relay(feed, addresses)


def _run(loaded: Loaded, addresses: Sequence[Address]) -> int:
    from streamer.backbone.model import BackboneError
    from streamer.journal.writer import JournalError
    from streamer.server.endpoint import PortTaken
    from streamer.server.tokens import AccessError

    settings = loaded.settings
    log = open_log(loaded, screen=False)
    try:
        return asyncio.run(run_relay(settings, addresses))
    except (PortTaken, JournalError) as error:
        raise fail(str(error), IN_USE) from None
    except (AccessError, BackboneError, ValueError) as error:
        raise fail(str(error), USAGE) from None
    except OSError as error:
        raise fail(
            f"cannot listen on {settings.feed.host}: {error.strerror or error}", USAGE
        ) from None
    finally:
        log.close()


async def run_relay(settings: Settings, addresses: Sequence[Address]) -> int:
    """Run until a stopping signal, or until no upstream takes this relay. Returns the exit
    code.

    Raises:
        streamer.server.PortTaken, streamer.journal.JournalError, streamer.access.AccessError
    """
    from streamer.alerts.service import Alerts

    from ..run import shutdown as life
    from ..run.headless import announce, log_events, stop_asked, told_to_systemd

    relay = build(settings, addresses)
    await relay.start()
    alerts = Alerts(relay.feed, settings.alerts)
    if settings.relay.alerts:
        alerts.start()
    stop = stop_asked()
    log_events(relay.feed)
    announce(relay.feed, "relay")
    async with told_to_systemd(relay.feed):
        waits = [
            asyncio.create_task(stop.wait(), name="signal"),
            asyncio.create_task(relay.ended.wait(), name="upstreams"),
        ]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        life.bound_stop()
        for wait in waits:
            wait.cancel()
    await alerts.close()
    await relay.close()
    if not relay.ended.is_set():
        return 0
    for upstream in relay.upstreams:
        fail(f"{upstream.label}: {upstream.refused_reason}")
    return FAILED


async def run_check(settings: Settings, addresses: Sequence[Address]) -> int:
    """Say of each part whether it would work. Returns the exit code."""
    from streamer.backbone.model import BackboneError
    from streamer.relay.transports import probe

    from ..run.doctor import SIGNS, access_check, port_check

    try:
        relay = build(settings, addresses)
    except (BackboneError, ValueError) as error:
        raise fail(str(error), USAGE) from None
    ok = True
    for check in (await port_check(settings), access_check(settings)):
        print(f"{SIGNS[check.result]:<5} {check.name:<10} {check.text}", flush=True)
        if check.result == "failed":
            ok = False
            print(f"{'':<16} -> {check.todo}", flush=True)
    for upstream, (url, token) in zip(relay.upstreams, addresses, strict=True):
        found, text, todo = await probe(url, token, CHECK_S)
        sign = "ok" if found and not todo else "WARN" if found else "FAIL"
        print(f"{sign:<5} {'upstream':<10} {upstream.label}: {text}", flush=True)
        if todo:
            print(f"{'':<16} -> {todo}", flush=True)
        ok = ok and found
    with contextlib.suppress(OSError):
        if not journal_path(settings).exists():
            print(f"ok    {'journal':<10} {journal_path(settings)} is made at the start")
    return 0 if ok else FAILED
