"""``mt5dash cmd``: sends a command to a running bot, over its feed, and prints the answer.

The feed itself asks for a confirmation of commands that cannot be undone. A command whose answer
was lost is sent again with the same ``id``, on which the feed acts once.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import uuid4

import msgspec
import typer

from streamer.protocol.commands import COMMANDS, BadCommand, parse, refusal
from streamer.protocol.messages import CommandResult, Confirm
from streamer.protocol.payloads import Expect

from .common import FAILED, USAGE, fail, feed_url, token_from

if TYPE_CHECKING:
    from streamer.client.feed_client import FeedClient

CONNECT_S = 10.0
"""Longest wait for the connection, seconds."""
TRIES = 3
"""Most times that a command is sent."""
UNKNOWN = 4
"""Exit code when it is unknown whether the command was carried out."""

_UNKNOWN_CODES = frozenset({"OUTCOME_UNKNOWN", "UNKNOWN_OUTCOME"})

FEED_URL = "ws://127.0.0.1:8000/ws"


def cmd(
    name: Annotated[str, typer.Argument(help=f"One of {', '.join(COMMANDS)}.")],
    given: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", help="Its arguments, such as ticket=4711."),
    ] = None,
    url: Annotated[str, typer.Option(metavar="URL", help="The feed.")] = FEED_URL,
    token_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File with a control token [MT5DASH_TOKEN]."),
    ] = None,
    expect: Annotated[
        str | None,
        typer.Option(
            metavar="K=V,K=V",
            help="Refuse when the position has changed: side=BUY,volume=0.1,symbol=EURUSD.",
        ),
    ] = None,
    flatten: Annotated[
        bool, typer.Option("--flatten", help="With halt: close everything too.")
    ] = False,
    id: Annotated[
        str | None,
        typer.Option(
            metavar="ID", help="Name of this command; sent again with the same name, it acts once."
        ),
    ] = None,
    bot: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The bot of the feed that acts [the feed's own]."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Confirm without being asked.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The whole answer as JSON.")] = False,
) -> None:
    """Send a command to a running bot (needs a control token)."""
    try:
        args = arguments(given or [], expect)
        if flatten:
            args["flatten"] = True
        parse(name, args)
    except BadCommand as error:
        raise fail(str(error), USAGE) from None
    token = token_from(token_file)
    if token is None:
        raise fail(
            "commands need a control token: make one with `mt5dash token new --role control`, "
            "then give it with --token-file FILE or in MT5DASH_TOKEN",
            USAGE,
        )
    if id is not None and not 1 <= len(id) <= 128:
        raise fail("--id has 1 to 128 characters", USAGE)

    async def confirm(question: Confirm) -> bool:
        return yes or await asyncio.to_thread(_typed, name, question)

    key = id or uuid4().hex
    try:
        result = asyncio.run(run_command(feed_url(url), token, name, args, key, confirm, bot))
    except KeyboardInterrupt:
        raise fail(
            f"ended before the answer; get it with the same command and --id {key}",
            UNKNOWN,
        ) from None
    raise typer.Exit(show(result, as_json))


def arguments(given: list[str], expect: str | None = None) -> dict[str, Any]:
    """``key=value`` words as arguments: numbers, true and false as such, the rest as text.

    Raises:
        BadCommand: A word is not an argument, or is given twice.
    """
    args: dict[str, Any] = {}
    for word in given:
        key, found, text = word.partition("=")
        if not found or not key:
            raise BadCommand("BAD_ARGS", f"{word!r} is not an argument; one looks like ticket=4711")
        if key in args:
            raise BadCommand("BAD_ARGS", f"{key} is given twice")
        args[key] = text if key in ("reason", "symbol", "owner") else _value(text)
    if expect is not None:
        seen = arguments([part for part in expect.split(",") if part])
        try:
            msgspec.convert(seen, Expect)
        except msgspec.ValidationError as error:
            raise BadCommand(
                "BAD_ARGS",
                f"--expect: {error}; it looks like side=BUY,volume=0.1,symbol=EURUSD",
            ) from None
        args["expect"] = seen
    return args


def _value(text: str) -> Any:
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def _typed(name: str, question: Confirm) -> bool:
    """Ask the person at the terminal; without a terminal the answer is no."""
    print(f"mt5dash: this {question.text}.", file=sys.stderr)
    if not sys.stdin.isatty():
        print("mt5dash: not done: there is no terminal to ask on; --yes confirms", file=sys.stderr)
        return False
    print(f"Type {name} to go on ({question.expires_s:.0f} s): ", end="", file=sys.stderr)
    sys.stderr.flush()
    return sys.stdin.readline().strip() == name


async def run_command(
    url: str,
    token: str,
    name: str,
    args: dict[str, Any],
    id: str,
    confirm: Callable[[Confirm], Awaitable[bool]],
    bot: str | None = None,
) -> CommandResult:
    """Connect, send the command, and send it again when the answer was lost on the way."""
    from streamer.client.feed_client import FeedClient

    async with FeedClient(url, token=token, types=["COMMAND_AUDIT"], confirm=confirm) as client:
        for attempt in range(TRIES):
            trouble = await _connected(client)
            if trouble is not None:
                if attempt:
                    return refusal(id, "OUTCOME_UNKNOWN", f"the link was lost: {trouble}")
                return refusal(id, "NOT_CONNECTED", f"{url}: {trouble}; nothing was sent")
            result = await client.command(name, args, id=id, bot=bot)
            lost = result.error is not None and result.error.code == "OUTCOME_UNKNOWN"
            if not lost or client.link.state == "live":
                break
    return result


async def _connected(client: FeedClient) -> str | None:
    """Wait for the connection; ``None`` when it is there, otherwise why it is not."""
    try:
        async with asyncio.timeout(CONNECT_S):
            while client.link.state != "live" or not (client.state.epoch or client.legacy):
                if client.lost is not None:
                    return client.lost
                await asyncio.sleep(0.02)
    except TimeoutError:
        return client.link.detail or "no answer"
    return None


def show(result: CommandResult, as_json: bool) -> int:
    """Print an answer.

    Returns:
        The exit code: 0 done, 1 refused, 4 unknown.
    """
    if as_json:
        print(msgspec.json.encode(result).decode())
    elif result.ok:
        print("done" + "".join(f" {k}={_text(v)}" for k, v in (result.result or {}).items()))
    if result.ok:
        return 0
    error = result.error
    code = error.code if error is not None else "?"
    if not as_json:
        text = error.message if error is not None else "refused without a reason"
        print(f"mt5dash: {text} ({code})", file=sys.stderr)
        if code in _UNKNOWN_CODES:
            print(f"mt5dash: get the result with --id {result.id}", file=sys.stderr)
    return UNKNOWN if code in _UNKNOWN_CODES else FAILED


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
