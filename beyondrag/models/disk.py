"""The models folder as a file system: errors in words, room left, durable writes, one puller per model."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from beyondrag.errors import DownloadError
from kvfiles.errors import StorageError
from library.files import storage_error, sync_directory

_FULL = (errno.ENOSPC, errno.EDQUOT)
_NO_SPACE_REMEDY = "free some space and pull again: what has arrived is kept"
_OTHER_REMEDY = "check the folder, or choose another with BEYONDRAG_MODELS"
_HOLDER_LIMIT = 32


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Every OSError inside becomes a `StorageError` about `path`."""
    try:
        yield
    except OSError as error:
        remedy = _NO_SPACE_REMEDY if error.errno in _FULL else _OTHER_REMEDY
        reason = storage_error(error, path).message
        raise StorageError(reason, subject=str(path), remedy=remedy) from error


def make_folder(path: Path) -> None:
    """Make `path` and its parents; StorageError when that is impossible."""
    with storage_errors(path):
        path.mkdir(parents=True, exist_ok=True)


def work_dir(target: Path) -> Path:
    """The folder in which a pull of `target` keeps what is not yet part of it."""
    return target.with_name(f".{target.name}.pull")


def require_space(folder: Path, need_bytes: int) -> None:
    """StorageError unless the file system of `folder` has `need_bytes` free."""
    with storage_errors(folder):
        free = shutil.disk_usage(folder).free
    if free < need_bytes:
        raise StorageError(
            f"{need_bytes / 1e6:,.0f} MB are needed and {free / 1e6:,.0f} MB are free",
            subject=str(folder),
            remedy="free some space, or choose another folder with BEYONDRAG_MODELS",
        )


def move_into_place(source: Path, target: Path) -> None:
    """Rename a finished, synced file within one folder, durably."""
    with storage_errors(target):
        source.replace(target)
        sync_directory(target.parent)


@contextmanager
def pull_lock(path: Path, subject: str) -> Iterator[None]:
    """Hold the lock file `path` inside the block; the file is gone afterwards.

    Raises:
        DownloadError: another process is pulling `subject`.
        StorageError: the folder cannot be written or has no locks.
    """
    descriptor = _acquire(path, subject)
    try:
        with suppress(OSError):  # who holds it is only a courtesy, and the disk may be full
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        yield
    finally:
        with suppress(OSError):
            # Removed while still held: a waiter that has it open finds, by the inode, that it is stale.
            path.unlink()
        os.close(descriptor)


def _acquire(path: Path, subject: str) -> int:
    while True:
        with storage_errors(path):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_still(path, descriptor):
                return descriptor
        except BlockingIOError:
            holder = os.pread(descriptor, _HOLDER_LIMIT, 0).decode("ascii", "replace")
            who = f"process {holder}" if holder.isdigit() else "another process"
            os.close(descriptor)
            raise DownloadError(
                f"{who} is pulling it", subject=subject, remedy="wait until it has finished, or stop it"
            ) from None
        except OSError as error:
            os.close(descriptor)
            raise StorageError(
                storage_error(error, path).message, subject=str(path), remedy=_OTHER_REMEDY
            ) from error
        os.close(descriptor)


def _is_still(path: Path, descriptor: int) -> bool:
    """Whether the open file is still the one that `path` names."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
