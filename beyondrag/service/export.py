"""A conversation as a Markdown file."""

from __future__ import annotations

import datetime
import errno
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path, PurePath

from beyondrag.errors import UsageError
from beyondrag.events import Answer, Source
from beyondrag.quantities import counted
from beyondrag.service.interface import Conversation, Turn
from beyondrag.service.markdown import code, inline, paragraph
from beyondrag.service.notices import ReadPart, WhatWasRead
from library.files import storage_errors, sync_directory

_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV})
_INDENT = "   "


def write_conversation(conversation: Conversation, path: Path) -> None:
    """Write `conversation` to `path`: whole or not at all, for this user only.

    Raises UsageError when something is there already, StorageError.
    """
    write_new(path, conversation_markdown(conversation, time.time()).encode())


def conversation_markdown(conversation: Conversation, now: float) -> str:
    """Questions, answers, sources with their quotes, and what was read.

    Whatever comes from documents, file names or the model is shown and never acts, neither as Markdown
    nor as HTML.
    """
    summary = conversation.summary
    n_turns = len(conversation.turns)
    about = f"{counted(n_turns, 'question')}, begun {_when(summary.started_at)}"
    parts = [f"# {inline(summary.title)}", f"*{about}. Exported from beyondrag {_when(now)}.*"]
    for number, turn in enumerate(conversation.turns, 1):
        parts += _turn(number, turn)
    return "\n\n".join(part for part in parts if part) + "\n"


def _turn(number: int, turn: Turn) -> Iterator[str]:
    yield f"## {number}. {inline(turn.question)}"
    answer = turn.answer
    if answer is None:
        yield "*Stopped before it was finished.*"
        yield paragraph(turn.partial)
        return
    if answer.abstained:
        yield "*The documents do not answer this.*"
    else:
        yield paragraph(answer.answer)
    if not answer.abstained and not answer.checked:
        yield "*Unchecked: no evidence was found for this.*"
    yield _sources("Sources", answer.sources, turn.gone)
    yield _sources("Nearest passages", answer.nearest, turn.gone)
    yield _read(answer, turn.read)
    yield f"*Asked {_when(turn.asked_at)}.*"


def _sources(heading: str, sources: tuple[Source, ...], gone: frozenset[str]) -> str:
    if not sources:
        return ""
    lines = [f"**{heading}**\n"]
    for number, source in enumerate(sources, 1):
        page = f", page {inline(source.page)}" if source.page.isdigit() else f", {inline(source.page)}"
        file = f" ({code(PurePath(source.path).name)})" if source.path else ""
        left = ", *no longer in the library*" if source.document_id in gone else ""
        lines.append(f"{number}. {inline(source.title)}{page if source.page else ''}{file}{left}\n")
        lines.append(paragraph(source.quote, f"{_INDENT}> ") + "\n")
    return "\n".join(lines).rstrip()


def _read(answer: Answer, read: WhatWasRead | None) -> str:
    lines = [_part(part) for part in (read.parts if read else ())]
    left_out = dict.fromkeys((*(read.left_out if read else ()), *answer.left_out))
    lines += [f"- not read: {inline(reason)}" for reason in left_out]
    return "\n".join(["**What was read**\n", *lines]) if lines else ""


def _part(part: ReadPart) -> str:
    label = "" if part.label in ("", "whole document") else f" ({inline(part.label)})"
    read_from = "hot copy" if part.hot else part.read_from
    how = f"{inline(read_from)}, {inline(part.codec)}, {part.bits:.2f} bits a value"
    return f"- {inline(part.title)}{label}: tokens {part.first:,} to {part.stop - 1:,} ({how})"


def _when(seconds: float) -> str:
    """Local time to the minute; "" for a time that no calendar has."""
    try:
        return datetime.datetime.fromtimestamp(seconds).isoformat(sep=" ", timespec="minutes")
    except (ValueError, OverflowError, OSError):
        return ""


def write_new(path: Path, data: bytes) -> None:
    """Put a new file at `path`, whole or not at all, with mode 0600.

    Raises UsageError when something is there already, StorageError.
    """
    with storage_errors(path):
        descriptor, name = tempfile.mkstemp(prefix=".beyondrag-", dir=path.parent)
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            _put(temporary, path)
            sync_directory(path.parent)
        except FileExistsError as error:
            raise UsageError(
                "there is a file of this name already", subject=str(path), remedy="choose another name"
            ) from error
        finally:
            temporary.unlink(missing_ok=True)


def _put(temporary: Path, path: Path) -> None:
    """Give `temporary` its name unless that is taken (FileExistsError)."""
    try:
        path.hardlink_to(temporary)  # unlike a rename, this never replaces anything
        return
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    try:
        temporary.replace(path)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
