"""From files to an indexed library: parse what is new or changed, record what failed and what went away."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from ingest.errors import ParseFailure
from ingest.parsers.base import Limits
from ingest.sandbox import ParsedFile, ParserPool
from ingest.scan import ScannedFile, ScanResult, scan
from kvfiles.errors import Cancelled
from library.errors import DocumentNotFound
from library.records import FailureRecord, SourceFile
from library.store import Library

COMMIT_EVERY = 50


class FileState(Enum):
    """What a scan found out about a file."""

    NEW = "new"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    COPY = "copy"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class FileOutcome:
    """One file: its state, the document it holds (None after a failure) and what went wrong."""

    path: Path
    state: FileState
    document_id: str | None
    title: str = ""
    failure: ParseFailure | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ParsedOutcome:
    """A `FileOutcome` with the parsed file when it had to be parsed."""

    outcome: FileOutcome
    parsed: ParsedFile | None


def look(
    library: Library | None, files: Iterable[ScannedFile], *, retry_failed: bool, limits: Limits | None = None
) -> Iterator[ParsedOutcome]:
    """Compare `files` with `library` and parse what is new or changed; changes nothing.

    A file that failed before is not tried again until it changes, unless `retry_failed`.
    """
    failures = {f.path: f for f in library.failures()} if library else {}
    with ParserPool(limits or Limits()) as pool:
        for file in files:
            known = library.source(str(file.path)) if library else None
            if known and (known[0].size, known[0].mtime_ns) == (file.size, file.mtime_ns):
                yield ParsedOutcome(FileOutcome(file.path, FileState.UNCHANGED, known[1]), None)
                continue
            failed = failures.get(str(file.path))
            if failed and not retry_failed and (failed.size, failed.mtime_ns) == (file.size, file.mtime_ns):
                before = ParseFailure(failed.code, subject=str(file.path), remedy=failed.remedy)
                yield ParsedOutcome(FileOutcome(file.path, FileState.FAILED, None, failure=before), None)
                continue
            yield _parse(pool, file, known[1] if known else None, library)


def _parse(pool: ParserPool, file: ScannedFile, known_id: str | None, library: Library | None) -> ParsedOutcome:
    try:
        parsed = pool.parse(file)
    except ParseFailure as failure:
        return ParsedOutcome(FileOutcome(file.path, FileState.FAILED, None, failure=failure), None)
    if known_id == parsed.document_id:
        state = FileState.UNCHANGED
    elif known_id is not None:
        state = FileState.CHANGED
    elif library is not None and _holds(library, parsed.document_id):
        state = FileState.COPY
    else:
        state = FileState.NEW
    outcome = FileOutcome(file.path, state, parsed.document_id, parsed.title, warnings=parsed.warnings)
    return ParsedOutcome(outcome, parsed)


def _holds(library: Library, document_id: str) -> bool:
    try:
        library.document(document_id)
    except DocumentNotFound:
        return False
    return True


@dataclass(frozen=True, slots=True)
class IndexReport:
    """What one run of `index` did."""

    outcomes: tuple[FileOutcome, ...]
    scan: ScanResult
    missing: tuple[str, ...]

    def count(self, *states: FileState) -> int:
        return sum(outcome.state in states for outcome in self.outcomes)

    @property
    def document_ids(self) -> tuple[str, ...]:
        """The documents of all readable files, each once, in the order of the files."""
        return tuple(dict.fromkeys(o.document_id for o in self.outcomes if o.document_id is not None))


def index(
    library: Library,
    paths: Sequence[Path],
    *,
    retry_failed: bool = False,
    prune: bool = False,
    limits: Limits | None = None,
    on_file: Callable[[FileOutcome, int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> IndexReport:
    """Bring `library` up to date with `paths`: text and search index, no model needed.

    Must run inside `library.writing()`.  Files that went away are marked, and removed with `prune`.
    Raises PathProblem, NothingToIngest (unless something is known below the paths), StorageError.
    """
    found = scan(paths, limits or Limits())
    gone = _gone(library, paths, found)
    if not found.files and not (prune and gone):
        found.require_files()
    outcomes: list[FileOutcome] = []
    for seen in look(library, found.files, retry_failed=retry_failed, limits=limits):
        if cancelled is not None and cancelled():
            raise Cancelled("stopped; everything indexed so far is kept")
        _record(library, seen)
        outcomes.append(seen.outcome)
        if on_file is not None:
            on_file(seen.outcome, len(outcomes), len(found.files))
        if len(outcomes) % COMMIT_EVERY == 0:
            library.commit_index()
    for path in gone:
        library.mark_missing(path)
    if prune:
        for path in paths:
            library.prune_missing(str(path.absolute()))
    library.commit_index()
    return IndexReport(tuple(outcomes), found, tuple(gone))


def _record(library: Library, seen: ParsedOutcome) -> None:
    outcome, parsed = seen.outcome, seen.parsed
    path = str(outcome.path)
    if outcome.failure is not None:
        known = library.source(path)
        if known is not None:  # its old text no longer stands in the file
            library.mark_missing(path)
        size, mtime_ns = _status(outcome.path)
        failure = outcome.failure
        library.record_failure(
            FailureRecord(path, size, mtime_ns, failure.code, failure.message, failure.remedy, time.time())
        )
        return
    if parsed is None:
        return
    source = SourceFile(path, parsed.size, parsed.mtime_ns)
    library.clear_failure(path)
    if outcome.state is FileState.UNCHANGED:
        library.touch(source)
    elif outcome.state is FileState.COPY:
        library.add_path(parsed.document_id, source)
    else:
        library.add(parsed.document_id, source, parsed.title, parsed.media_type, parsed.text, parsed.warnings)


def _status(path: Path) -> tuple[int, int]:
    try:
        status = path.lstat()
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns


def _gone(library: Library, paths: Sequence[Path], found: ScanResult) -> list[str]:
    """Known files below the scanned folders that are not there any more."""
    present = {str(file.path) for file in found.files} | {str(file.path) for file in found.skipped}
    gone: list[str] = []
    for path in paths:
        folder = str(path.absolute())
        gone += [s.path for s, _ in library.sources(folder) if s.path not in present and not Path(s.path).exists()]
    return list(dict.fromkeys(gone))
