"""The settings tree, and the source of each value.

One tree of pydantic models: the floors below own their branches, this module composes them.
A value is taken from the first of: command-line flag, environment (``MT5DASH_FEED__PORT``),
TOML file, default. Anything unknown or out of range is an error that says what to do.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from execution.settings import PaperSettings, TerminalSettings
from execution.transport.registry import BackendError, BackendKind, backend_kind
from execution.transport.traits import Traits
from strategy.settings import RiskSettings, StrategySettings
from streamer.alerts.settings import AlertSettings
from streamer.backbone.settings import BackboneSettings
from streamer.errors import USAGE, Mt5dashError
from streamer.relay.settings import RelaySettings
from streamer.settings import FeedSettings, JournalSettings

ENV_PREFIX = "MT5DASH_"
CONFIG_ENV = "MT5DASH_CONFIG"
NO_SETTINGS = frozenset({CONFIG_ENV, "MT5DASH_TOKEN", "MT5DASH_AGENT_TOKEN"})
"""Names in the environment that begin like settings but are something else."""
TOKEN_OF_ONE = re.compile(r"MT5DASH_TOKEN_\d+")
"""The tokens of a relay's upstreams, by number."""
FILE_NAME = "mt5dash.toml"

Mode = Literal["observe", "paper", "live"]


class SettingsError(Mt5dashError):
    """Settings that cannot be used. The text is for people, one problem per line."""

    exit_code = USAGE


class UiSettings(BaseModel):
    """Look and redraw rate of the screen."""

    model_config = ConfigDict(extra="forbid")

    hz: float = Field(4.0, gt=0, le=30, description="Redraws of changed panels per second.")
    theme: str = Field("mt5dash-dark", description="Colour theme; see the palette for the names.")
    ascii: bool = Field(False, description="Use only ASCII characters.")
    calm: bool = Field(False, description="No flashing of changed digits.")
    hide_money: bool = Field(False, description="Mask amounts of money (percent and R stay).")
    bell: bool = Field(False, description="Ring the terminal bell once per alert.")


class LogSettings(BaseModel):
    """The program's own log (not the feed's events)."""

    model_config = ConfigDict(extra="forbid")

    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe message that is written."
    )
    file: Path | None = Field(
        None, description="Log file; empty: mt5dash.log in the user's log folder."
    )


class Settings(BaseModel):
    """All settings of the program."""

    model_config = ConfigDict(extra="forbid", validate_default=True)

    mode: Mode | None = Field(
        None,
        description="What the bot may do: observe, paper or live. Empty: paper on a simulated "
        "terminal, observe on a real one.",
    )
    feed: FeedSettings = Field(default_factory=FeedSettings)
    journal: JournalSettings = Field(default_factory=JournalSettings)
    terminal: TerminalSettings = Field(default_factory=lambda: TerminalSettings())
    paper: PaperSettings = Field(default_factory=lambda: PaperSettings())
    strategy: StrategySettings = Field(default_factory=StrategySettings)
    risk: RiskSettings = Field(default_factory=RiskSettings)
    alerts: AlertSettings = Field(default_factory=AlertSettings)
    backbone: BackboneSettings = Field(default_factory=lambda: BackboneSettings())
    relay: RelaySettings = Field(default_factory=RelaySettings)
    ui: UiSettings = Field(default_factory=lambda: UiSettings())
    log: LogSettings = Field(default_factory=lambda: LogSettings())

    @property
    def effective_mode(self) -> Mode:
        """The mode in force once the backend is known."""
        if self.mode is not None:
            return self.mode
        return "paper" if self.backend_traits.simulated else "observe"

    @property
    def backend_kind(self) -> BackendKind:
        """The way to the terminal that ``terminal.backend`` names.

        Raises:
            BackendError: no backend has that name.
        """
        return backend_kind(self.terminal.backend)

    @property
    def backend_traits(self) -> Traits:
        """What the terminal is. Raises as :attr:`backend_kind`."""
        return self.backend_kind.traits(self.terminal, self.paper)


@dataclass(frozen=True, slots=True)
class Value:
    """One setting in force: its dotted name, value, source and description."""

    name: str
    value: Any
    source: str
    description: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """The settings in force and the source of each."""

    settings: Settings
    values: tuple[Value, ...]
    file: Path | None


def default_file() -> Path:
    """The settings file that is read when none is named; it need not exist."""
    return Path(platformdirs.user_config_dir("mt5dash", appauthor=False)) / FILE_NAME


def load(
    flags: Mapping[str, Any] | None = None,
    *,
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Loaded:
    """Read all sources.

    Args:
        flags: Nested mapping of the flags given (``{"feed": {"port": 8000}}``).
        file: The TOML file; it must exist. ``None``: ``MT5DASH_CONFIG`` or the user's own.
        environ: The environment; ``os.environ`` unless given.

    Raises:
        SettingsError: for a missing or broken file, an unknown name or a value out of range.
    """
    env = dict(os.environ if environ is None else environ)
    path = _find_file(file, env)
    layers: list[tuple[str, dict[str, Any]]] = [("flag", _nested_copy(flags or {}))]
    layers.append(("environment", _from_environment(env)))
    if path is not None:
        layers.append((str(path), _from_file(path)))
    for source, layer in layers:
        _check_names(layer, source)
    merged: dict[str, Any] = {}
    for _, layer in reversed(layers):
        _merge(merged, layer)
    try:
        settings = Settings(**merged)
    except ValidationError as error:
        raise SettingsError(_explain(error, layers)) from None
    _check_mode(settings)
    values = tuple(_values(settings, [(s, layer) for s, layer in layers]))
    return Loaded(settings, values, path)


def _find_file(file: Path | None, env: Mapping[str, str]) -> Path | None:
    named = file or (Path(env[CONFIG_ENV]) if env.get(CONFIG_ENV) else None)
    looked = named or default_file()
    try:
        there = looked.is_file()
    except OSError as error:  # such as the folder of another user, whose HOME was left set
        raise SettingsError(
            f"{looked}: cannot be looked for: {error.strerror}; name a settings file with --config "
            f"or {CONFIG_ENV}, or set HOME to your own"
        ) from None
    if named is not None and not there:
        raise SettingsError(f"{named}: no such settings file; check --config or {CONFIG_ENV}")
    return looked if there else None


def _from_file(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: not valid TOML: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read: {error}") from None


def _from_environment(env: Mapping[str, str]) -> dict[str, Any]:
    names = {
        name
        for name in env
        if name.upper().startswith(ENV_PREFIX)
        and name.upper() not in NO_SETTINGS
        and not TOKEN_OF_ONE.fullmatch(name.upper())
    }
    known = {_env_name(name) for name, *_ in _leaves(Settings)}
    for name in sorted(names):
        if name.upper() not in known:
            raise SettingsError(f"{name}: unknown setting{_suggest(name.upper(), known)}")
    if not names:
        return {}
    # Loading it takes a tenth of the start, and most starts have no such variable.
    from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict

    class FromEnvironment(Settings, BaseSettings):
        model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, env_nested_delimiter="__")

    # pydantic-settings reads os.environ itself: give it exactly the names of this call.
    source = EnvSettingsSource(FromEnvironment)
    source.env_vars = {n.lower(): env[n] for n in names}
    try:
        return dict(source())
    except ValueError as error:
        raise SettingsError(f"environment: {error}") from None


def _env_name(dotted: str) -> str:
    return ENV_PREFIX + dotted.replace(".", "__").upper()


def _branch(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return None


def _leaves(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Dotted name and description of every setting."""
    for name, field in model.model_fields.items():
        branch = _branch(field.annotation)
        if branch is not None:
            yield from _leaves(branch, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field.description or ""


def _check_names(
    layer: Mapping[str, Any], source: str, model: type[BaseModel] = Settings, prefix: str = ""
) -> None:
    for name, value in layer.items():
        field = model.model_fields.get(name)
        if field is None:
            raise SettingsError(
                f"{source}: {prefix}{name}: unknown setting"
                + _suggest(f"{prefix}{name}", [n for n, _ in _leaves(Settings)])
            )
        branch = _branch(field.annotation)
        if branch is not None and isinstance(value, Mapping):
            _check_names(value, source, branch, f"{prefix}{name}.")


def _suggest(name: str, known: Any) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return (
        f"; did you mean {close[0]}?" if close else "; see `mt5dash config --explain` for all names"
    )


def _explain(error: ValidationError, layers: list[tuple[str, dict[str, Any]]]) -> str:
    lines = []
    for problem in error.errors(include_url=False):
        path = [str(part) for part in problem["loc"]]
        source = next(
            (s for s, layer in layers if _lookup(layer, path) is not _MISSING), "settings"
        )
        secret = any(word in ".".join(path) for word in ("password", "token", "secret", "url"))
        given = "" if secret or problem["type"] == "missing" else f" (given: {problem['input']!r})"
        message = problem["msg"].removeprefix("Value error, ")
        lines.append(f"{source}: {'.'.join(path)}: {message}{given}")
    return "\n".join(lines)


def _check_mode(settings: Settings) -> None:
    backend = settings.terminal.backend
    try:
        simulated = settings.backend_traits.simulated
    except BackendError as error:
        raise SettingsError(f"terminal.backend: {error}") from None
    if settings.mode == "live" and simulated:
        raise SettingsError(
            'mode: "live" needs a real terminal; set terminal.backend = "native" or "agent"'
        )
    if settings.mode == "paper" and not simulated:
        raise SettingsError(
            f'mode: "paper" trades on the paper terminal only, and terminal.backend is '
            f'"{backend}"; use mode = "observe", or mode = "live" to trade the real account'
        )


_MISSING: Any = object()


def _lookup(layer: Mapping[str, Any], path: list[str]) -> Any:
    value: Any = layer
    for part in path:
        if not isinstance(value, Mapping) or part not in value:
            return _MISSING
        value = value[part]
    return value


def _values(settings: Settings, layers: list[tuple[str, dict[str, Any]]]) -> Iterator[Value]:
    for name, description in _leaves(Settings):
        path = name.split(".")
        value: Any = settings
        for part in path:
            value = getattr(value, part)
        if isinstance(value, SecretStr):
            value = "**********" if value.get_secret_value() else ""
        source = next((s for s, layer in layers if _lookup(layer, path) is not _MISSING), "default")
        if source == "environment":
            source = f"environment {_env_name(name)}"
        yield Value(name, value, source, description)


def _nested_copy(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """A copy without flags that were not given (``None``) and without empty branches."""
    result: dict[str, Any] = {}
    for key, value in mapping.items():
        if isinstance(value, Mapping):
            inner = _nested_copy(value)
            if inner:
                result[key] = inner
        elif value is not None:
            result[key] = value
    return result


def _merge(into: dict[str, Any], layer: Mapping[str, Any]) -> None:
    for key, value in layer.items():
        if isinstance(value, Mapping) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        elif isinstance(value, Mapping):
            into[key] = dict(value)
            _merge(into[key], value)
        else:
            into[key] = value
