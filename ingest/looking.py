"""Compares scanned files with the library and parses what is new or changed; changes nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ingest.errors import FAILURE_CODES, ParseFailure
from ingest.outcomes import FileOutcome, FileState, ParsedOutcome
from ingest.parallel import Job, ParallelParsers, Ready
from ingest.parsers import is_container
from ingest.parsers.base import Limits, Member, MemberPage
from ingest.parsers.titles import shorten
from ingest.sandbox import ParsedFile, ParserPool
from ingest.scan import ScannedFile
from library.errors import DocumentNotFound
from library.records import FailureRecord, SourceFile
from library.store import Library

PASSING = frozenset({"vanished", "changed", "no-permission"})
"""Failures that may end without a change of the file's size or time: they are always tried again."""
_MEMBER_ID_CHARS = 24
_MEMBER_TITLE_CHARS = 50


def look(
    library: Library | None, files: Iterable[ScannedFile], *, retry_failed: bool, limits: Limits | None = None
) -> Iterator[ParsedOutcome]:
    """Compare `files` with `library` and parse what is new or changed; changes nothing.

    A file that failed before is not tried again until it changes, unless `retry_failed` or what was
    wrong lay outside of it.  The outcomes come in the order of the files; those of the members of a container
    before its own.
    """
    with Look(library, files, retry_failed=retry_failed, limits=limits) as looking:
        for batch in looking.batches():
            yield from batch


@dataclass(frozen=True, slots=True)
class _Result:
    """What a job came to; `known_id` is the document that the file held before."""

    file: ScannedFile
    member: Member | None
    known_id: str | None
    parsed: ParsedFile | ParseFailure


_Known = ParsedOutcome | _Result


class Look:
    """One look at some files.  A context manager; see `look`.

    `n_listed` counts the members of containers that were found so far.
    """

    def __init__(
        self,
        library: Library | None,
        files: Iterable[ScannedFile],
        *,
        retry_failed: bool,
        limits: Limits | None = None,
    ) -> None:
        self.n_listed = 0
        self._library = library
        self._files = files
        self._retry_failed = retry_failed
        self._limits = limits or Limits()
        self._new: set[str] = set()
        self._parsers: ParallelParsers[_Known] = ParallelParsers(self._limits, _weight)

    def __enter__(self) -> Look:
        return self

    def __exit__(self, *_: object) -> None:
        self._parsers.close()

    def batches(self) -> Iterator[list[ParsedOutcome]]:
        """The outcomes, in batches as they get ready; at times an empty one, while a file takes long."""
        for batch in self._parsers.in_order(self._jobs()):
            yield [known if isinstance(known, ParsedOutcome) else self._outcome(known) for known in batch]

    def recorded(self) -> None:
        """To be called when all that came so far is in the library: what is there need not be remembered."""
        self._new.clear()

    # -- what is to be done

    def _jobs(self) -> Iterator[Ready[_Known] | Job[_Known]]:
        for file in self._files:
            if is_container(file.parser):
                yield from self._container(file)
            else:
                yield self._file(file)

    def _file(self, file: ScannedFile) -> Ready[_Known] | Job[_Known]:
        known = self._library.source(str(file.path)) if self._library else None
        if known and (known[0].size, known[0].mtime_ns) == (file.size, file.mtime_ns):
            outcome = FileOutcome(file.path, FileState.UNCHANGED, known[1])
            return Ready(ParsedOutcome(file, outcome, tried=False))
        before = self._failed_before(str(file.path), file)
        if before is not None:
            return Ready(_failed(file, file.path, before, tried=False))
        return _parse_job(file, None, known[1] if known else None)

    def _container(self, file: ScannedFile) -> Iterator[Ready[_Known] | Job[_Known]]:
        source = SourceFile(str(file.path), file.size, file.mtime_ns)
        containers = self._library.containers if self._library else None
        if containers and not self._is_retried(source.path) and containers.n_members(source) is not None:
            outcome = FileOutcome(file.path, FileState.UNCHANGED, None)
            yield Ready(ParsedOutcome(file, outcome, tried=False, is_container=True))
            return
        before = self._failed_before(source.path, file)
        if before is not None:
            yield Ready(_failed(file, file.path, before, tried=False))
            return
        is_known = bool(containers and source.path in containers.below(source.path))
        n_members = 0
        offset: int | None = 0
        try:
            while offset is not None:
                page = self._parsers.now(_listing(file, offset))
                if page is None:  # one document, whatever its name says
                    yield self._file(file)
                    return
                taken = page.members[: self._limits.max_members - n_members]
                n_members += len(taken)
                if not n_members:
                    raise ParseFailure("empty", subject=file.path)
                self.n_listed += len(taken)
                yield from self._members(file, taken)
                if len(taken) < len(page.members):
                    raise ParseFailure(
                        "too-large",
                        subject=file.path,
                        detail=f"more than {n_members:,} messages: the rest was not read",
                        remedy="split the mailbox into smaller ones, for example one a year",
                    )
                offset = page.next_offset
        except ParseFailure as failure:
            yield Ready(_failed(file, file.path, failure))
            return
        state = FileState.CHANGED if is_known else FileState.NEW
        yield Ready(ParsedOutcome(file, FileOutcome(file.path, state, None), is_container=True))

    def _members(self, file: ScannedFile, members: Sequence[Member]) -> Iterator[Ready[_Known] | Job[_Known]]:
        held: dict[str, str] = {}
        if self._library:
            held = self._library.containers.held(str(file.path), [member.digest for member in members])
        any_failed = self._library is not None and bool(self._library.failures(str(file.path)))
        for member in members:
            path = held.get(member.digest)
            before = self._failed_before(os.fspath(_member_path(file, member, ""))) if any_failed else None
            if path is not None:
                outcome = FileOutcome(Path(path), FileState.UNCHANGED, member.digest, container=file.path)
                yield Ready(ParsedOutcome(file, outcome, tried=False))
            elif before is not None:
                yield Ready(_failed(file, _member_path(file, member, ""), before, container=file.path))
            else:
                yield _parse_job(file, member, None)

    # -- what came of it

    def _outcome(self, result: _Result) -> ParsedOutcome:
        file, member, parsed = result.file, result.member, result.parsed
        container = None if member is None else file.path
        if isinstance(parsed, ParseFailure):
            path = file.path if member is None else _member_path(file, member, "")
            return _failed(file, path, parsed, container=container)
        state = self._state(result.known_id, parsed.document_id)
        if state is FileState.NEW:
            self._new.add(parsed.document_id)
        path = file.path if member is None else _member_path(file, member, parsed.title)
        outcome = FileOutcome(
            path, state, parsed.document_id, parsed.title, warnings=parsed.warnings, container=container
        )
        return ParsedOutcome(file, outcome, parsed)

    def _state(self, known_id: str | None, document_id: str) -> FileState:
        if known_id == document_id:
            return FileState.UNCHANGED
        if known_id is not None:
            return FileState.CHANGED
        if document_id in self._new or (self._library is not None and _holds(self._library, document_id)):
            return FileState.COPY
        return FileState.NEW

    def _failed_before(self, path: str, file: ScannedFile | None = None) -> ParseFailure | None:
        """What was wrong with exactly this file before, in the same words, when it cannot have become better.

        `file` is None for a member: one of the same path has the same content.
        """
        if self._retry_failed or self._library is None:
            return None
        failed = next((failure for failure in self._library.failures(path) if failure.path == path), None)
        if failed is None or (file and (failed.size, failed.mtime_ns) != (file.size, file.mtime_ns)):
            return None
        if failed.code in PASSING or failed.code not in FAILURE_CODES:
            return None
        return _same_failure(failed)

    def _is_retried(self, container: str) -> bool:
        """Whether members of this container failed and are to be tried again."""
        return (
            self._retry_failed
            and self._library is not None
            and any(failure.path != container for failure in self._library.failures(container))
        )


def _listing(file: ScannedFile, offset: int) -> Callable[[ParserPool], MemberPage | None]:
    return lambda pool: pool.members(file, offset)


def _parse_job(file: ScannedFile, member: Member | None, known_id: str | None) -> Job[_Known]:
    def job(pool: ParserPool) -> _Known:
        try:
            parsed = pool.parse(file) if member is None else pool.parse_member(file, member)
        except ParseFailure as failure:
            return _Result(file, member, known_id, failure)
        return _Result(file, member, known_id, parsed)

    return job


def _weight(known: _Known) -> int:
    parsed = known.parsed
    return len(parsed.text.text) if isinstance(parsed, ParsedFile) else 0


def _failed(
    file: ScannedFile,
    path: Path,
    failure: ParseFailure,
    *,
    tried: bool = True,
    container: Path | None = None,
) -> ParsedOutcome:
    outcome = FileOutcome(path, FileState.FAILED, None, failure=failure, container=container)
    return ParsedOutcome(file, outcome, tried=tried)


def _same_failure(failed: FailureRecord) -> ParseFailure:
    detail = failed.reason.removeprefix(FAILURE_CODES[failed.code][0]).strip()
    return ParseFailure(
        failed.code,
        subject=failed.path,
        detail=detail.removeprefix("(").removesuffix(")"),
        remedy=failed.remedy,
    )


def _member_path(file: ScannedFile, member: Member, title: str) -> Path:
    """Where a member stands for the library: below its container, told by its content."""
    name = f"#{member.digest[:_MEMBER_ID_CHARS]}"
    words = shorten(title.replace(os.sep, " "), _MEMBER_TITLE_CHARS)
    return file.path / (f"{words} {name}" if words else name)


def _holds(library: Library, document_id: str) -> bool:
    try:
        library.document(document_id)
    except DocumentNotFound:
        return False
    return True
