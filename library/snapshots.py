"""Snapshots: rows of the catalogue and files of the `.kv` store, kept in step.

Every change of rows and files together happens inside one transaction, which holds SQLite's write
lock: a question in one process may keep a snapshot while an ingest in another one drops its twin.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from library.catalogue import Catalogue
from library.errors import LibraryDamaged, LibraryError
from library.files import regular_size, storage_errors
from library.hot import HotCopies
from library.kvstore import KvStore, Leftover, discard_file
from library.readings import Readings, SnapshotRow
from library.records import SnapshotRecord
from library.wording import one_line


class Snapshots:
    """The snapshots of one library; a file takes its hot copy with it when it goes."""

    def __init__(self, catalogue: Catalogue, readings: Readings, files: KvStore, hot: HotCopies) -> None:
        self._catalogue = catalogue
        self._readings = readings
        self._files = files
        self._hot = hot

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

    def drop_content(self, content: str) -> list[SnapshotRow]:
        """Forget all snapshots that share a file, and remove the file; returns what they were."""
        with self._catalogue.transaction():
            rows = self._readings.of_content(content)
            for row in rows:
                self._readings.drop_snapshot(row.document_id, row.ordinal, row.profile_id)
        with suppress(LibraryDamaged):  # no content hash: there is no file either
            self._discard_unused(content)
        return rows

    def note_read(self, records: Iterable[SnapshotRecord]) -> None:
        """Note that these were read now."""
        self._readings.note_read([(r.document_id, r.ordinal, r.profile_id) for r in records])

    def among(self, document_ids: Sequence[str]) -> dict[str, list[SnapshotRecord]]:
        """The snapshots of these documents, of all profiles; documents without any are left out."""
        found: dict[str, list[SnapshotRecord]] = {}
        for row in self._readings.snapshots_among(document_ids):
            with suppress(LibraryDamaged):  # no content hash: `verify` tells of it, a list goes on
                found.setdefault(row.document_id, []).append(self._record(row))
        return found

    def adopt(self, row: SnapshotRow, file: Path) -> None:
        """Take over `file`, whose content hash and size `row` names and which is on the disk, flushed."""
        with self._catalogue.transaction():
            self._readings.put_snapshot(row)
            self._files.keep(file, row.content)

    def sweep(self, *, keep: bool = False) -> list[Leftover]:
        """Remove the files that no row refers to, their hot copies and temporary files of dead processes;
        returns them.

        Only files that this store named are touched.  With `keep` they are only named.
        """
        gone: list[Leftover] = []
        for folder in self._files.folders():
            # One transaction a folder: nobody waits for the whole store, and no file is between its
            # rename and its row.
            with self._catalogue.transaction(), storage_errors(self._files.root):
                orphans = filter(self._files.is_own, self._files.orphans(folder, self._known(folder)))
                gone += [left for path in orphans if (left := discard_file(path, keep=keep))]
        return gone + self._hot.sweep(keep=keep) + self._files.discard_temporary(keep=keep)

    def strangers(self) -> Iterator[Path]:
        """Files in the store that no row refers to, foreign ones too."""
        for folder in self._files.folders():
            with self._catalogue.transaction(), storage_errors(self._files.root):
                found = list(self._files.orphans(folder, self._known(folder)))
            yield from found

    def total_bytes(self) -> int:
        """The bytes of all files that rows refer to; shared ones count once."""
        return self._readings.content_bytes()

    def _known(self, folder: str) -> set[str]:
        return self._readings.contents(folder, folder + chr(ord("f") + 1))

    def _discard_unused(self, content: str) -> None:
        # A transaction of its own, after the one that dropped the row: a crash in between leaves a
        # file without a row, which `sweep` finds.
        with self._catalogue.transaction():
            if not self._readings.refers_to(content):
                self._files.discard(content)
                self._hot.discard(content)

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
