"""Processes of the operating system, for tests that start or end some."""

from __future__ import annotations

import ctypes
import os
import sys

_QUERY, _STILL_ACTIVE = 0x1000, 259


def alive(pid: int) -> bool:
    """Does a process with this number run? (``os.kill(pid, 0)`` is no question on Windows.)"""
    if sys.platform == "win32":
        kernel = ctypes.windll.kernel32
        handle = kernel.OpenProcess(_QUERY, False, pid)
        if not handle:
            return False
        code = ctypes.c_ulong()
        kernel.GetExitCodeProcess(handle, ctypes.byref(code))
        kernel.CloseHandle(handle)
        return code.value == _STILL_ACTIVE
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
