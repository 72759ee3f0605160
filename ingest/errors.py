"""Errors of ingest: what was asked for cannot be read.

::

    IngestError
    ├── PathProblem         a path on the command line is missing or unreadable
    ├── NothingToIngest     an empty folder, or only files of unsupported kinds
    └── ParseFailure        one file cannot be read; `code` says why, the other files carry on

A `ParseFailure` carries one of the codes in `FAILURE_CODES`; message and remedy follow from the code.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from kvfiles.errors import BeyondragError

MAX_DETAIL_CHARS = 200

FAILURE_CODES: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "encrypted": (
            "it is encrypted and opens only with a password",
            "ingest a copy without the password (qpdf --decrypt --password=PASSWORD IN.pdf OUT.pdf)",
        ),
        "scanned": (
            "its pages are pictures without a text layer",
            "add a text layer (ocrmypdf IN.pdf OUT.pdf) and ingest that",
        ),
        "garbled": (
            "its letters cannot be told: the fonts do not say which characters they show",
            "have the pages recognised as pictures (ocrmypdf --force-ocr IN.pdf OUT.pdf) and ingest that",
        ),
        "broken": ("it is damaged or not what its name says", "open it in its own program and save it again"),
        "empty": ("it holds no text", "nothing to read; if its pages do show text, run ocrmypdf --force-ocr"),
        "binary": ("it holds binary data, not text", "give it the suffix of its real kind, or leave it out"),
        "too-large": ("it is larger than the limit", "split it into smaller files"),
        "timeout": ("reading it took longer than the limit", "split it, or save it again in a simpler form"),
        "memory": (
            "reading it needs more memory than the limit",
            "split it, or save it again in a simpler form",
        ),
        "vanished": ("it disappeared before it could be read", "put it back and ingest again"),
        "changed": (
            "it changed while it was being read",
            "ingest again when nothing writes to it any more",
        ),
        "no-permission": ("it may not be read", "give yourself permission to read it (chmod u+r FILE)"),
        "members": ("not all of its messages could be read", "check that it is a mailbox, and what wrote it"),
        "unsupported": ("files of this kind cannot be read", "convert it to text, Markdown or PDF"),
    }
)


def printable(text: str) -> str:
    """`text` with everything that a terminal could act on or not show written as an escape.

    Control characters, direction overrides and the lone surrogates of undecodable file names become
    ``\\x1b``, ``\\u202e``, ``\\udcff``.  Console markup such as ``[red]`` is left alone: it is up to
    whoever prints to print names as plain text.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


class IngestError(BeyondragError):
    """Something that was to be ingested cannot be."""

    exit_code = 4


class PathProblem(IngestError):
    """A path that was named does not exist or cannot be opened."""


class NothingToIngest(IngestError):
    """The paths hold no file of a kind that can be read; the message counts the suffixes it saw."""


class ParseFailure(IngestError):
    """One file cannot be read.

    Args:
        code: one of `FAILURE_CODES`.
        subject: the file's path, shown escaped.
        detail: what the reader found, added to the message in brackets.
        remedy: replaces the remedy that belongs to the code.
    """

    def __init__(
        self, code: str, *, subject: str | os.PathLike[str] = "", detail: str = "", remedy: str = ""
    ) -> None:
        message, usual_remedy = FAILURE_CODES[code]
        detail = printable(" ".join(detail.split()))[:MAX_DETAIL_CHARS]
        super().__init__(
            f"{message} ({detail})" if detail else message,
            subject=printable(os.fspath(subject)),
            remedy=remedy or usual_remedy,
        )
        self.code = code
        self.detail = detail
