"""The program as installed, and a bot that has folders of the same names as its packages."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
from support.installed import Installed, Way, install

BOT = Path(__file__).with_name("bot")
NAMES = ("execution", "strategy", "tui")


@pytest.fixture(scope="package", params=["wheel", "editable"])
def installed(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Installed:
    return install(cast("Way", request.param), tmp_path_factory.mktemp(request.param))


@pytest.fixture
def make_bot(tmp_path: Path) -> Callable[[str], Path]:
    """Copies the bot: its folders as they are, or made ``regular`` packages."""

    def make(shape: str) -> Path:
        folder = tmp_path / "bot"
        shutil.copytree(BOT, folder, ignore=shutil.ignore_patterns("__pycache__"))
        for name in NAMES if shape == "regular" else ():
            loud = f"import sys\nprint('the bot has its own {name}', file=sys.stderr)\n"
            (folder / name / "__init__.py").write_text(loud)
        return folder

    return make
