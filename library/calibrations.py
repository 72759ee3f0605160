"""The calibrations that snapshots in the archive codec name: they are kept with the models, outside."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Protocol

from kvfiles.codecs import tables_id
from kvfiles.codecs.archive.codec import ArchiveCodec
from kvfiles.container import Container
from kvfiles.errors import SnapshotError, StorageError
from library.errors import LibraryDamaged
from library.integrity import Finding, Harm
from library.parts import Parts
from library.readings import SnapshotRow
from library.wording import one_line

MAX_BYTES = 64_000_000
"""Of a calibration's file; `kvfiles.codecs.archive` makes some 20 MB for a model of 1.5B."""
MAX_IN_ARCHIVE = 64
_ROWS_AT_A_TIME = 500


class CalibrationShelf(Protocol):
    """Where calibrations are kept."""

    def file_of(self, calibration_id: str) -> Path | None:
        """The file that says it is this calibration; None when there is none.  Raises StorageError."""

    def adopt(self, file: Path) -> str:
        """Keep a copy of a calibration's file, unless that calibration is here; returns its id.

        It is used for reading what was coded with it, for nothing else.
        Raises CalibrationCorrupt (content and id are checked) or StorageError.
        """


def calibration_of(path: Path) -> str | None:
    """The id that a snapshot's header names; None when it needs none or the file cannot be used."""
    try:
        with Container(path) as container:
            return tables_id(str(container.meta["codec"]), dict(container.meta["codec_params"]))
    except (SnapshotError, StorageError, KeyError, TypeError, ValueError):
        return None


def named_calibrations(parts: Parts) -> Iterator[tuple[SnapshotRow, str]]:
    """Every snapshot that names a calibration, one row for each file, with the calibration's id."""
    for page in parts.readings.content_pages(_ROWS_AT_A_TIME):
        rows = {row.content: row for row in page if row.codec == ArchiveCodec.name}
        for content, row in rows.items():
            try:
                found = calibration_of(parts.files.path(content))
            except LibraryDamaged:  # no content hash: other checks tell
                continue
            if found is not None:
                yield row, found


def calibrations_among(
    parts: Parts, document_ids: Collection[str] | None, profile_ids: Collection[str] | None
) -> dict[str, int]:
    """The calibrations that these documents' snapshots of these profiles name (all when None), with how
    many files name each."""
    found: dict[str, int] = {}
    for row, calibration_id in named_calibrations(parts):
        chosen = document_ids is None or row.document_id in document_ids
        if chosen and (profile_ids is None or row.profile_id in profile_ids):
            found[calibration_id] = found.get(calibration_id, 0) + 1
    return found


def missing_calibrations(parts: Parts, shelf: CalibrationShelf) -> Iterator[Finding]:
    """Snapshots that nothing can decode here.  Raises StorageError."""
    here: dict[str, bool] = {}
    for row, calibration_id in named_calibrations(parts):
        if calibration_id not in here:
            here[calibration_id] = shelf.file_of(calibration_id) is not None
        if not here[calibration_id]:
            of = f"{row.document_id[:12]}, volume {row.ordinal + 1},"
            sentence = (
                f"The snapshot of {of} needs the calibration {one_line(calibration_id)[:12]}, which is not "
                "here: import an export of the library that it came from, or let the document be read again "
                "when it is asked about."
            )
            yield Finding(Harm.CALIBRATION, sentence, row.content)
