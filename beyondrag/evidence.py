"""Is what the model copied really in the documents?

A copy counts as verbatim up to white space, case and punctuation: every letter and digit must agree, in
order, without a gap.  Numbers are never folded into one another: "1.364" does not stand in "13.64".
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

MIN_LETTERS = 2
"""Letters or digits a quote must have; less would be found anywhere."""


@dataclass(frozen=True, slots=True)
class Found:
    """text[start:end] is the quote."""

    start: int
    end: int


class FoldedText:
    """A text prepared for finding quotes: words folded, each with its place in the original."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._starts: list[int] = []
        self._ends: list[int] = []
        words: list[str] = []
        for word, start, end in _words(text):
            words.append(word)
            self._starts.append(start)
            self._ends.append(end)
        self._folded = " " + " ".join(words) + " "

    def find(self, quote: str) -> Found | None:
        """The first place where `quote` stands as a run of whole words, or None."""
        words = [word for word, _, _ in _words(quote)]
        if sum(len(word) for word in words) < MIN_LETTERS:
            return None
        at = self._folded.find(" " + " ".join(words) + " ")
        if at < 0:
            return None
        first = self._folded.count(" ", 0, at + 1) - 1
        return Found(self._starts[first], self._ends[first + len(words) - 1])

    def line_around(self, found: Found) -> Found:
        """`found` widened to whole lines of the original, without white space at the ends."""
        start = self._text.rfind("\n", 0, found.start) + 1
        end = self._text.find("\n", found.end)
        end = len(self._text) if end < 0 else end
        line = self._text[start:end]
        return Found(start + len(line) - len(line.lstrip()), start + len(line.rstrip()))


def _words(text: str) -> list[tuple[str, int, int]]:
    """Runs of letters and digits, case-folded, with their places.

    A point or comma between two digits belongs to the number; other punctuation separates.
    """
    words: list[tuple[str, int, int]] = []
    start: int | None = None
    for index, char in enumerate(text):
        inside = char.isalnum() or unicodedata.combining(char) != 0
        if not inside and char in ".,'’" and start is not None:
            before, after = text[index - 1], text[index + 1 : index + 2]
            inside = before.isdigit() and after.isdigit() and char in ".,"
        if inside and start is None:
            start = index
        elif not inside and start is not None:
            words.append((_fold(text[start:index]), start, index))
            start = None
    if start is not None:
        words.append((_fold(text[start:]), start, len(text)))
    return words


def _fold(word: str) -> str:
    return unicodedata.normalize("NFKC", word).casefold().replace(",", "")


def same_words(a: str, b: str) -> bool:
    """Whether two texts are equal up to white space, case and punctuation."""
    return [w for w, _, _ in _words(a)] == [w for w, _, _ in _words(b)]


def contains_words(text: str, part: str) -> bool:
    """Whether `part` stands in `text` as a run of whole words."""
    return FoldedText(text).find(part) is not None
