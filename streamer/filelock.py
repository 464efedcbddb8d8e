"""A lock file for one process at a time; the system releases it when that process ends."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

from .errors import IN_USE, Mt5dashError


class FileLocked(Mt5dashError):
    """Another process holds the lock; the text names it and says what to do."""

    exit_code = IN_USE


class FileLock:
    """An exclusive lock on ``path``, with the holder's process id in the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock at once.

        Raises:
            FileLocked: another process holds it.
            OSError: the file cannot be created.
        """
        while True:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                _lock(descriptor)
            except OSError:
                holder = _read(descriptor)
                os.close(descriptor)
                raise FileLocked(
                    f"{self.path.with_suffix('')} is in use by process {holder or 'unknown'}. "
                    "Stop that one, or give this one another journal ([journal] path)."
                ) from None
            if self._still_there(descriptor):
                break
            os.close(descriptor)  # its former holder has deleted the file
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, str(os.getpid()).encode())
        self._descriptor = descriptor

    def _still_there(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), os.stat(self.path))
        except FileNotFoundError:
            return False

    def release(self, *, delete: bool = False) -> None:
        """Release the lock; ``delete`` removes the file as well."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is None:
            return
        if delete and sys.platform != "win32":
            with contextlib.suppress(OSError):
                self.path.unlink()
        os.close(descriptor)
        if delete and sys.platform == "win32":
            with contextlib.suppress(OSError):
                self.path.unlink()


def _read(descriptor: int) -> str:
    try:
        os.lseek(descriptor, 0, os.SEEK_SET)
        return os.read(descriptor, 32).decode("ascii", "replace").strip()
    except OSError:
        return ""


if sys.platform == "win32":
    import msvcrt

    _FAR = 1 << 30  # the id at the start of the file stays readable for other processes

    def _lock(descriptor: int) -> None:
        os.lseek(descriptor, _FAR, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        os.lseek(descriptor, 0, os.SEEK_SET)
else:
    import fcntl

    def _lock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
