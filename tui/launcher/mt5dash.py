"""The ``mt5dash`` program: its console script and ``python -m mt5dash``.

Pins the program's packages to their own place (``streamer/floors.py``), so that folders of the same
names in a bot's directory or on ``PYTHONPATH`` do not replace them, and runs the command line.
"""

import os
from importlib.util import module_from_spec, spec_from_file_location


def root() -> str:
    """The folder that holds our packages: beside this file, or above ``tui/launcher``."""
    here = os.path.dirname(os.path.abspath(__file__))
    if os.path.basename(here) == "launcher":
        return os.path.dirname(os.path.dirname(here))
    return here


def pin() -> None:
    """Make ``tui``, ``strategy``, ``execution`` and ``streamer`` ours in this process."""
    # By its path: the name `streamer` is not ours yet.
    path = os.path.join(root(), "streamer", "floors.py")
    spec = spec_from_file_location("mt5dash_floors", path)
    assert spec is not None
    assert spec.loader is not None
    floors = module_from_spec(spec)
    spec.loader.exec_module(floors)
    floors.pin()


def main() -> None:
    """Run the command line; its exit code is the process's."""
    pin()
    from tui.cli.main import main as run

    run()


if __name__ == "__main__":
    main()
