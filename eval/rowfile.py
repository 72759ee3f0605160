"""A JSONL file of measured rows: each on the disk as soon as it is measured, found again by key."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Generic, Protocol, Self, TypeVar

import orjson

from beyondrag.errors import UsageError
from kvfiles.container import storage_error
from library.wording import one_line

MAX_FILE_BYTES = 1 << 30
_TOO_LARGE = f"more than {MAX_FILE_BYTES >> 20} MB"
_REMEDY = "choose another file, or mend or remove this one"


class Keyed(Protocol):
    """A row: `key` is a hash of everything that it depends on."""

    @property
    def key(self) -> str: ...

    def to_json(self) -> dict[str, Any]: ...


R = TypeVar("R", bound=Keyed)
Parse = Callable[[Any], R]
"""Makes a row of decoded JSON; raises ValueError, TypeError or KeyError when it is none."""


class RowFile(Generic[R]):
    """The rows of a file and a place to add to; one writer at a time.  Use as a context manager.

    `rows` are those of the file by key, the later of two with one key.  With `path` None they are only
    kept in memory.  A last line that was cut off by a crash is dropped.  Raises UsageError when `path` is
    no file, a line is no row or another process writes the file, StorageError when the disk refuses.
    """

    def __init__(self, path: Path | None, parse: Parse[R]) -> None:
        self.rows: dict[str, R] = {}
        self.path, self._parse = path, parse
        self._file: BinaryIO | None = None

    def __enter__(self) -> Self:
        if self.path is None:
            return self
        with _storage(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if self.path.exists() and not self.path.is_file():
                raise _problem(self.path, "not a file")
            self._file = self.path.open("a+b")
        try:
            with _storage(self.path):
                self._load(self._file, self.path)
        except BaseException:
            self._file.close()
            raise
        return self

    def __exit__(self, *_exc: object) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, row: R) -> None:
        """Append a row; it is on the disk when this returns."""
        if self._file is not None and self.path is not None:
            with _storage(self.path):
                self._file.write(orjson.dumps(row.to_json()) + b"\n")
                self._file.flush()
                os.fsync(self._file.fileno())
        self.rows[row.key] = row

    def _load(self, file: BinaryIO, path: Path) -> None:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _problem(
                path, "another run is writing this file", "wait for it, or choose another file"
            ) from None
        if os.fstat(file.fileno()).st_size > MAX_FILE_BYTES:
            raise _problem(path, _TOO_LARGE)
        file.seek(0)
        content = file.read()
        whole = content.rfind(b"\n") + 1
        if whole == 0 < len(content):  # one line without an end may be anything: it is not ours to cut
            raise _problem(path, "holds no whole row")
        self.rows = {row.key: row for row in parse_lines(content[:whole], path, self._parse)}
        file.truncate(whole)  # only after every line before was found to be ours


def read_rows(path: Path, parse: Parse[R]) -> list[R]:
    """The rows of a file, the later of two with one key; a last line that was cut off is left out.

    Raises UsageError (no file, no rows of `parse`, too large), StorageError.
    """
    with _storage(path):
        if path.exists() and not path.is_file():
            raise _problem(path, "not a file")
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise _problem(path, _TOO_LARGE)
    whole = content[: content.rfind(b"\n") + 1]
    return list({row.key: row for row in parse_lines(whole, path, parse)}.values())


def parse_lines(content: bytes, path: Path, parse: Parse[R]) -> Iterator[R]:
    """The rows of whole lines; raises UsageError that names the line."""
    for number, line in enumerate(content.split(b"\n")[:-1], 1):
        try:
            yield parse(orjson.loads(line))
        except (ValueError, TypeError, KeyError) as error:
            raise _problem(
                path, f"line {number} is no row of this suite ({one_line(str(error), 120)})"
            ) from None


def _problem(path: Path, message: str, remedy: str = _REMEDY) -> UsageError:
    return UsageError(message, subject=one_line(str(path)), remedy=remedy)


@contextmanager
def _storage(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise storage_error(error, path) from error
