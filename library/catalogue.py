"""The SQLite catalogue: one connection, transactions, and SQLite's errors in words.

WAL lets any number of processes read while one writes.  `synchronous=FULL` makes a committed
transaction survive a power failure, so what was reported as done stays done.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from kvfiles.errors import BeyondragError, StorageError
from library.errors import LibraryDamaged, LibraryError, LibraryLocked, LibraryNewer
from library.schema import MIGRATIONS, VERSION

_BUSY_TIMEOUT_MS = 10_000
_PRIMARY_CODE = 0xFF  # SQLite's extended result codes carry the primary one in the low byte

Value = str | int | float | bytes | None


def _translated(error: sqlite3.Error, path: Path) -> BeyondragError:
    code = getattr(error, "sqlite_errorcode", 0) & _PRIMARY_CODE
    subject = str(path.parent)
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return LibraryLocked("another process is writing", subject=subject, remedy="try again in a moment")
    if code == sqlite3.SQLITE_FULL:
        return StorageError("the disk is full", subject=subject, remedy="free some space and run it again")
    if code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM):
        return StorageError(
            f"the catalogue cannot be read or written: {error}",
            subject=subject,
            remedy="check the disk and who owns the folder, or choose another with --library",
        )
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return LibraryDamaged(
            f"the catalogue is damaged: {error}",
            subject=subject,
            remedy="restore the folder from a backup, or move it away and ingest again",
        )
    return LibraryError(f"the catalogue refused: {error}", subject=subject)


class Catalogue:
    """One open catalogue.  May be used from several threads: they take turns.

    Raises (every method):
        LibraryLocked: another process writes and does not finish in time.
        LibraryDamaged, StorageError: the file or the disk is broken.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._mutex = threading.RLock()
        with self._errors():
            self._connection = sqlite3.connect(
                path, timeout=_BUSY_TIMEOUT_MS / 1000, isolation_level=None, check_same_thread=False
            )
        try:
            self._configure()
            self._migrate()
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        with self._mutex:
            self._connection.close()

    def read(
        self, sql: str, parameters: Sequence[Value] | Mapping[str, Value] = ()
    ) -> list[tuple[Value, ...]]:
        """All rows of a query."""
        with self._mutex, self._errors():
            return self._connection.execute(sql, parameters).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing.  Holds SQLite's write lock from the start; inner ones join the outer one."""
        with self._mutex, self._errors():
            if self._connection.in_transaction:
                yield self._connection
                return
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def reading(self) -> Iterator[None]:
        """All `read`s inside see one and the same state; nothing may be changed inside."""
        with self._mutex, self._errors():
            if self._connection.in_transaction:
                yield
                return
            self._connection.execute("BEGIN")
            try:
                yield
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    def setting(self, name: str) -> str | None:
        """A named value of the library itself; None when it was never set."""
        rows = self.read("SELECT value FROM settings WHERE name = ?", (name,))
        return str(rows[0][0]) if rows else None

    def set_setting(self, name: str, value: str) -> None:
        with self.transaction() as connection:
            connection.execute(
                "INSERT INTO settings(name, value) VALUES (?, ?) "
                "ON CONFLICT(name) DO UPDATE SET value = excluded.value",
                (name, value),
            )

    def problems(self, *, deep: bool) -> list[str]:
        """What SQLite itself finds wrong with the file; `deep` also compares its indices with its tables."""
        check = "integrity_check" if deep else "quick_check"
        return [str(row[0]) for row in self.read(f"PRAGMA {check}(20)") if row[0] != "ok"]

    def dangling(self) -> dict[str, int]:
        """The tables with rows that refer to something that does not exist: how many rows each."""
        return dict(Counter(str(row[0]) for row in self.read("PRAGMA foreign_key_check")))

    def drop_dangling(self) -> None:
        """Remove the rows that `dangling` counts."""
        with self.transaction() as connection:
            rows = [
                (str(table), rowid) for table, rowid, _, _ in self.read("PRAGMA foreign_key_check") if rowid
            ]
            for table, rowid in rows:
                # The names come from SQLite's own list of tables.
                connection.execute(f"DELETE FROM {table} WHERE rowid = ?", (rowid,))  # noqa: S608

    def unused_bytes(self) -> int:
        """Bytes of the file that it will fill again before it grows."""
        ((free,),), ((size,),) = self.read("PRAGMA freelist_count"), self.read("PRAGMA page_size")
        return int(str(free)) * int(str(size))

    def reindex(self) -> None:
        """Make the indices of all tables again from the tables."""
        with self.transaction() as connection:
            connection.execute("REINDEX")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.ProgrammingError as error:
            raise LibraryError("the library is closed", subject=str(self.path.parent)) from error
        except sqlite3.Error as error:
            raise _translated(error, self.path) from error

    def _configure(self) -> None:
        with self._errors():
            for pragma in (
                f"busy_timeout = {_BUSY_TIMEOUT_MS}",
                "journal_mode = WAL",
                "synchronous = FULL",
                "foreign_keys = ON",
                "trusted_schema = OFF",
                "cell_size_check = ON",
            ):
                self._connection.execute(f"PRAGMA {pragma}").fetchall()

    def _version(self) -> int:
        (row,) = self.read("PRAGMA user_version")
        return int(str(row[0]))

    def _migrate(self) -> None:
        if self._version() < VERSION:
            with self.transaction() as connection:
                for number, migration in enumerate(MIGRATIONS[self._version() :], start=self._version() + 1):
                    migration(connection)
                    connection.execute(f"PRAGMA user_version = {number}")
        if self._version() > VERSION:
            raise LibraryNewer(
                f"it was written by a newer program (format {self._version()}, this one knows {VERSION})",
                subject=str(self.path.parent),
                remedy="upgrade beyondrag, or choose another library with --library",
            )
