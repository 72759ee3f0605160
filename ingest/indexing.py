"""From files to an indexed library: parse what is new or changed, record what failed and what went away."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from ingest.errors import ParseFailure
from ingest.left_out import is_over, note_left_out
from ingest.looking import PASSING, Look, look
from ingest.outcomes import FileOutcome, FileState, IndexReport, ParsedOutcome, Tally
from ingest.parsers import is_container
from ingest.parsers.base import Limits
from ingest.sandbox import ParsedFile
from ingest.scan import ScannedFile, ScanResult, scan
from kvfiles.errors import Cancelled
from library.errors import DocumentNotFound
from library.records import NEVER_TRIED, FailureRecord, SourceFile
from library.store import Library

__all__ = [
    "FileOutcome",
    "FileState",
    "IndexReport",
    "ParsedOutcome",
    "index",
    "look",
    "only_file",
    "title_of",
]

COMMIT_EVERY = 2_000
COMMIT_EVERY_S = 20.0
"""The search index learns of new documents after so many files or seconds: each time costs it a tenth of a
second.  What it has not learned yet is in the catalogue, and found there after a crash."""
MAX_MEMBER_FAILURES = 1_000
"""Of one container; of more, only the number is noted: a mailbox may hold a million damaged messages."""


def index(
    library: Library,
    paths: Sequence[Path],
    *,
    retry_failed: bool = False,
    prune: bool = False,
    no_ignore: bool = False,
    limits: Limits | None = None,
    on_file: Callable[[FileOutcome, int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> IndexReport:
    """Bring `library` up to date with `paths`: text and search index, no model needed.

    Must run inside `library.writing()`.  Files that cannot be read get a row in `library.failures()`, also
    those that the scan left out unopened (see `ingest.left_out`).  Files that went away, or that a rule
    leaves out now, are marked, and removed with `prune`.  `on_file` is told of each file, and each member of
    a container, when it is durably recorded: the outcome, how many there were so far, and of how many that
    are known of.
    Raises PathProblem, NothingToIngest (unless something went away below the paths), Cancelled
    (what was indexed so far is kept), StorageError.
    """
    limits = limits or Limits()
    found = scan(paths, limits, no_ignore=no_ignore)
    folders = [os.path.abspath(path) for path in paths]  # noqa: PTH100  (as `scan` does; links stay)
    gone = _Gone(library, folders, found)
    listed = note_left_out(library, found.skipped)
    if not found.files and not gone:
        found.require_files()
    recorder = _Recorder(library)
    tally = Tally()
    outcomes: list[FileOutcome] = []
    n_told = 0
    with Look(library, found.files, retry_failed=retry_failed, limits=limits) as looking:
        for batch in looking.batches():
            recorder.record(batch)
            looking.recorded()
            for seen in batch:
                tally.add(seen.outcome)
                if seen.outcome.container is None:
                    outcomes.append(seen.outcome)
                n_told += 1
                if on_file is not None:
                    on_file(seen.outcome, n_told, len(found.files) + looking.n_listed)
            if cancelled is not None and cancelled():
                raise Cancelled("stopped; everything indexed so far is kept")
    gone.mark(listed)
    if prune:
        for folder in folders:
            library.prune_missing(folder)
        library.containers.clear()
    library.commit_index()
    return IndexReport(
        tuple(outcomes),
        found,
        gone.paths,
        tuple(recorder.document_ids),
        tally.members,
        tuple(tally.member_problems),
        recorder.n_missing_members,
    )


class _Recorder:
    """Writes outcomes into the library, a batch in one transaction."""

    def __init__(self, library: Library) -> None:
        self.document_ids: dict[str, None] = {}
        self.n_missing_members = 0
        self._library = library
        self._container = ""
        self._is_incomplete = False
        self._n_failed_members = 0
        self._n_uncommitted = 0
        self._committed_at = time.monotonic()

    def record(self, batch: Sequence[ParsedOutcome]) -> None:
        """Record a batch; it is durable when this returns."""
        if batch:
            with self._library.batch():
                for seen in batch:
                    self._record(seen)
        self._n_uncommitted += len(batch)
        late = time.monotonic() - self._committed_at > COMMIT_EVERY_S
        if self._n_uncommitted >= COMMIT_EVERY or (self._n_uncommitted and late):
            self._library.commit_index()
            self._n_uncommitted = 0
            self._committed_at = time.monotonic()

    def _record(self, seen: ParsedOutcome) -> None:
        outcome = seen.outcome
        if seen.is_container:
            self._finish(seen)
        elif outcome.container is not None:
            self._begin(str(outcome.container))
            self._is_incomplete |= outcome.failure is not None and outcome.failure.code in PASSING
        elif seen.tried and is_container(seen.file.parser):
            self._forget_members(seen)
        if outcome.failure is not None:
            self._record_failure(seen)
            if outcome.container is None and is_container(seen.file.parser):
                self._note_members(str(outcome.path))  # what was read of it is as good as any other document
        elif seen.parsed is not None:
            self._record_document(seen)
        elif outcome.document_id is not None:
            self._note_return(seen, outcome.document_id)
        if outcome.document_id is not None and outcome.container is None:
            self.document_ids[outcome.document_id] = None

    def _begin(self, container: str) -> None:
        if container != self._container:
            self._container, self._is_incomplete, self._n_failed_members = container, False, 0
            self._library.containers.begin(container)

    def _finish(self, seen: ParsedOutcome) -> None:
        path = str(seen.file.path)
        containers = self._library.containers
        if seen.outcome.state is not FileState.UNCHANGED:
            self._library.clear_failure(path)
            self._begin(path)
            if not self._is_incomplete:
                self.n_missing_members += containers.finish(_source(seen.file))
            if self._n_failed_members > MAX_MEMBER_FAILURES:
                detail = f"{self._n_failed_members:,}; the first {MAX_MEMBER_FAILURES:,} of them are listed"
                self._note_failure(path, NEVER_TRIED, 0, ParseFailure("members", detail=detail))
        self._container = ""
        self._note_members(path)

    def _note_members(self, container: str) -> None:
        self.document_ids.update(dict.fromkeys(self._library.containers.document_ids(container)))

    def _forget_members(self, seen: ParsedOutcome) -> None:
        """A container that became a single document.  (One that cannot be read may still be one.)"""
        if seen.outcome.failure is None:
            self._library.containers.forget(str(seen.file.path))

    def _record_failure(self, seen: ParsedOutcome) -> None:
        outcome = seen.outcome
        # The failure of a member carries the time of its container: it is noted anew whenever it is met.
        if outcome.failure is None or not (seen.tried or outcome.container):
            return
        if outcome.container is not None:
            self._n_failed_members += 1
            if self._n_failed_members > MAX_MEMBER_FAILURES:
                return
        path = str(outcome.path)
        if self._library.source(path) is not None:  # its old text no longer stands in the file
            self._library.mark_missing(path)
        self._note_failure(path, seen.file.size, seen.file.mtime_ns, outcome.failure)

    def _note_failure(self, path: str, size: int, mtime_ns: int, failure: ParseFailure) -> None:
        self._library.record_failure(
            FailureRecord(path, size, mtime_ns, failure.code, failure.message, failure.remedy, time.time())
        )

    def _record_document(self, seen: ParsedOutcome) -> None:
        """A file with the bytes of before is stored again too: that mends a damaged text, and a title that an
        earlier version read.  Another title is another prompt, so it costs the snapshots (`Library.add`)."""
        outcome, parsed = seen.outcome, seen.parsed
        assert parsed is not None
        source = SourceFile(str(outcome.path), parsed.size, parsed.mtime_ns)
        self._library.clear_failure(source.path)
        if outcome.state is FileState.COPY:
            try:
                self._library.add_path(parsed.document_id, source)
            except DocumentNotFound:  # its other file has just changed
                pass
            else:
                return
        title = parsed.title
        if outcome.state is FileState.UNCHANGED:
            title = title_of(self._library, parsed, source.path)
        self._library.add(
            parsed.document_id,
            source,
            title,
            parsed.media_type,
            parsed.text,
            parsed.warnings,
            parsed.language,
        )

    def _note_return(self, seen: ParsedOutcome, document_id: str) -> None:
        """A file that was away and came back unchanged is not missing any more: --prune must not take it."""
        source = SourceFile(str(seen.outcome.path), seen.file.size, seen.file.mtime_ns)
        if seen.outcome.container is not None:
            self._library.touch(source)  # it is still in its container
            return
        document = self._library.document(document_id)
        if document.missing or len(document.paths) > 1:  # of several, any may be the one that was away
            self._library.touch(source)


def title_of(library: Library, parsed: ParsedFile, path: str) -> str:
    """The title of a document whose file at `path` was parsed again with the same bytes: only the file that
    gives the document its name may change it, or copies under other names would take turns."""
    try:
        document = library.document(parsed.document_id)
    except DocumentNotFound:  # removed since the scan
        return parsed.title
    return parsed.title if document.path == path else document.title


class _Gone:
    """Known files below the scanned folders that are not there any more, or that a rule leaves out now."""

    def __init__(self, library: Library, folders: Sequence[str], found: ScanResult) -> None:
        self._library = library
        self._folders = folders
        self._found = found
        self._known: set[str] = {path for folder in folders for path in library.containers.below(folder)}
        present = {str(file.path) for file in found.files} | {str(file.path) for file in found.skipped}
        self._containers = [path for path in self._known if path not in present and self._is_gone(path)]
        self._files: dict[str, None] = {}
        for folder in folders:
            for source, _ in library.sources(folder):
                path = source.path
                if path not in present and not self._is_member(path) and self._is_gone(path):
                    self._files[path] = None

    def __bool__(self) -> bool:
        return bool(self._files or self._containers)

    @property
    def paths(self) -> tuple[str, ...]:
        """Files and containers; the members of a container that is gone are not named."""
        return tuple(sorted((*self._files, *self._containers)))

    def mark(self, left_out: Collection[str]) -> None:
        """Mark them as missing, and forget the failures of files that are gone or, when it was the scan that
        left them out, are not among the `left_out` any more."""
        library = self._library
        for folder in self._folders:
            self._known.update(library.containers.below(folder))
        with library.batch():
            for path in self._files:
                library.mark_missing(path)
            for path in self._containers:
                library.containers.forget(path)
            for failure in library.failures():
                path = failure.path
                if not _lies_below(path, self._folders) or self._is_member(path):
                    continue
                if self._is_gone(path) or is_over(failure, left_out):
                    library.clear_failure(path)

    def _is_member(self, path: str) -> bool:
        """Whether it is part of a container: those are marked when that is gone through."""
        return os.path.dirname(path) in self._known  # noqa: PTH120  (names may hold any bytes)

    def _is_gone(self, path: str) -> bool:
        return self._found.is_ignored(path) or _is_nothing(path)


def _is_nothing(path: str) -> bool:
    """Whether there is certainly nothing at `path`; a folder that may not be entered proves nothing."""
    try:
        os.stat(path)  # noqa: PTH116  (names may hold any bytes)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False
    return False


def _lies_below(path: str, folders: Sequence[str]) -> bool:
    return any(path == folder or path.startswith(folder.rstrip(os.sep) + os.sep) for folder in folders)


def _source(file: ScannedFile) -> SourceFile:
    return SourceFile(str(file.path), file.size, file.mtime_ns)


def only_file(path: Path) -> ScannedFile:
    """The one file `path`, to be parsed outside of a library.  Raises PathProblem or NothingToIngest."""
    found = scan([path])
    found.require_files()
    return found.files[0]
