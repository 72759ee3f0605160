"""Is what the model copied really in the documents?

A copy counts as verbatim up to white space, case and punctuation: every letter and digit must agree, in
order, without a gap, and a copy never begins or ends inside a word.  Numbers are never folded into one
another: only the separators of thousands are left out ("1,364" is 1364), so neither "13.64" nor "13,64" is.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

MIN_LETTERS = 2
"""Letters or digits a quote must have; less would be found anywhere."""

_RUN = re.compile(r"(?:[^\W_]|[^\x00-\x7f]|(?<=\d)[.,](?=\d))+")
"""ASCII words and numbers exactly; with other characters, runs that `_split` looks at one by one."""
_THOUSANDS = re.compile(r"(?<!\d)\d{1,3}(?:,\d{3})+(?!\d|,\d)")
_SENTENCE_END = re.compile(
    r"(?<!\b[A-Z])(?<!\b(?:Dr|Mr|Ms|St|No|Mt|vs))(?<!\bMrs)[.!?](?=\s)(?!\s+[a-z])|\n\s*\n|\f"
)
"""Not the point of an initial, of a title, or of an abbreviation inside a sentence (small letters follow)."""
_SPACE = re.compile(r"\s+")
_SOFT_HYPHEN = "\u00ad"
_UNSPACED = re.compile(
    "[\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
"""Han and kana: written without spaces, so that every character is a word."""


@dataclass(frozen=True, slots=True)
class Found:
    """text[start:end] is the quote."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Word:
    """text[start:end], folded: compatibility forms, case and separators of thousands are gone."""

    folded: str
    start: int
    end: int


class FoldedText:
    """A text prepared for finding quotes: words folded, each with its place in the original."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._starts: list[int] = []
        self._ends: list[int] = []
        folded: list[str] = []
        for word in words(text):
            folded.append(word.folded)
            self._starts.append(word.start)
            self._ends.append(word.end)
        self._folded = " " + " ".join(folded) + " "

    def find(self, quote: str) -> Found | None:
        """The first place where `quote` stands as a run of whole words, or None."""
        wanted = [word.folded for word in words(quote)]
        if sum(len(word) for word in wanted) < MIN_LETTERS:
            return None
        at = self._folded.find(" " + " ".join(wanted) + " ")
        if at < 0:
            return None
        first = self._folded.count(" ", 0, at + 1) - 1
        return Found(self._starts[first], self._ends[first + len(wanted) - 1])

    def sentence_around(self, found: Found, most: int) -> Found:
        """`found` widened to its sentence, but to no more than about `most` characters."""
        text, reach = self._text, max(0, most - (found.end - found.start)) // 2
        low, high = max(0, found.start - reach), min(len(text), found.end + reach)
        ends = list(_SENTENCE_END.finditer(text, low, high))
        start = max((match.end() for match in ends if match.end() <= found.start), default=-1)
        end = min((match.start() + 1 for match in ends if match.start() >= found.end), default=-1)
        if start < 0:
            start = low if low == 0 else _after_space(text, low, found.start)
        if end < 0:
            end = high if high == len(text) else _before_space(text, found.end, high)
        sentence = text[start:end]
        return Found(start + len(sentence) - len(sentence.lstrip()), start + len(sentence.rstrip()))

    def line_around(self, found: Found) -> Found:
        """`found` widened to whole lines of the original, without white space at the ends."""
        start = max(self._text.rfind(mark, 0, found.start) for mark in "\n\f") + 1
        ends = [at for mark in "\n\f" if (at := self._text.find(mark, found.end)) >= 0]
        end = min(ends, default=len(self._text))
        line = self._text[start:end]
        return Found(start + len(line) - len(line.lstrip()), start + len(line.rstrip()))


def _after_space(text: str, low: int, high: int) -> int:
    """Where the first whole word of text[low:high] begins, if it begins behind white space."""
    space = _SPACE.search(text, low - 1, high)
    return space.end() if space else high


def _before_space(text: str, low: int, high: int) -> int:
    """Where the last whole word of text[low:high] ends, if it ends before white space."""
    spaces = list(_SPACE.finditer(text, low, high + 1))
    return spaces[-1].start() if spaces else low


def words(text: str) -> Iterator[Word]:
    """Runs of letters and digits, folded, with their places.

    A point or comma between two digits belongs to the number; other punctuation separates.
    """
    for run in _RUN.finditer(text):
        if run[0].isascii():
            yield Word(_fold(run[0]), run.start(), run.end())
        else:
            yield from _split(text, run.start(), run.end())


def _split(text: str, start: int, end: int) -> Iterator[Word]:
    """The words of ``text[start:end]``, character by character."""
    first = -1
    for index in range(start, end):
        char = text[index]
        begins = char.isalnum()
        goes_on = begins or char in ".," or char == _SOFT_HYPHEN or unicodedata.category(char)[0] == "M"
        if first >= 0 and (not goes_on or (begins and _parted(text[index - 1], char))):
            yield Word(_fold(text[first:index]), first, index)
            first = -1
        if first < 0 and begins:
            first = index
    if first >= 0:
        yield Word(_fold(text[first:end]), first, end)


def _parted(before: str, char: str) -> bool:
    """Whether a word ends between two letters or digits: beside Han and kana, and between a number and
    its exponent or fraction (10² is not 102)."""
    if _UNSPACED.match(before) or _UNSPACED.match(char):
        return True
    return before.isnumeric() and char.isnumeric() and before.isdecimal() != char.isdecimal()


def _fold(word: str) -> str:
    """Compatibility forms and case folded; never empty and without spaces, which some forms expand to."""
    if not word.isascii():
        word = "".join(unicodedata.normalize("NFKC", word.replace(_SOFT_HYPHEN, "")).split())
        # Folding case can take a text out of its normal form (Unicode 3.13, D145).
        word = unicodedata.normalize("NFKC", unicodedata.normalize("NFD", word).casefold())
    else:
        word = word.casefold()
    return _THOUSANDS.sub(lambda number: number[0].replace(",", ""), word) if "," in word else word
