"""Finds the strategy that the settings name: the shipped one, an installed one, or a file."""

from __future__ import annotations

import importlib.util
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from streamer.errors import USAGE, Mt5dashError

from .base import Strategy
from .settings import StrategySettings

ENTRY_POINTS = "mt5dash.strategies"


class StrategyNotFound(Mt5dashError):
    """The name in the settings is no strategy; the text gives the choices."""

    exit_code = USAGE


def load(settings: StrategySettings) -> Strategy:
    """The strategy that ``settings.name`` asks for.

    A built-in one, an entry point of group ``mt5dash.strategies``, or ``FILE.py:Class``.

    Raises:
        StrategyNotFound: with what to do next.
    """
    name = settings.name
    if ".py:" in name:
        return _instance(_from_file(name), settings)
    if name == "institutional":
        from .institutional import InstitutionalStrategy

        return InstitutionalStrategy(settings)
    found = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    if name not in found:
        known = ", ".join(sorted({"institutional", *found}))
        raise StrategyNotFound(
            f"no strategy is called {name!r}; known are: {known}. Give one of these,"
            " install the package that brings it, or write FILE.py:Class."
        )
    return _instance(found[name].load(), settings)


def _from_file(name: str) -> Any:
    path_text, _, class_name = name.rpartition(":")
    path = Path(path_text).expanduser()
    if not path.is_file():
        raise StrategyNotFound(f"{path} is not a file; write the path as FILE.py:Class")
    spec = importlib.util.spec_from_file_location(f"mt5dash_strategy_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise StrategyNotFound(f"{path} cannot be imported as Python")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        # foreign code may fail in any way; its own error is kept as the cause
        text = f"{path} cannot be imported: {type(error).__name__}: {error}"
        raise StrategyNotFound(text) from error
    if not hasattr(module, class_name):
        raise StrategyNotFound(f"{path} has no class {class_name!r}")
    return getattr(module, class_name)


def _instance(factory: Any, settings: StrategySettings) -> Strategy:
    try:
        made: object = factory(settings)
    except Exception as error:
        text = f"{factory!r} is no strategy that can be made from the settings: {error}"
        raise StrategyNotFound(text) from error
    if not isinstance(made, Strategy):
        raise StrategyNotFound(
            f"{factory!r} is no strategy: it needs name, timeframes, prepare() and evaluate()"
        )
    return made
