"""Makes Python find the four packages of this program in their own place, whatever else is called so.

``tui``, ``strategy`` and ``execution`` have no ``__init__.py``: they are namespace packages, so that
a bot with folders of the same names imports its own modules while mt5dash is installed beside it.
The other way round a folder of such a name on ``PYTHONPATH`` would hide ours from the program;
:func:`pin` prevents that. Nothing of ours is imported here: the launcher loads this file by its
path before it imports anything else. As a script it runs one of our modules in a child process::

    python -P .../streamer/floors.py strategy.ml.trainer_child FOLDER
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

FLOORS = ("tui", "strategy", "execution", "streamer")
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class OwnFloors:
    """Finds the four packages in ``root`` only; first in ``sys.meta_path``."""

    def __init__(self, root: str) -> None:
        self.floors_root = root

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in FLOORS:
            return None
        found = PathFinder.find_spec(name, [self.floors_root])
        if found is None or found.loader is not None:
            return found
        # Python's own spec of a namespace package would follow sys.path to other folders.
        spec = ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = [os.path.join(self.floors_root, name)]
        return spec


class FoldersOfTheSameName:
    """Finds ``strategy.mine`` in a user's own folder ``strategy`` where ours has no such module.

    Last in ``sys.meta_path``: a strategy given as ``FILE.py:Class`` may import modules of the bot
    that it belongs to, but none of them replaces one of ours.
    """

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        floor, _, rest = name.partition(".")
        if floor not in FLOORS or not rest or "." in rest:
            return None
        return PathFinder.find_spec(name, [os.path.join(entry, floor) for entry in sys.path])


def pin() -> None:
    """From now on the four packages are ours. May be called again.

    A package of that name that was imported before, such as by ``sitecustomize``, is forgotten.
    """
    if any(getattr(finder, "floors_root", None) == ROOT for finder in sys.meta_path):
        return
    sys.meta_path.insert(0, OwnFloors(ROOT))
    sys.meta_path.append(FoldersOfTheSameName())
    for floor in FLOORS:
        loaded = sys.modules.get(floor)
        if loaded is None:
            continue
        own = os.path.join(ROOT, floor)
        if own in getattr(loaded, "__path__", ()):
            loaded.__path__ = [own]
        else:
            for name in [n for n in sys.modules if n == floor or n.startswith(f"{floor}.")]:
                del sys.modules[name]


def main() -> None:
    """Run the module that the first argument names, as ``python -m`` does."""
    import runpy

    pin()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
