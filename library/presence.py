"""Whether other programs may be writing temporary files at this moment.

Whoever makes temporary files holds a shared lock until its library is closed; the kernel drops it when
the process dies.  Who gets the lock for himself alone knows that every temporary file is left over.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class Presence:
    """The lock of one folder of temporary files, by its `path`.  Usable from several threads.

    Where the file system has no locks nobody ever counts as alone.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mutex = threading.Lock()
        self._descriptor: int | None = None

    def announce(self) -> None:
        """Say that this process makes temporary files; waits for one that is clearing away."""
        with self._mutex:
            if self._descriptor is None:
                with suppress(OSError):
                    self._descriptor = self._locked(fcntl.LOCK_SH)

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """True inside when no process, not even this one, has announced itself; none can until the end."""
        try:
            descriptor = self._locked(fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        try:
            yield True
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """Take the announcement back."""
        with self._mutex:
            descriptor, self._descriptor = self._descriptor, None
            if descriptor is not None:
                os.close(descriptor)

    def _locked(self, operation: int) -> int:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(descriptor, operation)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor
