"""Takes documents out of an archive into a library.

What the library knows already wins: its texts, its files, its snapshots.  An archive may come from
anybody: every size is bounded, every byte is covered by a checksum, no name in it is used as a path.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from kvfiles.errors import CalibrationCorrupt, Cancelled, StorageError
from kvfiles.regular_file import open_regular
from library.archive.members import ArchiveReader, Member
from library.archive.records import (
    FORMAT,
    DocumentEntry,
    HeldPath,
    Manifest,
    Reading,
    archive_format,
    decode_document,
    decode_end,
    decode_manifest,
)
from library.calibrations import MAX_BYTES, MAX_IN_ARCHIVE, CalibrationShelf
from library.errors import DocumentNotFound, LibraryDamaged, LibraryNewer
from library.files import storage_errors
from library.kvcheck import container_problem
from library.parts import Parts
from library.readings import SnapshotRow
from library.records import DocumentText, ReadingProfile, SourceFile
from library.texts import StoredText, storable, text_checksum, unpack_text
from library.wording import one_line

_MAX_JSON_BYTES = 16 << 20
_MAX_TEXT_BYTES = 128 << 20
_MAX_PAGE_MAP_BYTES = 32 << 20
_COMMIT_EVERY = 200
_UNSEEN = -1
"""As the time of a file that this machine has not read: the next ingest reads it and compares."""

_FORM = (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)


@dataclass(slots=True)
class ImportReport:
    """What an import did, or has done so far.

    `added` documents are new, `completed` got snapshots or a text, `known` had everything.  `superseded` are
    files of which the library holds another version: theirs were not taken.  `refused` says in
    sentences which snapshots and calibrations were not taken, and why.  `snapshots` counts those taken by
    profile, `calibrations` are the ids of those that are here now.
    """

    profiles: tuple[ReadingProfile, ...] = ()
    added: int = 0
    completed: int = 0
    known: int = 0
    superseded: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    snapshots: Counter[str] = field(default_factory=Counter)
    calibrations: list[str] = field(default_factory=list)

    @property
    def n_documents(self) -> int:
        """Documents of the archive that were gone through."""
        return self.added + self.completed + self.known + len(self.superseded)


def read_manifest(source: Path) -> Manifest:
    """What an archive says about itself.  Raises LibraryDamaged, LibraryNewer, StorageError."""
    with _opened(source) as file:
        return _manifest(ArchiveReader(file, source))


def import_library(
    parts: Parts,
    source: Path,
    report: ImportReport,
    *,
    calibrations: CalibrationShelf | None = None,
    on_bytes: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> None:
    """Take over the documents of the archive `source`; each one is there entirely or not at all.

    The caller holds the writer's lock and gives an empty `report`, which is filled as the import
    goes on: after an exception it says what was kept.  Repeating an import goes on where it stopped.
    `calibrations` gets those that are in the archive; None: they are passed over.

    Raises:
        LibraryDamaged: the archive is damaged, cut off or no archive; what came before is kept.
        LibraryNewer: a newer program made it.
        StorageError, Cancelled: what came before is kept.
    """
    with _opened(source) as file:
        with storage_errors(source):
            size = os.fstat(file.fileno()).st_size
        importing = _Importing(parts, ArchiveReader(file, source), report, calibrations)
        importing.begin()
        for number, _ in enumerate(importing.documents(), start=1):
            if on_bytes is not None:
                on_bytes(importing.n_read, size)
            if number % _COMMIT_EVERY == 0:
                parts.indexing.commit()
            if cancelled is not None and cancelled():
                raise Cancelled("stopped; every document imported so far is kept")


@contextmanager
def _opened(source: Path) -> Iterator[BinaryIO]:
    with storage_errors(source):
        file = open_regular(source.expanduser())
    with file:
        yield file


def _manifest(reader: ArchiveReader) -> Manifest:
    member = reader.next()
    if member.kind != "manifest":
        raise reader.damaged("it does not begin like an archive of a library")
    data = reader.data(member, _MAX_JSON_BYTES)
    try:
        found = archive_format(data)
        if found > FORMAT:
            raise LibraryNewer(
                f"a newer program made it (archive format {found}, this one knows {FORMAT})",
                subject=str(reader.path),
                remedy="upgrade beyondrag, or export it again with this version",
            )
        return decode_manifest(data)
    except _FORM as error:
        raise reader.damaged("its first part makes no sense") from error


class _Importing:
    def __init__(
        self,
        parts: Parts,
        reader: ArchiveReader,
        report: ImportReport,
        calibrations: CalibrationShelf | None,
    ) -> None:
        self._parts = parts
        self._calibrations = calibrations
        self._reader = reader
        self._report = report
        self._profiles: dict[str, ReadingProfile] = {}
        self._n_snapshots = 0

    @property
    def n_read(self) -> int:
        """Bytes of the archive read so far."""
        return self._reader.n_read

    def begin(self) -> None:
        """Read the manifest, compare its profiles with those of the library, take the calibrations."""
        manifest = _manifest(self._reader)
        if manifest.n_calibrations > MAX_IN_ARCHIVE:
            raise self._reader.damaged("it says that it holds more calibrations than any export does")
        known = {profile.id: profile for profile in self._parts.readings.profiles()}
        for profile in manifest.profiles:
            self._parts.files.prefix_path(profile.id)  # refuses what is no id
            ours = known.get(profile.id, profile)
            if (ours.model_sha256, ours.description) != (profile.model_sha256, profile.description):
                raise self._reader.damaged(f"its reading profile {profile.id} is not the one known here")
            self._profiles[profile.id] = ours
        self._report.profiles = tuple(self._profiles.values())
        for _ in range(manifest.n_calibrations):
            member = self._reader.next()
            if member.kind != "calibration" or member.size_bytes > MAX_BYTES:
                raise self._reader.damaged("its calibrations are not what it says")
            if self._calibrations is not None:
                self._take_calibration(member, self._calibrations)

    def _take_calibration(self, member: Member, shelf: CalibrationShelf) -> None:
        path = self._arrive(member)
        try:
            self._report.calibrations.append(shelf.adopt(path))
        except CalibrationCorrupt as error:
            why = one_line(error.message, 200)
            self._report.refused.append(f"The calibration {member.sha256[:12]} was not taken: {why}.")
        finally:
            with suppress(OSError):
                path.unlink(missing_ok=True)

    def documents(self) -> Iterator[None]:
        """Take over one document after another; checks at the end that none is missing."""
        n_documents = 0
        while (member := self._reader.next()).kind == "document":
            data = self._reader.data(member, _MAX_JSON_BYTES)
            try:
                entry = decode_document(data)
            except _FORM as error:
                raise self._reader.damaged("the description of a document makes no sense") from error
            if not entry.paths or not {r.profile_id for r in entry.readings} <= self._profiles.keys():
                raise self._reader.damaged("the description of a document is not complete")
            self._take(entry)
            n_documents += 1
            self._n_snapshots += sum(len(reading.snapshots) for reading in entry.readings)
            yield
        if member.kind != "end":
            raise self._reader.damaged("its parts are not in their order")
        data = self._reader.data(member, _MAX_JSON_BYTES)
        try:
            end = decode_end(data)
        except _FORM as error:
            raise self._reader.damaged("its last part makes no sense") from error
        if (end.n_documents, end.n_snapshots) != (n_documents, self._n_snapshots):
            raise self._reader.damaged("documents are missing from it")

    def _take(self, entry: DocumentEntry) -> None:
        text = self._text(entry)
        plan = _plan(self._parts, entry, text)
        arrived: dict[str, Path] = {}
        try:
            for content, size in entry.contents:
                member = self._expect("snapshot", content)
                if member.size_bytes != size:
                    raise self._reader.damaged("a snapshot has another size than noted")
                if content in plan.contents:
                    arrived[content] = self._arrive(member)
            self._keep(entry, text, plan, arrived)
        finally:
            for path in arrived.values():
                with suppress(OSError):
                    path.unlink(missing_ok=True)

    def _text(self, entry: DocumentEntry) -> DocumentText:
        """The text that follows its document, checked as one that was read from the catalogue."""
        if entry.text_n_bytes > _MAX_TEXT_BYTES or entry.pages_n_bytes > _MAX_PAGE_MAP_BYTES:
            raise self._reader.damaged("a text is longer than any that is stored")
        text = self._reader.data(self._expect("text", entry.text_sha256), _MAX_TEXT_BYTES)
        pages = self._reader.data(self._expect("pages", entry.pages_sha256), _MAX_PAGE_MAP_BYTES)
        stored = StoredText(text, entry.text_n_bytes, pages, entry.pages_n_bytes, entry.checksum)
        try:
            unpacked = storable(unpack_text(stored, entry.id))
        except LibraryDamaged as error:
            raise self._reader.damaged(f"the text of {entry.id[:12]}: {error.message}") from error
        if (len(unpacked.text), len(unpacked.pages)) != (entry.n_chars, entry.n_pages):
            raise self._reader.damaged("a text has another length than noted")
        return unpacked

    def _expect(self, kind: str, sha256: str) -> Member:
        member = self._reader.next()
        if (member.kind, member.sha256) != (kind, sha256):
            raise self._reader.damaged("its parts are not in their order")
        return member

    def _arrive(self, member: Member) -> Path:
        """A member's bytes on the store's file system, checked and flushed."""
        path = self._parts.files.scratch()
        with storage_errors(path):
            free = shutil.disk_usage(path.parent).free
        needed = member.size_bytes
        if needed > free:
            raise StorageError(
                f"the disk has {free / 1e9:.1f} GB left, the next part needs {needed / 1e9:.1f} GB",
                subject=str(self._parts.root),
                remedy="free some space and import it again; what was imported is kept",
            )
        try:
            with storage_errors(path), path.open("xb") as file:
                path.chmod(0o600)
                self._reader.copy(member, file, path)
                file.flush()
                os.fsync(file.fileno())
        except BaseException:
            with suppress(OSError):
                path.unlink(missing_ok=True)
            raise
        return path

    def _keep(self, entry: DocumentEntry, text: DocumentText, plan: _Plan, arrived: dict[str, Path]) -> None:
        """Everything of a document at once."""
        if not plan.takes_document:
            self._report.superseded.append(os.fsdecode(entry.paths[0].path))
            return
        taken = [row for row in _rows(entry.id, plan.readings) if self._sound(row, arrived)]
        documents, readings = self._parts.documents, self._parts.readings
        with self._parts.catalogue.transaction():
            for number, path in enumerate(plan.paths):
                file = SourceFile(os.fsdecode(path.path), path.size, _UNSEEN)
                if plan.takes_text and number == 0:
                    documents.add(
                        entry.id,
                        file,
                        text,
                        title=entry.title,
                        media_type=entry.media_type,
                        warnings=entry.warnings,
                        language=entry.language,
                    )
                else:
                    documents.add_path(entry.id, file)
                if path.missing:
                    documents.mark_missing(file.path)
            for reading in plan.readings:
                readings.put_profile(self._profiles[reading.profile_id])
                readings.put_volumes(entry.id, reading.profile_id, reading.volumes)
            for row in taken:
                if row.content in arrived:
                    self._parts.snapshots.adopt(row, arrived.pop(row.content))
                else:
                    readings.put_snapshot(row)  # the file is there already: taken for another volume
        self._report.snapshots.update(row.profile_id for row in taken)
        if plan.is_new:
            self._report.added += 1
        elif taken or plan.takes_text:
            self._report.completed += 1
        else:
            self._report.known += 1

    def _sound(self, row: SnapshotRow, arrived: dict[str, Path]) -> bool:
        problem = container_problem(arrived[row.content], [row])
        if problem:
            of = f"{row.document_id[:12]}, volume {row.ordinal + 1}"
            self._report.refused.append(f"The snapshot of {of}, was not taken: it {problem}.")
        return not problem


@dataclass(frozen=True, slots=True)
class _Plan:
    """What a library takes of a document."""

    is_new: bool
    takes_document: bool
    takes_text: bool
    paths: tuple[HeldPath, ...]
    readings: tuple[Reading, ...]

    @property
    def contents(self) -> set[str]:
        """The snapshot files that are wanted."""
        return {snapshot.content for reading in self.readings for snapshot in reading.snapshots}


def _plan(parts: Parts, entry: DocumentEntry, text: DocumentText) -> _Plan:
    """Files of which the library holds another version stay as they are.  A known document keeps its
    text when there are snapshots of it, and its volumes and snapshots."""
    held = {path: parts.documents.source(os.fsdecode(path.path)) for path in entry.paths}
    free = tuple(path for path, known in held.items() if known is None)
    try:
        ours: str | None = parts.documents.stored_text(entry.id).checksum
    except DocumentNotFound:
        ours = None
    if ours is None:
        return _Plan(True, bool(free), True, free, entry.readings if free else ())
    if ours == text_checksum(text):
        missing = (_missing(parts, entry.id, reading) for reading in entry.readings)
        return _Plan(False, True, False, free, tuple(reading for reading in missing if reading is not None))
    if parts.readings.snapshots(entry.id):
        return _Plan(False, True, False, free, ())
    again = free or tuple(path for path, known in held.items() if known and known[1] == entry.id)
    return _Plan(False, True, bool(again), again, entry.readings if again else ())


def _missing(parts: Parts, document_id: str, reading: Reading) -> Reading | None:
    """What the library lacks of a reading: None when it has all, or cut the document differently."""
    cut = parts.readings.volumes(document_id, reading.profile_id)
    if cut != reading.volumes and any(
        row.profile_id == reading.profile_id for row in parts.readings.snapshots(document_id)
    ):
        return None
    lacking = tuple(
        snapshot
        for snapshot in reading.snapshots
        if parts.snapshots.get(document_id, snapshot.ordinal, reading.profile_id) is None
    )
    if cut == reading.volumes and not lacking:
        return None
    return Reading(reading.profile_id, reading.volumes, lacking)


def _rows(document_id: str, readings: tuple[Reading, ...]) -> Iterator[SnapshotRow]:
    for reading in readings:
        for s in reading.snapshots:
            yield SnapshotRow(
                document_id,
                s.ordinal,
                reading.profile_id,
                s.content,
                s.size_bytes,
                s.n_tokens,
                s.codec,
                s.created_at,
                None,
            )
