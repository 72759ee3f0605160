"""Titles and labels: short, on one line, never empty."""

from __future__ import annotations

import re

from ingest.parsers.sanitise import sanitise

MAX_TITLE_CHARS = 200
_PAGE_NUMBER = re.compile(r"(page\s*)?\W*(\d+|x{0,3}(ix|iv|v?i{0,3}))\W*((of|/)\s*\d+)?\W*", re.IGNORECASE)

_NO_TITLE = re.compile(
    r"untitled\W*\d*|microsoft (word|powerpoint|excel)\b.*|(word|powerpoint) - .*"
    r"|.*\.(docx?|pdf|pptx?|xlsx?|odt|rtf|tex|dvi|indd|qxd)"
    r"|(document|presentation|slide|title)\W*\d*|\W*",
    re.IGNORECASE,
)


def shorten(text: str, max_chars: int = MAX_TITLE_CHARS) -> str:
    """`text` on one line, clean, at most `max_chars` long, cut at a word with an ellipsis."""
    line = " ".join(sanitise(text[: 20 * max_chars]).text.split())
    if len(line) <= max_chars:
        return line
    cut = line[: max_chars - 1]
    head, space, _ = cut.rpartition(" ")
    return (head if space and len(head) > max_chars // 2 else cut).rstrip(" ,;:-") + "…"


def first_line(text: str) -> str:
    """The first line of `text` that says something (not a rule, not a page number), or ""."""
    position = 0
    for _ in range(50):
        end = text.find("\n", position)
        line = shorten(text[position : end if end >= 0 else len(text)])
        if any(c.isalnum() for c in line) and not _PAGE_NUMBER.fullmatch(line):
            return line
        if end < 0:
            break
        position = end + 1
    return ""


def choose_title(*candidates: str, stem: str) -> str:
    """The first candidate that is not empty, else the file's stem."""
    for candidate in (*candidates, stem):
        title = shorten(candidate)
        if title:
            return title
    return "untitled"


def authored(title: str) -> str:
    """The title in a file's properties, on one line; "" when a program made it up or it says nothing."""
    line = shorten(title)
    return "" if len(line) < 3 or _NO_TITLE.fullmatch(line) else line
