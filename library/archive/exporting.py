"""Puts documents of a library into an archive."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from kvfiles.errors import Cancelled, StorageError
from kvfiles.regular_file import open_regular
from library.archive.members import ArchiveWriter, Member, SourceChanged
from library.archive.records import (
    DocumentEntry,
    End,
    HeldPath,
    Manifest,
    Reading,
    StoredSnapshot,
    encode_document,
    encode_end,
    encode_manifest,
)
from library.calibrations import MAX_BYTES, MAX_IN_ARCHIVE, CalibrationShelf, calibrations_among
from library.errors import DocumentNotFound, LibraryDamaged, LibraryError, LibraryLocked
from library.files import hash_regular_file, storage_errors, sync_directory
from library.parts import Parts
from library.schema import VERSION
from library.statistics import document_totals
from library.texts import StoredText, unpack_text
from library.wording import one_line

PARTIAL_SUFFIX = ".partial"


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What an archive got.  `left_out` says in sentences what could not be put into it, and why."""

    n_documents: int
    n_snapshots: int
    size_bytes: int
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Selection:
    """What is exported: these documents (all when None), snapshots of these profiles (all when None)."""

    document_ids: Sequence[str] | None = None
    profile_ids: Collection[str] | None = None


def export_library(
    parts: Parts,
    target: Path,
    selection: Selection,
    *,
    calibrations: CalibrationShelf | None = None,
    overwrite: bool = False,
    on_bytes: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> ExportReport:
    """Write an archive to `target`; it appears there when it is complete.

    The files of `calibrations` that the snapshots name come with them.
    Needs no lock: every document is taken as it is at its moment.  What is damaged is left out and told.
    `on_bytes` is called with the bytes written and those expected.

    Raises:
        LibraryError: `target` exists and `overwrite` is false, or another export is writing it.
        StorageError: it cannot be written; nothing is left behind.
        Cancelled: `cancelled` returned True; nothing is left behind.
    """
    target = target.expanduser().absolute()
    if target.exists() and not overwrite:
        raise LibraryError("the file exists", subject=str(target), remedy="give --overwrite, or another name")
    with _partial_file(target) as (file, partial):
        exporting = _Exporting(
            parts, ArchiveWriter(file, target), selection, calibrations, on_bytes, cancelled
        )
        exporting.check_room(target)
        exporting.write()
        with storage_errors(target):
            os.fsync(file.fileno())
            size = os.fstat(file.fileno()).st_size
            partial.replace(target)
            sync_directory(target.parent)
    return ExportReport(exporting.n_documents, exporting.n_snapshots, size, tuple(exporting.left_out))


@contextmanager
def _partial_file(target: Path) -> Iterator[tuple[BinaryIO, Path]]:
    """The file to write into, beside `target` and removed after an exception.

    Its name is always the same: what a killed export left is written over by the next one.
    """
    partial = target.with_name(target.name + PARTIAL_SUFFIX)
    with storage_errors(partial):
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        file = os.fdopen(os.open(partial, flags, 0o600), "r+b")
    with file:
        try:
            fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LibraryLocked("another export is writing it", subject=str(target)) from error
        except OSError:
            pass  # a file system without locks
        try:
            with storage_errors(partial):
                file.truncate(0)
            yield file, partial
        except BaseException:
            with suppress(OSError):
                partial.unlink(missing_ok=True)
            raise


class _Exporting:
    def __init__(
        self,
        parts: Parts,
        writer: ArchiveWriter,
        selection: Selection,
        calibrations: CalibrationShelf | None,
        on_bytes: Callable[[int, int], None] | None,
        cancelled: Callable[[], bool] | None,
    ) -> None:
        self._parts = parts
        self._writer = writer
        self._selection = selection
        self._on_bytes = on_bytes
        self._cancelled = cancelled
        self.left_out: list[str] = []
        self._calibrations = self._find_calibrations(calibrations)
        self._expected = self._count_expected()
        self._n_bytes = 0
        self.n_documents = 0
        self.n_snapshots = 0

    def check_room(self, target: Path) -> None:
        """Raises StorageError when there is surely not enough room for the archive."""
        with storage_errors(target):
            free = shutil.disk_usage(target.parent).free
        needed = self._expected.n_bytes
        if needed > free:
            raise StorageError(
                f"the disk has {free / 1e9:.1f} GB left, the archive needs {needed / 1e9:.1f} GB",
                subject=str(target.parent),
                remedy="choose another disk, or export fewer documents with --doc",
            )

    def write(self) -> None:
        self._writer.add("manifest", encode_manifest(self._expected))
        for path, member in self._calibrations:
            self._write_calibration(path, member)
        for document_id in self._document_ids():
            if self._cancelled is not None and self._cancelled():
                raise Cancelled("stopped; nothing was exported")
            self._write_document(document_id)
        self._writer.add("end", encode_end(End(self.n_documents, self.n_snapshots)))
        self._writer.finish()

    def _write_calibration(self, path: Path, member: Member) -> None:
        try:
            with storage_errors(path), open_regular(path) as source:
                self._writer.add_file(member, source, self._written)
        except SourceChanged as error:
            raise StorageError(str(error), subject=str(path), remedy="export it again") from error

    def _document_ids(self) -> Iterator[str]:
        if self._selection.document_ids is not None:
            yield from dict.fromkeys(self._selection.document_ids)
        else:
            yield from (record.id for record in self._parts.documents.all())

    def _count_expected(self) -> Manifest:
        """Documents, snapshots and bytes as they are now, for the manifest and for progress."""
        readings = self._parts.readings
        wanted = self._selection.document_ids
        if wanted is None:
            totals = document_totals(self._parts.catalogue)
            n_documents, n_bytes = totals.n_documents, totals.stored_text_bytes
            sums = [row for row in readings.sums() if self._takes(row[0])]
            n_snapshots, n_bytes = sum(row[2] for row in sums), n_bytes + sum(row[4] for row in sums)
        else:
            rows = [row for row in readings.snapshots_among(wanted) if self._takes(row.profile_id)]
            n_documents, n_snapshots = len(set(wanted)), len(rows)
            n_bytes = sum(row.size_bytes for row in rows)
        n_bytes += sum(member.size_bytes for _path, member in self._calibrations)
        profiles = tuple(profile for profile in readings.profiles() if self._takes(profile.id))
        return Manifest(
            VERSION, time.time(), n_documents, n_snapshots, n_bytes, profiles, len(self._calibrations)
        )

    def _find_calibrations(self, shelf: CalibrationShelf | None) -> list[tuple[Path, Member]]:
        """The files of the calibrations that the chosen snapshots name, each once."""
        if shelf is None:
            return []
        found: dict[Path, Member] = {}
        wanted, profiles = self._selection.document_ids, self._selection.profile_ids
        ids = None if wanted is None else set(wanted)
        for calibration_id, n_snapshots in calibrations_among(self._parts, ids, profiles).items():
            path = shelf.file_of(calibration_id)
            shown = one_line(calibration_id)[:12]
            if path is None:
                self.left_out.append(
                    f"The calibration {shown} is not here: {n_snapshots} snapshots cannot be used without it."
                )
                continue
            with storage_errors(path):
                sha256, size = hash_regular_file(path)
            if size > MAX_BYTES or len(found) >= MAX_IN_ARCHIVE:
                self.left_out.append(
                    f"The calibration {shown} was left out: it is too large, or one too many."
                )
                continue
            found[path] = Member("calibration", sha256, size)
        return list(found.items())

    def _takes(self, profile_id: str) -> bool:
        return self._selection.profile_ids is None or profile_id in self._selection.profile_ids

    def _write_document(self, document_id: str) -> None:
        try:
            entry, text = self._entry(document_id)
            unpack_text(text, document_id)
        except DocumentNotFound:
            return  # Removed by another process meanwhile.
        except LibraryDamaged as error:
            self.left_out.append(f"The document {document_id[:12]} was left out: {error.message}.")
            return
        if not entry.paths:
            self.left_out.append(f"The document {document_id[:12]} was left out: it belongs to no file.")
            return
        start, n_bytes = self._writer.position(), self._n_bytes
        while (damaged := self._write_members(entry, text)) is not None:
            self._writer.rewind(start)
            self._n_bytes = n_bytes
            entry = _without(entry, damaged)
        self.n_documents += 1
        self.n_snapshots += sum(len(reading.snapshots) for reading in entry.readings)

    def _write_members(self, entry: DocumentEntry, text: StoredText) -> str | None:
        """Write a document; the content hash of the first snapshot that cannot be read ends it."""
        self._writer.add("document", encode_document(entry))
        self._writer.add("text", text.text_zlib)
        self._writer.add("pages", text.pages_zlib)
        self._written(len(text.text_zlib) + len(text.pages_zlib))
        for content, size in entry.contents:
            try:
                self._write_snapshot(Member("snapshot", content, size))
            except SourceChanged as error:
                self.left_out.append(f"A snapshot of {entry.id[:12]} was left out: {error}: {content}.")
                return content
        return None

    def _write_snapshot(self, member: Member) -> None:
        try:
            source = open_regular(self._parts.files.path(member.sha256))
        except OSError as error:
            absent = error.errno == errno.ENOENT
            raise SourceChanged("its file is not there" if absent else str(error.strerror).lower()) from error
        except LibraryDamaged as error:
            raise SourceChanged(error.message) from error
        with source:
            self._writer.add_file(member, source, self._written)

    def _written(self, n_bytes: int) -> None:
        self._n_bytes += n_bytes
        if self._on_bytes is not None:
            self._on_bytes(self._n_bytes, self._expected.n_bytes)

    def _entry(self, document_id: str) -> tuple[DocumentEntry, StoredText]:
        """The rows of a document, all of one moment.  Raises DocumentNotFound, LibraryDamaged."""
        documents, readings = self._parts.documents, self._parts.readings
        with self._parts.catalogue.reading():
            record = documents.one(document_id)
            text = documents.stored_text(document_id)
            cut_for = [profile for profile in readings.cut_for(document_id) if self._takes(profile)]
            volumes = {profile: readings.volumes(document_id, profile) for profile in cut_for}
            rows = readings.snapshots(document_id)
            sources = documents.files_of(document_id)
        astray = sum(row.profile_id not in volumes for row in rows if self._takes(row.profile_id))
        if astray:
            self.left_out.append(f"{astray} snapshots of {document_id[:12]} that belong to no volume.")
        return DocumentEntry(
            id=document_id,
            title=record.title,
            media_type=record.media_type,
            n_chars=record.n_chars,
            n_pages=record.n_pages,
            warnings=record.warnings,
            language=record.language,
            paths=tuple(HeldPath(os.fsencode(file.path), file.size, missing) for file, missing in sources),
            text_sha256=sha256(text.text_zlib).hexdigest(),
            text_n_bytes=text.n_bytes,
            pages_sha256=sha256(text.pages_zlib).hexdigest(),
            pages_n_bytes=text.pages_n_bytes,
            checksum=text.checksum,
            readings=tuple(
                Reading(
                    profile,
                    cut,
                    tuple(
                        StoredSnapshot(r.ordinal, r.content, r.size_bytes, r.n_tokens, r.codec, r.created_at)
                        for r in rows
                        if r.profile_id == profile and r.ordinal < len(cut)
                    ),
                )
                for profile, cut in volumes.items()
            ),
        ), text


def _without(entry: DocumentEntry, content: str) -> DocumentEntry:
    """The entry without the snapshots of this content."""
    return replace(
        entry,
        readings=tuple(
            replace(reading, snapshots=tuple(s for s in reading.snapshots if s.content != content))
            for reading in entry.readings
        ),
    )
