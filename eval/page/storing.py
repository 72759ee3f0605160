"""Files that a person asked for, at places of their choice."""

from __future__ import annotations

from pathlib import Path

from kvfiles.errors import StorageError
from library.files import replace_file, storage_error

_REMEDY = "free some space there, check who owns the folder, or name another one"


def store(path: Path, data: bytes) -> None:
    """Put `data` at `path` at once, in a folder made if need be.

    Raises StorageError when the file system refuses.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, data)
    except OSError as error:
        raise StorageError(storage_error(error, path).message, subject=str(path), remedy=_REMEDY) from error
