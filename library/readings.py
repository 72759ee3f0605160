"""Rows of the catalogue about reading profiles, volumes and snapshots."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Iterator, Sequence
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

    def snapshots_among(self, document_ids: Sequence[str]) -> list[SnapshotRow]:
        """The snapshots of these documents, of all profiles."""
        wanted = orjson.dumps(list(document_ids)).decode()
        among = "WHERE document_id IN (SELECT value FROM json_each(?)) "
        return self._rows(among + "ORDER BY document_id, profile_id, ordinal", (wanted,))

    def volumes_among(self, document_ids: Sequence[str], profile_id: str) -> dict[str, tuple[Volume, ...]]:
        """The volumes of those of these documents that were cut for the profile."""
        wanted = orjson.dumps(list(document_ids)).decode()
        rows: Sequence[Sequence[Any]] = self._catalogue.read(
            "SELECT document_id, ordinal, char_start, char_end, n_tokens, label FROM volumes "
            "WHERE document_id IN (SELECT value FROM json_each(?)) AND profile_id = ? "
            "ORDER BY document_id, ordinal",
            (wanted, profile_id),
        )
        grouped = itertools.groupby((Volume(*row) for row in rows), key=lambda volume: volume.document_id)
        return {document_id: tuple(volumes) for document_id, volumes in grouped}

    def cut_for(self, document_id: str) -> list[str]:
        """The profiles for which a document was cut into volumes."""
        rows = self._catalogue.read(
            "SELECT DISTINCT profile_id FROM volumes WHERE document_id = ? ORDER BY profile_id",
            (document_id,),
        )
        return [str(row[0]) for row in rows]

    def contents(self, first: str, after: str) -> set[str]:
        """The content hashes from `first` on and before `after` that rows refer to."""
        rows = self._catalogue.read(
            "SELECT DISTINCT content FROM snapshots WHERE content >= ? AND content < ?", (first, after)
        )
        return {str(row[0]) for row in rows}

    def content_pages(self, n_rows: int) -> Iterator[list[SnapshotRow]]:
        """All rows in the order of their contents, up to about `n_rows` at a time; the rows of one
        content stand in one page."""
        last = ""
        while True:
            page = self._catalogue.read(
                "SELECT DISTINCT content FROM snapshots WHERE content > ? ORDER BY content LIMIT ?",
                (last, n_rows),
            )
            if not page:
                return
            first, last = str(page[0][0]), str(page[-1][0])
            yield self._rows("WHERE content BETWEEN ? AND ? ORDER BY content, rowid", (first, last))

    def refers_to(self, content: str) -> bool:
        """Whether any row refers to the file with this content."""
        return bool(self._catalogue.read("SELECT 1 FROM snapshots WHERE content = ? LIMIT 1", (content,)))

    def counts(self) -> dict[str, int]:
        """The number of snapshots of each profile."""
        rows = self._catalogue.read("SELECT profile_id, count(*) FROM snapshots GROUP BY profile_id")
        return {str(profile): int(str(n)) for profile, n in rows}

    def of_content(self, content: str) -> list[SnapshotRow]:
        """The rows that refer to the file with this content."""
        return self._rows("WHERE content = ?", (content,))

    def some_contents(self, profile_id: str, limit: int) -> list[str]:
        """The contents of up to `limit` snapshots of a profile."""
        rows = self._catalogue.read(
            "SELECT content FROM snapshots WHERE profile_id = ? LIMIT ?", (profile_id, limit)
        )
        return [str(row[0]) for row in rows]

    def sums(self) -> Iterator[tuple[str, str, int, int, int]]:
        """For each profile and codec: its id, the codec, and how many snapshots, tokens and bytes."""
        rows: Sequence[Sequence[Any]] = self._catalogue.read(
            "SELECT profile_id, codec, count(*), sum(n_tokens), sum(size_bytes) FROM snapshots "
            "GROUP BY profile_id, codec ORDER BY min(rowid)"
        )
        for profile_id, codec, n_snapshots, n_tokens, size in rows:
            yield str(profile_id), str(codec), int(n_snapshots), int(n_tokens), int(size)

    def content_bytes(self) -> int:
        """The bytes of all files that rows refer to; shared ones count once."""
        rows = self._catalogue.read(
            "SELECT coalesce(sum(size), 0) FROM "
            "(SELECT max(size_bytes) AS size FROM snapshots GROUP BY content)"
        )
        return int(str(rows[0][0]))

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
