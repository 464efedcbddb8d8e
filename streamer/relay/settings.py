"""Settings of a relay: the feeds that it follows."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class RelaySettings(BaseModel):
    """The upstreams of `mt5dash relay`."""

    model_config = ConfigDict(extra="forbid")

    upstreams: list[str] = Field(
        default_factory=list,
        description="Addresses of the feeds to relay: ws://HOST:PORT/ws, wss://, redis://, "
        "sqlite:PATH. Where two have a bot of the same name, the later one's is called "
        "NAME@HOST:PORT.",
    )
    token_files: list[Path] = Field(
        default_factory=list,
        description="Files with the tokens for the upstreams: one for all, or one for each, in "
        "their order. A token with the role control lets the relay forward commands.",
    )
    alerts: bool = Field(
        default=False,
        description="Send the alerts of the `alerts` settings from the relay as well as from "
        "the bots, in case a bot's own machine fails.",
    )
