"""The line that names a document, found among the first lines of its text.

Nothing but the words is looked at: a parser of plain text or PDF knows no sizes of letters.  The title
stands before the first prose.  On the way there lie lines that name something else: the firm (a
letterhead), the day, the page, who may read it, fields such as ``To:``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ingest.parsers.title_words import (
    CLASSIFICATION,
    DATE_WORDS,
    KINDS,
    LEGAL_FORMS,
    NOT_A_DOCUMENTS_NUMBER,
    NOT_TELLING,
    ORGANISATIONS,
)

MAX_HEAD_CHARS = 4_000
MAX_HEAD_LINES = 60
MAX_CANDIDATES = 8
_MAX_LINE_CHARS = 400
_MAX_WORDS = 18
_LETTERHEAD_REACH = 5
_MIN_WRAPPED_CHARS = 55  # a line of prose that goes on below is hardly shorter; a line of a title often is

_PAGE_NUMBER = re.compile(
    r"(page\s*|seite\s*|p\.\s*)?\W*(\d+|x{0,3}(ix|iv|v?i{0,3}))\W*((of|von|de|/)\s*\d+)?\W*", re.IGNORECASE
)
_FIELD = re.compile(r"[^\W\d_][\w .&/'()#-]{0,40}:(?:\s+(?=\S)|$)")
_DECLARED = re.compile(
    r"^[ \t]*(?:#\+|:)?(title|subject|re|titel|betreff|betr\.?|objet|titre|asunto|título|oggetto|titolo"
    r"|onderwerp):[ \t]*(\S.*)",
    re.IGNORECASE | re.MULTILINE,
)
_DECLARED_REACH = 1_000
_HONORIFIC = re.compile(r"(mr|mrs|ms|miss|dr|prof|sir|herr|frau)\b\.?.{0,40}", re.IGNORECASE)
_CONTACT = re.compile(
    r".*(\S@\S+\.\w|https?://|\bwww\.\w|\b(tel|phone|fax|telephone|mobile|telefon|téléphone)\b\W*[+(\d])",
    re.IGNORECASE,
)
_STREET = re.compile(
    r"\W*(\d+\w?,?\s(\S+\s){0,4}(street|st|road|rd|avenue|ave|lane|drive|square|boulevard|blvd|way|rue)\b.{0,80}"
    r"|\S*(straße|strasse|str\.|platz|weg|allee)\s\d+.{0,60}"
    r"|(\S+\s){1,4}(street|road|avenue|lane|square|boulevard),.{0,80}"
    r"|p\.?\s?o\.?\s?box\b.{0,60}|\d{5}\s[^\W\d]\w+(\s\w+)?"
    r"|(.{0,60}[, ])?([a-z]{1,2}\d[a-z\d]?\s\d[a-z]{2}|[a-z]{2}\s\d{5}(-\d{4})?))\W*",
    re.IGNORECASE,
)
_COPYRIGHT = re.compile(r"(copyright|©|\(c\)|all rights reserved|alle rechte)", re.IGNORECASE)
_GREETING = re.compile(
    r"(dear|hello|hi|to whom|sehr geehrte|liebe[rs]?|cher|chère|estimad[ao]s?)\b.{0,80}[,:!]", re.IGNORECASE
)
_NUMBERED = re.compile(
    r"(section|chapter|part|kapitel)\s|\d+(\.\d+)*[.)]?\s|[ivx]+[.)]\s|[a-z][.)]\s", re.IGNORECASE
)
_CONTENTS = re.compile(
    r"(table of )?contents|index|overview|introduction|abstract|summary|background|inhalt(sverzeichnis)?"
    r"|sommaire|table des matières|índice|indice",
    re.IGNORECASE,
)
_HEADING_MARK = re.compile(r"[=#]{1,6}[ \t]+(?=\S)")  # AsciiDoc, or Markdown under another name
_STAMPED = re.compile(r"\W*(\d{4}-\d\d-\d\d|\d\d:\d\d|\d{1,2}[./]\d{1,2}[./]\d{2,4})[T ,;\])]")
_VERSION = re.compile(
    r"(version|revision|rev|issue|release|ausgabe|stand|v)\W{0,3}\d[\w., -]{0,40}", re.IGNORECASE
)
_SENTENCES = re.compile(r"[a-zà-ÿ)]{2}[.!?;] +[\"'(]?[A-ZÀ-Þ]")
_DANGLING = re.compile(
    r"(?:.*\s)?(of|the|and|for|to|in|on|with|und|der|für|et|de|des|du|y|&|–|—|-|:)", re.IGNORECASE
)
_NUMBER = re.compile(
    r"(?P<label>(?:[A-Za-zÀ-ÿ]+ ){0,2})(?:number|numéro|nummer|no\.?|nr\.?|n°|ref(?:erence)?\.?|docket|id)"
    r"[ \t]{0,2}[:#][ \t]{0,8}(?P<value>[A-Z0-9](?:[\w./-]{0,28}\w)?)(?![\w@])",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")


@dataclass(frozen=True, slots=True)
class Headline:
    """What a text is called.  `is_weak`: it names a firm or a mere kind; a file's name may do better."""

    text: str
    is_weak: bool


@dataclass(frozen=True, slots=True)
class _Line:
    text: str
    opens_block: bool  # a blank line, or nothing, is above
    ends_block: bool


def words_of(text: str) -> list[str]:
    """The words and numbers of `text` in small letters."""
    return [word.lower() for word in _WORD.findall(text)]


def declared_title(text: str) -> str:
    """The value of a ``Title:`` or ``Subject:`` field at the head of a text (RFC, memo, mail), or ""."""
    head = text[:_DECLARED_REACH]
    for match in _DECLARED.finditer(head):
        value = match[2].strip()
        is_persons = _HONORIFIC.fullmatch(value) or re.search(r"(?im)^[ \t]*name:", head[: match.start()])
        if any(c.isalnum() for c in value) and not (match[1].lower().startswith("tit") and is_persons):
            return value
    return ""


def headline(text: str) -> Headline | None:
    """The line before the prose that names the document, or None."""
    lines = _candidates(list(_head(text)))
    if not lines:
        return None
    place = _below_letterhead(lines)
    if place is None:
        return Headline(lines[0], is_weak=_is_firm(lines[0]))
    title = lines[place]
    following = lines[place + 1] if place + 1 < len(lines) else ""
    goes_on = bool(following) and not (_is_letterhead(following) or _is_part(following))
    if is_bare_kind(title) and goes_on:
        return Headline(f"{title}{' ' if following[0].islower() else ': '}{following}", is_weak=False)
    if goes_on and _DANGLING.fullmatch(title):
        return Headline(f"{title} {following}", is_weak=False)
    return Headline(title, is_weak=is_bare_kind(title) or _CONTENTS.fullmatch(title) is not None)


def own_number(text: str) -> str:
    """The number that a document gives itself at its head (``Invoice no: 2024-117``), or ""."""
    for match in _NUMBER.finditer(text[:1_500]):
        value = match["value"]
        if any(c.isdigit() for c in value) and not set(words_of(match["label"])) & NOT_A_DOCUMENTS_NUMBER:
            return value
    return ""


def is_bare_kind(title: str) -> bool:
    """Whether a title says only what kind of document it is: ``Minutes``, ``MEMORANDUM``."""
    words = words_of(title)
    return 0 < len(words) <= 2 and all(
        word in KINDS or word in {"meeting", "press", "weekly"} for word in words
    )


def says_nothing(line: str) -> bool:
    """Whether a line is a rule, a page number or a date: never a title."""
    return not any(c.isalnum() for c in line) or _PAGE_NUMBER.fullmatch(line) is not None or _is_date(line)


def _head(text: str) -> Iterator[_Line]:
    raw = [
        _HEADING_MARK.sub("", line.strip()[:_MAX_LINE_CHARS]) for line in text[:MAX_HEAD_CHARS].split("\n")
    ]
    start = next((index for index, line in enumerate(raw) if line), 0)
    raw = ["", *(" ".join(line.split()) for line in raw[start : start + MAX_HEAD_LINES]), ""]
    for above, line, below in zip(raw, raw[1:], raw[2:], strict=False):
        if line:
            yield _Line(line, not above, not below)


def _candidates(lines: Sequence[_Line]) -> list[str]:
    """Lines that could be a title, up to the first prose; classifications are taken off their ends."""
    found: list[str] = []
    for index, line in enumerate(lines):
        if says_nothing(line.text) or _says_something_else(line.text):
            continue
        if _is_field(lines, index):
            continue
        if _is_prose(lines, index) or len(found) == MAX_CANDIDATES:
            break
        found.append(_without_classification(line.text))
    return found


def _below_letterhead(lines: Sequence[str]) -> int | None:
    """The place of the title: 0, or below a letterhead; None: only a letterhead was found."""
    if not _is_letterhead(lines[0]):
        return 0
    for place, line in enumerate(lines[1:_LETTERHEAD_REACH], start=1):
        if _is_letterhead(line) or _is_part(line):
            continue
        if _names_a_kind(line) or _is_firm(lines[0]):
            return place
    return None


def _is_letterhead(line: str) -> bool:
    return _is_firm(line) or (bool(set(words_of(line)) & ORGANISATIONS) and not _names_a_kind(line))


def _is_part(line: str) -> bool:
    return _NUMBERED.match(line) is not None or _CONTENTS.fullmatch(line) is not None


def _is_firm(line: str) -> bool:
    words = re.sub(r"[^\w ]", "", line).split()
    # A small last word is one of its language ("ab", "as"); nobody writes a legal form so, but s.r.o.
    return (
        len(words) > 1 and words[-1].lower() in LEGAL_FORMS and (line[-1] == "." or not words[-1].islower())
    )


def _names_a_kind(line: str) -> bool:
    return bool(set(words_of(line)) & KINDS)


def _is_date(line: str) -> bool:
    words = re.findall(r"[^\W\d_]+", line.lower())
    n_numbers = len(re.findall(r"\d+", line))
    return n_numbers > 0 and n_numbers + len(words) > 1 and all(word in DATE_WORDS for word in words)


def _says_something_else(line: str) -> bool:
    return (
        _is_classification(line)
        or _CONTACT.match(line) is not None
        or _STREET.fullmatch(line) is not None
        or _COPYRIGHT.match(line) is not None
        or _GREETING.fullmatch(line) is not None
        or _VERSION.fullmatch(line) is not None
        or (_HONORIFIC.fullmatch(line) is not None and len(line.split()) <= 4)
    )


def _is_classification(line: str) -> bool:
    words = words_of(line)
    return bool(set(words) & CLASSIFICATION) and set(words) <= CLASSIFICATION | NOT_TELLING


def _without_classification(line: str) -> str:
    head, mark, tail = max(
        (line.rpartition(sep) for sep in (" - ", " – ", " — ", " | ", " (")), key=lambda p: len(p[0])
    )
    return head.rstrip(" -–—|") if mark and head and _is_classification(tail) else line


def _is_field(lines: Sequence[_Line], index: int) -> bool:
    """One of several ``Label: value`` lines; a single one may be a title (``Python: an introduction``)."""
    line = lines[index]
    if not _FIELD.match(line.text):
        return False
    above = index > 0 and not line.opens_block and _FIELD.match(lines[index - 1].text)
    below = index + 1 < len(lines) and not line.ends_block and _FIELD.match(lines[index + 1].text)
    return bool(above or below)


def _is_prose(lines: Sequence[_Line], index: int) -> bool:
    line = lines[index]
    words = line.text.split()
    if _STAMPED.match(line.text) or (_SENTENCES.search(line.text) and len(words) >= 10):
        return True
    if line.text[-1] in ".,;" and len(words) >= 6:
        return True
    if len(words) > _MAX_WORDS and sum(word[0].isupper() for word in words) < 0.6 * len(words):
        return True
    wraps = not line.ends_block and index + 1 < len(lines) and lines[index + 1].text[0].islower()
    return wraps and len(line.text) >= _MIN_WRAPPED_CHARS and not _names_a_kind(line.text)
