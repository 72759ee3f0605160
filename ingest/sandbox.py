"""Parses files in a child process with limits on memory, processor time, time and size.

::

    with ParserPool(Limits()) as pool:
        for file in scan([folder]).files:
            parsed = pool.parse(file)       # ParseFailure: this file is not readable, the others are
"""

from __future__ import annotations

import dataclasses
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar

import orjson

from ingest import frames
from ingest.child_process import ChildDied, ChildProcess, ChildTimeout, ReplyTooLarge, python_module
from ingest.errors import FAILURE_CODES, IngestError, ParseFailure, printable
from ingest.parsers.base import Limits, Member, MemberPage
from ingest.parsers.languages import language_tag, programming_language
from ingest.scan import ScannedFile
from library.records import DocumentText, PageSpan

FILES_PER_CHILD = 2_000
START_TIMEOUT_S = 60.0
DEFAULT_LIMITS = Limits()
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ParsedFile:
    """A file's text.

    `document_id` is the SHA-256 (hex) of exactly the bytes that were parsed; `size` and `mtime_ns` are
    the file's when these bytes were read, which may be later than the scan.  `language` is as in
    `parsers.base.ParsedDocument`.
    """

    document_id: str
    title: str
    media_type: str
    text: DocumentText
    warnings: tuple[str, ...]
    size: int
    mtime_ns: int
    language: str | None = None


class ParserPool:
    """Keeps one parser process warm; replaces it after a crash, a time-out or `files_per_child` files.

    Not for use from several threads at once, but for `stop`.
    """

    def __init__(self, limits: Limits = DEFAULT_LIMITS, *, files_per_child: int = FILES_PER_CHILD) -> None:
        self._limits = limits
        self._files_per_child = files_per_child
        self._child: ChildProcess | None = None
        self._n_served = 0
        self._is_stopped = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the parser process; a later `parse` starts another one."""
        if self._child is not None:
            self._child.close()
            self._child = None

    def stop(self) -> None:
        """End the parser process from another thread; what it is doing for this one fails as "broken"."""
        self._is_stopped = True
        child = self._child
        if child is not None:
            child.kill()

    def parse(self, file: ScannedFile) -> ParsedFile:
        """Read and parse one file.

        Raises:
            ParseFailure: the file cannot be read; its code, message and remedy say why.
            IngestError: the parser process cannot be started.
        """
        return self._ask_about(file, {}, _parsed_file)

    def members(self, file: ScannedFile, offset: int) -> MemberPage | None:
        """List members of a container from `offset` on (0, or a `next_offset`); None when it is none.

        Raises as `parse`; also ParseFailure "changed": its size or time is not as scanned.
        """
        return self._ask_about(file, {"stamp": [file.size, file.mtime_ns], "list": offset}, _member_page)

    def parse_member(self, file: ScannedFile, member: Member) -> ParsedFile:
        """Read and parse one member of a container; its id is the hash of its bytes.  Raises as `members`."""
        wish = {"stamp": [file.size, file.mtime_ns], "member": [member.start, member.stop]}
        parsed = self._ask_about(file, wish, _parsed_file)
        if parsed.document_id != member.digest:
            raise ParseFailure("changed", subject=file.path)
        return parsed

    def _ask_about(
        self, file: ScannedFile, wish: Mapping[str, object], read: Callable[[dict[str, Any]], T]
    ) -> T:
        path = os.fspath(file.path)
        request = {"path": os.fsencode(path).decode("latin-1"), "parser": file.parser, **wish}
        try:
            payload = self._exchange(frames.pack(request))
        except ChildTimeout:
            raise ParseFailure("timeout", subject=path, detail=f"{self._limits.wall_s:g} s") from None
        except ReplyTooLarge:
            raise ParseFailure("too-large", subject=path, detail="too much text") from None
        except ChildDied as death:
            raise _death_failure(death, path, self._limits) from None
        return self._read_reply(payload, path, read)

    def _exchange(self, request: bytes) -> bytes:
        if self._n_served >= self._files_per_child:
            self.close()
        if self._child is not None:
            self._n_served += 1
            try:
                return self._ask(self._child, request)
            except ChildDied as death:
                # It may have died between two files, for no fault of this one: the exit status of
                # a process that was killed for its memory looks the same, so ask once more.
                if self._is_stopped or not _is_kill(death):
                    raise
        self._child = child = self._start()
        self._n_served = 1
        if self._is_stopped:
            child.kill()
        return self._ask(child, request)

    def _ask(self, child: ChildProcess, request: bytes) -> bytes:
        try:
            return child.exchange(
                request, timeout_s=self._limits.wall_s, max_reply_bytes=self._limits.max_reply_bytes
            )
        except BaseException:
            self.close()
            raise

    def _start(self) -> ChildProcess:
        hello = frames.pack({"limits": dataclasses.asdict(self._limits)})
        child: ChildProcess | None = None
        try:
            child = ChildProcess(python_module("ingest.parse_child"))
            child.exchange(hello, timeout_s=START_TIMEOUT_S, max_reply_bytes=1024)
        except (OSError, ChildTimeout, ChildDied, ReplyTooLarge) as error:
            if child is not None:
                child.close()
            raise IngestError(
                f"the parser process does not start: {printable(str(error) or type(error).__name__)[-500:]}",
                remedy="free some memory, or reinstall beyondrag",
            ) from error
        return child

    def _read_reply(self, payload: bytes, path: str, read: Callable[[dict[str, Any]], T]) -> T:
        try:
            reply = orjson.loads(payload)
            if "failure" not in reply:
                return read(reply)
            failure = _failure(reply["failure"], path)
        except (ValueError, KeyError, TypeError) as error:
            self.close()
            raise ParseFailure("broken", subject=path, detail="the parser's reply makes no sense") from error
        if failure.code == "memory":
            self.close()  # the child ends itself after that
        raise failure


def parse_in_child(file: ScannedFile, limits: Limits = DEFAULT_LIMITS) -> ParsedFile:
    """Parse one file in a process of its own; errors as `ParserPool.parse`."""
    with ParserPool(limits) as pool:
        return pool.parse(file)


def _is_kill(death: ChildDied) -> bool:
    return death.returncode == -signal.SIGKILL


def _death_failure(death: ChildDied, path: str, limits: Limits) -> ParseFailure:
    if death.returncode == -signal.SIGXCPU:
        return ParseFailure("timeout", subject=path, detail=f"{limits.cpu_s} s of processor time")
    if _is_kill(death) or "MemoryError" in death.stderr:
        return ParseFailure("memory", subject=path)
    if death.returncode < 0:
        return ParseFailure(
            "broken", subject=path, detail=f"the parser crashed with signal {-death.returncode}"
        )
    last_line = death.stderr.strip().rpartition("\n")[2]
    return ParseFailure(
        "broken", subject=path, detail=last_line or f"the parser ended with {death.returncode}"
    )


def _failure(reply: dict[str, Any], path: str) -> ParseFailure:
    code, detail, remedy = reply["code"], reply["detail"], reply["remedy"]
    if code not in FAILURE_CODES or not isinstance(detail, str) or not isinstance(remedy, str):
        raise ValueError("not a failure")
    return ParseFailure(code, subject=path, detail=detail, remedy=printable(remedy))


def _member_page(answer: dict[str, Any]) -> MemberPage | None:
    if answer["members"] is None:
        return None
    members = tuple(Member(int(start), int(stop), str(sha)) for start, stop, sha in answer["members"])
    following = answer["next"]
    return MemberPage(members, None if following is None else int(following))


def _parsed_file(answer: dict[str, Any]) -> ParsedFile:
    reply = answer["document"]
    pages = [(str(label), str(text)) for label, text in reply["pages"]]
    return ParsedFile(
        document_id=str(reply["id"]),
        title=str(reply["title"]),
        media_type=str(reply["media_type"]),
        text=DocumentText("".join(text for _, text in pages), tuple(_spans(pages))),
        warnings=tuple(str(warning) for warning in reply["warnings"]),
        size=int(reply["size"]),
        mtime_ns=int(reply["mtime_ns"]),
        language=_language(reply["language"]),
    )


def _language(stated: object) -> str | None:
    """Checked again: the parser process may be in the hands of a file."""
    text = stated if isinstance(stated, str) else ""
    return text if text in (language_tag(text), programming_language(text)) else None


def _spans(pages: list[tuple[str, str]]) -> Iterator[PageSpan]:
    start = 0
    for label, text in pages:
        yield PageSpan(label, start, start + len(text))
        start += len(text)
