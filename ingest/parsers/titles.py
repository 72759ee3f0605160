"""Titles and labels: short, on one line, never empty."""

from __future__ import annotations

import datetime
import re

from ingest.parsers.headlines import (
    declared_title,
    headline,
    own_number,
    says_nothing,
    words_of,
)
from ingest.parsers.sanitise import sanitise
from ingest.parsers.title_words import EMPTY_NAMES, RECURRING_KINDS

MAX_TITLE_CHARS = 140
MAX_LINE_CHARS = 200
MAX_PROSE_CHARS = 100
"""Room for a first sentence that has to stand for a title."""

_NO_TITLE = re.compile(
    r"untitled\W*\d*|microsoft (word|powerpoint|excel)\b.*|(word|powerpoint) - .*|powerpoint presentation"
    r"|.*\.(docx?|pdf|pptx?|xlsx?|odt|rtf|tex|dvi|indd|qxd|html?|txt|te?mp|jpe?g|png|tiff?|cdr|ai|pub|pages)"
    r"|(https?|file):.*|about:.*|[a-z]:\\.*|(/[^/\s]+){2,}/?"
    r"|(document|dokument|doc|presentation|präsentation|slide|title|titel|layout|scan|scanned document"
    r"|blank|new document|template|ohne titel|sans titre|sin título)\W*\d*"
    r"|[\d\W_]*|(?=\S*\d)[\w-]{16,}",
    re.IGNORECASE,
)
_DATE = re.compile(
    r"(?<![^\W_])((?:19|20)\d\d)(?:[-_. ]?(0[1-9]|1[0-2])(?:[-_. ]?(0[1-9]|[12]\d|3[01]))?)?(?![^\W_])"
)
_LAST_SUFFIX = re.compile(r"\.(pdf|docx?|txt|html?|md|pptx?|xlsx?|odt|rtf)$", re.IGNORECASE)


def shorten(text: str, max_chars: int = MAX_LINE_CHARS) -> str:
    """`text` on one line, clean, at most `max_chars` long, cut at a word with an ellipsis."""
    line = " ".join(sanitise(text[: 20 * max_chars]).text.split())
    if len(line) <= max_chars:
        return line
    cut = line[: max_chars - 1]
    head, space, _ = cut.rpartition(" ")
    return (head if space and len(head) > max_chars // 2 else cut).rstrip(" ,;:-") + "…"


def first_line(text: str) -> str:
    """The first line of `text` that says something (not a rule, a page number or a date), or ""."""
    position = 0
    for _ in range(50):
        end = text.find("\n", position)
        line = shorten(text[position : end if end >= 0 else len(text)])
        if line and not says_nothing(line):
            return line
        if end < 0:
            break
        position = end + 1
    return ""


def choose_title(*candidates: str, stem: str) -> str:
    """The first candidate that is not empty, else the file's stem.

    A title that many documents share (``Minutes of the board``) is followed by the date in the file's name.
    """
    for candidate in candidates:
        title = shorten(candidate, MAX_TITLE_CHARS)
        if title:
            return _told_apart(title, _date_in(stem)) if _recurs(title) else title
    return shorten(stem, MAX_TITLE_CHARS) or "untitled"


def title_in_text(text: str, stem: str) -> str:
    """What the text calls itself, else its file, else its first sentence; "" when none says anything.

    A ``Title:`` or ``Subject:`` field comes first, then the headline.  A name of a firm or of a mere kind
    (``Memorandum``) gives way to a file's name that says more.
    """
    if declared := declared_title(text):
        return declared
    named = name_in_words(stem)
    found = headline(text)
    if found is None:
        return named or _told_apart(shorten(first_line(text), MAX_PROSE_CHARS), _date_in(stem))
    if found.is_weak and set(words_of(named)) - set(words_of(found.text)):
        return named
    title = shorten(found.text, MAX_TITLE_CHARS)
    return _told_apart(title, _date_in(stem) or own_number(text)) if _recurs(title) else title


def name_in_words(stem: str) -> str:
    """A file's stem as words, ``board minutes 2026-03``; "" when fewer than two of them say something."""
    name = re.sub(r"(?<!\d)[-_.]+|[-_.]+(?!\d)|_+", " ", _LAST_SUFFIX.sub("", stem))
    name = re.sub(r"^(\d{1,5}[ .)-]+(?=[^\W\d])|0\d{0,4} )", "", " ".join(name.split()))
    telling = [
        word for word in words_of(name) if len(word) > 2 and word.isalpha() and word not in EMPTY_NAMES
    ]
    return name if len(telling) > 1 else ""


def authored(title: str) -> str:
    """The title in a file's properties, on one line; "" when a program made it up or it says nothing."""
    line = shorten(title)
    return "" if len(line) < 3 or _NO_TITLE.fullmatch(line) else line


def _recurs(title: str) -> bool:
    """Whether a title names a kind of document that comes again and again, and not which one."""
    return not any(c.isdigit() for c in title) and bool(set(words_of(title)) & RECURRING_KINDS)


def _told_apart(title: str, mark: str) -> str:
    if not title or not mark or mark in title:
        return title
    mark = f" ({mark})"
    return shorten(title, MAX_TITLE_CHARS - len(mark)) + mark


def _date_in(stem: str) -> str:
    """The most exact date in a file's name as ``2026-03-24``, ``2026-03`` or ``2026``, or ""."""
    found = ""
    for match in _DATE.finditer(stem[:300]):
        year, month, day = match.groups()
        try:
            datetime.date(int(year), int(month or 1), int(day or 1))
        except ValueError:
            continue
        date = "-".join(part for part in (year, month, day) if part)
        found = max(found, date, key=len)
    return found
