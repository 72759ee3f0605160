"""Files that survive a crash, and file system errors in words."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kvfiles.errors import StorageError

_BLOCK = 1 << 20

_REASONS: dict[int, tuple[str, str]] = {
    errno.ENOSPC: ("the disk is full", "free some space and run the command again"),
    errno.EDQUOT: ("the disk quota is used up", "free some space and run the command again"),
    errno.EACCES: ("no permission", "check who owns the folder, or choose another with --library"),
    errno.EPERM: ("no permission", "check who owns the folder, or choose another with --library"),
    errno.EROFS: ("the file system is read-only", "choose another folder with --library"),
    errno.EIO: ("the device reports an error", "check the disk; copy the library to another one"),
    errno.ENOLCK: ("the file system has no locks", "keep the library on a local disk"),
    errno.EOPNOTSUPP: ("the file system does not support this", "keep the library on a local disk"),
}


def storage_error(error: OSError, path: Path | str) -> StorageError:
    """`error` as a `StorageError` about `path`."""
    reason, remedy = _REASONS.get(
        error.errno or 0,
        ((error.strerror or str(error)).lower(), "check the folder and run the command again"),
    )
    return StorageError(reason, subject=str(path), remedy=remedy)


@contextmanager
def storage_errors(path: Path | str) -> Iterator[None]:
    """Every OSError inside becomes a `StorageError` about `path`."""
    try:
        yield
    except OSError as error:
        raise storage_error(error, path) from error


def sync_directory(path: Path) -> None:
    """Make renames and removals inside `path` durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_file(path: Path, data: bytes) -> None:
    """Put `data` at `path` so that a crash leaves the old content or the new, never a mixture.

    Raises OSError: what to do about it depends on whose file it is.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_directory(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def hash_regular_file(path: Path, *, sync: bool = False) -> tuple[str, int]:
    """SHA-256 (hex) and size in bytes of a regular file; with `sync`, also flush it to the disk.

    Raises:
        OSError: it is missing, unreadable, a symbolic link or not a regular file.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        digest = hashlib.sha256()
        size = 0
        block = bytearray(_BLOCK)
        view = memoryview(block)
        while count := file.readinto(block):
            digest.update(view[:count])
            size += count
        if sync:
            os.fsync(descriptor)
    return digest.hexdigest(), size


def regular_size(path: Path) -> int | None:
    """The size in bytes of a regular file; None when there is none (or something else)."""
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def tree_size(path: Path) -> int:
    """The bytes of all regular files below `path`; what vanishes meanwhile counts nothing."""
    return sum(regular_size(Path(folder, name)) or 0 for folder, _, names in os.walk(path) for name in names)
