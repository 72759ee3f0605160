"""What is done with files and the library without a model: look, index, remove, verify."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from beyondrag.calibration.store import CalibrationStore, HeldTables
from beyondrag.errors import UsageError
from beyondrag.estimate import CHARS_PER_TOKEN, estimate
from beyondrag.planning import PlannedReading
from beyondrag.quantities import counted
from beyondrag.service.announcer import Announcer
from beyondrag.service.notices import FileProblem, Looking, Plan, TaskDone
from beyondrag.service.pace import Throttle
from beyondrag.service.ticket import Ticket
from beyondrag.settings import Settings
from ingest.indexing import index, look
from ingest.outcomes import FileOutcome, FileState, Tally
from ingest.pipeline import FRAME_TOKENS
from ingest.reader import RESERVED_TOKENS
from ingest.scan import ScanResult, scan
from kvfiles import kernels
from kvfiles.codecs import TablesSource
from kvfiles.errors import CalibrationError, Cancelled, SnapshotError, StorageError
from kvfiles.snapshot import Snapshot
from library.errors import DocumentNotFound, LibraryDamaged
from library.files import regular_size
from library.records import DocumentRecord, SnapshotRecord
from library.store import Library
from library.upkeep import Upkeep

WAIT_FOR_WRITER_S = 5.0
"""How long another process may keep the library to itself before a task gives up."""
LOOK_EVERY_S = 0.1
MAX_PROBLEMS = 1000
MAX_LINES = 200
ADDED = (FileState.NEW, FileState.CHANGED, FileState.COPY)

_PROMPT_TOKENS = 128
"""About what a prompt's prefix takes; only for plans."""


@dataclass(frozen=True, slots=True)
class Indexed:
    """What indexing did: how many files brought a document, what went wrong, whether it was stopped."""

    n_added: int
    problems: tuple[FileProblem, ...]
    cancelled: bool = False


class FileTasks:
    """Runs in the files thread, on its own `Library` object.

    Every method raises library, ingest and storage errors, and Cancelled when its ticket was stopped.
    """

    def __init__(self, library: Library, calibrations: CalibrationStore, announcer: Announcer) -> None:
        self._library, self._calibrations, self._announcer = library, calibrations, announcer
        self._tables = HeldTables(calibrations)

    # ---------------------------------------------------------------------- plan

    def plan(self, ticket: Ticket, paths: Sequence[Path], settings: Settings, profile_id: str | None) -> Plan:
        """What ingesting `paths` would do; parses what is new or changed, keeps nothing of it.

        `profile_id` None: the model is not known yet, so every known document counts as unread.
        """
        found = scan(paths)
        found.require_files()
        saying, tally = self._looking(ticket), Tally()
        outcomes: list[FileOutcome] = []
        planned = PlannedReading(self._library)
        for done, seen in enumerate(look(self._library, found.files, retry_failed=True), start=1):
            _stop_if(ticket)
            outcome = seen.outcome
            tally.add(outcome)
            if (outcome.failure is not None or outcome.warnings) and len(outcomes) < MAX_PROBLEMS:
                outcomes.append(outcome)
            planned.add(seen)
            saying(outcome.path.name, done, max(done, len(found.files)))
        unread = planned.unread_chars(profile_id)
        # A calibration takes minutes that no question could interrupt: here it is left to a command.
        cost = estimate(sum(unread), settings, self._library, calibrates=False)
        room = max(settings.context - RESERVED_TOKENS - FRAME_TOKENS - _PROMPT_TOKENS, 1)
        return Plan(
            ticket.number,
            tuple(paths),
            _counts(tally, found),
            (*(FileProblem("", warning, "") for warning in cost.warnings), *problems_of(outcomes, found)),
            sum(ceil(max(n / CHARS_PER_TOKEN, 1) / room) for n in unread),
            cost.tokens,
            cost.size_bytes or 0,
            cost.seconds,
            tuple(found.n_ignored().items()),
        )

    # --------------------------------------------------------------------- index

    def index(
        self, ticket: Ticket, paths: Sequence[Path], on_documents: Callable[[Iterable[str]], None]
    ) -> Indexed:
        """Bring the library up to date with `paths`; what was indexed before a stop is kept.

        `on_documents` hears of the documents of all files as soon as they are in the library.
        """
        saying = self._looking(ticket)
        added: list[FileOutcome] = []

        def on_file(outcome: FileOutcome, done: int, total: int) -> None:
            saying(outcome.path.name, done, total)
            if outcome.document_id is not None:
                on_documents([outcome.document_id])
            if outcome.state in ADDED:
                added.append(outcome)
                self._announcer.library_changed(settled=False)

        try:
            with self._library.writing(wait_s=WAIT_FOR_WRITER_S):
                report = index(
                    self._library, paths, retry_failed=True, on_file=on_file, cancelled=ticket.stopped
                )
        except Cancelled:
            return Indexed(len(added), (), cancelled=True)
        finally:
            self._announcer.library_changed()
        on_documents(report.document_ids)
        return Indexed(len(added), problems_of(report.problems, report.scan))

    # ------------------------------------------------------------------- the rest

    def remove(self, ticket: Ticket, document_ids: Sequence[str]) -> TaskDone:
        """Forget documents; one that is not there any more is no failure."""
        lines = []
        try:
            with self._library.writing(wait_s=WAIT_FOR_WRITER_S):
                for document_id in document_ids:
                    _stop_if(ticket)
                    try:
                        document = self._library.document(document_id)
                    except DocumentNotFound:
                        continue
                    self._library.remove(document_id)
                    lines.append(f"removed {document.title} ({document.name})")
        finally:
            self._announcer.library_changed()
        return TaskDone(ticket.number, _bounded(lines or ["nothing was there to remove"]))

    def verify(self, ticket: Ticket, document_ids: Sequence[str], *, deep: bool) -> TaskDone:
        """Check these documents, or the whole library with its index; see `interface.Service.verify`."""
        if not document_ids:
            return TaskDone(ticket.number, _told(*self._check_all(ticket, deep=deep), deep=deep))
        findings: list[str] = []
        n_snapshots = 0
        saying = self._looking(ticket)
        for done, document in enumerate(map(self._library.document, document_ids), start=1):
            _stop_if(ticket)
            found, n_checked = self._check(ticket, document, deep=deep)
            findings += found
            n_snapshots += n_checked
            saying(document.name, done, len(document_ids))
        return TaskDone(ticket.number, _told(len(document_ids), n_snapshots, findings, deep=deep))

    def _check_all(self, ticket: Ticket, *, deep: bool) -> tuple[int, int, list[str]]:
        """How many documents and snapshots were checked, and what is wrong."""
        totals, saying = self._library.totals(), self._looking(ticket)
        everything = totals.n_documents + totals.n_snapshots

        def on_document(n: int) -> None:
            _stop_if(ticket)
            saying("documents", n, max(everything, n))

        def on_snapshot(n: int) -> None:
            _stop_if(ticket)
            done = totals.n_documents + n
            saying("snapshots", done, max(everything, done))

        verdict = Upkeep(self._library, self._calibrations).verify(
            deep=deep, on_document=on_document, on_snapshot=on_snapshot
        )
        return verdict.n_documents, verdict.n_snapshots, [finding.text for finding in verdict.findings]

    def _check(self, ticket: Ticket, document: DocumentRecord, *, deep: bool) -> tuple[list[str], int]:
        """What is wrong with one document, in plain sentences, and how many snapshots it has."""
        found = []
        try:
            self._library.text(document.id)
        except LibraryDamaged as error:
            found.append(f"The text of {document.title} ({document.name}) cannot be used: {error.message}.")
        except DocumentNotFound:
            return [], 0  # removed meanwhile
        snapshots = self._library.snapshots(document.id)
        for record in snapshots:
            _stop_if(ticket)
            wrong = _snapshot_problem(record, self._tables, deep=deep)
            if wrong:
                part = f"part {record.ordinal + 1} of " if len(snapshots) > 1 else ""
                found.append(
                    f"The snapshot of {part}{document.title} ({document.name}) cannot be used: "
                    f"{wrong}.  It is made again when the document is next asked about."
                )
        return found, len(snapshots)

    def _looking(self, ticket: Ticket) -> Callable[[str, int, int], None]:
        """Says where a task stands, a few times a second and at the end."""
        throttle = Throttle(LOOK_EVERY_S)

        def say(name: str, done: int, total: int) -> None:
            if throttle.due(time.monotonic()) or done == total:
                self._announcer.tell(Looking(ticket.number, done, total, name))

        return say


def _snapshot_problem(record: SnapshotRecord, tables: TablesSource, *, deep: bool) -> str:
    """Why its file cannot be used; "" when it can."""
    if not deep:
        size = regular_size(record.path)
        return "it is gone" if size is None else "" if size == record.size_bytes else "it has another size"
    try:
        with Snapshot(record.path, kernels.best(), tables) as snapshot:
            snapshot.container.verify()
    except (SnapshotError, CalibrationError, StorageError) as error:
        return error.message
    return ""


def _told(n_documents: int, n_snapshots: int, findings: Sequence[str], *, deep: bool) -> tuple[str, ...]:
    """What a check found, as lines."""
    ending = counted(len(findings), "finding") if findings else "nothing is wrong"
    checked = f"{counted(n_documents, 'document')} and {counted(n_snapshots, 'snapshot')} checked"
    how = "" if deep else "; of snapshots existence and size"
    return _bounded([f"{checked}: {ending}{how}", *findings])


def problems_of(outcomes: Sequence[FileOutcome], found: ScanResult) -> tuple[FileProblem, ...]:
    """Failures, then warnings, then what was left out for another reason than its kind; up to 1000."""
    problems = [
        FileProblem(str(outcome.path), outcome.failure.message, outcome.failure.remedy)
        for outcome in outcomes
        if outcome.failure is not None
    ]
    problems += [
        FileProblem(str(outcome.path), warning, "") for outcome in outcomes for warning in outcome.warnings
    ]
    problems += [
        FileProblem(str(file.path), file.reason, file.remedy)
        for file in found.skipped
        if file.code != "unsupported"
    ]
    problems += [FileProblem("", warning, "") for warning in found.warnings]
    return tuple(problems[:MAX_PROBLEMS])


def _counts(tally: Tally, found: ScanResult) -> tuple[tuple[str, int], ...]:
    """Files and messages by state, then what is left out by its kind; nothing that is 0."""
    counts = [(state.value, tally.files[state]) for state in FileState]
    counts += [(f"{state.value} messages", tally.members[state]) for state in FileState]
    counts.append(("other kinds", sum(file.code == "unsupported" for file in found.skipped)))
    return tuple((words, n) for words, n in counts if n)


def require_paths(paths: Sequence[Path]) -> tuple[Path, ...]:
    """The paths, absolute.  Raises UsageError when there are none."""
    if not paths:
        raise UsageError("no file or folder was named", remedy="name a folder with documents")
    return tuple(path.expanduser().absolute() for path in paths)


def _bounded(lines: Sequence[str]) -> tuple[str, ...]:
    more = len(lines) - MAX_LINES
    return tuple(lines[:MAX_LINES]) + ((f"... and {more} more",) if more > 0 else ())


def _stop_if(ticket: Ticket) -> None:
    if ticket.stopped():
        raise Cancelled("stopped")
