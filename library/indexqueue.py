"""Rows of the catalogue about what the search index still has to learn or to forget.

Whatever changes a document puts its key here, in the same transaction (`library.documents`).
"""

from __future__ import annotations

from collections.abc import Sequence

from library.catalogue import Catalogue


class IndexQueue:
    """Keys of documents; a key whose document is gone has to leave the index."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def any(self) -> bool:
        """Whether anything waits."""
        return bool(self._catalogue.read("SELECT 1 FROM index_queue LIMIT 1"))

    def count(self) -> int:
        """How many wait."""
        return int(str(self._catalogue.read("SELECT count(*) FROM index_queue")[0][0]))

    def waiting(self, limit: int) -> list[tuple[int, str | None]]:
        """(key, id) of up to `limit` documents the index must learn (-1: of all); id None: must forget."""
        rows = self._catalogue.read(
            "SELECT queue.key, documents.id FROM index_queue AS queue "
            "LEFT JOIN documents ON documents.key = queue.key ORDER BY queue.key LIMIT ?",
            (limit,),
        )
        return [(int(str(key)), None if found is None else str(found)) for key, found in rows]

    def done(self, keys: Sequence[int]) -> None:
        """The index has learned, or forgotten, these."""
        with self._catalogue.transaction() as connection:
            connection.executemany("DELETE FROM index_queue WHERE key = ?", [(key,) for key in keys])

    def known(self, first: int, after: int) -> tuple[set[int], set[int]]:
        """Of the range of keys [first, after): those of documents, and those that wait."""
        bounds = (first, after)
        with self._catalogue.reading():
            documents = self._catalogue.read("SELECT key FROM documents WHERE key >= ? AND key < ?", bounds)
            queued = self._catalogue.read("SELECT key FROM index_queue WHERE key >= ? AND key < ?", bounds)
        return {int(str(row[0])) for row in documents}, {int(str(row[0])) for row in queued}
