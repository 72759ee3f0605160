"""From files to an indexed library: parse what is new or changed, record what failed and what went away."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from ingest.errors import FAILURE_CODES, ParseFailure
from ingest.parsers.base import Limits
from ingest.sandbox import ParsedFile, ParserPool
from ingest.scan import ScannedFile, ScanResult, scan
from kvfiles.errors import Cancelled
from library.errors import DocumentNotFound
from library.records import FailureRecord, SourceFile
from library.store import Library

COMMIT_EVERY = 50

_PASSING = frozenset({"vanished", "changed", "no-permission"})
"""Failures that may end without a change of the file's size or time: they are always tried again."""


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
    """A `FileOutcome` with the file as it was scanned, and as it was parsed if it was.

    `tried` is False when the outcome follows from what the library knows: nothing was opened.
    """

    file: ScannedFile
    outcome: FileOutcome
    parsed: ParsedFile | None = None
    tried: bool = True


def look(
    library: Library | None, files: Iterable[ScannedFile], *, retry_failed: bool, limits: Limits | None = None
) -> Iterator[ParsedOutcome]:
    """Compare `files` with `library` and parse what is new or changed; changes nothing.

    A file that failed before is not tried again until it changes, unless `retry_failed` or what was
    wrong lay outside of it.
    """
    failures = {f.path: f for f in library.failures()} if library else {}
    new: set[str] = set()
    with ParserPool(limits or Limits()) as pool:
        for file in files:
            known = library.source(str(file.path)) if library else None
            if known and (known[0].size, known[0].mtime_ns) == (file.size, file.mtime_ns):
                outcome = FileOutcome(file.path, FileState.UNCHANGED, known[1])
                yield ParsedOutcome(file, outcome, tried=False)
                continue
            before = None if retry_failed else _same_failure(failures.get(str(file.path)), file)
            if before is not None:
                outcome = FileOutcome(file.path, FileState.FAILED, None, failure=before)
                yield ParsedOutcome(file, outcome, tried=False)
                continue
            try:
                parsed = pool.parse(file)
            except ParseFailure as failure:
                yield ParsedOutcome(file, FileOutcome(file.path, FileState.FAILED, None, failure=failure))
                continue
            state = _state(library, known[1] if known else None, parsed.document_id, new)
            if state is FileState.NEW:
                new.add(parsed.document_id)
            outcome = FileOutcome(
                file.path, state, parsed.document_id, parsed.title, warnings=parsed.warnings
            )
            yield ParsedOutcome(file, outcome, parsed)


def _state(
    library: Library | None, known_id: str | None, document_id: str, new: Collection[str]
) -> FileState:
    if known_id == document_id:
        return FileState.UNCHANGED
    if known_id is not None:
        return FileState.CHANGED
    if document_id in new or (library is not None and _holds(library, document_id)):
        return FileState.COPY
    return FileState.NEW


def _same_failure(failed: FailureRecord | None, file: ScannedFile) -> ParseFailure | None:
    """What was wrong with exactly this file before, in the same words, when it cannot have become better."""
    if failed is None or (failed.size, failed.mtime_ns) != (file.size, file.mtime_ns):
        return None
    if failed.code in _PASSING or failed.code not in FAILURE_CODES:
        return None
    detail = failed.reason.removeprefix(FAILURE_CODES[failed.code][0]).strip()
    return ParseFailure(
        failed.code,
        subject=file.path,
        detail=detail.removeprefix("(").removesuffix(")"),
        remedy=failed.remedy,
    )


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
    Raises PathProblem, NothingToIngest (unless something went away below the paths), Cancelled
    (what was indexed so far is kept), StorageError.
    """
    found = scan(paths, limits or Limits())
    folders = [os.path.abspath(path) for path in paths]  # noqa: PTH100  (as `scan` does; links stay)
    gone = _gone(library, folders, found)
    if not found.files and not gone:
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
    for failure in library.failures():
        if _lies_below(failure.path, folders) and _is_gone(failure.path):
            library.clear_failure(failure.path)
    if prune:
        for folder in folders:
            library.prune_missing(folder)
    library.commit_index()
    return IndexReport(tuple(outcomes), found, tuple(gone))


def _record(library: Library, seen: ParsedOutcome) -> None:
    outcome, parsed = seen.outcome, seen.parsed
    path = str(outcome.path)
    if outcome.failure is not None:
        if not seen.tried:
            return
        if library.source(path) is not None:  # its old text no longer stands in the file
            library.mark_missing(path)
        failure, size, mtime_ns = outcome.failure, seen.file.size, seen.file.mtime_ns
        library.record_failure(
            FailureRecord(path, size, mtime_ns, failure.code, failure.message, failure.remedy, time.time())
        )
        return
    if parsed is None:
        _note_return(library, seen)
        return
    source = SourceFile(path, parsed.size, parsed.mtime_ns)
    library.clear_failure(path)
    if outcome.state is FileState.UNCHANGED:
        library.touch(source)
    elif outcome.state is FileState.COPY:
        library.add_path(parsed.document_id, source)
    else:
        library.add(parsed.document_id, source, parsed.title, parsed.media_type, parsed.text, parsed.warnings)


def _note_return(library: Library, seen: ParsedOutcome) -> None:
    """A file that was away and came back unchanged is not missing any more: --prune must not take it."""
    document = library.document(str(seen.outcome.document_id))
    if document.missing or len(document.paths) > 1:  # of several, any may be the one that was away
        library.touch(SourceFile(str(seen.file.path), seen.file.size, seen.file.mtime_ns))


def _gone(library: Library, folders: Sequence[str], found: ScanResult) -> list[str]:
    """Known files below the scanned folders that are not there any more."""
    present = {str(file.path) for file in found.files} | {str(file.path) for file in found.skipped}
    gone: list[str] = []
    for folder in folders:
        known = [source.path for source, _ in library.sources(folder)]
        gone += [path for path in known if path not in present and _is_gone(path)]
    return list(dict.fromkeys(gone))


def _is_gone(path: str) -> bool:
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


def only_file(path: Path) -> ScannedFile:
    """The one file `path`, to be parsed outside of a library.  Raises PathProblem or NothingToIngest."""
    found = scan([path])
    found.require_files()
    return found.files[0]
