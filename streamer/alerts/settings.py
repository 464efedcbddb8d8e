"""Settings of the alerts: which events cause one, when it is sent, and through which channels."""

from __future__ import annotations

import re
from typing import Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

_QUIET = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


def _address(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    parts = urlsplit(text)
    if text and (parts.scheme not in ("http", "https") or not parts.hostname):
        raise ValueError("must be an address such as https://HOST/PATH, or empty")
    return value


class WebhookSettings(BaseModel):
    """A POST of one JSON object for each alert."""

    model_config = ConfigDict(extra="forbid")

    url: SecretStr = Field(
        default=SecretStr(""), description="Address of the POST; empty: no webhook."
    )
    secret: SecretStr = Field(
        default=SecretStr(""),
        description="Key of the HMAC-SHA256 over the body, sent as X-Mt5dash-Signature.",
    )

    _url = field_validator("url")(_address)


class TelegramSettings(BaseModel):
    """A message from a Telegram bot."""

    model_config = ConfigDict(extra="forbid")

    token: SecretStr = Field(
        default=SecretStr(""), description="The bot's token, from @BotFather; empty: no Telegram."
    )
    chat: str = Field(default="", description="The chat's id, or @channel.")
    api: str = Field(default="https://api.telegram.org", description="Address of the Bot API.")


class EmailSettings(BaseModel):
    """Mail through one SMTP server."""

    model_config = ConfigDict(extra="forbid")

    host: str = Field(default="", description="SMTP server; empty: no e-mail.")
    port: int = Field(default=587, ge=1, le=65535, description="Its port.")
    tls: Literal["starttls", "tls", "none"] = Field(
        default="starttls", description="How the connection is protected."
    )
    user: str = Field(default="", description="User name; empty: no login.")
    password: SecretStr = Field(default=SecretStr(""), description="Its password.")
    sender: str = Field(default="", description="From: address.")
    to: list[str] = Field(default_factory=list, description="To: addresses.")


class DeadManSettings(BaseModel):
    """A ping while everything is well, so that another service notices its absence."""

    model_config = ConfigDict(extra="forbid")

    url: SecretStr = Field(
        default=SecretStr(""),
        description="Address to GET while everything is well; empty: no ping.",
    )
    every_s: float = Field(default=60.0, ge=1, description="Seconds between pings.")

    _url = field_validator("url")(_address)


class AlertSettings(BaseModel):
    """The alerts to people who do not watch the screen."""

    model_config = ConfigDict(extra="forbid")

    trades: bool = Field(
        default=True, description="Send an alert for each opened and closed position."
    )
    limit_near_pct: float | None = Field(
        default=80.0,
        gt=0,
        le=100,
        description="Send an alert when this share of a risk limit is used up, in percent; empty: "
        "never.",
    )
    stale_s: float | None = Field(
        default=60.0,
        ge=5,
        description="Send an alert when the terminal is disconnected, or the account is not updated, "
        "for this many seconds; empty: never.",
    )
    halted: bool = Field(
        default=True, description="Send an alert when the bot is halted, or released."
    )
    errors: bool = Field(
        default=True,
        description="Send an alert for errors of the bot, rejected or unknown orders, risk alerts, "
        "and a journal that cannot be written.",
    )
    quiet: str = Field(
        default="",
        description="Quiet hours such as 22:00-07:00: critical alerts are sent at once, the others "
        "in one message afterwards. Empty: none.",
    )
    quiet_zone: str = Field(
        default="",
        description="Time zone of the quiet hours, such as Europe/Berlin; empty: this machine's.",
    )
    repeat_s: float = Field(
        default=300.0,
        ge=0,
        description="The same alert is sent once in this many seconds; the number of its repeats "
        "is sent afterwards.",
    )
    hide_money: bool = Field(default=False, description="Hide amounts of money.")
    name: str = Field(
        default="mt5dash", description="Name of the sender, at the start of each message."
    )
    desktop: bool = Field(default=False, description="Notifications on this machine's desktop.")
    webhook: WebhookSettings = Field(default_factory=WebhookSettings)
    telegram: TelegramSettings = Field(default_factory=TelegramSettings)
    email: EmailSettings = Field(default_factory=EmailSettings)
    dead_man: DeadManSettings = Field(default_factory=DeadManSettings)

    @field_validator("quiet")
    @classmethod
    def _is_quiet(cls, value: str) -> str:
        if value and not _QUIET.fullmatch(value):
            raise ValueError("must look like 22:00-07:00, or be empty")
        return value

    @field_validator("quiet_zone")
    @classmethod
    def _is_zone(cls, value: str) -> str:
        if value:
            try:
                ZoneInfo(value)
            except (ZoneInfoNotFoundError, ValueError):
                raise ValueError("no such time zone; one looks like Europe/Berlin") from None
        return value

    @field_validator("telegram")
    @classmethod
    def _is_telegram(cls, value: TelegramSettings) -> TelegramSettings:
        if bool(value.token.get_secret_value()) != bool(value.chat):
            raise ValueError("needs both a token and a chat")
        return value

    @field_validator("email")
    @classmethod
    def _is_email(cls, value: EmailSettings) -> EmailSettings:
        if value.host and not (value.sender and value.to):
            raise ValueError("needs a sender and at least one address in `to`")
        return value
