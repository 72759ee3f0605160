"""Rows of the catalogue about reading profiles, volumes and snapshots."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from library.catalogue import Catalogue
from library.documents import not_found
from library.errors import LibraryError
from library.records import ReadingProfile, Volume
from library.wording import one_line


@dataclass(frozen=True, slots=True)
class SnapshotRow:
    """A row of the table `snapshots`; `content` is the SHA-256 (hex) of the `.kv` file."""

    document_id: str
    ordinal: int
    profile_id: str
    content: str
    size_bytes: int
    n_tokens: int
    codec: str
    created_at: float
    last_read_at: float | None


_SNAPSHOTS = (
    "SELECT document_id, ordinal, profile_id, content, size_bytes, n_tokens, codec, created_at, last_read_at "
    "FROM snapshots "
)
_SAME = "WHERE document_id = ? AND ordinal = ? AND profile_id = ?"
_DROP = "DELETE FROM snapshots WHERE document_id = ? AND ordinal = ? AND profile_id = ?"
_NOTE_READ = "UPDATE snapshots SET last_read_at = ? WHERE document_id = ? AND ordinal = ? AND profile_id = ?"


class Readings:
    """Profiles, volumes and snapshots; a snapshot is only ever found under its own profile."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def put_profile(self, profile: ReadingProfile) -> None:
        description = orjson.dumps(profile.description, option=orjson.OPT_SORT_KEYS).decode()
        with self._catalogue.transaction() as connection:
            connection.execute(
                "INSERT INTO profiles VALUES (?, ?, ?, ?) ON CONFLICT(id) DO UPDATE SET "
                "model_name = excluded.model_name, model_sha256 = excluded.model_sha256, "
                "description = excluded.description",
                (profile.id, one_line(profile.model_name), profile.model_sha256, description),
            )

    def profiles(self) -> list[ReadingProfile]:
        rows: Sequence[Sequence[Any]] = self._catalogue.read(
            "SELECT id, model_name, model_sha256, description FROM profiles ORDER BY rowid"
        )
        return [ReadingProfile(row[0], row[1], row[2], orjson.loads(row[3])) for row in rows]

    def volumes(self, document_id: str, profile_id: str) -> tuple[Volume, ...]:
        """In order; empty when the document was not cut for this profile yet."""
        rows: Sequence[Sequence[Any]] = self._catalogue.read(
            "SELECT document_id, ordinal, char_start, char_end, n_tokens, label FROM volumes "
            "WHERE document_id = ? AND profile_id = ? ORDER BY ordinal",
            (document_id, profile_id),
        )
        return tuple(Volume(*row) for row in rows)

    def put_volumes(self, document_id: str, profile_id: str, volumes: Sequence[Volume]) -> None:
        """Replace the volumes of a document for one profile.

        Snapshots whose volume is not the same as before are dropped with it.

        Raises:
            LibraryError: they do not follow one another, or document or profile are unknown.
        """
        with self._catalogue.transaction() as connection:
            n_chars = self._require(document_id, profile_id)
            if not _follow(document_id, volumes, n_chars):
                raise LibraryError("the volumes do not follow one another", subject=document_id[:12])
            kept = set(self.volumes(document_id, profile_id)) & set(volumes)
            stale = [v for v in self.volumes(document_id, profile_id) if v not in kept]
            connection.executemany(_DROP, [(document_id, v.ordinal, profile_id) for v in stale])
            connection.execute(
                "DELETE FROM volumes WHERE document_id = ? AND profile_id = ?", (document_id, profile_id)
            )
            connection.executemany(
                "INSERT INTO volumes VALUES (?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        document_id,
                        profile_id,
                        v.ordinal,
                        v.char_start,
                        v.char_end,
                        v.n_tokens,
                        one_line(v.label),
                    )
                    for v in volumes
                ],
            )

    def snapshot(self, document_id: str, ordinal: int, profile_id: str) -> SnapshotRow | None:
        rows = self._rows(_SAME, (document_id, ordinal, profile_id))
        return rows[0] if rows else None

    def snapshots(self, document_id: str | None = None) -> list[SnapshotRow]:
        """Of all profiles; in the order of documents and volumes."""
        order = "ORDER BY document_id, profile_id, ordinal"
        if document_id is None:
            return self._rows(order, ())
        return self._rows("WHERE document_id = ? " + order, (document_id,))

    def put_snapshot(self, row: SnapshotRow) -> None:
        """Raises LibraryError when document or profile are unknown."""
        with self._catalogue.transaction() as connection:
            self._require(row.document_id, row.profile_id)
            connection.execute(
                "INSERT OR REPLACE INTO snapshots VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    row.document_id,
                    row.ordinal,
                    row.profile_id,
                    row.content,
                    row.size_bytes,
                    row.n_tokens,
                    row.codec,
                    row.created_at,
                    row.last_read_at,
                ),
            )

    def drop_snapshot(self, document_id: str, ordinal: int, profile_id: str) -> None:
        with self._catalogue.transaction() as connection:
            connection.execute(_DROP, (document_id, ordinal, profile_id))

    def note_read(self, snapshots: Iterable[tuple[str, int, str]]) -> None:
        """Note that these (document id, ordinal, profile id) were read now."""
        now = time.time()
        with self._catalogue.transaction() as connection:
            connection.executemany(_NOTE_READ, [(now, *key) for key in snapshots])

    def contents(self) -> dict[str, int]:
        """Size in bytes of every `.kv` file that a row refers to, by content hash."""
        rows = self._catalogue.read("SELECT DISTINCT content, size_bytes FROM snapshots")
        return {str(content): int(str(size)) for content, size in rows}

    def _rows(self, clause: str, parameters: Sequence[str | int]) -> list[SnapshotRow]:
        rows: Sequence[Sequence[Any]] = self._catalogue.read(_SNAPSHOTS + clause, tuple(parameters))
        return [SnapshotRow(*row) for row in rows]

    def _require(self, document_id: str, profile_id: str) -> int:
        """The length of the document in characters, if it and the profile are known."""
        rows = self._catalogue.read("SELECT n_chars FROM documents WHERE id = ?", (document_id,))
        if not rows:
            raise not_found(document_id)
        if not self._catalogue.read("SELECT 1 FROM profiles WHERE id = ?", (profile_id,)):
            raise LibraryError("the library has no such reading profile", subject=one_line(profile_id, 64))
        return int(str(rows[0][0]))


def _follow(document_id: str, volumes: Sequence[Volume], n_chars: int) -> bool:
    """Whether the volumes are numbered from 0, in order, without overlap, inside the text."""
    position = 0
    for ordinal, volume in enumerate(volumes):
        if volume.document_id != document_id or volume.ordinal != ordinal:
            return False
        if not position <= volume.char_start <= volume.char_end <= n_chars:
            return False
        position = volume.char_end
    return True
