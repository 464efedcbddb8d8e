"""The lock of a journal: one process at a time writes the file, prunes or deletes it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from ..filelock import FileLock, FileLocked
from .schema import JournalLocked


def lock_of(path: Path) -> FileLock:
    """The lock of the journal ``path``, not acquired."""
    return FileLock(path.with_name(path.name + ".lock"))


@contextlib.contextmanager
def locked(path: Path, hint: str = "") -> Iterator[None]:
    """Hold the lock of a journal that no program has open.

    Args:
        path: The journal.
        hint: Added to the text of the error.

    Raises:
        JournalLocked: a running process has it open.
        OSError: the lock file cannot be created.
    """
    lock = lock_of(path)
    try:
        lock.acquire()
    except FileLocked as error:
        raise JournalLocked(f"{error} {hint}".rstrip()) from None
    try:
        yield
    finally:
        lock.release(delete=True)
