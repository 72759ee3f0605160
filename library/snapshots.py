"""Snapshots: rows of the catalogue and files of the `.kv` store, kept in step.

Every change of rows and files together happens inside one transaction, which holds SQLite's write
lock: a question in one process may keep a snapshot while an ingest in another one drops its twin.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

from library.catalogue import Catalogue
from library.errors import LibraryDamaged, LibraryError
from library.files import hash_regular_file, regular_size
from library.kvstore import KvStore
from library.readings import Readings, SnapshotRow
from library.records import SnapshotRecord
from library.wording import one_line


class Snapshots:
    """The snapshots of one library."""

    def __init__(self, catalogue: Catalogue, readings: Readings, files: KvStore) -> None:
        self._catalogue = catalogue
        self._readings = readings
        self._files = files

    def get(self, document_id: str, ordinal: int, profile_id: str) -> SnapshotRecord | None:
        """The snapshot of a volume under this profile; None when there is none, or its file is gone
        or has another size: it can be made again."""
        row = self._readings.snapshot(document_id, ordinal, profile_id)
        if row is None or regular_size(self._files.path(row.content)) != row.size_bytes:
            return None
        return self._record(row)

    def all(self, document_id: str | None = None) -> list[SnapshotRecord]:
        """Of all profiles, as the catalogue knows them."""
        return [self._record(row) for row in self._readings.snapshots(document_id)]

    def put(
        self, document_id: str, ordinal: int, profile_id: str, file: Path, *, n_tokens: int, codec: str
    ) -> SnapshotRecord:
        """Take over `file` as the snapshot of a volume; it is moved into the store.

        Raises:
            LibraryError: document or profile are unknown (the file stays where it is).
            StorageError: it cannot be read, flushed or moved.
        """
        if ordinal < 0 or n_tokens < 0:
            raise LibraryError("a volume number or a number of tokens below 0", subject=document_id[:12])
        content, size = self._files.measure(file)
        row = SnapshotRow(
            document_id, ordinal, profile_id, content, size, n_tokens, one_line(codec, 80), time.time(), None
        )
        with self._catalogue.transaction():
            before = self._readings.snapshot(document_id, ordinal, profile_id)
            self._readings.put_snapshot(row)
            self._files.keep(file, content)
        if before and before.content != content:
            self._discard_unused(before.content)
        return self._record(row)

    def drop(self, record: SnapshotRecord) -> None:
        """Forget a snapshot; its file goes when no other snapshot has the same content."""
        with self._catalogue.transaction():
            row = self._readings.snapshot(record.document_id, record.ordinal, record.profile_id)
            self._readings.drop_snapshot(record.document_id, record.ordinal, record.profile_id)
        if row:
            self._discard_unused(row.content)

    def note_read(self, records: Iterable[SnapshotRecord]) -> None:
        """Note that these were read now."""
        self._readings.note_read([(r.document_id, r.ordinal, r.profile_id) for r in records])

    def sweep(self) -> int:
        """Remove files that no row refers to and scratch files of dead processes; bytes freed."""
        with self._catalogue.transaction():
            return self._files.sweep(self._readings.contents())

    def findings(self) -> list[str]:
        """What differs between rows and files, in plain sentences; reads every file."""
        found: list[str] = []
        rows = {row.content: row for row in self._readings.snapshots()}
        for row in rows.values():
            what = f"The snapshot of {row.document_id[:12]}, volume {row.ordinal + 1},"
            try:
                content, size = hash_regular_file(self._files.path(row.content))
            except LibraryDamaged as error:
                found.append(f"{what} cannot be used: {error.message}.")
                continue
            except OSError as error:
                found.append(f"{what} cannot be read: {row.content}: {error.strerror or error}.")
                continue
            if size != row.size_bytes:
                found.append(f"{what} has {size} bytes instead of {row.size_bytes}: {row.content}.")
            elif content != row.content:
                found.append(f"{what} is damaged, its checksum does not fit: {row.content}.")
        found += [
            f"The file {one_line(str(path.relative_to(self._files.root)), 120)} belongs to no snapshot."
            for path in self._files.orphans(self._readings.contents())
        ]
        return found

    def total_bytes(self) -> int:
        """The bytes of all files; shared ones count once."""
        return sum(self._readings.contents().values())

    def _discard_unused(self, content: str) -> None:
        # A transaction of its own, after the one that dropped the row: a crash in between leaves a
        # file without a row, which `sweep` finds.
        with self._catalogue.transaction():
            if content not in self._readings.contents():
                self._files.discard(content)

    def _record(self, row: SnapshotRow) -> SnapshotRecord:
        return SnapshotRecord(
            document_id=row.document_id,
            ordinal=row.ordinal,
            profile_id=row.profile_id,
            path=self._files.path(row.content),
            size_bytes=row.size_bytes,
            n_tokens=row.n_tokens,
            codec=row.codec,
            created_at=row.created_at,
            last_read_at=row.last_read_at,
        )
