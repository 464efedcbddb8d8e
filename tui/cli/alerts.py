"""``mt5dash alerts``: tries the channels that the settings name."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from .common import FAILED, USAGE, Config, fail, load_settings

alerts = typer.Typer(
    help="Alerts that leave the program: webhook, Telegram, e-mail, desktop.",
    no_args_is_help=True,
)


@alerts.callback()
def _group() -> None:
    """Alerts that leave the program: webhook, Telegram, e-mail, desktop."""


@alerts.command("test")
def send_test(
    level: Annotated[str, typer.Option(help="info, warning or critical.")] = "info",
    config: Config = None,
) -> None:
    """Send a test alert through every channel that is set up, and say how it went."""
    from streamer.alerts.channels import NotDelivered, open_channels, request
    from streamer.alerts.rules import Alert
    from streamer.alerts.service import message_of

    settings = load_settings({}, config).settings.alerts
    if level not in ("info", "warning", "critical"):
        raise fail(f"--level {level}: one of info, warning, critical", USAGE)
    channels = open_channels(settings)
    url = settings.dead_man.url.get_secret_value()
    if not channels and not url:
        raise fail(
            "no channel is set up; see [alerts.webhook], [alerts.telegram], [alerts.email], "
            "alerts.desktop and [alerts.dead_man] in `mt5dash config --explain`",
            USAGE,
        )
    alert = Alert("test", level, "test", "this is a test; nothing happened")  # type: ignore[arg-type]
    message = message_of(alert, settings)
    wrong = 0
    for channel in channels:
        try:
            channel.send(message)
        except NotDelivered as error:
            wrong += 1
            print(f"mt5dash: {channel.name}: not delivered: {error}", file=sys.stderr)
        else:
            print(f"{channel.name}: delivered")
    if url:
        try:
            request(url)
        except NotDelivered as error:
            wrong += 1
            print(f"mt5dash: dead-man ping: {error}", file=sys.stderr)
        else:
            print("dead-man ping: answered")
    raise typer.Exit(FAILED if wrong else 0)
