"""The members of an archive, one after another: a strict subset of tar, written and read as a stream.

`tarfile` makes and reads the 512-byte headers; everything that tar can do beyond regular files with
short names (links, devices, extended headers, sparse files) is refused.
"""

from __future__ import annotations

import hashlib
import re
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from library.errors import LibraryDamaged
from library.files import storage_errors

_BLOCK = 512
_COPY_BYTES = 1 << 20
_NAME = re.compile(r"(manifest|calibration|document|text|pages|snapshot|end)/([0-9a-f]{64})")
_LARGEST = 1 << 50


class SourceChanged(Exception):
    """A file that was being put into an archive is not what the catalogue says; nothing for users."""


@dataclass(frozen=True, slots=True)
class Member:
    """What a header says: the kind, the SHA-256 (hex) and the size of the bytes that follow."""

    kind: str
    sha256: str
    size_bytes: int


class ArchiveWriter:
    """Writes members to a seekable `file`.  Raises StorageError about `path`."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file = file
        self._path = path

    def add(self, kind: str, data: bytes) -> None:
        """One member from memory."""
        self._header(Member(kind, hashlib.sha256(data).hexdigest(), len(data)))
        with storage_errors(self._path):
            self._file.write(data)
            self._file.write(bytes(-len(data) % _BLOCK))

    def add_file(self, member: Member, source: BinaryIO, on_bytes: Callable[[int], None]) -> None:
        """One member from a file that is read to its end; `on_bytes` gets the size of every piece.

        Raises:
            SourceChanged: `source` cannot be read, or has another size or hash than `member` says.
                Part of it may have been written: `rewind` to where it began.
        """
        self._header(member)
        digest, left = hashlib.sha256(), member.size_bytes
        while left:
            try:
                piece = source.read(min(left, _COPY_BYTES))
            except OSError as error:
                raise SourceChanged((error.strerror or str(error)).lower()) from error
            if not piece:
                raise SourceChanged("its file is too short")
            digest.update(piece)
            left -= len(piece)
            with storage_errors(self._path):
                self._file.write(piece)
            on_bytes(len(piece))
        if digest.hexdigest() != member.sha256:
            raise SourceChanged("its checksum does not fit")
        with storage_errors(self._path):
            self._file.write(bytes(-member.size_bytes % _BLOCK))

    def position(self) -> int:
        """Where the next member begins."""
        with storage_errors(self._path):
            return self._file.tell()

    def rewind(self, position: int) -> None:
        """Forget what was written from `position` on."""
        with storage_errors(self._path):
            self._file.seek(position)
            self._file.truncate()

    def finish(self) -> None:
        """Write the end mark of a tar file."""
        with storage_errors(self._path):
            self._file.write(bytes(2 * _BLOCK))
            self._file.flush()

    def _header(self, member: Member) -> None:
        info = tarfile.TarInfo(f"{member.kind}/{member.sha256}")
        info.size, info.mode = member.size_bytes, 0o600
        with storage_errors(self._path):
            self._file.write(info.tobuf(tarfile.GNU_FORMAT))


class ArchiveReader:
    """Reads members in their order from `file`, which need not be seekable; `path` is for messages.

    Every method may raise LibraryDamaged (the archive is no archive, damaged or cut off) and
    StorageError.  `n_read` counts the bytes read so far.
    """

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file = file
        self.path = path
        self._left = 0
        self._pad = 0
        self.n_read = 0

    def next(self) -> Member:
        """The next member; what was not read of the one before is skipped."""
        while self._left:
            self._take(min(self._left, _COPY_BYTES))
        if self._pad and self._exactly(self._pad).strip(b"\0"):
            raise self.damaged("it has stray bytes between its parts")
        self._pad = 0
        try:
            info = tarfile.TarInfo.frombuf(self._exactly(_BLOCK), "ascii", "strict")
        except (tarfile.HeaderError, ValueError) as error:
            raise self.damaged("it is not an archive of a library, or damaged") from error
        name = _NAME.fullmatch(info.name)
        if name is None or info.type != tarfile.REGTYPE or info.linkname or not 0 <= info.size <= _LARGEST:
            raise self.damaged("it holds something that is no part of a library")
        self._left, self._pad = info.size, -info.size % _BLOCK
        return Member(name[1], name[2], info.size)

    def data(self, member: Member, limit: int) -> bytes:
        """The bytes of `member`, which `next` gave last, checked; `limit` is the most it may have."""
        if member.size_bytes > limit:
            raise self.damaged(
                f"a part of it has {member.size_bytes:,} bytes, more than the limit of {limit:,}"
            )
        data = b"".join(self._take(min(self._left, _COPY_BYTES)) for _ in self._pieces())
        if hashlib.sha256(data).hexdigest() != member.sha256:
            raise self.damaged("a checksum does not fit")
        return data

    def copy(self, member: Member, target: BinaryIO, target_path: Path) -> None:
        """Write the bytes of `member`, which `next` gave last, to `target`; checked at the end."""
        digest = hashlib.sha256()
        for _ in self._pieces():
            piece = self._take(min(self._left, _COPY_BYTES))
            digest.update(piece)
            with storage_errors(target_path):
                target.write(piece)
        if digest.hexdigest() != member.sha256:
            raise self.damaged("a checksum does not fit")

    def damaged(self, why: str) -> LibraryDamaged:
        """The error to raise about this archive."""
        return LibraryDamaged(
            why, subject=str(self.path), remedy="export it again, or copy it again from where it was made"
        )

    def _pieces(self) -> range:
        return range(-(-self._left // _COPY_BYTES))

    def _take(self, n_bytes: int) -> bytes:
        data = self._exactly(n_bytes)
        self._left -= n_bytes
        return data

    def _exactly(self, n_bytes: int) -> bytes:
        pieces, left = [], n_bytes
        while left:
            with storage_errors(self.path):
                piece = self._file.read(left)
            if not piece:
                raise self.damaged("it is cut off")
            pieces.append(piece)
            left -= len(piece)
        self.n_read += n_bytes
        return b"".join(pieces)
