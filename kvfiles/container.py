"""The `.kv` container: a checked file of named arrays with a JSON header.

::

    0    8  magic  "\\x93BRKV\\r\\n\\x1a"      (text-mode transfers damage it)
    8    4  u32    container version (1)
    12   4  u32    header length in bytes
    16   8  u64    xxh3-64 of bytes 0..16 and of the header
    24  ..  JSON   {"meta": {...}, "sections": [[name, dtype, shape, offset, bytes, xxh3], ...], "size": N}
    ..      zero padding up to the first section; sections start on multiples of 64, zeros between

Every byte is covered: the header by its own checksum, each section by its own, the padding by having
to be zero, the end by `size`.  Every number is checked against the file's size before it is used.
Files are written to a temporary name, synced and renamed.
"""

from __future__ import annotations

import errno
import os
import struct
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import xxhash
from numpy.typing import NDArray

from kvfiles.errors import SnapshotCorrupt, SnapshotVersion, StorageError
from kvfiles.regular_file import open_regular

MAGIC = b"\x93BRKV\r\n\x1a"
VERSION = 1
ALIGNMENT = 64
MAX_HEADER_BYTES = 16 << 20
MAX_SECTIONS = 1 << 16
MAX_DIMS = 8
MAX_VALUES = 1 << 40
"""Values of one array, empty dimensions counted as one: what NumPy can surely address."""

_PREAMBLE = struct.Struct("<8sIIQ")
_CHECKED_PREAMBLE_BYTES = 16
_LIKELY_HEADER_BYTES = 1 << 14
"""Read at once; what is longer is read again."""
_DTYPES = {"u8": np.uint8, "f16": np.float16, "f32": np.float32, "i32": np.int32}
_ITEM_BYTES = {name: np.dtype(t).itemsize for name, t in _DTYPES.items()}
_NAMES = {np.dtype(t): name for name, t in _DTYPES.items()}
_REMEDY = "ingest the document again; the file will be rewritten"

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Section:
    """One array in the file: `offset` from the file's start and `n_bytes`, `xxh3` of its bytes."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    offset: int
    n_bytes: int
    xxh3: int


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of the file, `offset` from its start, that holds `sections`."""

    offset: int
    n_bytes: int
    sections: tuple[Section, ...]

    def raw(self, section: Section, buffer: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The bytes of `section` in a `buffer` that holds or will hold the stretch."""
        at = section.offset - self.offset
        return buffer[at : at + section.n_bytes]

    def views(self, buffer: NDArray[np.uint8]) -> dict[str, Array]:
        """The arrays in such a `buffer`, without a copy."""
        return {s.name: self.raw(s, buffer).view(_DTYPES[s.dtype]).reshape(s.shape) for s in self.sections}


def write_container(path: Path, meta: Mapping[str, Any], arrays: Mapping[str, Array]) -> int:
    """Write `arrays` under their names with `meta` to `path`, atomically; returns the file's size in bytes.

    Raises StorageError when the file system refuses; nothing is left behind then.
    """
    sections, header, size = _plan(meta, arrays)
    preamble = _PREAMBLE.pack(MAGIC, VERSION, len(header), 0)[:_CHECKED_PREAMBLE_BYTES]
    checksum = xxhash.xxh3_64_intdigest(preamble + header)
    temporary: str | None = None
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.", suffix=".tmp")
        with os.fdopen(handle, "wb", buffering=1 << 20) as file:
            file.write(preamble + struct.pack("<Q", checksum) + header)
            for section in sections:
                file.write(bytes(section.offset - file.tell()))
                file.write(_bytes(arrays[section.name]).data)
            file.write(bytes(size - file.tell()))
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
        temporary = None
        sync_directory(path.parent)
    except OSError as error:
        raise storage_error(error, path) from error
    finally:
        if temporary is not None:
            with suppress(OSError):
                Path(temporary).unlink()
    return size


def _plan(meta: Mapping[str, Any], arrays: Mapping[str, Array]) -> tuple[list[Section], bytes, int]:
    """Sections with final offsets, the header bytes and the file size.

    Offsets are stored relative to the first section, so that they do not depend on the header's length.
    """
    sections, at = [], 0
    for name, array in arrays.items():
        raw = _bytes(array)
        digest = xxhash.xxh3_64_intdigest(raw.data)
        sections.append(Section(name, _NAMES[array.dtype], array.shape, at, raw.nbytes, digest))
        at += _aligned(raw.nbytes)
    rows = [[s.name, s.dtype, s.shape, s.offset, s.n_bytes, f"{s.xxh3:016x}"] for s in sections]
    header = orjson.dumps({"meta": dict(meta), "sections": rows, "size": at})
    if len(header) > MAX_HEADER_BYTES or len(sections) > MAX_SECTIONS:
        raise ValueError("header too large")
    base = _aligned(_PREAMBLE.size + len(header))
    placed = [Section(s.name, s.dtype, s.shape, base + s.offset, s.n_bytes, s.xxh3) for s in sections]
    return placed, header, base + at


def _bytes(array: Array) -> NDArray[np.uint8]:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def _aligned(n: int) -> int:
    return -(-n // ALIGNMENT) * ALIGNMENT


def _section(row: Sequence[Any], base: int) -> Section:
    """A row of the header's table, its types and sizes checked; raises ValueError, TypeError or KeyError.

    `shape` is checked before it is multiplied: a forged one may hold a million huge numbers.  Plain loops:
    this is the longest part of opening a file.
    """
    name, dtype, shape, offset, n_bytes, xxh3 = row
    if type(name) is not str or type(offset) is not int or type(n_bytes) is not int or len(shape) > MAX_DIMS:
        raise ValueError("a section has the wrong form")
    n_values, plausible = 1, 1
    for n in shape:
        if type(n) is not int or n < 0:
            raise ValueError("a shape is implausible")
        n_values *= n
        plausible *= n or 1
    if plausible > MAX_VALUES:
        raise ValueError("a shape is implausible")
    if n_bytes != n_values * _ITEM_BYTES[dtype]:
        raise ValueError("a shape does not fit its size")
    return Section(name, dtype, tuple(shape), base + offset, n_bytes, int(xxh3, 16))


def sync_directory(path: Path) -> None:
    """Make a rename in `path` durable."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def storage_error(error: OSError, path: Path) -> StorageError:
    """A StorageError with the remedy that fits `error.errno`."""
    remedy = {
        errno.ENOSPC: "free disk space and run the same command again; finished work is kept",
        errno.EDQUOT: "your quota is used up; free space and run the same command again",
        errno.EACCES: "check the permissions of the folder",
        errno.EROFS: "the file system is read-only; choose another --library",
    }.get(error.errno or 0, "check the disk and run the same command again")
    return StorageError(error.strerror or str(error), subject=str(path), remedy=remedy)


class Container:
    """An open `.kv` file whose header has been checked; sections are checked when they are read.

    Sections are read, not mapped: a file that another process truncates gives an error instead of
    SIGBUS, and a chunk read into a buffer that is used again is still in the CPU's cache when it is
    decoded.  Reading is thread-safe.  Raises SnapshotCorrupt, SnapshotVersion or StorageError.
    Use as a context manager.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = open_regular(path)
        except OSError as error:
            raise storage_error(error, path) from error
        try:
            self.size_bytes = os.fstat(self._file.fileno()).st_size
            self.meta, self.sections = self._read_header(self.size_bytes)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Container:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; arrays that were read stay valid."""
        self._file.close()

    def array(self, name: str) -> Array:
        """The array `name` with its dtype and shape, checksum verified."""
        return self.arrays([name])[name]

    def arrays(self, names: Sequence[str], buffer: NDArray[np.uint8] | None = None) -> dict[str, Array]:
        """The arrays `names`, checksums verified, with one read for the stretch of the file they lie in.

        With a `buffer` of at least `stretch(names)` bytes nothing is allocated; the arrays are views of it.
        """
        stretch = self.stretch(names)
        if buffer is None:
            buffer = np.empty(stretch.n_bytes, np.uint8)
        self._read(buffer[: stretch.n_bytes], stretch.offset)
        for section in stretch.sections:
            if xxhash.xxh3_64_intdigest(stretch.raw(section, buffer).data) != section.xxh3:
                raise self._corrupt(f"section {section.name!r} is damaged")
        return stretch.views(buffer)

    def stretch(self, names: Sequence[str]) -> Stretch:
        """The shortest part of the file that holds the sections `names`."""
        found = tuple(self._section(name) for name in names)
        start = min((s.offset for s in found), default=0)
        return Stretch(start, max((s.offset + s.n_bytes for s in found), default=0) - start, found)

    def fileno(self) -> int:
        """The open file, for whoever reads and verifies a stretch without us."""
        return self._file.fileno()

    def verify(self) -> None:
        """Check every section; raises SnapshotCorrupt naming the first damaged one."""
        for name in self.sections:
            self.array(name)

    def _section(self, name: str) -> Section:
        section = self.sections.get(name)
        if section is None:
            raise self._corrupt(f"section {name!r} is missing")
        return section

    def _read(self, out: NDArray[np.uint8], offset: int) -> None:
        """Fill `out` from `offset` on; raises SnapshotCorrupt when the file has become shorter."""
        view, done = out.data, 0
        try:
            while done < len(view):
                n = os.preadv(self._file.fileno(), [view[done:]], offset + done)
                if n == 0:
                    raise self._corrupt("the file became shorter while it was read")
                done += n
        except OSError as error:
            raise storage_error(error, self.path) from error

    def _corrupt(self, why: str) -> SnapshotCorrupt:
        return SnapshotCorrupt(why, subject=str(self.path), remedy=_REMEDY)

    def _read_header(self, size: int) -> tuple[dict[str, Any], dict[str, Section]]:
        if size < _PREAMBLE.size:
            raise self._corrupt("the file is truncated")
        start = np.empty(min(size, _LIKELY_HEADER_BYTES), np.uint8)
        self._read(start, 0)
        preamble = start[: _PREAMBLE.size]
        magic, version, header_bytes, checksum = _PREAMBLE.unpack(preamble.tobytes())
        if magic != MAGIC:
            raise self._corrupt("this is not a .kv file")
        if version != VERSION:
            raise SnapshotVersion(
                f".kv format {version} is not known to this program (it knows {VERSION})",
                subject=str(self.path),
                remedy="update beyondrag, or ingest the document again",
            )
        if header_bytes > min(MAX_HEADER_BYTES, size - _PREAMBLE.size):
            raise self._corrupt("the header does not fit into the file")
        raw = start[_PREAMBLE.size : _PREAMBLE.size + header_bytes]
        if len(raw) < header_bytes:
            raw = np.empty(header_bytes, np.uint8)
            self._read(raw, _PREAMBLE.size)
        header = raw.tobytes()
        if xxhash.xxh3_64_intdigest(preamble[:_CHECKED_PREAMBLE_BYTES].tobytes() + header) != checksum:
            raise self._corrupt("the header is damaged")
        try:
            return self._parse(orjson.loads(header), _PREAMBLE.size + header_bytes, size)
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
            raise self._corrupt(f"the header makes no sense ({error})") from error

    def _parse(
        self, header: dict[str, Any], header_end: int, size: int
    ) -> tuple[dict[str, Any], dict[str, Section]]:
        meta, rows, payload = header["meta"], header["sections"], header["size"]
        base = _aligned(header_end)
        if not isinstance(meta, dict) or type(payload) is not int or len(rows) > MAX_SECTIONS:
            raise ValueError("wrong types")
        if base + payload != size:
            raise self._corrupt("the file is truncated or has bytes too many")
        sections: dict[str, Section] = {}
        end = header_end
        for row in rows:
            section = _section(row, base)
            offset = section.offset
            if (
                end > offset
                or offset + section.n_bytes > size
                or offset % ALIGNMENT
                or section.name in sections
            ):
                raise self._corrupt(f"section {section.name!r} does not fit into the file")
            if end != offset:
                self._check_padding(end, offset)
            sections[section.name] = section
            end = offset + section.n_bytes
        self._check_padding(end, size)
        return meta, sections

    def _check_padding(self, start: int, end: int) -> None:
        if start == end:
            return
        stray = np.zeros(min(end - start, ALIGNMENT), np.uint8)
        self._read(stray, start)
        if end - start >= ALIGNMENT or stray.any():
            raise self._corrupt("stray bytes between sections")
