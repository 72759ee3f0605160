"""Reads a file, or a range of it, in one go: what is hashed and what is parsed are the same bytes."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from ingest.errors import ParseFailure

_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ESTALE})
_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM})


@dataclass(frozen=True, slots=True)
class SourceBytes:
    """The bytes of a file, or of a range of it; `size` and `mtime_ns` are the file's when it was read."""

    data: bytes
    size: int
    mtime_ns: int

    @property
    def document_id(self) -> str:
        """The SHA-256 of the bytes, in hex."""
        return hashlib.sha256(self.data).hexdigest()


class OpenFile:
    """A regular file open for reading.  A context manager.

    Raises (all methods):
        ParseFailure: "vanished", "no-permission", "unsupported" (not a regular file), "too-large",
            "changed" (its size or time moved since it was opened) or "broken" (the device failed).
    """

    def __init__(self, path: str | os.PathLike[str], max_bytes: int) -> None:
        try:
            # A named pipe put in the file's place must not block the reader.
            self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        except OSError as error:
            raise _failure(error) from error
        try:
            status = self._status()
            self.size, self.mtime_ns = status.st_size, status.st_mtime_ns
            if not stat.S_ISREG(status.st_mode):
                raise ParseFailure("unsupported", detail="not a regular file")
            if self.size > max_bytes:
                raise _too_large(self.size, max_bytes)
        except BaseException:
            os.close(self._fd)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._fd)

    def read_at(self, offset: int, n_bytes: int) -> bytes:
        """Up to `n_bytes` from `offset`, fewer only at the end of the file."""
        try:
            first = os.pread(self._fd, n_bytes, offset)
            pieces, n_read = [first], len(first)
            while n_read < n_bytes and (piece := os.pread(self._fd, n_bytes - n_read, offset + n_read)):
                pieces.append(piece)
                n_read += len(piece)
        except OSError as error:
            raise _failure(error) from error
        return first if len(pieces) == 1 else b"".join(pieces)

    def read_range(self, start: int, stop: int, max_bytes: int) -> SourceBytes:
        """The bytes from `start` to `stop`, with the size and time of the whole file."""
        if stop - start > max_bytes:
            raise _too_large(stop - start, max_bytes)
        data = self.read_at(start, stop - start)
        if len(data) != stop - start:
            raise ParseFailure("changed")
        self.require_stamp(self.size, self.mtime_ns)
        return SourceBytes(data, self.size, self.mtime_ns)

    def require_stamp(self, size: int, mtime_ns: int) -> None:
        """Do nothing when this is the file's size and time now."""
        status = self._status()
        if (status.st_size, status.st_mtime_ns) != (size, mtime_ns):
            raise ParseFailure("changed")

    def _status(self) -> os.stat_result:
        try:
            return os.fstat(self._fd)
        except OSError as error:
            raise _failure(error) from error


def read_whole(path: str | os.PathLike[str], max_bytes: int) -> SourceBytes:
    """Read the regular file `path`; raises ParseFailure as `OpenFile` does."""
    with OpenFile(path, max_bytes) as file:
        data = file.read_at(0, file.size + 1)  # one more shows that it grew
        if len(data) != file.size:
            raise ParseFailure("changed")
        file.require_stamp(file.size, file.mtime_ns)
        return SourceBytes(data, file.size, file.mtime_ns)


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
