"""Rows of the catalogue about documents, their texts, their files and the files that failed.

Every change of a document also puts its key into the index queue, in the same transaction: after
a crash the search index can always be brought in line with the catalogue.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import orjson

from library.catalogue import Catalogue, Value
from library.errors import DocumentNotFound, LibraryError
from library.records import DocumentRecord, DocumentText, SourceFile
from library.texts import StoredText, pack_text, storable, unpack_text
from library.wording import one_line

_DOCUMENTS = "SELECT id, title, media_type, n_chars, n_pages, added_at, warnings FROM documents "
_SOURCES = "SELECT path, size, mtime_ns, document_id FROM sources "
_KEYS = "SELECT id, key FROM documents "
_PATHS = "SELECT document_id, path, missing FROM sources "
_FEW = 200  # up to here paths are looked up one document at a time, beyond all are read at once
_BELOW = "(:folder IS NULL OR path = :folder OR (path >= :first AND path < :last)) "


class Documents:
    """Documents, texts and sources.  Paths are absolute; ids are SHA-256 in hex."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    # -- reading

    def all(self) -> list[DocumentRecord]:
        """All documents, in the order in which they were added."""
        return self._records(_DOCUMENTS + "ORDER BY key", ())

    def count(self) -> int:
        return _integer(self._catalogue.read("SELECT count(*) FROM documents"))

    def text_bytes(self) -> int:
        """The UTF-8 bytes of all texts."""
        return _integer(self._catalogue.read("SELECT coalesce(sum(n_bytes), 0) FROM texts"))

    def one(self, document_id: str) -> DocumentRecord:
        """Raises DocumentNotFound."""
        found = self._records(_DOCUMENTS + "WHERE id = ?", (document_id,))
        if not found:
            raise not_found(document_id)
        return found[0]

    def by_keys(self, keys: Collection[int]) -> dict[int, DocumentRecord]:
        """The documents with these index keys; keys of documents that are gone are left out."""
        wanted = orjson.dumps(list(keys)).decode()
        among = "WHERE key IN (SELECT value FROM json_each(?)) ORDER BY key"
        rows = self._catalogue.read(_KEYS + among, (wanted,))
        numbers = {str(row[0]): int(str(row[1])) for row in rows}
        records = self._records(_DOCUMENTS + among, (wanted,))
        # Another process may have added or removed one between the two readings.
        return {numbers[record.id]: record for record in records if record.id in numbers}

    def keys(self) -> list[int]:
        """The index keys of all documents."""
        return [int(str(row[0])) for row in self._catalogue.read("SELECT key FROM documents ORDER BY key")]

    def text(self, document_id: str) -> DocumentText:
        """Raises DocumentNotFound, LibraryDamaged."""
        rows = self._catalogue.read(
            "SELECT text_zlib, n_bytes, pages_zlib, pages_n_bytes, checksum FROM texts WHERE document_id = ?",
            (document_id,),
        )
        if not rows:
            raise not_found(document_id)
        row: Sequence[Any] = rows[0]
        return unpack_text(StoredText(*row), document_id)

    def source(self, path: str) -> tuple[SourceFile, str] | None:
        """What the library knows of a file: the file as it was read, and its document's id."""
        rows = self._catalogue.read(_SOURCES + "WHERE path = ?", (os.fsencode(path),))
        return _source(rows[0]) if rows else None

    def sources(self, under: str | None) -> Iterator[tuple[SourceFile, str]]:
        """The files at or below `under` (all when None), in the order of their paths."""
        return map(
            _source, self._catalogue.read(_SOURCES + "WHERE " + _BELOW + "ORDER BY path", _below(under))
        )

    # -- changing

    def add(
        self,
        document_id: str,
        source: SourceFile,
        text: DocumentText,
        *,
        title: str,
        media_type: str,
        warnings: Sequence[str],
    ) -> None:
        """Store a document and say that `source` holds it.  Repeating it changes nothing.

        When the text differs from what was stored under this id (a better parser), it is replaced,
        and the volumes and snapshots of the old text go.  When `source.path` held another document
        before, that one loses the path, and goes when it was its last.
        """
        clean = storable(text)
        packed = pack_text(clean)
        title = one_line(title) or document_id[:12]
        notes = orjson.dumps([one_line(warning) for warning in warnings]).decode()
        with self._catalogue.transaction() as connection:
            known = connection.execute(
                "SELECT checksum FROM texts WHERE document_id = ?", (document_id,)
            ).fetchone()
            connection.execute(
                "INSERT INTO documents(id, title, media_type, n_chars, n_pages, added_at, warnings) "
                "VALUES (?, ?, ?, ?, ?, ?, ?) "
                "ON CONFLICT(id) DO UPDATE SET title = excluded.title, media_type = excluded.media_type, "
                "n_chars = excluded.n_chars, n_pages = excluded.n_pages, warnings = excluded.warnings",
                (document_id, title, media_type, len(clean.text), len(clean.pages), time.time(), notes),
            )
            if known is None or known[0] != packed.checksum:
                connection.execute("DELETE FROM volumes WHERE document_id = ?", (document_id,))
                connection.execute("DELETE FROM snapshots WHERE document_id = ?", (document_id,))
                connection.execute(
                    "INSERT OR REPLACE INTO texts VALUES (?, ?, ?, ?, ?, ?)",
                    (
                        document_id,
                        packed.text_zlib,
                        packed.n_bytes,
                        packed.pages_zlib,
                        packed.pages_n_bytes,
                        packed.checksum,
                    ),
                )
            self._hold(connection, document_id, source)
            _enqueue(connection, [document_id])

    def add_path(self, document_id: str, source: SourceFile) -> None:
        """Say that `source` holds a document that is already here (a copy, or a renamed file).

        Raises:
            DocumentNotFound: it is not here.
        """
        with self._catalogue.transaction() as connection:
            if not connection.execute("SELECT 1 FROM documents WHERE id = ?", (document_id,)).fetchone():
                raise not_found(document_id)
            self._hold(connection, document_id, source)
            _enqueue(connection, [document_id])

    def touch(self, source: SourceFile) -> None:
        """Note the new size and time of a file whose content is the same; it is not missing."""
        with self._catalogue.transaction() as connection:
            connection.execute(
                "UPDATE sources SET size = ?, mtime_ns = ?, missing = 0 WHERE path = ?",
                (source.size, source.mtime_ns, os.fsencode(source.path)),
            )

    def mark_missing(self, path: str) -> None:
        """Note that a file is no longer there; its document stays."""
        with self._catalogue.transaction() as connection:
            connection.execute("UPDATE sources SET missing = 1 WHERE path = ?", (os.fsencode(path),))

    def prune_missing(self, under: str | None) -> list[DocumentRecord]:
        """Forget the missing files at or below `under`; returns the documents that went with them."""
        scope = _below(under)
        missing = "FROM sources WHERE missing AND " + _BELOW
        with self._catalogue.transaction() as connection:
            ids = [str(row[0]) for row in connection.execute("SELECT DISTINCT document_id " + missing, scope)]
            before = {document_id: self.one(document_id) for document_id in ids}
            connection.execute("DELETE " + missing, scope)
            gone = [document_id for document_id in ids if self._drop_without_path(connection, document_id)]
        return [before[document_id] for document_id in gone]

    def remove(self, document_id: str) -> None:
        """Forget a document with its text, paths, volumes and snapshot rows.  Raises DocumentNotFound."""
        with self._catalogue.transaction() as connection:
            if not connection.execute("SELECT 1 FROM documents WHERE id = ?", (document_id,)).fetchone():
                raise not_found(document_id)
            _drop(connection, document_id)

    # -- the index queue

    def queued(self, limit: int) -> list[tuple[int, str | None]]:
        """(key, id) of up to `limit` documents the index must learn; id None: must forget."""
        rows = self._catalogue.read(
            "SELECT queue.key, documents.id FROM index_queue AS queue "
            "LEFT JOIN documents ON documents.key = queue.key ORDER BY queue.key LIMIT ?",
            (limit,),
        )
        return [(int(str(key)), None if found is None else str(found)) for key, found in rows]

    def n_queued(self) -> int:
        return _integer(self._catalogue.read("SELECT count(*) FROM index_queue"))

    def unqueue(self, keys: Sequence[int]) -> None:
        with self._catalogue.transaction() as connection:
            connection.executemany("DELETE FROM index_queue WHERE key = ?", [(key,) for key in keys])

    # -- inside

    def _hold(self, connection: sqlite3.Connection, document_id: str, source: SourceFile) -> None:
        path = os.fsencode(source.path)
        before = connection.execute("SELECT document_id FROM sources WHERE path = ?", (path,)).fetchone()
        connection.execute(
            "INSERT INTO sources(path, document_id, size, mtime_ns) VALUES (?, ?, ?, ?) "
            "ON CONFLICT(path) DO UPDATE SET document_id = excluded.document_id, size = excluded.size, "
            "mtime_ns = excluded.mtime_ns, missing = 0",
            (path, document_id, source.size, source.mtime_ns),
        )
        connection.execute("DELETE FROM failures WHERE path = ?", (path,))
        if before is not None and before[0] != document_id:
            self._drop_without_path(connection, str(before[0]))

    @staticmethod
    def _drop_without_path(connection: sqlite3.Connection, document_id: str) -> bool:
        if connection.execute("SELECT 1 FROM sources WHERE document_id = ?", (document_id,)).fetchone():
            _enqueue(connection, [document_id])
            return False
        _drop(connection, document_id)
        return True

    def _records(self, sql: str, parameters: Sequence[Value]) -> list[DocumentRecord]:
        rows = self._catalogue.read(sql, parameters)
        paths: dict[str, list[tuple[str, bool]]] = defaultdict(list)
        if len(rows) <= _FEW:
            ids = orjson.dumps([str(row[0]) for row in rows]).decode()
            among = "WHERE document_id IN (SELECT value FROM json_each(?)) ORDER BY sequence"
            held = self._catalogue.read(_PATHS + among, (ids,))
        else:
            held = self._catalogue.read(_PATHS + "ORDER BY sequence")
        for document_id, path, missing in held:
            paths[str(document_id)].append((os.fsdecode(_bytes(path)), bool(missing)))
        return [_record(row, paths[str(row[0])]) for row in rows]


def not_found(name: str) -> DocumentNotFound:
    return DocumentNotFound(
        "no such document", subject=one_line(name, 100), remedy="`beyondrag library list` shows them all"
    )


def _record(row: Sequence[Any], paths: list[tuple[str, bool]]) -> DocumentRecord:
    document_id, title, media_type, n_chars, n_pages, added_at, warnings = row
    return DocumentRecord(
        id=document_id,
        title=title,
        media_type=media_type,
        n_chars=n_chars,
        n_pages=n_pages,
        added_at=added_at,
        paths=tuple(path for path, _ in paths),
        missing=all(missing for _, missing in paths),
        warnings=tuple(orjson.loads(warnings)),
    )


def _source(row: Sequence[Any]) -> tuple[SourceFile, str]:
    path, size, mtime_ns, document_id = row
    return SourceFile(os.fsdecode(path), size, mtime_ns), document_id


def _below(under: str | None) -> dict[str, bytes | None]:
    """The parameters of `_BELOW`: at or below a folder, everywhere when None."""
    if under is None:
        return {"folder": None, "first": None, "last": None}
    folder = os.fsencode(under.rstrip(os.sep))
    return {"folder": folder, "first": folder + os.sep.encode(), "last": folder + bytes([ord(os.sep) + 1])}


def _enqueue(connection: sqlite3.Connection, document_ids: Sequence[str]) -> None:
    connection.executemany(
        "INSERT OR IGNORE INTO index_queue SELECT key FROM documents WHERE id = ?",
        [(document_id,) for document_id in document_ids],
    )


def _drop(connection: sqlite3.Connection, document_id: str) -> None:
    _enqueue(connection, [document_id])
    connection.execute("DELETE FROM documents WHERE id = ?", (document_id,))


def _bytes(value: Value) -> bytes:
    if not isinstance(value, bytes):
        raise LibraryError("a path in the catalogue is not stored as bytes")
    return value


def _integer(rows: list[tuple[Value, ...]]) -> int:
    return int(str(rows[0][0]))
