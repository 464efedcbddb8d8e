"""``mt5dash token``: lists, creates and revokes the tokens of a feed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from .common import USAGE, Config, fail, load_settings

token = typer.Typer(
    help="Tokens of a feed, to control it, to publish, and to view it from elsewhere.",
    no_args_is_help=True,
)


def _store(config: Path | None) -> Any:
    from streamer.server.tokens import TokenStore, default_tokens_file

    return TokenStore(load_settings({}, config).settings.feed.tokens_file or default_tokens_file())


@token.command("list")
def token_list(
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    config: Config = None,
) -> None:
    """List the tokens, without their text."""
    from streamer.server.tokens import AccessError

    try:
        tokens = _store(config).list()
    except AccessError as error:
        raise fail(str(error)) from None
    if as_json:
        print(
            json.dumps(
                [
                    {
                        "id": t.id,
                        "role": t.role,
                        "name": t.name,
                        "created": t.created,
                        "bot": t.bot or None,
                    }
                    for t in tokens
                ]
            )
        )
        return
    for t in tokens:
        whose = f"as {t.bot}  " if t.bot else ""
        print(f"{t.id}  {t.role:<8} {t.created}  {whose}{t.name}".rstrip())
    if not tokens:
        print("no tokens; create one with `mt5dash token new --role view`", file=sys.stderr)


@token.command("new")
def token_new(
    role: Annotated[str, typer.Option(help="view, control or publish.")] = "view",
    name: Annotated[str, typer.Option(help="What it is for.")] = "",
    bot: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="With --role publish: the bot whose events it publishes [the feed's own].",
        ),
    ] = "",
    config: Config = None,
) -> None:
    """Create a token. Its text is printed once, to standard output, and stored nowhere."""
    from streamer.server.tokens import ROLES, AccessError
    from streamer.settings import GIVEN_NAME

    if role not in ROLES:
        raise fail(f"--role {role}: one of {', '.join(ROLES)}", USAGE)
    if bot and role != "publish":
        raise fail("--bot goes with --role publish", USAGE)
    if bot and not GIVEN_NAME.fullmatch(bot):
        raise fail(
            f"--bot {bot}: 1 to 32 letters, digits, dots, _ or -, a letter or digit first", USAGE
        )
    try:
        text, made = _store(config).new(role, name, bot=bot)
    except AccessError as error:
        raise fail(str(error)) from None
    print(text)
    whose = f" as {bot}" if bot else ""
    print(f"mt5dash: token {made.id} ({role}{whose}); its text is shown only now", file=sys.stderr)


@token.command("revoke")
def token_revoke(
    id: Annotated[str, typer.Argument(help="The token's id, from `mt5dash token list`.")],
    config: Config = None,
) -> None:
    """Revoke a token; clients that use it are disconnected."""
    from streamer.server.tokens import AccessError

    try:
        found = _store(config).revoke(id)
    except AccessError as error:
        raise fail(str(error)) from None
    if not found:
        raise fail(f"no token {id}; see `mt5dash token list`")
