"""The system's own clipboard, beside OSC 52, which not every terminal supports."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import sys
from collections.abc import Mapping

log = logging.getLogger("mt5dash.ui")

DEADLINE_S = 2.0


def command(env: Mapping[str, str]) -> list[str] | None:
    """The command line of the program that fills the clipboard; ``None`` without one.

    Over ssh there is none: the clipboard of this machine is not the operator's.
    """
    if env.get("SSH_CONNECTION") or env.get("SSH_TTY"):
        return None
    wanted: list[list[str]] = []
    if sys.platform == "darwin":
        wanted.append(["pbcopy"])
    if env.get("WAYLAND_DISPLAY"):
        wanted.append(["wl-copy"])
    if env.get("DISPLAY"):
        wanted += [["xclip", "-selection", "clipboard"], ["xsel", "--clipboard", "--input"]]
    if sys.platform == "win32" or env.get("WSL_DISTRO_NAME"):
        wanted.append(["clip.exe"])
    for name, *args in wanted:
        found = shutil.which(name, path=env.get("PATH"))
        if found is not None:
            return [found, *args]
    return None


async def system_copy(text: str) -> str | None:
    """Copy ``text`` to the system's clipboard.

    Returns:
        The name of the program that took it; ``None`` when there is none or it failed.
    """
    words = command(os.environ)
    if words is None:
        return None
    name = os.path.basename(words[0])
    data = text.encode("utf-16-le" if name.lower() == "clip.exe" else "utf-8", "replace")
    # xclip keeps running to serve the selection: with pipes for its output it would be awaited.
    nowhere = asyncio.subprocess.DEVNULL
    try:
        process = await asyncio.create_subprocess_exec(
            *words, stdin=asyncio.subprocess.PIPE, stdout=nowhere, stderr=nowhere
        )
    except OSError as error:
        log.warning("%s cannot be started: %s", words[0], error)
        return None
    try:
        async with asyncio.timeout(DEADLINE_S):
            await process.communicate(data)
    except TimeoutError:
        process.kill()
        await process.wait()
        log.warning("%s did not take the text within %g s", words[0], DEADLINE_S)
        return None
    except (BrokenPipeError, ConnectionResetError) as error:
        log.warning("%s: %s", words[0], error)
    return name if process.returncode == 0 else None
