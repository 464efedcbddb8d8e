"""mt5dash beside a bot that has folders named ``execution``, ``strategy`` and ``tui``."""

from __future__ import annotations

import asyncio
import re
import signal
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.installed import Installed, build

Made = Callable[[str], Path]
SHAPES = pytest.mark.parametrize("shape", ["plain", "regular"])
PATHS = pytest.mark.parametrize(
    "env", [{}, {"PYTHONPATH": "."}], ids=["no PYTHONPATH", "PYTHONPATH=."]
)
STARTS = pytest.mark.parametrize(
    ("start", "env"),
    # Both ways in which Python looks into the bot's folder before it looks at what is installed.
    [("script", {"PYTHONPATH": "."}), ("module", {})],
    ids=["script, PYTHONPATH=.", "module"],
)
OF_THE_BOT = "the bot has its own"


def command(installed: Installed, start: str) -> tuple[str, ...]:
    return (installed.mt5dash,) if start == "script" else (installed.python, "-m", "mt5dash")


@SHAPES
@PATHS
def test_the_bot_runs_unchanged(
    installed: Installed, make_bot: Made, tmp_path: Path, shape: str, env: dict[str, Any]
) -> None:
    bot = make_bot(shape)
    done = installed.run(installed.python, "main.py", folder=bot, home=tmp_path, **env)
    assert done.stdout == "EURUSD 1006\n"
    assert (OF_THE_BOT in done.stderr) == (shape == "regular")


@SHAPES
@PATHS
def test_the_bot_keeps_modules_that_have_names_of_ours(
    installed: Installed, make_bot: Made, tmp_path: Path, shape: str, env: dict[str, Any]
) -> None:
    code = "import execution.orders; print(execution.orders.KIND)"
    done = installed.run(installed.python, "-c", code, folder=make_bot(shape), home=tmp_path, **env)
    assert done.stdout == "the bot's orders\n"


@SHAPES
@STARTS
def test_the_program_prints_its_version_in_the_bots_folder(
    installed: Installed,
    make_bot: Made,
    tmp_path: Path,
    shape: str,
    env: dict[str, Any],
    start: str,
) -> None:
    done = installed.run(
        *command(installed, start), "--version", folder=make_bot(shape), home=tmp_path, **env
    )
    assert re.fullmatch(r"mt5dash \d+\.\d+\.\d+\S*\n", done.stdout)
    assert done.stderr == ""


@SHAPES
@STARTS
def test_the_doctor_runs_in_the_bots_folder(
    installed: Installed,
    make_bot: Made,
    tmp_path: Path,
    shape: str,
    env: dict[str, Any],
    start: str,
) -> None:
    bot = make_bot(shape)
    done = installed.run(
        *command(installed, start), "doctor", folder=bot, home=tmp_path,
        MT5DASH_FEED__PORT="0", **env,
    )  # fmt: skip
    (line,) = (text for text in done.stdout.splitlines() if " imports " in text)
    assert line.startswith("ok ")
    assert str(bot / "strategy") in line
    assert re.search(r"^ok +history ", done.stdout, re.MULTILINE), done.stdout
    assert OF_THE_BOT not in done.stderr


@SHAPES
@STARTS
async def test_the_program_serves_in_the_bots_folder(
    installed: Installed,
    make_bot: Made,
    tmp_path: Path,
    shape: str,
    env: dict[str, Any],
    start: str,
) -> None:
    process = await asyncio.create_subprocess_exec(
        *command(installed, start), "tui", "--no-ui", "--port", "0",
        cwd=make_bot(shape), env=installed.environment(tmp_path, **env),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        async with asyncio.timeout(40):
            line = await process.stdout.readline()
            if line:
                process.send_signal(signal.SIGTERM)
            _, errors = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert b"listening" in line, errors.decode()
    assert process.returncode == 0, errors.decode()
    assert OF_THE_BOT.encode() not in errors


@SHAPES
def test_a_strategy_file_may_import_the_bots_modules(
    installed: Installed, make_bot: Made, tmp_path: Path, shape: str
) -> None:
    code = (
        "import mt5dash; mt5dash.pin()\n"
        "from strategy.registry import load\n"
        "from strategy.settings import StrategySettings\n"
        "import strategy.signals, execution.orders\n"
        "print(load(StrategySettings(name='rules.py:Rules')).name)\n"
        "print(strategy.signals.__file__)\n"
        "print(execution.orders.__file__)\n"
    )
    bot = make_bot(shape)
    done = installed.run(installed.python, "-c", code, folder=bot, home=tmp_path, PYTHONPATH=".")
    name, signals, orders = done.stdout.splitlines()
    assert name == "rules"
    assert Path(bot, signals) == bot / "strategy" / "signals.py"
    assert bot not in Path(bot, orders).parents, "none of ours is replaced"
    assert OF_THE_BOT not in done.stderr


@SHAPES
def test_what_was_imported_before_is_replaced(
    installed: Installed, make_bot: Made, tmp_path: Path, shape: str
) -> None:
    """As where ``sitecustomize`` or a plug-in of an interpreter imports the bot's package first."""
    code = (
        "import strategy.signals\n"
        "import sys, mt5dash\n"
        "sys.argv = ['mt5dash', '--version']\n"
        "mt5dash.pin(); mt5dash.pin()\n"
        "from strategy.base import Setup\n"
        "print(sum('Floors' in type(f).__name__ for f in sys.meta_path))\n"
        "mt5dash.main()\n"
    )
    done = installed.run(
        installed.python, "-c", code, folder=make_bot(shape), home=tmp_path, PYTHONPATH="."
    )
    assert done.stdout.splitlines()[0] == "1"
    assert done.stdout.splitlines()[1].startswith("mt5dash ")


@SHAPES
def test_a_child_process_runs_our_modules(
    installed: Installed, make_bot: Made, tmp_path: Path, shape: str
) -> None:
    bot, empty = make_bot(shape), tmp_path / "empty"
    empty.mkdir()
    code = (
        "import asyncio, mt5dash, sys; from pathlib import Path\n"
        "mt5dash.pin()\n"
        "from strategy.ml.trainer import child\n"
        "async def run():\n"
        "    async for line in child(Path(sys.argv[1])): print(line)\n"
        "asyncio.run(run())\n"
    )
    done = installed.run(
        installed.python, "-c", code, str(empty), folder=bot, home=tmp_path, PYTHONPATH=".",
        check=False,
    )  # fmt: skip
    # The child began its work and did not find the bars that are to be in its folder.
    assert "FileNotFoundError" in done.stdout
    assert "request.json" in done.stdout
    assert OF_THE_BOT not in done.stderr


def test_both_documented_modules_are_imported_from_any_folder(
    installed: Installed, tmp_path: Path
) -> None:
    code = "import execution.paper.metatrader5\nfrom strategy.base import Setup\nprint(Setup)"
    done = installed.run(installed.python, "-c", code, folder=tmp_path, home=tmp_path)
    assert done.stdout == "<class 'strategy.base.Setup'>\n"


@pytest.mark.parametrize("name", ["streamer", "mt5dash"])
def test_the_doctor_names_a_folder_that_hides_what_it_must_not(
    installed: Installed, tmp_path: Path, name: str
) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").touch()
    done = installed.run(
        installed.mt5dash, "doctor", folder=tmp_path, home=tmp_path, MT5DASH_FEED__PORT="0"
    )
    (line,) = (text for text in done.stdout.splitlines() if " imports " in text)
    assert line.startswith("WARN")
    assert f"{tmp_path / name} hides" in line


def test_the_wheel_holds_the_program_and_nothing_else(tmp_path: Path) -> None:
    with zipfile.ZipFile(build("wheel", tmp_path)) as wheel:
        names = wheel.namelist()
    tops = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert tops == {"tui", "strategy", "execution", "streamer", "mt5dash.py"}
    assert "streamer/web/index.html" in names
    # With these files a bot's folders of the same names would be hidden.
    assert not {"tui/__init__.py", "strategy/__init__.py", "execution/__init__.py"} & set(names)


def test_python_m_tui_keeps_working(installed: Installed, tmp_path: Path) -> None:
    done = installed.run(installed.python, "-m", "tui", "--version", folder=tmp_path, home=tmp_path)
    assert done.stdout.startswith("mt5dash ")
