"""Looking after a whole library: check, repair, clear away, count, carry to another machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from library.archive.exporting import ExportReport, Selection, export_library
from library.archive.importing import ImportReport, import_library
from library.calibrations import CalibrationShelf, missing_calibrations
from library.deep import check_deeply, repair
from library.garbage import GarbageReport, collect_garbage
from library.integrity import Finding, RepairReport, Verdict
from library.statistics import LibraryStatistics, gather
from library.store import Library
from library.verify import check_all

Counter = Callable[[int], None]
Measure = Callable[[int, int], None]


class Upkeep:
    """The work on one open library.  May raise LibraryDamaged and StorageError, as the library does.

    `calibrations` are checked, exported and imported with the snapshots that name them; None: they are not.
    """

    def __init__(self, library: Library, calibrations: CalibrationShelf | None = None) -> None:
        self._library = library
        self._parts = library.parts
        self._calibrations = calibrations

    def verify(
        self, *, deep: bool = False, on_document: Counter | None = None, on_snapshot: Counter | None = None
    ) -> Verdict:
        """Compare catalogue, texts, search index and snapshots with one another; changes nothing.

        With `deep` every snapshot is read: checksums of the file and its sections, header against row.
        """
        check = check_deeply if deep else check_all
        findings = tuple(check(self._parts, on_document=on_document, on_snapshot=on_snapshot))
        findings += self._missing_calibrations()
        totals = self._library.totals()
        return Verdict(totals.n_documents, totals.n_snapshots, deep, findings)

    def repair(
        self,
        *,
        deep: bool = False,
        wait_s: float = 0.0,
        on_document: Counter | None = None,
        on_snapshot: Counter | None = None,
    ) -> RepairReport:
        """Check and mend what can be mended (see `library.deep.repair`).  Raises LibraryLocked."""
        with self._library.writing(wait_s):
            verdict = self.verify(deep=deep, on_document=on_document, on_snapshot=on_snapshot)
            report = repair(self._parts, verdict.findings)
            return replace(report, left=report.left + self._missing_calibrations())

    def _missing_calibrations(self) -> tuple[Finding, ...]:
        return (
            () if self._calibrations is None else tuple(missing_calibrations(self._parts, self._calibrations))
        )

    def collect_garbage(self, *, keep: bool = False, wait_s: float = 0.0) -> GarbageReport:
        """Remove what nothing refers to; with `keep` only say what it is.  Raises LibraryLocked."""
        with self._parts.lock.hold(wait_s):
            return collect_garbage(self._parts, keep=keep)

    def statistics(self, current_profile: str | None = None) -> LibraryStatistics:
        """What there is and what it takes; snapshots of other profiles than `current_profile` are stale."""
        return gather(self._parts, current_profile)

    def export(
        self,
        target: Path,
        selection: Selection | None = None,
        *,
        overwrite: bool = False,
        on_bytes: Measure | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> ExportReport:
        """Write an archive (see `library.archive`)."""
        return export_library(
            self._parts,
            target,
            selection or Selection(),
            calibrations=self._calibrations,
            overwrite=overwrite,
            on_bytes=on_bytes,
            cancelled=cancelled,
        )

    def import_from(
        self,
        source: Path,
        report: ImportReport | None = None,
        *,
        wait_s: float = 0.0,
        on_bytes: Measure | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> ImportReport:
        """Take over the documents of an archive; an empty `report` given here tells what was kept after
        an exception.  Raises LibraryLocked, and what `library.archive.importing.import_library` raises."""
        report = ImportReport() if report is None else report
        with self._library.writing(wait_s):
            import_library(
                self._parts,
                source,
                report,
                calibrations=self._calibrations,
                on_bytes=on_bytes,
                cancelled=cancelled,
            )
        return report
