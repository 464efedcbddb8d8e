"""Settings of the backbone: the stream that a feed writes, and its limits."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from .address import check_address, password_from
from .model import BackboneError


class BackboneSettings(BaseModel):
    """The stream for nodes that serve the feed's events elsewhere (``mt5dash relay``)."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    url: SecretStr = Field(
        default=SecretStr(""),
        description="redis://HOST:PORT/DB, rediss:// (TLS) or sqlite:PATH; empty: none. A "
        "password may be in it, and it is never shown or logged.",
    )
    stream: str = Field(
        default="mt5dash",
        pattern=r"^[A-Za-z0-9._-]{1,64}$",
        description="Name of the stream; each feed needs one of its own on a broker.",
    )
    password: SecretStr = Field(
        default=SecretStr(""),
        description="The broker's password; better from the environment or a file.",
    )
    password_file: Path | None = Field(
        default=None, description="File whose first line is the broker's password."
    )
    tls_ca: Path | None = Field(
        default=None, description="PEM file of the authority that signed the broker's certificate."
    )
    queue_events: int = Field(
        default=20_000,
        ge=100,
        description="Log events that may wait while the backbone is unavailable; beyond it the "
        "oldest are lost to it (not to the journal), and the loss is reported.",
    )
    keep_events: int = Field(
        default=20_000,
        ge=1000,
        description="Newest log events that the stream keeps for nodes that were away.",
    )

    @field_validator("url")
    @classmethod
    def _usable(cls, url: SecretStr) -> SecretStr:
        if url.get_secret_value():
            try:
                check_address(url.get_secret_value())
            except BackboneError as error:
                raise ValueError(str(error)) from None
        return url

    @field_validator("password_file")
    @classmethod
    def _readable(cls, path: Path | None) -> Path | None:
        if path is not None:
            try:
                password_from(path)
            except BackboneError as error:
                raise ValueError(str(error)) from None
        return path
