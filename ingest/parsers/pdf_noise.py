"""What print adds to a text, taken out where nothing can be lost by it.

* A running head or foot: the same line at the edge of several pages, but for the page's number.  It stays
  where it stands first.  One with digits and without the page's number is kept everywhere, and so are
  ``Lot 3`` and ``Status: approved``: on forms, such lines are facts of their page.
* The page's number on a line of its own, where it is what the page is cited by anyway.
* Hyphens at line ends, where the document elsewhere shows the word in one piece.
* Soft hyphens and ligatures, which no search finds.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

EDGE_LINES = 2
MIN_PAGES = 3
MIN_SHARE = 0.6
"""A head without the page's number must stand on this share of the pages."""

_MIN_BODY_LINES = 3
_MAX_EDGE_CHARS = 150
_MARK = "\0"  # stands for the page's number; no clean text holds it
_PAGE_WORD = r"\b(?:page|p\.|pg\.?|seite|página|pagina|pág\.|blad|side|sida|strona)\W{0,3}"
_OF = r"\W{0,3}(?:of|von|de|di|van|av|af|sur|z|/)\W{0,3}"
_NUMBER_ALONE = re.compile(
    rf"\W*(?P<says_so>{_PAGE_WORD})?\0(?P<total>{_OF}\d{{1,6}})?[^\w\0]*", re.IGNORECASE
)
_FIELD = re.compile(r"[^:]{1,60}:\s+\S")
_COLUMN_GAP = re.compile(r"\S {3,}\S")

_LIGATURES = {
    0xFB00: "ff",
    0xFB01: "fi",
    0xFB02: "fl",
    0xFB03: "ffi",
    0xFB04: "ffl",
    0xFB05: "st",
    0xFB06: "st",
}
_SOFT_HYPHEN = re.compile("\u00ad[ \t]*(?:\n[ \t]*)?")

_MIN_VOTES = 5
_CLEAR_SHARE = 0.9
_WORD = re.compile(r"[^\W\d_]+(?:[-\u2010][^\W\d_]+)*")
_TORN = re.compile(
    r"(?<![^\W\d_])(?P<left>[^\W\d_]{1,40}(?:[-\u2010][^\W\d_]{1,40}){0,3})"
    r"(?P<hyphen>[-\u2010])[ \t]*\n[ \t]*"
    r"(?P<token>(?P<right>[^\W\d_]{1,40})\S*)(?:[ \t]*\n|[ \t]+|$)"
)


def plain_letters(text: str) -> str:
    """`text` with ligatures as letters and without soft hyphens; words parted by one are joined."""
    if text.isascii():
        return text
    return _SOFT_HYPHEN.sub("", text.translate(_LIGATURES))


@dataclass(frozen=True, slots=True)
class _Edge:
    """A line at the edge of a page: its place, its text with `_MARK` for the page's number."""

    place: int
    text: str
    has_columns: bool


def without_running_lines(pages: Sequence[str], labels: Sequence[str]) -> list[str]:
    """`pages`, cited by `labels`, without repeated heads and feet and without their numbers."""
    n_pages = sum(bool(page.strip()) for page in pages)
    edges = [_edges(page, label, len(pages)) for page, label in zip(pages, labels, strict=True)]
    counts = Counter(text for page_edges in edges for text in {edge.text for edge in page_edges})
    seen: set[str] = set()
    cleaned: list[str] = []
    for page, page_edges in zip(pages, edges, strict=True):
        dropped = {
            edge.place
            for edge in page_edges
            if _is_page_number(edge, counts[edge.text])
            or (edge.text in seen and _is_running(edge, counts[edge.text], n_pages))
        }
        seen.update(edge.text for edge in page_edges)
        lines = enumerate(page.split("\n"))
        cleaned.append("\n".join(line for place, line in lines if place not in dropped) if dropped else page)
    return cleaned


def _edges(page: str, label: str, n_pages: int) -> list[_Edge]:
    lines = page.split("\n")
    filled = [place for place, line in enumerate(lines) if line.strip()]
    # A nearly empty page would be all edge.
    is_short = len(filled) < 2 * EDGE_LINES + _MIN_BODY_LINES
    reach = min(1, len(filled) // 2) if is_short else EDGE_LINES
    number = _page_number(label, n_pages)
    places = [*filled[:reach], *filled[len(filled) - reach :]]
    return [
        _edge(place, lines[place].strip(), number) for place in places if len(lines[place]) <= _MAX_EDGE_CHARS
    ]


def _edge(place: int, line: str, number: re.Pattern[str]) -> _Edge:
    if match := number.search(line):
        start, end = next(match.span(group) for group in range(1, 6) if match[group] is not None)
        line = f"{line[:start]}{_MARK}{line[end:]}"
    return _Edge(place, " ".join(line.split()), _COLUMN_GAP.search(line) is not None)


def _page_number(label: str, n_pages: int) -> re.Pattern[str]:
    """Finds a page's number where it can be nothing else: after "page", before "of 12", set apart, alone."""
    number = f"({re.escape(label)})"
    return re.compile(
        rf"{_PAGE_WORD}{number}(?!\w)|(?<![\w.,]){number}(?={_OF}{n_pages}\b)"
        rf"|^\W*{number}(?=\s*[|•·]|\s{{3,}}|\W*$)|[|•·]\s*{number}$|\s{{3,}}{number}$",
        re.IGNORECASE,
    )


def _is_page_number(edge: _Edge, n_times: int) -> bool:
    """Whether a line is nothing but the page's number: it says so, or such lines come again and again."""
    match = _NUMBER_ALONE.fullmatch(edge.text)
    return match is not None and (n_times >= MIN_PAGES or bool(match["says_so"] or match["total"]))


def _is_running(edge: _Edge, n_times: int, n_pages: int) -> bool:
    if n_times < MIN_PAGES:
        return False
    if _MARK in edge.text:
        return True
    tells = any(char.isdigit() for char in edge.text) or _FIELD.match(edge.text) or edge.has_columns
    return not tells and n_times >= MIN_SHARE * n_pages


def join_torn_words(pages: Sequence[str]) -> list[str]:
    """`pages` with the words joined that a hyphen parts at a line end.

    A word that the document shows in one piece elsewhere loses the hyphen; one that it shows with the hyphen
    keeps it and moves up.  Words seen neither way are joined when nearly all others of the document were.
    """
    known: Counter[str] = Counter()
    for page in pages:
        known.update(map(_lower, _WORD.findall(_TORN.sub(" ", page))))
    votes = [
        known[_joined(match)] > known[_hyphened(match)]
        for page in pages
        for match in _TORN.finditer(page)
        if known[_joined(match)] != known[_hyphened(match)]
    ]
    joins_unknown = len(votes) >= _MIN_VOTES and sum(votes) >= _CLEAR_SHARE * len(votes)

    def mended(match: re.Match[str]) -> str:
        n_joined, n_hyphened = known[_joined(match)], known[_hyphened(match)]
        if n_hyphened and n_hyphened >= n_joined:
            return f"{match['left']}{match['hyphen']}{match['token']}\n"
        if match["right"][0].islower() and (n_joined or joins_unknown):
            return f"{match['left']}{match['token']}\n"
        return match[0]

    return [_TORN.sub(mended, page) for page in pages]


def _lower(word: str) -> str:
    return word.lower().replace("\u2010", "-")


def _joined(match: re.Match[str]) -> str:
    return _lower(match["left"] + match["right"])


def _hyphened(match: re.Match[str]) -> str:
    return _lower(f"{match['left']}-{match['right']}")
