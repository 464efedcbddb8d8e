"""Addresses and settings of a backbone: what they may be, and that a password is never shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from streamer.backbone.address import is_backbone, open_store, safe_address
from streamer.backbone.model import BackboneError
from streamer.backbone.settings import BackboneSettings


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:secret@h:6380/2?stream=s", "redis://h:6380/2?stream=s"),
        ("rediss://me:secret@broker.example.org", "rediss://broker.example.org"),
        ("redis://:p%40ss%2F@[::1]:6379/0", "redis://[::1]:6379/0"),
        ("redis://h:notaport/secret", "redis://…"),
        ("sqlite:feeds/x.db", "sqlite:feeds/x.db"),
        ("memory:x", "memory:x"),
        ("valkey://:secret@h", "valkey://h"),
    ],
)
def test_an_address_is_shown_without_its_password(url: str, shown: str) -> None:
    assert safe_address(url) == shown
    assert is_backbone(url)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("ws://:secret@127.0.0.1:8000/ws", "no backbone"),
        ("redis://:secret@", "no address of a broker"),
        ("redis://:secret@h:port", "no address of a broker"),
        ("redis://:secret@h/database", "no address of a broker"),
        ("redis://:secret@h/0?ssl_cert_reqs=none", "ssl_cert_reqs"),
        ("redis://:secret@h/0?stream=a/b", "a stream's name"),
        ("sqlite:", "no backbone"),
    ],
)
def test_an_address_that_cannot_be_used_is_told_without_its_password(url: str, says: str) -> None:
    with pytest.raises(BackboneError, match=says) as told:
        open_store(url)
    assert "secret" not in str(told.value)
    with pytest.raises(ValidationError, match=says) as refused:
        BackboneSettings.model_validate({"url": url})
    assert "secret" not in str(refused.value)


def test_the_password_file_is_looked_at_with_the_settings(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="cannot be read"):
        BackboneSettings(password_file=tmp_path / "none")
    empty = tmp_path / "empty"
    empty.touch()
    with pytest.raises(ValidationError, match="is empty"):
        BackboneSettings(password_file=empty)


def test_settings_do_not_show_what_is_secret(tmp_path: Path) -> None:
    settings = BackboneSettings.model_validate(
        {"url": "redis://:secret@h", "password": "secret", "stream": "bot-1"}
    )
    assert "secret" not in repr(settings)
    assert "secret" not in str(settings.model_dump())
