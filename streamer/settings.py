"""Settings of the feed and of its journal."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

FIRST_PORT, LAST_PORT = 8000, 8009

GIVEN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}")
"""A bot name in settings and for tokens. A relay extends it to ``NAME@HOST:PORT`` where two feeds
have a bot of the same name."""


class FeedSettings(BaseModel):
    """Listening address, access and limits of a feed."""

    model_config = ConfigDict(extra="forbid")

    bot: str = Field(
        default="main",
        pattern=f"^({GIVEN_NAME.pattern})?$",
        description="Name of this feed's own bot, on each of its events. Empty: the feed has no "
        "bot of its own.",
    )
    legacy_bot: str = Field(
        default="",
        pattern=r"^([A-Za-z0-9][A-Za-z0-9._@:\[\]-]{0,95})?$",
        description="The bot that old dashboards and the plain /api routes show; empty: the "
        "feed's own, or without one the first that publishes.",
    )
    max_bots: int = Field(
        default=16, ge=1, le=64, description="Most bots on this feed, its own included."
    )
    publish_per_s: float = Field(
        default=200.0,
        gt=0,
        description="Events a second that one publishing bot may send, after a burst of 5 s. Log "
        "events above that are refused; of state events the newest is sent later.",
    )
    host: str = Field(
        default="127.0.0.1",
        description="Address to listen on. Anything but loopback needs TLS (or `plaintext`) and "
        "a token for every client.",
    )
    port: int | None = Field(
        default=None,
        ge=0,
        le=65535,
        description="Port; empty: the first free one of 8000-8009; 0: any free one.",
    )
    hosts: list[str] = Field(
        default_factory=list,
        description="More names that clients may use for this server (the Host header).",
    )
    origins: list[str] = Field(
        default_factory=list,
        description="Web origins that may read the feed from a browser, besides those of this "
        "machine (http://localhost:*). Example: https://desk.example.org",
    )
    trusted_proxies: list[str] = Field(
        default_factory=list,
        description="Addresses or networks of your own reverse proxies (127.0.0.1, 10.0.0.0/8): "
        "their X-Forwarded-For and X-Forwarded-Proto are trusted, so that limits and the audit "
        "see the client and not the proxy. A client behind a proxy needs a token.",
    )
    require_token: bool = Field(
        default=False, description="Require a token for viewing from loopback too."
    )
    tokens_file: Path | None = Field(
        default=None,
        description="File with the tokens; empty: tokens.json in the user's state folder.",
    )
    plaintext: bool = Field(
        default=False,
        description="Allow listening beyond loopback without TLS: anyone on the network path can read.",
    )
    tls_cert: Path | None = Field(default=None, description="Certificate chain, PEM.")
    tls_key: Path | None = Field(default=None, description="Private key of the certificate, PEM.")
    compression: bool = Field(
        default=True,
        description="Offer permessage-deflate to clients that are not on this machine.",
    )
    max_clients: int = Field(default=2000, ge=1, description="Most connections at a time.")
    max_clients_per_address: int = Field(
        default=0,
        ge=0,
        description="Most connections from one address; 0: 50, and no limit from loopback.",
    )
    max_unauthenticated: int = Field(
        default=64,
        ge=1,
        description="Most connections at a time that have not sent their token yet.",
    )
    auth_timeout_s: float = Field(
        default=5.0, gt=0, description="Time for a client to send its token."
    )
    failed_tokens_per_minute: int = Field(
        default=5,
        ge=1,
        description="Wrong tokens from one address in a minute before it has to wait.",
    )
    messages_per_s: float = Field(
        default=20.0,
        gt=0,
        description="Messages a second that a client may send, after a burst of 5 s.",
    )
    max_message_bytes: int = Field(
        default=65536, ge=1024, description="Largest message from a client."
    )
    outbox_events: int = Field(
        default=2048,
        ge=16,
        description="Log events that may wait for one client before it is closed.",
    )
    outbox_bytes: int = Field(
        default=1 << 20,
        ge=65536,
        description="Bytes that may wait for one client before it is closed.",
    )
    ring_events: int = Field(
        default=20_000,
        ge=256,
        description="Newest log events kept in memory for clients that resume.",
    )
    ring_bytes: int = Field(
        default=16 << 20, ge=1 << 20, description="Most memory for those events."
    )
    resume_events: int = Field(
        default=50_000,
        ge=0,
        description="Most log events that a client may have missed and still resume.",
    )
    heartbeat_s: float = Field(default=5.0, gt=0, description="Seconds between heartbeats.")
    ping_s: float = Field(
        default=10.0, gt=0, description="Seconds of silence before a client is pinged."
    )
    ping_timeout_s: float = Field(
        default=5.0,
        gt=0,
        description="Seconds after a ping until a client that does not answer is cut.",
    )


class JournalSettings(BaseModel):
    """The journal's file, and how long it keeps events and samples."""

    model_config = ConfigDict(extra="forbid")

    path: Path | None = Field(
        default=None, description="The journal's file; empty: one in the user's state folder."
    )
    keep_days: float = Field(
        default=90.0,
        gt=0,
        description="Days after which events are pruned (those of positions are kept).",
    )
    keep_bytes: int = Field(
        default=2 << 30,
        ge=1 << 20,
        description="Size in bytes above which the oldest samples are pruned, then the oldest events.",
    )
    samples: bool = Field(
        default=True,
        description="Keep a sample of the state once a second, so that every moment can be replayed.",
    )
    keep_samples_days: float = Field(
        default=14.0, gt=0, description="Days after which samples are pruned."
    )
    waiting_events: int = Field(
        default=10_000,
        ge=100,
        description="Log events that may wait while the journal cannot write; further ones are refused.",
    )
