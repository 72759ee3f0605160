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

from library.below import at_or_below
from library.catalogue import Catalogue, Value
from library.errors import DocumentNotFound, LibraryError
from library.records import DocumentRecord, DocumentText, SourceFile
from library.texts import StoredText, pack_text, storable, text_checksum, unpack_text
from library.wording import one_line

MAX_LANGUAGE_CHARS = 35
"""A usual BCP 47 tag is no longer (RFC 5646, 4.4.1)."""
_DOCUMENTS = "SELECT id, title, media_type, n_chars, n_pages, added_at, warnings, language FROM documents "
_SOURCES = "SELECT path, size, mtime_ns, document_id FROM sources "
_CONTENT = "SELECT checksum, title FROM texts JOIN documents ON id = document_id WHERE id = ?"
_KEYS = "SELECT id, key FROM documents "
_PATHS = "SELECT document_id, path, missing FROM sources "
PAGE = 500
"""Documents that are read at a time where all are gone through."""
_SOURCES_PAGE = 2_000


class Documents:
    """Documents, texts and sources.  Paths are absolute; ids are SHA-256 in hex."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    # -- reading

    def all(self) -> Iterator[DocumentRecord]:
        """All documents, in the order in which they were added; read in pages, as they are asked for."""
        for first, after in self.key_ranges():
            yield from self._records(_DOCUMENTS + "WHERE key >= ? AND key < ? ORDER BY key", (first, after))

    def page(self, limit: int, offset: int) -> list[DocumentRecord]:
        """Up to `limit` documents after the first `offset`, in the order in which they were added."""
        return self._records(_DOCUMENTS + "ORDER BY key LIMIT ? OFFSET ?", (limit, offset))

    def key_ranges(self) -> Iterator[tuple[int, int]]:
        """Ranges [first, after) of index keys that hold all documents, up to `PAGE` in each."""
        after = 0
        while True:
            rows = self._catalogue.read(
                "SELECT min(key), max(key) FROM "
                "(SELECT key FROM documents WHERE key >= ? ORDER BY key LIMIT ?)",
                (after, PAGE),
            )
            first, last = rows[0]
            if first is None or last is None:
                return
            after = int(str(last)) + 1
            yield int(str(first)), after

    def count(self) -> int:
        return _integer(self._catalogue.read("SELECT count(*) FROM documents"))

    def text_bytes(self) -> int:
        """The UTF-8 bytes of all texts."""
        return _integer(self._catalogue.read("SELECT coalesce(sum(n_bytes), 0) FROM texts"))

    def any(self) -> bool:
        """Whether there is a document."""
        return bool(self._catalogue.read("SELECT 1 FROM documents LIMIT 1"))

    def at(self, path: str) -> DocumentRecord | None:
        """The document that the file at `path` held when it was read."""
        try:
            encoded = os.fsencode(path)
        except UnicodeEncodeError:  # no file can have this name
            return None
        held = "WHERE id = (SELECT document_id FROM sources WHERE path = ?)"
        found = self._records(_DOCUMENTS + held, (encoded,))
        return found[0] if found else None

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

    def text(self, document_id: str) -> DocumentText:
        """Raises DocumentNotFound, LibraryDamaged."""
        return unpack_text(self.stored_text(document_id), document_id)

    def stored_text(self, document_id: str) -> StoredText:
        """The text as it is stored, unchecked.  Raises DocumentNotFound."""
        rows = self._catalogue.read(
            "SELECT text_zlib, n_bytes, pages_zlib, pages_n_bytes, checksum FROM texts WHERE document_id = ?",
            (document_id,),
        )
        if not rows:
            raise not_found(document_id)
        row: Sequence[Any] = rows[0]
        return StoredText(*row)

    def source(self, path: str) -> tuple[SourceFile, str] | None:
        """What the library knows of a file: the file as it was read, and its document's id."""
        rows = self._catalogue.read(_SOURCES + "WHERE path = ?", (os.fsencode(path),))
        return _source(rows[0]) if rows else None

    def sources(self, under: str | None) -> Iterator[tuple[SourceFile, str]]:
        """The files at or below `under` (all when None), in the order of their paths; read in pages."""
        below, bounds = at_or_below(under)
        sql = _SOURCES + f"WHERE {below} AND path > :after ORDER BY path LIMIT :page"
        scope: dict[str, Value] = {**bounds, "after": b"", "page": _SOURCES_PAGE}
        while rows := self._catalogue.read(sql, scope):
            yield from map(_source, rows)
            scope["after"] = rows[-1][0]

    def files_of(self, document_id: str) -> list[tuple[SourceFile, bool]]:
        """The files that hold a document, in the order in which they were added; True: it is missing."""
        rows: Sequence[Sequence[Any]] = self._catalogue.read(
            "SELECT path, size, mtime_ns, missing FROM sources WHERE document_id = ? ORDER BY sequence",
            (document_id,),
        )
        return [(SourceFile(os.fsdecode(row[0]), row[1], row[2]), bool(row[3])) for row in rows]

    def differs(self, document_id: str, title: str, text: DocumentText) -> bool:
        """Whether `add` with these would cost the document its volumes and snapshots.

        False for one that is not here: there is nothing to lose.
        """
        rows = self._catalogue.read(
            "SELECT checksum, title FROM texts JOIN documents ON id = document_id WHERE id = ?",
            (document_id,),
        )
        given = (text_checksum(storable(text)), one_line(title) or document_id[:12])
        return bool(rows) and tuple(rows[0]) != given

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
        language: str | None = None,
    ) -> None:
        """Store a document and say that `source` holds it.  Repeating it changes nothing.

        When the text differs from what was stored under this id (a better parser), it is replaced,
        and the volumes and snapshots of the old text go.  So they do when the title is another one: the
        model reads it before the text, and it counts when volumes are cut.  When `source.path` held
        another document before, that one loses the path, and goes when it was its last.
        """
        clean = storable(text)
        packed = pack_text(clean)
        title = one_line(title) or document_id[:12]
        notes = orjson.dumps([one_line(warning) for warning in warnings]).decode()
        with self._catalogue.transaction() as connection:
            known = connection.execute(_CONTENT, (document_id,)).fetchone()
            connection.execute(
                "INSERT INTO documents"
                "(id, title, media_type, n_chars, n_pages, added_at, warnings, language) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?) "
                "ON CONFLICT(id) DO UPDATE SET title = excluded.title, media_type = excluded.media_type, "
                "n_chars = excluded.n_chars, n_pages = excluded.n_pages, warnings = excluded.warnings, "
                "language = excluded.language",
                (
                    document_id,
                    title,
                    media_type,
                    len(clean.text),
                    len(clean.pages),
                    time.time(),
                    notes,
                    one_line(language or "", MAX_LANGUAGE_CHARS) or None,
                ),
            )
            if known is None or tuple(known) != (packed.checksum, title):
                connection.execute("DELETE FROM volumes WHERE document_id = ?", (document_id,))
                connection.execute("DELETE FROM snapshots WHERE document_id = ?", (document_id,))
            # The same text is written again as well: what was stored may have been damaged.
            put_text(connection, document_id, packed)
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
            path = os.fsencode(source.path)
            _enqueue_renamed(connection, path, missing=False)
            connection.execute(
                "UPDATE sources SET size = ?, mtime_ns = ?, missing = 0 WHERE path = ?",
                (source.size, source.mtime_ns, path),
            )

    def mark_missing(self, path: str) -> None:
        """Note that a file is no longer there; its document stays."""
        name = os.fsencode(path)
        with self._catalogue.transaction() as connection:
            _enqueue_renamed(connection, name, missing=True)
            connection.execute("UPDATE sources SET missing = 1 WHERE path = ?", (name,))

    def forget_path(self, path: str) -> None:
        """The file at `path` holds no document any more; the document goes when it was its last."""
        name = os.fsencode(path)
        with self._catalogue.transaction() as connection:
            held = connection.execute("SELECT document_id FROM sources WHERE path = ?", (name,)).fetchone()
            if held is not None:
                connection.execute("DELETE FROM sources WHERE path = ?", (name,))
                self._drop_without_path(connection, str(held[0]))

    def prune_missing(self, under: str | None) -> list[DocumentRecord]:
        """Forget the missing files at or below `under`; returns the documents that went with them."""
        below, scope = at_or_below(under)
        missing = "FROM sources WHERE missing AND " + below
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

    def note_length(self, document_id: str, n_chars: int, n_pages: int) -> None:
        """Note how long the text of a document is, after another length was noted."""
        with self._catalogue.transaction() as connection:
            connection.execute(
                "UPDATE documents SET n_chars = ?, n_pages = ? WHERE id = ?", (n_chars, n_pages, document_id)
            )

    def lost_paths(self) -> list[str]:
        """Files of documents that are not there: only a damaged catalogue has any."""
        rows = self._catalogue.read(
            "SELECT path FROM sources WHERE document_id NOT IN (SELECT id FROM documents) ORDER BY path"
        )
        return [os.fsdecode(_bytes(row[0])) for row in rows]

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
        with self._catalogue.reading():
            return self._records_now(sql, parameters)

    def _records_now(self, sql: str, parameters: Sequence[Value]) -> list[DocumentRecord]:
        rows = self._catalogue.read(sql, parameters)
        paths: dict[str, list[tuple[str, bool]]] = defaultdict(list)
        ids = orjson.dumps([str(row[0]) for row in rows]).decode()
        among = "WHERE document_id IN (SELECT value FROM json_each(?)) ORDER BY missing, sequence"
        held = self._catalogue.read(_PATHS + among, (ids,))
        for document_id, path, missing in held:
            paths[str(document_id)].append((os.fsdecode(_bytes(path)), bool(missing)))
        return [_record(row, paths[str(row[0])]) for row in rows]


def put_text(connection: sqlite3.Connection, document_id: str, packed: StoredText) -> None:
    """Store the text of a document in place of what was stored before."""
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


def not_found(name: str) -> DocumentNotFound:
    return DocumentNotFound(
        "no such document", subject=one_line(name, 100), remedy="`beyondrag library list` shows them all"
    )


def _record(row: Sequence[Any], paths: list[tuple[str, bool]]) -> DocumentRecord:
    document_id, title, media_type, n_chars, n_pages, added_at, warnings, language = row
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
        language=language,
    )


def _source(row: Sequence[Any]) -> tuple[SourceFile, str]:
    path, size, mtime_ns, document_id = row
    return SourceFile(os.fsdecode(path), size, mtime_ns), document_id


def _enqueue(connection: sqlite3.Connection, document_ids: Sequence[str]) -> None:
    connection.executemany(
        "INSERT OR IGNORE INTO index_queue SELECT key FROM documents WHERE id = ?",
        [(document_id,) for document_id in document_ids],
    )


def _enqueue_renamed(connection: sqlite3.Connection, path: bytes, *, missing: bool) -> None:
    """A file that goes or comes back may change which of a document's files gives it its name."""
    connection.execute(
        "INSERT OR IGNORE INTO index_queue SELECT key FROM documents JOIN sources ON document_id = id "
        "WHERE path = ? AND missing != ?",
        (path, missing),
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
