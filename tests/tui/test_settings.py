"""Settings: precedence, sources, and errors that say what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tui.settings import SettingsError, load


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    return tmp_path / "mt5dash.toml"


def source_of(loaded: Any, name: str) -> str:
    source: str = next(v.source for v in loaded.values if v.name == name)
    return source


def test_flag_wins_over_environment_over_file_over_default(toml: Path) -> None:
    toml.write_text("[feed]\nport = 8001\n[paper]\nspeed = 2.0\nseed = 3\n")
    env = {"MT5DASH_PAPER__SPEED": "5", "MT5DASH_FEED__PORT": "8002"}
    loaded = load({"feed": {"port": 8003}}, file=toml, environ=env)
    assert loaded.settings.feed.port == 8003
    assert source_of(loaded, "feed.port") == "flag"
    assert loaded.settings.paper.speed == 5.0
    assert source_of(loaded, "paper.speed") == "environment MT5DASH_PAPER__SPEED"
    assert loaded.settings.paper.seed == 3
    assert source_of(loaded, "paper.seed") == str(toml)
    assert source_of(loaded, "paper.balance") == "default"


def test_a_flag_that_was_not_given_does_not_hide_the_file(toml: Path) -> None:
    toml.write_text("[feed]\nport = 8001\n")
    loaded = load({"feed": {"port": None, "host": None}}, file=toml, environ={})
    assert loaded.settings.feed.port == 8001


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[feed]\nprot = 1\n", "did you mean feed.port?"),
        ("[fed]\nport = 1\n", "fed"),
        ("[feed]\nport = 'x'\n", "feed.port"),
        ("[paper]\nspeed = -1\n", "paper.speed"),
        ("[paper]\nspeed = nan\n", "paper.speed"),
        ("[feed\n", "not valid TOML"),
        ("mode = 'live'\n", "real terminal"),
    ],
)
def test_a_bad_file_is_refused_with_file_name_and_cause(toml: Path, text: str, said: str) -> None:
    toml.write_text(text)
    with pytest.raises(SettingsError) as error:
        load(file=toml, environ={})
    assert said in str(error.value)
    if "mode" not in text:
        assert str(toml) in str(error.value)


def test_an_unknown_environment_name_is_refused_with_a_suggestion() -> None:
    with pytest.raises(SettingsError, match="MT5DASH_FEED__PORT"):
        load(environ={"MT5DASH_FEED__PROT": "8000"})


def test_tokens_in_the_environment_are_no_settings() -> None:
    load(environ={"MT5DASH_TOKEN": "x", "MT5DASH_TOKEN_1": "z", "MT5DASH_AGENT_TOKEN": "y"})


def test_a_missing_named_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no such settings file"):
        load(file=tmp_path / "none.toml", environ={})


def test_a_real_terminal_is_observed_unless_live_is_asked_for() -> None:
    assert load(environ={}).settings.effective_mode == "paper"
    native = {"terminal": {"backend": "native"}}
    assert load(native, environ={}).settings.effective_mode == "observe"
    assert load({**native, "mode": "live"}, environ={}).settings.effective_mode == "live"
    with pytest.raises(SettingsError, match="paper terminal only"):
        load({**native, "mode": "paper"}, environ={})


def test_secrets_are_masked_in_values_and_errors(toml: Path) -> None:
    toml.write_text("[terminal]\npassword = 'hunter2'\n")
    loaded = load(file=toml, environ={})
    shown = " ".join(str(v.value) for v in loaded.values)
    assert "hunter2" not in shown
    assert "**********" in shown
    toml.write_text("[terminal]\npassword = ['hunter2']\n")
    with pytest.raises(SettingsError) as error:
        load(file=toml, environ={})
    assert "hunter2" not in str(error.value)


def test_a_settings_folder_that_may_not_be_entered_is_told_in_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def forbidden(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_file", forbidden)
    with pytest.raises(
        SettingsError, match="Permission denied; name a settings file with --config"
    ):
        load({}, environ={})
