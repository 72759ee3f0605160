"""The catalogue's file, looked at without changing it: no migration, no repair, no new file."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from beyondrag.health.check import Check, bad, ok, warn
from beyondrag.quantities import bytes_in_words
from kvfiles.errors import StorageError
from library.roots import CATALOGUE_NAME
from library.schema import VERSION
from library.wording import one_line

if TYPE_CHECKING:
    from beyondrag.health.facts import Facts

_QUICK_S = 3.0
_STEPS = 100_000
_BUSY_S = 2.0


def has_library(root: Path) -> bool:
    """Whether there is a library in `root`; False too where it cannot be seen."""
    try:
        return (root / CATALOGUE_NAME).is_file()
    except OSError:
        return False


def is_current(root: Path) -> bool:
    """Whether the library in `root` can be read and has this program's own format."""
    try:
        with closing(_open(root / CATALOGUE_NAME)) as connection:
            ((version,),) = connection.execute("PRAGMA user_version").fetchall()
    except sqlite3.Error:
        return False
    return bool(version == VERSION)


def check_catalogue(facts: Facts) -> Iterator[Check]:
    """Format and integrity.  Without `deep` the integrity check ends after a few seconds.

    Raises StorageError.
    """
    name = "library"
    root = facts.settings.library
    if not has_library(root):
        yield _none_there(name, root)
        return
    path = root / CATALOGUE_NAME
    try:
        with closing(_open(path)) as connection:
            ((version,),) = connection.execute("PRAGMA user_version").fetchall()
            finding = _quick_check(connection, None if facts.deep else _QUICK_S)
    except sqlite3.Error as error:
        yield _unusable(name, root, error)
        return
    about = (
        f"{one_line(str(root), 200)}, format {version}, catalogue of {bytes_in_words(path.stat().st_size)}"
    )
    if version > VERSION:
        yield bad(
            name,
            f"{about}; this program knows formats up to {VERSION}",
            "upgrade beyondrag, or choose another library with --library",
        )
    elif finding not in ("ok", ""):
        yield bad(
            name,
            f"{about}, damaged: {one_line(finding, 200)}",
            "restore the folder from a backup, or move it away and ingest again",
        )
    elif version < VERSION:
        yield warn(
            name,
            f"{about}; the next command that opens it brings it to format {VERSION}",
            "copy the folder first if an older beyondrag must still read it",
        )
    elif not finding:
        yield ok(name, f"{about}; no fault found in {_QUICK_S:.0f} seconds, --deep checks all of it")
    else:
        yield ok(name, f"{about}, sound")


def _none_there(name: str, root: Path) -> Check:
    where = one_line(str(root), 200)
    if root.is_dir() and any(root.iterdir()):
        return bad(
            name, f"{where} is not empty and holds no library", "name a new or an empty folder with --library"
        )
    if root.exists() and not root.is_dir():
        return bad(name, f"{where} is a file", "name a folder with --library")
    return warn(name, f"there is none in {where} yet", "beyondrag ingest FOLDER makes one")


def _open(path: Path) -> sqlite3.Connection:
    """Read-only.  In a folder that may not be written SQLite cannot share a catalogue with a writer, so
    there it is read as a file that nobody changes."""
    address = f"file:{quote(str(path).encode('utf-8', 'surrogateescape'))}?mode=ro"
    connection = sqlite3.connect(address, uri=True, timeout=_BUSY_S)
    try:
        connection.execute("PRAGMA user_version").fetchall()
    except sqlite3.OperationalError:
        connection.close()
        return sqlite3.connect(f"{address}&immutable=1", uri=True, timeout=_BUSY_S)
    except BaseException:
        connection.close()
        raise
    return connection


def _quick_check(connection: sqlite3.Connection, limit_s: float | None) -> str:
    """SQLite's first finding, "ok", or "" when `limit_s` was not enough."""
    if limit_s is not None:
        deadline = time.monotonic() + limit_s
        connection.set_progress_handler(lambda: int(time.monotonic() > deadline), _STEPS)
    try:
        return str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.OperationalError as error:
        if limit_s is not None and time.monotonic() > deadline and "interrupted" in str(error):
            return ""
        raise


def _unusable(name: str, root: Path, error: sqlite3.Error) -> Check:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    where = one_line(str(root), 200)
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return warn(name, f"{where}: another process is writing", "try again in a moment")
    if code in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR):
        raise StorageError(
            f"the catalogue cannot be read: {error}", subject=where, remedy="check the disk and who owns it"
        )
    return bad(
        name,
        f"{where}, catalogue damaged: {one_line(str(error), 200)}",
        "restore the folder from a backup, or move it away and ingest again",
    )
