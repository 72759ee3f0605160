"""SHA-256 sums of model files, remembered so that opening a model does not read a gigabyte again.

A sum is remembered for (path, size, modification time, inode).  A file that changed within the last
two seconds is hashed and not remembered, because a later change could carry the same time stamp.
The memory is a convenience: when it is damaged or cannot be written, files are just hashed again.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

from beyondrag.models.progress import CancelCheck, never, stop_if
from kvfiles.errors import ModelFileError
from library.files import replace_file
from library.wording import one_line

MAX_ENTRIES = 256

_FILE_LIMIT = 1 << 20
_BLOCK = 1 << 20
_SETTLED_NS = 2_000_000_000
_SHA256_HEX = 64


@dataclass(frozen=True, slots=True)
class HashEntry:
    """A remembered sum: `sha256` in hex, taken at `verified_at` (seconds since 1970) of exactly this file."""

    size: int
    mtime_ns: int
    inode: int
    sha256: str
    verified_at: float

    def fits(self, status: os.stat_result) -> bool:
        return (self.size, self.mtime_ns, self.inode) == (status.st_size, status.st_mtime_ns, status.st_ino)


def open_regular(path: Path) -> int:
    """A descriptor of a regular file, without ever waiting for a pipe or a device.

    Raises:
        ModelFileError: missing, unreadable or not a regular file.
    """
    subject = one_line(str(path))
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        raise ModelFileError("there is no such file", subject=subject, remedy="check the path") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ModelFileError(f"cannot be opened: {reason}", subject=subject) from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise ModelFileError("not a file", subject=subject, remedy="name the .gguf file itself")
    return descriptor


class HashCache:
    """The remembered sums, in one small JSON file."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def sha256(
        self, path: Path, *, progress: Callable[[int], None] | None = None, cancelled: CancelCheck = never
    ) -> str:
        """SHA-256 of a file in hex, from memory when the file has not changed since.

        `progress` gets the bytes read so far (of a file that must be read).

        Raises:
            ModelFileError: missing, unreadable, or it changed while it was read.
            Cancelled: `cancelled()` said so.
        """
        path = path.absolute()
        descriptor = open_regular(path)
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            before = os.fstat(descriptor)
            known = self._read().get(str(path))
            if known is not None and known.fits(before):
                return known.sha256
            digest = hashlib.sha256()
            done = 0
            block = bytearray(_BLOCK)
            view = memoryview(block)
            try:
                while done <= before.st_size and (count := file.readinto(block)):
                    stop_if(cancelled, one_line(path.name))
                    digest.update(view[:count])
                    done += count
                    if progress is not None:
                        progress(done)
            except OSError as error:
                raise ModelFileError(
                    f"cannot be read: {error.strerror}", subject=one_line(str(path)), remedy="check the disk"
                ) from error
            after = os.fstat(descriptor)
        sha256 = digest.hexdigest()
        now = (done, after.st_size, after.st_mtime_ns)
        if now != (before.st_size, before.st_size, before.st_mtime_ns):
            raise ModelFileError(
                "it changed while it was read",
                subject=one_line(str(path)),
                remedy="wait until it is complete",
            )
        if time.time_ns() - after.st_mtime_ns > _SETTLED_NS:
            self._remember(path, after, sha256)
        return sha256

    def entry(self, path: Path) -> HashEntry | None:
        """What is remembered of the file as it is now, or None."""
        path = path.absolute()
        entry = self._read().get(str(path))
        try:
            return entry if entry is not None and entry.fits(path.stat()) else None
        except OSError:
            return None

    def record(self, path: Path, sha256: str) -> None:
        """Remember the sum of a file that the caller has just written and read back."""
        path = path.absolute()
        with suppress(OSError):
            self._remember(path, path.stat(), sha256)

    def _remember(self, path: Path, status: os.stat_result, sha256: str) -> None:
        entries = self._read()
        entries.pop(str(path), None)
        entries[str(path)] = HashEntry(status.st_size, status.st_mtime_ns, status.st_ino, sha256, time.time())
        newest = dict(list(entries.items())[-MAX_ENTRIES:])
        document = {"version": 1, "files": {name: asdict(entry) for name, entry in newest.items()}}
        with suppress(OSError, ValueError, TypeError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            replace_file(self._file, orjson.dumps(document))

    def _read(self) -> dict[str, HashEntry]:
        """Every entry that makes sense, oldest first; nothing when the file does not."""
        try:
            with os.fdopen(open_regular(self._file), "rb") as file:
                raw = file.read(_FILE_LIMIT + 1)
            document = orjson.loads(raw) if len(raw) <= _FILE_LIMIT else {}
            found = document["files"].items() if document["version"] == 1 else []
        except (ModelFileError, OSError, ValueError, KeyError, TypeError, AttributeError):
            return {}
        entries = {}
        for name, fields in found:
            with suppress(KeyError, TypeError, ValueError, OverflowError):
                entries[name] = _entry(fields)
        return entries


def _entry(fields: dict[str, object]) -> HashEntry:
    """A checked entry; ValueError, KeyError or TypeError when it makes no sense."""
    size, mtime_ns, inode = fields["size"], fields["mtime_ns"], fields["inode"]
    sha256, verified_at = fields["sha256"], fields["verified_at"]
    if not (isinstance(size, int) and isinstance(mtime_ns, int) and isinstance(inode, int)):
        raise TypeError
    if not (isinstance(sha256, str) and isinstance(verified_at, int | float)):
        raise TypeError
    if len(sha256) != _SHA256_HEX or set(sha256) - set("0123456789abcdef"):
        raise ValueError
    return HashEntry(size, mtime_ns, inode, sha256, float(verified_at))
