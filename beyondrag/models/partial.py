"""A model file that is still arriving: `FILE.TAG.part`, and beside it a journal of what is safe.

The journal lists **segments**: pieces that were flushed to the disk, each with its length and
xxh3-64.  When a download goes on after an interruption, the segments are read again and the file is
cut after the last one that still fits, so a crash, a full disk or a flipped bit costs the segments
behind it and nothing else.  TAG is a hash of the source: two sources never share a partial file.

Journal (JSON): `{"version": 1, "source": str, "validator": str, "segments": [{"name", "bytes", "xxh3"}]}`.
A journal that cannot be understood counts as absent.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

import orjson
import xxhash

from beyondrag.models.disk import move_into_place, storage_errors
from kvfiles.errors import StorageError
from library.files import replace_file

_VERSION = 1
_JOURNAL_LIMIT = 8 << 20
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of the file that is on the disk: what it is, its length in bytes, its xxh3-64 in hex."""

    name: str
    bytes: int
    xxh3: str


def partial_path(target: Path, source: str) -> Path:
    """Where the download of `target` from `source` grows."""
    return target.with_name(f"{target.name}.{xxhash.xxh3_64_hexdigest(source.encode())[:8]}.part")


def partial_files(target: Path) -> list[Path]:
    """Everything that unfinished downloads of `target`, from any source, have left."""
    pattern = re.compile(re.escape(target.name) + r"\.[0-9a-f]{8}\.part(\.json)?")
    with storage_errors(target.parent):
        return sorted(path for path in target.parent.iterdir() if pattern.fullmatch(path.name))


class Partial:
    """The growing file of one download.  Not thread-safe; the caller holds the model's pull lock.

    `append` adds bytes, `seal` makes what was appended since the last seal a segment, `rollback`
    drops it.  Every method raises `StorageError` when the file system refuses.
    """

    def __init__(self, target: Path, source: str) -> None:
        self.path = partial_path(target, source)
        self.validator = ""
        self._target = target
        self._source = source
        self._segments: list[Segment] = []
        self._sealed = 0
        self._open_bytes = 0
        self._hash = xxhash.xxh3_64()
        self._file = self._open()
        try:
            self._recover()
        except BaseException:
            self._file.close()
            raise

    @property
    def size(self) -> int:
        """Bytes held, sealed or not."""
        return self._sealed + self._open_bytes

    @property
    def segments(self) -> tuple[Segment, ...]:
        return tuple(self._segments)

    def append(self, data: bytes | memoryview) -> None:
        """Add `data` at the end."""
        left = memoryview(data)
        with storage_errors(self.path):
            while left:  # a write near the end of the disk may take only a part
                left = left[self._file.write(left) :]
        self._hash.update(data)
        self._open_bytes += len(data)

    def seal(self, name: str) -> None:
        """Flush what was appended and record it as the segment `name`; nothing when nothing was."""
        if not self._open_bytes:
            return
        with storage_errors(self.path):
            self._file.flush()
            os.fsync(self._file.fileno())
        self._segments.append(Segment(name, self._open_bytes, self._hash.hexdigest()))
        self._sealed += self._open_bytes
        self._start_segment()
        self._write_journal()

    def rollback(self) -> None:
        """Drop what was appended since the last seal."""
        self._cut()
        self._start_segment()

    def reset(self, validator: str = "") -> None:
        """Drop everything; `validator` names the version of the file that comes next."""
        self._segments.clear()
        self._sealed = 0
        self.validator = validator
        self.rollback()
        self._write_journal()

    def close(self) -> None:
        """Leave the sealed part for a later run; leave no empty files."""
        with suppress(StorageError):  # what could not be cut is cut when the download goes on
            if not self._file.closed:
                self.rollback()
            if not self._sealed:
                self.discard()
        self._file.close()

    def discard(self) -> None:
        """Remove the file and its journal."""
        self._file.close()
        with storage_errors(self.path):
            self._journal.unlink(missing_ok=True)
            self.path.unlink(missing_ok=True)

    def install(self) -> None:
        """Make the sealed file the target; the journal and other sources' partial files go."""
        self._file.close()
        move_into_place(self.path, self._target)
        for path in partial_files(self._target):
            with storage_errors(path):
                path.unlink(missing_ok=True)

    @property
    def _journal(self) -> Path:
        return self.path.with_name(self.path.name + ".json")

    def _open(self) -> BinaryIO:
        with storage_errors(self.path):
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            # Unbuffered: a full disk shows in `append`, and closing has nothing left to write.
            return os.fdopen(os.open(self.path, flags, 0o644), "r+b", buffering=0)

    def _start_segment(self) -> None:
        self._open_bytes = 0
        self._hash = xxhash.xxh3_64()

    def _cut(self) -> None:
        with storage_errors(self.path):
            self._file.truncate(self._sealed)
            self._file.seek(self._sealed)

    def _recover(self) -> None:
        with storage_errors(self.path):
            for segment in self._read_journal():
                if not self._holds(segment):
                    break
                self._segments.append(segment)
                self._sealed += segment.bytes
        if not self._segments:
            self.validator = ""
        self._cut()

    def _holds(self, segment: Segment) -> bool:
        """Whether the next bytes of the file are `segment`."""
        digest = xxhash.xxh3_64()
        left = segment.bytes
        while left:
            block = self._file.read(min(left, _BLOCK))
            if not block:
                return False
            digest.update(block)
            left -= len(block)
        return digest.hexdigest() == segment.xxh3

    def _read_journal(self) -> list[Segment]:
        try:
            with self._journal.open("rb") as file:
                raw = file.read(_JOURNAL_LIMIT + 1)
        except FileNotFoundError:
            return []
        try:
            journal = orjson.loads(raw)
            if journal["version"] != _VERSION or journal["source"] != self._source:
                return []
            segments = [Segment(str(s["name"]), int(s["bytes"]), str(s["xxh3"])) for s in journal["segments"]]
            validator = str(journal["validator"])
        except (ValueError, KeyError, TypeError):
            return []
        if len(raw) > _JOURNAL_LIMIT or any(segment.bytes <= 0 for segment in segments):
            return []
        self.validator = validator
        return segments

    def _write_journal(self) -> None:
        journal = {
            "version": _VERSION,
            "source": self._source,
            "validator": self.validator,
            "segments": [asdict(segment) for segment in self._segments],
        }
        with storage_errors(self._journal):
            replace_file(self._journal, orjson.dumps(journal))
