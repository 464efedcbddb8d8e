"""The checks of ``mt5dash doctor``, from the settings to the broker.

Each line says what was found; a problem is followed by what to do. The exit code is 0 when
nothing failed, otherwise 1.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from execution.doctor import Check, examine
from streamer.backbone.model import BackboneError, StoreUnavailable
from streamer.backbone.publisher import store_for
from streamer.journal.writer import Journal, JournalError
from streamer.server.policy import AccessPolicy
from streamer.server.ports import PortTaken, take_port
from streamer.server.tokens import AccessError, TokenStore, default_tokens_file

from ..settings import Loaded, Settings
from .files import intents_path, journal_path
from .shadowing import imports_check

SIGNS = {"ok": "ok", "warning": "WARN", "failed": "FAIL", "skipped": "skip"}


class _NoListener:
    """The listener of a journal that is opened only for a check."""

    def journal_committed(self, seq: int) -> None: ...

    def journal_status(self, trouble: str | None) -> None: ...

    def journal_damaged(self, text: str) -> None: ...


def settings_check(loaded: Loaded) -> Check:
    """The source of the settings, and the mode that they result in."""
    where = str(loaded.file) if loaded.file else "defaults (no settings file)"
    changed = sum(1 for value in loaded.values if value.source != "default")
    mode = loaded.settings.effective_mode
    text = f"{where}, {changed} changed, mode {mode}"
    if mode == "live":
        return Check("settings", "warning", text, "orders will be sent to a real account")
    return Check("settings", "ok", text)


async def port_check(settings: Settings) -> Check:
    """Whether the feed could listen at the address of the settings."""
    feed = settings.feed
    try:
        sock = await take_port(feed)
    except PortTaken as error:
        return Check("port", "failed", error.strerror or str(error), "stop the other, or --port")
    except OSError as error:
        return Check("port", "failed", f"{feed.host}: {error}", "choose an address of this machine")
    port = sock.getsockname()[1]
    sock.close()
    return Check("port", "ok", f"{feed.host}:{port} is free")


def access_check(settings: Settings) -> Check:
    """Tokens, and whether the feed may be opened as the settings ask."""
    store = TokenStore(settings.feed.tokens_file or default_tokens_file())
    try:
        AccessPolicy(settings.feed, store)
        tokens = store.list()
    except AccessError as error:
        return Check("access", "failed", str(error), "correct the settings or the token file")
    roles = (
        ", ".join(sorted({t.role for t in tokens}))
        or "none: no client can control the bot over the feed"
    )
    return Check("access", "ok", f"{len(tokens)} tokens ({roles})")


async def journal_check(settings: Settings) -> Check:
    """Whether the journal can be opened and its pages are sound."""
    path = journal_path(settings)
    fresh = not path.exists()
    journal = Journal(path, settings.journal)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        restored = await journal.start(_NoListener())
    except (JournalError, OSError) as error:
        return Check(
            "journal", "failed", f"{path}: {error}", "free it, or name another journal.path"
        )
    await journal.close()
    if fresh:
        Journal.remove(path)
        return Check("journal", "ok", f"{path.parent} can be written")
    return Check("journal", "ok", f"{path}, {restored.seq:,} events")


async def backbone_check(settings: Settings) -> Check:
    """Whether the backbone answers, and what its stream holds."""
    try:
        store = store_for(settings.backbone)
    except BackboneError as error:
        return Check("backbone", "failed", str(error), "correct [backbone] in the settings")
    try:
        found = await store.info()
    except StoreUnavailable as error:
        return Check("backbone", "failed", str(error), "the bot trades without it; nodes wait")
    finally:
        await store.close()
    if found is None:
        return Check("backbone", "ok", f"{store.where}: reachable, nothing was written there yet")
    text = f"events {found.first:,}-{found.last:,}" if found.last else "no events yet"
    return Check("backbone", "ok", f"{store.where}: {text} of run {found.epoch}")


async def checks(loaded: Loaded, profile: Path | None = None) -> AsyncIterator[Check]:
    """All checks, each as soon as it is known; ``profile`` is where the broker's is written."""
    settings = loaded.settings
    yield settings_check(loaded)
    yield imports_check([os.getcwd(), *sys.path])
    yield await port_check(settings)
    yield access_check(settings)
    yield await journal_check(settings)
    if settings.backbone.url.get_secret_value():
        yield await backbone_check(settings)
    async for check in examine(
        settings.terminal, settings.paper, intents=intents_path(settings), profile=profile
    ):
        yield check


def print_check(check: Check) -> None:
    """Print a check, and what to do unless it is ok."""
    print(f"{SIGNS[check.result]:<5} {check.name:<10} {check.text}", flush=True)
    if check.todo and check.result != "ok":
        print(f"{'':<16} -> {check.todo}", flush=True)


async def run_doctor(loaded: Loaded, *, as_json: bool, profile: Path | None = None) -> int:
    """Print the checks. Returns the exit code."""
    rows: list[dict[str, Any]] = []
    failed = False
    async for check in checks(loaded, profile):
        failed = failed or check.result == "failed"
        if as_json:
            rows.append(
                {"name": check.name, "result": check.result, "text": check.text, "todo": check.todo}
            )
            continue
        print_check(check)
    if as_json:
        print(json.dumps(rows, indent=2))
    return 1 if failed else 0
