"""Find a document by what a person calls it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from library.errors import DocumentNotFound, LibraryError
from library.records import DocumentRecord, SourceFile
from library.wording import one_line

_ID_PREFIX = re.compile(r"[0-9a-f]{4,64}")
_ID = re.compile(r"[0-9a-f]{64}")
_NEAR = 3
_SHOWN = 5
_NAMES_COMPARED = 10_000
"""Comparing a misspelled name with more than these would take seconds."""


def find_document(name: str, documents: Iterable[DocumentRecord]) -> DocumentRecord:
    """The document that `name` means: an id or a prefix of it (4 hex digits or more), a path, a file
    name with or without its suffix, or a title; case does not matter but for paths.

    The first of these ways that fits exactly one document decides.  `documents` is gone through once
    and not kept.

    Raises:
        DocumentNotFound: none fits (the remedy names near ones) or several do (it names them).
    """
    wanted = name.strip()
    folded = wanted.casefold()
    path = absolute_path(wanted)
    ways: tuple[Callable[[DocumentRecord], bool], ...] = (
        lambda document: document.id == folded,
        lambda document: path in document.paths,
        lambda document: any(_name(held) == folded for held in document.paths),
        lambda document: document.title.casefold() == folded,
        lambda document: any(_stem(held) == folded for held in document.paths),
        lambda document: bool(_ID_PREFIX.fullmatch(folded)) and document.id.startswith(folded),
    )
    fitting: list[list[DocumentRecord]] = [[] for _ in ways]
    counts = [0] * len(ways)
    called: dict[str, DocumentRecord] = {}
    for document in documents if wanted else ():
        for number, fits in enumerate(ways):
            if fits(document):
                counts[number] += 1
                if len(fitting[number]) < _SHOWN:
                    fitting[number].append(document)
        if len(called) < _NAMES_COMPARED:
            for call in (_name(document.name), _stem(document.name), document.title.casefold()):
                called.setdefault(call, document)
    for count, found in zip(counts, fitting, strict=True):
        if count == 1:
            return found[0]
        if count:
            raise _ambiguous(wanted, found, count)
    raise _unknown(wanted, called)


# Not `PurePath`: with a hundred thousand documents it takes seconds.


def _name(path: str) -> str:
    return path.rpartition("/")[2].casefold()


def _stem(path: str) -> str:
    name = _name(path)
    stem, dot, _ = name.rpartition(".")
    return stem if dot and stem else name


def is_id(name: str) -> bool:
    """Whether this can be the whole id of a document: a SHA-256 in hex."""
    return bool(_ID.fullmatch(name))


def require_id(document_id: str) -> None:
    """Raises LibraryError unless this can be the id of a document."""
    if not is_id(document_id):
        raise LibraryError("a document's id is the SHA-256 of its file in hex", subject=document_id[:64])


def absolute_source(source: SourceFile) -> SourceFile:
    """`source` itself.  Raises LibraryError unless its path is absolute."""
    if not Path(source.path).is_absolute():
        raise LibraryError("the path of a source must be absolute", subject=source.path[:200])
    return source


def absolute_path(name: str) -> str:
    """What a person typed as an absolute path, without following links; "" when it is none."""
    try:
        return str(Path(name).expanduser().absolute()) if name else ""
    except (RuntimeError, OSError):  # ~nobody; a current folder that is gone
        return ""


def _ambiguous(name: str, fitting: Sequence[DocumentRecord], count: int) -> DocumentNotFound:
    shown = ", ".join(f"{document.short_id} ({one_line(document.path, 120)})" for document in fitting)
    more = f" and {count - len(fitting)} more" if count > len(fitting) else ""
    return DocumentNotFound(
        f"{count} documents have this name",
        subject=one_line(name, 100),
        remedy=f"use the id of one of them: {shown}{more}",
    )


def _unknown(name: str, called: dict[str, DocumentRecord]) -> DocumentNotFound:
    near = difflib.get_close_matches(name[:200].casefold(), list(called), n=2 * _NEAR, cutoff=0.6)
    names = list(dict.fromkeys(one_line(called[call].name, 100) for call in near))[:_NEAR]
    remedy = f"did you mean {' or '.join(names)}?" if names else "`beyondrag library list` shows them all"
    return DocumentNotFound("no such document", subject=one_line(name, 100) or '""', remedy=remedy)
