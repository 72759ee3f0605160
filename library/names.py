"""Find a document by what a person calls it."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Sequence
from pathlib import Path, PurePath

from library.errors import DocumentNotFound
from library.records import DocumentRecord
from library.wording import one_line

_ID_PREFIX = re.compile(r"[0-9a-f]{4,64}")
_NEAR = 3
_SHOWN = 5


def find_document(name: str, documents: Sequence[DocumentRecord]) -> DocumentRecord:
    """The document that `name` means: an id or a prefix of it (4 hex digits or more), a path, a file
    name with or without its suffix, or a title; case does not matter but for paths.

    The first of these ways that fits exactly one document decides.

    Raises:
        DocumentNotFound: none fits (the remedy names near ones) or several do (it names them).
    """
    wanted = name.strip()
    folded = wanted.casefold()
    path = str(Path(wanted).expanduser().absolute()) if wanted else ""
    ways: tuple[Callable[[DocumentRecord], bool], ...] = (
        lambda document: document.id == folded,
        lambda document: path in document.paths,
        lambda document: folded in {PurePath(held).name.casefold() for held in document.paths},
        lambda document: document.title.casefold() == folded,
        lambda document: folded in {PurePath(held).stem.casefold() for held in document.paths},
        lambda document: bool(_ID_PREFIX.fullmatch(folded)) and document.id.startswith(folded),
    )
    fitting: list[DocumentRecord] = []
    for fits in ways if wanted else ():
        fitting = [document for document in documents if fits(document)]
        if fitting:
            break
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise _ambiguous(wanted, fitting)
    raise _unknown(wanted, documents)


def _ambiguous(name: str, fitting: Sequence[DocumentRecord]) -> DocumentNotFound:
    shown = ", ".join(
        f"{document.short_id} ({one_line(document.path, 120)})" for document in fitting[:_SHOWN]
    )
    more = f" and {len(fitting) - _SHOWN} more" if len(fitting) > _SHOWN else ""
    return DocumentNotFound(
        f"{len(fitting)} documents have this name",
        subject=one_line(name, 100),
        remedy=f"use the id of one of them: {shown}{more}",
    )


def _unknown(name: str, documents: Sequence[DocumentRecord]) -> DocumentNotFound:
    called: dict[str, DocumentRecord] = {}
    for document in documents:
        for call in (document.name, PurePath(document.name).stem, document.title):
            called.setdefault(call.casefold(), document)
    near = difflib.get_close_matches(name[:200].casefold(), list(called), n=2 * _NEAR, cutoff=0.6)
    names = list(dict.fromkeys(one_line(called[call].name, 100) for call in near))[:_NEAR]
    remedy = f"did you mean {' or '.join(names)}?" if names else "`beyondrag library list` shows them all"
    return DocumentNotFound("no such document", subject=one_line(name, 100) or '""', remedy=remedy)
