"""What is done to an event that comes in: whose it is, when it was, and whether it is too much."""

from __future__ import annotations

from ..protocol.codec import EventRefused, encode, now_iso
from ..protocol.messages import STATE_TYPES
from ..settings import FeedSettings
from ..state.bots import Bot
from ..state.source import Wire


class TooFast(EventRefused):
    """A bot publishes more than it may; the text says how many events were refused."""


def stamp(raw: bytes, event: Wire, bot: Bot) -> bytes:
    """Write into an event when it was and whose it is; what it says of its number is left out.

    Args:
        raw: Its JSON bytes.
        event: The same, parsed; changed in place.
        bot: Whose it is, whatever it says itself.

    Returns:
        Its JSON bytes without the closing brace.
    """
    stamp = event.get("timestamp")
    again = "seq" in event
    event.pop("seq", None)
    if not isinstance(stamp, str):
        again = again or "timestamp" in event
        event.pop("timestamp", None)
    elif stamp.endswith("Z"):
        event["timestamp"] = stamp[:-1] + "+00:00"
        again = True
    named = event.get("bot")
    if named is not None and named != bot.name:
        del event["bot"]
        again, named = True, None
    if again:
        raw = encode(event)
    extra = b""
    if not isinstance(stamp, str):
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
    """Check what another program publishes; False when it is kept for later.

    Raises:
        EventRefused: it claims to be another bot, or it sends too much.
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
