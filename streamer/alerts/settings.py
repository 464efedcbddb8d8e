"""Settings of the alerts that leave the program: what is told, when, and where to."""

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

    url: SecretStr = Field(default=SecretStr(""), description="Where to POST; empty: nowhere.")
    secret: SecretStr = Field(
        default=SecretStr(""),
        description="Key of the HMAC-SHA256 over the body, sent as X-Mt5dash-Signature.",
    )

    _url = field_validator("url")(_address)


class TelegramSettings(BaseModel):
    """A message of a Telegram bot."""

    model_config = ConfigDict(extra="forbid")

    token: SecretStr = Field(
        default=SecretStr(""), description="The bot's token, from @BotFather; empty: nowhere."
    )
    chat: str = Field(default="", description="The chat's id, or @channel.")
    api: str = Field(default="https://api.telegram.org", description="Address of the Bot API.")


class EmailSettings(BaseModel):
    """Mail through one SMTP server."""

    model_config = ConfigDict(extra="forbid")

    host: str = Field(default="", description="SMTP server; empty: nowhere.")
    port: int = Field(default=587, ge=1, le=65535, description="Its port.")
    tls: Literal["starttls", "tls", "none"] = Field(
        default="starttls", description="How the connection is protected."
    )
    user: str = Field(default="", description="Name to log in with; empty: no login.")
    password: SecretStr = Field(default=SecretStr(""), description="Its password.")
    sender: str = Field(default="", description="From: address.")
    to: list[str] = Field(default_factory=list, description="To: addresses.")


class DeadManSettings(BaseModel):
    """A ping while all is well: its absence is what somebody else notices."""

    model_config = ConfigDict(extra="forbid")

    url: SecretStr = Field(
        default=SecretStr(""), description="Address to GET while all is well; empty: none."
    )
    every_s: float = Field(default=60.0, ge=1, description="Seconds between pings.")

    _url = field_validator("url")(_address)


class AlertSettings(BaseModel):
    """What is told to people who do not look at the screen."""

    model_config = ConfigDict(extra="forbid")

    trades: bool = Field(default=True, description="Tell of opened and closed positions.")
    limit_near_pct: float | None = Field(
        default=80.0,
        gt=0,
        le=100,
        description="Tell when so much of a risk limit is used up; empty: never.",
    )
    stale_s: float | None = Field(
        default=60.0,
        ge=5,
        description="Tell when the terminal, or news of the account, is missing for so many "
        "seconds; empty: never.",
    )
    halted: bool = Field(default=True, description="Tell when the bot is halted, or goes on.")
    errors: bool = Field(
        default=True,
        description="Tell of errors: the bot's, rejected or unknown orders, risk alerts, a "
        "journal that cannot be written.",
    )
    quiet: str = Field(
        default="",
        description="Quiet hours such as 22:00-07:00: only what is critical is told at once, the "
        "rest in one message after them. Empty: none.",
    )
    quiet_zone: str = Field(
        default="", description="Their time zone, such as Europe/Berlin; empty: this machine's."
    )
    repeat_s: float = Field(
        default=300.0,
        ge=0,
        description="The same alert is told once in so many seconds; how often it came is told "
        "after them.",
    )
    hide_money: bool = Field(default=False, description="Leave amounts of money out.")
    name: str = Field(default="mt5dash", description="Who speaks, at the start of each message.")
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
