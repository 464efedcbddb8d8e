"""The doctor's look at folders that have the names of this program's packages.

mt5dash itself always runs its own packages (``streamer/floors.py``), and a bot always its own.
What cannot be prevented is reported: a bot that imports ``streamer`` where a folder of that name
comes first publishes to that one, and ``python -m mt5dash`` runs a file of that name.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

from execution.doctor import Check
from streamer.floors import FLOORS, ROOT

LAUNCHER = "mt5dash"


def imports_check(path: Sequence[str]) -> Check:
    """What Python finds under our names along ``path``, which begins with a bot's folder."""
    theirs = {name: where for name in (*FLOORS, LAUNCHER) if (where := _foreign(name, path))}
    if "streamer" in theirs:
        return Check(
            "imports",
            "warning",
            f"{theirs['streamer']} hides mt5dash's `streamer`: a bot started here imports that one",
            "rename it, so that `from streamer import push_update` reaches this feed",
        )
    if LAUNCHER in theirs:
        return Check(
            "imports",
            "warning",
            f"{theirs[LAUNCHER]} hides the program: `python -m mt5dash` runs that file here",
            "rename it, or start the program as `mt5dash`",
        )
    if theirs:
        names = ", ".join(str(where) for where in theirs.values())
        return Check("imports", "ok", f"{names}: used by the bot; mt5dash uses its own packages")
    return Check("imports", "ok", "no folder here has the name of one of mt5dash's packages")


def _foreign(name: str, path: Sequence[str]) -> Path | None:
    """The file or folder that an import of ``name`` reaches first, unless it is ours."""
    spec = PathFinder.find_spec(name, path)
    if spec is None:
        return None
    found = _place(spec)
    ours = Path(ROOT, "tui", "launcher"), Path(ROOT)
    return None if found.parent.resolve() in [folder.resolve() for folder in ours] else found


def _place(spec: ModuleSpec) -> Path:
    if spec.submodule_search_locations is not None:
        return Path(next(iter(spec.submodule_search_locations)))
    return Path(spec.origin or "")
