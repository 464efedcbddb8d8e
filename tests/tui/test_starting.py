"""The program says a word before it loads what is heavy, and nothing where nobody looks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NO_HEAVY = (
    "import sys; from tui.cli import app\n"
    "class Stop(BaseException): pass\n"
    "class Finder:\n"
    "    def find_spec(self, name, path, target=None):\n"
    "        if name.split('.')[0] in ('textual', 'numpy'): raise Stop(name)\n"
    "sys.meta_path.insert(0, Finder())\n"
    "try: app(['tui'])\n"
    "except Stop: print('now it loads')\n"
)


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo terminal")
@pytest.mark.parametrize("looked_at", [True, False])
def test_the_first_word_comes_before_anything_heavy(tmp_path: Path, looked_at: bool) -> None:
    import pty

    ours, theirs = pty.openpty() if looked_at else os.pipe()
    env = os.environ | {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-c", NO_HEAVY], cwd=ROOT, env=env, stdout=theirs,
        stdin=subprocess.DEVNULL,
    ):  # fmt: skip
        os.close(theirs)
        said = b""
        while b"now it loads" not in said:
            piece = os.read(ours, 4096)
            assert piece, said
            said += piece
    os.close(ours)
    assert said.startswith(b"mt5dash: starting") is looked_at
