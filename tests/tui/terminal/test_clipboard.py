"""Copying reaches the system's clipboard where there is one, waits for nobody, and says how."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from support.screen_bench import bench

from tui.terminal import clipboard

posix = pytest.mark.skipif(sys.platform == "win32", reason="the stand-ins are shell scripts")


def stand_in(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def desktop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with an X display, nobody from outside, and only our programs."""
    for name in ("SSH_CONNECTION", "SSH_TTY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(sys, "platform", "linux")
    return tmp_path


@posix
async def test_the_text_arrives_as_it_is(desktop: Path) -> None:
    stand_in(desktop, "xclip", f'echo "$@" > {desktop}/args; cat > {desktop}/text')
    assert await clipboard.system_copy("XAUUSD\t+42.20▲\n") == "xclip"
    assert (desktop / "text").read_text() == "XAUUSD\t+42.20▲\n"
    assert (desktop / "args").read_text().split() == ["-selection", "clipboard"]


@posix
async def test_a_program_that_stays_behind_as_xclip_does_is_not_waited_for(desktop: Path) -> None:
    stand_in(desktop, "xclip", "cat > /dev/null; sleep 30 &")
    assert await clipboard.system_copy("x") == "xclip"


@posix
async def test_a_program_that_hangs_or_fails_is_not_said_to_have_copied(
    desktop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clipboard, "DEADLINE_S", 0.2)
    stand_in(desktop, "xclip", "exec sleep 30")
    assert await clipboard.system_copy("x" * 1_000_000) is None
    stand_in(desktop, "xclip", "exit 1")
    assert await clipboard.system_copy("x") is None


@posix
def test_over_ssh_this_machines_clipboard_is_left_alone(desktop: Path) -> None:
    stand_in(desktop, "xclip", "exit 0")
    env = {"DISPLAY": ":0", "PATH": str(desktop)}
    assert clipboard.command(env) is not None
    assert clipboard.command(env | {"SSH_CONNECTION": "10.0.0.1 1 10.0.0.2 22"}) is None
    assert clipboard.command({"PATH": str(desktop)}) is None


async def test_the_toast_says_which_way_it_went() -> None:
    async with bench() as b:
        told: list[str] = []
        b.app.show_message = lambda text, **_: told.append(text)  # type: ignore[method-assign]
        b.app.copy("12345")
        await b.app.workers.wait_for_complete()

        async def by_xclip(text: str) -> str:
            return "xclip"

        b.app.system_copy = by_xclip
        b.app.copy("12345")
        await b.app.workers.wait_for_complete()
        assert told == [
            "Copied 5 characters through the terminal (OSC 52)",
            "Copied 5 characters with xclip and through the terminal (OSC 52)",
        ]
