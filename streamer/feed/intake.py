"""Stamps incoming events with bot and time, and enforces publish limits."""

from __future__ import annotations

from ..protocol.codec import EventRefused, encode, now_iso
from ..protocol.messages import STATE_TYPES
from ..settings import FeedSettings
from ..state.bots import Bot
from ..state.source import Wire


class TooFast(EventRefused):
    """A bot publishes more than it may; the text says how many events were refused."""


def stamp(raw: bytes, event: Wire, bot: Bot) -> bytes:
    """Write time, bot and account into an event; a ``seq`` of its own is dropped.

    Args:
        raw: The event as JSON.
        event: The same event, parsed; changed in place.
        bot: The bot that published it, whatever the event claims.

    Returns:
        The event as JSON without the closing brace.
    """
    timestamp = event.get("timestamp")
    rewrite = "seq" in event
    event.pop("seq", None)
    if not isinstance(timestamp, str):
        rewrite = rewrite or "timestamp" in event
        event.pop("timestamp", None)
    elif timestamp.endswith("Z"):
        event["timestamp"] = timestamp[:-1] + "+00:00"
        rewrite = True
    named = event.get("bot")
    if named is not None and named != bot.name:
        del event["bot"]
        rewrite, named = True, None
    if rewrite:
        raw = encode(event)
    extra = b""
    if not isinstance(timestamp, str):
        event["timestamp"] = now_iso()
        extra = b',"timestamp":"' + event["timestamp"].encode() + b'"'
    kind = event["type"]
    if kind == "POSITION_CLOSED":
        added = bot.ledger.extremes(event)
        event.update(added)
        extra += b"".join(b',"%s":' % k.encode() + encode(v) for k, v in added.items())
    if named is None and bot.name:
        event["bot"] = bot.name
        extra += bot.stamp
    if bot.account and "account" not in event and kind != "ACCOUNT_UPDATE":
        event["account"] = bot.account
        extra += bot.account_stamp
    return raw[:-1] + extra


def check_publish_limits(bot: Bot, event: Wire, raw: bytes, settings: FeedSettings) -> bool:
    """Check an event that another program publishes.

    Args:
        bot: The bot that its token publishes as.
        event: The event.
        raw: The same event as JSON.
        settings: The limits.

    Returns:
        False when the event is above the bot's rate and kept in ``Bot.held`` for later.

    Raises:
        EventRefused: it claims to be another bot's.
        TooFast: it is a log event above the bot's rate.
    """
    named = event.get("bot")
    if isinstance(named, str) and named != bot.name:
        mine = f"as {bot.name}" if bot.name else "for the feed itself"
        raise EventRefused(f"this token publishes {mine}, not as {named[:40]}")
    if bot.own or bot.allow():
        return True
    if event["type"] in STATE_TYPES:
        bot.held[event["type"]] = raw
        return False
    bot.refused += 1
    raise TooFast(
        f"{bot.name or 'this token'} sends more than {settings.publish_per_s:g} events a second; "
        f"{bot.refused} were refused so far (setting feed.publish_per_s)"
    )
