"""``mt5dash config``: prints the settings in force and their sources."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from .common import Config, load_settings


def config(
    explain: Annotated[
        bool, typer.Option("--explain", help="Each value with its source and meaning.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
    file: Config = None,
) -> None:
    """Print the settings in force."""
    loaded = load_settings({}, file)
    if as_json:
        rows = [
            {"name": v.name, "value": v.value, "source": v.source, "description": v.description}
            for v in loaded.values
        ]
        print(json.dumps(rows, indent=2, default=str))
        return
    from ..settings import default_file

    if explain:
        where = loaded.file or f"{default_file()} (does not exist)"
        print(f"# settings file: {where}")
        print("# order: flag, environment, settings file, default")
    for v in loaded.values:
        shown = json.dumps(v.value, default=str)
        if explain:
            print(f"{v.name} = {shown}\n    from {v.source}. {v.description}")
        else:
            print(f"{v.name} = {shown}")
