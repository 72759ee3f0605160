"""One writer at a time: an advisory lock on a file that says who holds it.

The kernel drops the lock when its holder dies, so a stale lock cannot remain: what a dead process
wrote into the file is overwritten by the next holder.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson

from library.errors import LibraryLocked
from library.files import storage_error
from library.wording import one_line

_INFO_LIMIT = 4096
_POLL_S = 0.05


class WriterLock:
    """The lock of one library.  Re-entrant within a thread; other threads and processes wait.

    A lock file is never removed: removing it would let two processes lock two different files.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._thread_lock = threading.RLock()
        self._depth = 0
        self._descriptor = -1

    @property
    def depth(self) -> int:
        """How many `hold` blocks are open in the thread that holds the lock; 0 when it is free."""
        return self._depth

    @contextmanager
    def hold(self, wait_s: float = 0.0) -> Iterator[None]:
        """Hold the lock inside the block; wait up to `wait_s` seconds for it.

        Raises:
            LibraryLocked: someone else holds it; says who, where and since when.
            StorageError: the file cannot be locked at all.
        """
        deadline = time.monotonic() + wait_s
        if not self._thread_lock.acquire(timeout=max(wait_s, 0.0)):
            raise self._locked()
        try:
            if self._depth == 0:
                self._descriptor = self._acquire(deadline)
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
                if self._depth == 0:
                    self._release()
        finally:
            self._thread_lock.release()

    def _acquire(self, deadline: float) -> int:
        try:
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise storage_error(error, self.path) from error
        try:
            while True:
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except OSError as error:
                    if error.errno not in (errno.EWOULDBLOCK, errno.EINTR):
                        raise storage_error(error, self.path) from error
                if time.monotonic() >= deadline:
                    raise self._locked()
                time.sleep(_POLL_S)
            self._write_info(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _release(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        os.close(descriptor)

    def _write_info(self, descriptor: int) -> None:
        info = {
            "pid": os.getpid(),
            "host": one_line(socket.gethostname(), 100),
            "since": time.time(),
            "command": one_line(" ".join([Path(sys.argv[0]).name, *sys.argv[1:2]]), 100),
        }
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, orjson.dumps(info), 0)
        except OSError as error:
            raise storage_error(error, self.path) from error

    def _locked(self) -> LibraryLocked:
        try:
            with self.path.open("rb") as file:
                info = orjson.loads(file.read(_INFO_LIMIT))
            since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(float(info["since"])))
            command = one_line(str(info["command"]), 100)
            holder = f"process {int(info['pid'])} on {one_line(str(info['host']), 100)}"
            message = f"{holder} has been writing since {since} ({command})"
        except (OSError, ValueError, KeyError, TypeError, OverflowError):
            message = "another process is writing"
        return LibraryLocked(
            message, subject=str(self.path.parent), remedy="wait until it has finished, or stop it"
        )
