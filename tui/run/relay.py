"""Runs a relay: a feed without a bot, whose events come from other feeds.

It runs without a screen; screens, pages and other relays attach to it as to any feed.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Sequence

from streamer.alerts.service import Alerts
from streamer.errors import FAILED, USAGE, Mt5dashError
from streamer.journal.writer import Journal
from streamer.relay.relay import Relay
from streamer.relay.transports import probe
from streamer.service import Feed

from ..about import program_version
from ..settings import Settings
from . import shutdown
from .doctor import access_check, port_check, print_check
from .files import relay_journal_path
from .listening import listen
from .reporting import announce, log_events
from .systemd import notify_while_running

RELAY_BOTS = 64
"""Most bots of a relay, unless the settings name another number."""
CHECK_S = 8.0
"""Longest wait for an upstream in a check, seconds."""

Address = tuple[str, str | None]
"""URL of an upstream and the token for it."""


class UpstreamsError(Mt5dashError):
    """The addresses of the upstreams cannot be used: one is invalid, or given twice."""

    exit_code = USAGE


def build(settings: Settings, addresses: Sequence[Address]) -> Relay:
    """The relay of these settings, not started.

    Raises:
        UpstreamsError, streamer.backbone.model.BackboneError: An address cannot be used.
    """
    asked = settings.feed
    bots = RELAY_BOTS if "max_bots" not in asked.model_fields_set else asked.max_bots
    feed = Feed(
        asked.model_copy(update={"bot": "", "max_bots": bots}),
        Journal(relay_journal_path(settings), settings.journal),
        version=program_version(),
    )
    try:
        return Relay(feed, addresses)
    except Mt5dashError:
        raise
    except ValueError as error:
        raise UpstreamsError(str(error)) from None


async def run_relay(settings: Settings, addresses: Sequence[Address]) -> int:
    """Run until a stopping signal, or until every upstream has refused this relay for good.

    Returns:
        The exit code.

    Raises:
        streamer.errors.Mt5dashError: It cannot start: the port, the journal, the tokens or an
            address.
    """
    relay = build(settings, addresses)
    await listen(relay.start, settings.feed.host)
    alerts = Alerts(relay.feed, settings.alerts)
    if settings.relay.alerts:
        alerts.start()
    stop = shutdown.stop_requested()
    log_events(relay.feed)
    announce(relay.feed, "relay")
    async with notify_while_running(relay.feed):
        waits = [
            asyncio.create_task(stop.wait(), name="signal"),
            asyncio.create_task(relay.ended.wait(), name="upstreams"),
        ]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        shutdown.bound_stop()
        for wait in waits:
            wait.cancel()
    await alerts.close()
    await relay.close()
    if not relay.ended.is_set():
        return 0
    for upstream in relay.upstreams:
        print(f"mt5dash: {upstream.label}: {upstream.refused_reason}", file=sys.stderr)
    return FAILED


async def run_check(settings: Settings, addresses: Sequence[Address]) -> int:
    """Print for each part whether it would work.

    Returns:
        The exit code: 1 when a part would not work.

    Raises:
        streamer.errors.Mt5dashError: An address cannot be used.
    """
    relay = build(settings, addresses)
    ok = True
    for check in (await port_check(settings), access_check(settings)):
        print_check(check)
        ok = ok and check.result != "failed"
    for upstream, (url, token) in zip(relay.upstreams, addresses, strict=True):
        found, text, todo = await probe(url, token, CHECK_S)
        sign = "ok" if found and not todo else "WARN" if found else "FAIL"
        print(f"{sign:<5} {'upstream':<10} {upstream.label}: {text}", flush=True)
        if todo:
            print(f"{'':<16} -> {todo}", flush=True)
        ok = ok and found
    with contextlib.suppress(OSError):
        path = relay_journal_path(settings)
        if not path.exists():
            print(f"ok    {'journal':<10} {path} is created at the start")
    return 0 if ok else FAILED
