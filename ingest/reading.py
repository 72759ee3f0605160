"""Reads a file in one go, so that what is hashed and what is parsed are the same bytes."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from dataclasses import dataclass

from ingest.errors import ParseFailure

_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ESTALE})
_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM})


@dataclass(frozen=True, slots=True)
class SourceBytes:
    """The bytes of a file; `size` and `mtime_ns` are those of the moment when it was read."""

    data: bytes
    size: int
    mtime_ns: int

    @property
    def document_id(self) -> str:
        """The SHA-256 of the bytes, in hex."""
        return hashlib.sha256(self.data).hexdigest()


def read_whole(path: str | os.PathLike[str], max_bytes: int) -> SourceBytes:
    """Read the regular file `path`.

    Raises:
        ParseFailure: "vanished", "no-permission", "unsupported" (not a regular file), "too-large",
            "changed" (its size or time moved while it was read) or "broken" (the device failed).
    """
    try:
        with open(path, "rb", buffering=0, opener=_open_without_waiting) as file:
            before = os.fstat(file.fileno())
            if not stat.S_ISREG(before.st_mode):
                raise ParseFailure("unsupported", detail="not a regular file")
            if before.st_size > max_bytes:
                raise _too_large(before.st_size, max_bytes)
            data = _read_up_to(file.fileno(), before.st_size + 1)
            after = os.fstat(file.fileno())
    except OSError as error:
        raise _failure(error) from error
    if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns) or len(
        data
    ) != before.st_size:
        raise ParseFailure("changed")
    return SourceBytes(data, before.st_size, before.st_mtime_ns)


def _open_without_waiting(path: str, flags: int) -> int:
    # A named pipe put in the file's place must not block the reader.
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)


def _read_up_to(fd: int, n_bytes: int) -> bytes:
    first = os.read(fd, n_bytes)
    if len(first) >= n_bytes - 1:  # the usual case: one read, no copy
        return first + os.read(fd, n_bytes - len(first)) if len(first) < n_bytes else first
    pieces, n_read = [first], len(first)
    while n_read < n_bytes and (piece := os.read(fd, n_bytes - n_read)):
        pieces.append(piece)
        n_read += len(piece)
    return b"".join(pieces)


def _too_large(size: int, max_bytes: int) -> ParseFailure:
    return ParseFailure("too-large", detail=f"{size / 1e6:,.0f} MB, the limit is {max_bytes / 1e6:,.0f} MB")


def _failure(error: OSError) -> ParseFailure:
    if error.errno in _GONE:
        return ParseFailure("vanished")
    if error.errno in _FORBIDDEN:
        return ParseFailure("no-permission")
    return ParseFailure(
        "broken", detail=error.strerror or str(error), remedy="check the disk, then ingest again"
    )
