"""What happened while no screen was connected: shown once, when a screen connects again."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from streamer.client.feed_client import FeedClient
from streamer.protocol.lenient import typed_event
from streamer.protocol.messages import PositionClosed
from streamer.state.reducer import bot_of
from streamer.state.source import Wire

from ..render import describe
from ..render import format as f
from .results import net_profit

log = logging.getLogger("mt5dash.ui")

FEEDS_KEPT = 50


class LastSeen:
    """The last log event seen of each feed, in a small file. Reads and writes block."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def _read(self) -> dict[str, Any]:
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            log.warning("%s: not read (%s); what happened meanwhile is not shown", self.path, error)
            return {}
        return found if isinstance(found, dict) else {}

    def get(self, url: str) -> str | None:
        """``EPOCH:SEQ`` of the last event seen there."""
        since = self._read().get(url)
        return since if isinstance(since, str) else None

    def put(self, url: str, epoch: str, seq: int) -> None:
        """Store the last event seen of a feed."""
        if not epoch:
            return
        feeds = {**{k: v for k, v in self._read().items() if k != url}, url: f"{epoch}:{seq}"}
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            part = self.path.with_suffix(".part")
            newest = dict(list(feeds.items())[-FEEDS_KEPT:])
            part.write_text(json.dumps(newest, indent=1), encoding="utf-8")
            part.replace(self.path)
        except OSError as error:
            log.warning("%s: not written: %s", self.path, error)


def away(events: Sequence[Mapping[str, Any]], currency: str | None) -> str | None:
    """A sentence: closed trades, their result, errors. ``None`` when nothing happened."""
    if not events:
        return None
    trades = [e for event in events if isinstance(e := typed_event(event), PositionClosed)]
    errors = sum(1 for event in events if describe.level(event) >= describe.ERROR)
    words = [f"{len(trades)} trade{'s' * (len(trades) != 1)}" if trades else "no trade"]
    if trades:
        nets = [net for trade in trades if (net := net_profit(trade)) is not None]
        if len(nets) < len(trades):
            words.append("money unknown")
        else:
            words.append(f"{f.money(sum(nets), sign=True)} {currency or ''}".rstrip())
    words.append(f"{errors} error{'s' * (errors != 1)}" if errors else "no error")
    return f"Since you left: {', '.join(words)}"


def watch_return(client: FeedClient, show: Callable[[str], object]) -> None:
    """Show once what a client missed since it was last connected. Call before it starts.

    Nothing is shown when the feed could not resume: the missed events are unknown then.
    """
    missed: list[Wire] = []
    until: int | None = None

    def heard(event: Wire) -> None:
        nonlocal until
        kind = event.get("type")
        if until is None:
            if kind != "STATE_SNAPSHOT":
                return
            if event.get("resumed") is not True:
                stop()
                return
            until = client.state.seq if not isinstance(event.get("seq"), int) else event["seq"]
        seq = event.get("seq")
        # Money of several accounts has no sum: only the bot of the first tab counts.
        mine = bot_of(event) in ("", client.state.name)
        log = kind not in ("STATE_SNAPSHOT", "HEARTBEAT")
        if log and mine and isinstance(seq, int) and seq <= until:
            missed.append(event)
        if isinstance(seq, int) and (seq >= until) and kind != "STATE_SNAPSHOT":
            stop()
            account = client.state.typed.account
            text = away(missed, None if account is None else account.currency)
            if text is not None:
                show(text)

    stop = client.watch(heard)
