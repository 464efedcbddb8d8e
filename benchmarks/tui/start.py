"""How long the program takes to show something, on a real pseudo terminal.

    python benchmarks/tui/start.py                  # median of 10, warm and cold
    python benchmarks/tui/start.py --rounds 3 --only screen

Times run from exec of ``mt5dash`` with a home of its own. Milestones of the screen, all read from
the bytes that the terminal gets:

    first word     the first byte
    first frame    the panels stand, with what the program is doing
    live screen    Textual draws and answers keys
    first figures  the account of the paper terminal is on the screen

Cold means that the pages of the interpreter, its packages and this tree were asked out of the
system's file cache before each start (``posix_fadvise``); what share went is printed.
"""

from __future__ import annotations

import argparse
import ctypes
import mmap
import os
import pty
import re
import select
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator
from fcntl import ioctl
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SIZE = (120, 36)
GIVE_UP_S = 30.0
GOALS = {"first frame": 0.5}
LIVE = b"\x1b[?2004h"
"""Bracketed paste: only the driver of the running screen asks for it."""
FIGURES = re.compile(rb"Balance.{0,40}?10,000\.00", re.S)

COMMANDS = {
    "--version": ["--version"],
    "--help": ["--help"],
    "config": ["config"],
}


def environment(home: str) -> dict[str, str]:
    return os.environ | {
        "HOME": home, "XDG_STATE_HOME": f"{home}/state", "XDG_CONFIG_HOME": f"{home}/config",
        "TERM": "xterm-256color",
    }  # fmt: skip


def start_screen(home: str) -> dict[str, float]:
    """One start; seconds from exec to each milestone."""
    master, slave = pty.openpty()
    ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", SIZE[1], SIZE[0], 0, 0))
    seen: dict[str, float] = {}
    data = b""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "tui", "tui", "--port", "0"],
        stdin=slave, stdout=slave, stderr=slave, cwd=ROOT, start_new_session=True,
        env=environment(home),
    )  # fmt: skip
    os.close(slave)
    try:
        while "first figures" not in seen:
            left = began + GIVE_UP_S - time.perf_counter()
            if left < 0 or not select.select([master], [], [], left)[0]:
                raise SystemExit(f"no figures after {GIVE_UP_S:g} s; got so far: {seen}")
            try:
                data += os.read(master, 65536)
            except OSError:
                raise SystemExit(f"the program ended: {data[-2000:]!r}") from None
            now = time.perf_counter() - began
            seen.setdefault("first word", now)
            if b"Positions" in data and b"Scanner" in data:
                seen.setdefault("first frame", now)
            if LIVE in data and b"Scanner" in data.partition(LIVE)[2]:
                seen.setdefault("live screen", now)
            if FIGURES.search(data):
                seen.setdefault("first figures", now)
    finally:
        process.send_signal(signal.SIGTERM)
        end = time.perf_counter() + 10
        while process.poll() is None and time.perf_counter() < end:
            if select.select([master], [], [], 0.05)[0]:
                try:
                    os.read(master, 65536)
                except OSError:
                    break
        process.wait(10)
        os.close(master)
    return seen


def run_command(arguments: list[str], home: str) -> float:
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "tui", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT, env=environment(home),
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    # The first byte, and not the end: what a person waits for.
    ready, _, _ = select.select([process.stdout, process.stderr], [], [], GIVE_UP_S)
    took = time.perf_counter() - began
    if not ready:
        raise SystemExit(f"{arguments}: silent for {GIVE_UP_S:g} s")
    process.kill()
    process.communicate()
    return took


def serve(home: str, rounds: int) -> tuple[float, list[float]]:
    """From exec to the line that says where the feed listens, and `tail`s of that feed."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "tui", "tui", "--no-ui", "--port", "0"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT, env=environment(home),
    )  # fmt: skip
    assert process.stdout is not None
    line = process.stdout.readline()
    took = time.perf_counter() - began
    try:
        if b"listening" not in line:
            raise SystemExit(f"--no-ui said {line!r}")
        url = line.decode().split()[-1]
        time.sleep(2.0 if rounds else 0.0)  # its own start is over
        return took, [run_command(["tail", url], home) for _ in range(rounds)]
    finally:
        process.terminate()
        process.communicate()


# -- cold ----------------------------------------------------------------------------------


def loaded_files() -> Iterator[Path]:
    """What a start may read: the interpreter's library, its packages, this tree."""
    roots = [Path(sys.base_prefix) / "lib", Path(sys.prefix) / "lib"]
    roots += [ROOT / name for name in ("tui", "streamer", "strategy", "execution")]
    for root in roots:
        for folder, _, names in os.walk(root):
            for name in names:
                if name.endswith((".py", ".pyc", ".so")) or ".so." in name:
                    yield Path(folder, name)
    yield Path(sys.executable).resolve()


def forget(files: list[Path]) -> float:
    """Ask the system to drop the files' pages; the share of pages that is gone."""
    for path in files:
        fd = os.open(path, os.O_RDONLY)
        try:
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(fd)
    pages = resident = 0
    libc = ctypes.CDLL(None, use_errno=True)
    for path in files:
        size = path.stat().st_size
        if not size:
            continue
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ | mmap.PROT_WRITE,
                                                flags=mmap.MAP_PRIVATE) as view:  # fmt: skip
            count = (size + mmap.PAGESIZE - 1) // mmap.PAGESIZE
            marks = (ctypes.c_ubyte * count)()
            start = ctypes.addressof(ctypes.c_char.from_buffer(view))
            if libc.mincore(ctypes.c_void_p(start), ctypes.c_size_t(size), marks) == 0:
                pages += count
                resident += sum(mark & 1 for mark in marks)
    return 1 - resident / pages if pages else 0.0


# -- all of it -----------------------------------------------------------------------------


def show(title: str, values: list[float], goal: float | None = None) -> bool:
    middle = statistics.median(values)
    verdict = "" if goal is None else f"   goal {goal:g}: {'met' if middle <= goal else 'MISSED'}"
    print(f"  {title:<22}{middle:>8.3f} s   {min(values):.3f} .. {max(values):.3f}{verdict}")
    return goal is None or middle <= goal


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--only", choices=["screen", "cold", "commands"], action="append")
    args = parser.parse_args()
    wanted: Any = args.only or ["screen", "cold", "commands"]
    print(
        f"load before: {', '.join(f'{v:.1f}' for v in os.getloadavg())}; medians of {args.rounds}"
    )
    met = True
    with tempfile.TemporaryDirectory() as home:
        start_screen(home)  # compiles what was never imported
        for case in ("screen", "cold"):
            if case not in wanted:
                continue
            runs, gone = [], []
            files = sorted(set(loaded_files())) if case == "cold" else []
            for _ in range(args.rounds):
                if case == "cold":
                    gone.append(forget(files))
                runs.append(start_screen(home))
            print("\nmt5dash tui, warm" if case == "screen" else
                  f"\nmt5dash tui, cold ({statistics.median(gone):.0%} of the pages forgotten)")  # fmt: skip
            for name in ("first word", "first frame", "live screen", "first figures"):
                goal = GOALS.get(name) if case == "screen" else None
                met &= show(name, [run[name] for run in runs], goal)
        if "commands" in wanted:
            print("\nto the first byte, warm")
            for name, arguments in COMMANDS.items():
                show(name, [run_command(arguments, home) for _ in range(args.rounds)])
            show("--no-ui, listening", [serve(home, 0)[0] for _ in range(args.rounds)])
            show("tail, first frame", serve(home, args.rounds)[1])
    sys.exit(0 if met else 1)


if __name__ == "__main__":
    main()
