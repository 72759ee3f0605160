"""Cut a text into overlapping passages of about 100-150 words at sentence and line ends.

Passages rank documents and supply quotes; nothing else reads them.  A passage does not cross a
page unless the page is tiny: then it is joined with the pages after it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from library.records import DocumentText

WORDS_MIN = 100
WORDS_MAX = 150
_TINY_PAGE_WORDS = 40
_SEGMENT_CHARS_MAX = 1200  # text without spaces or sentence ends is cut here

# A segment ends after a line break, or after ". ", "? ", "! " (with closing quotes or brackets).
_BOUNDARY = re.compile(r"""\n+|[.!?]["'”’)\]]*[ \t]+""")
_WORD = re.compile(r"\S+")


@dataclass(frozen=True, slots=True)
class Window:
    """The passage ``text[start:end]``; it neither starts nor ends with white space."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class _Segment:
    """A sentence or a line: ``text[start:end]``, never split further."""

    start: int
    end: int
    n_words: int


def cut_passages(text: DocumentText) -> Iterator[Window]:
    """The passages of a text in order; together they hold every word of it."""
    for start, end in _sections(text):
        yield from _windows(text.text, list(_segments(text.text, start, end)))


def _sections(text: DocumentText) -> Iterator[tuple[int, int]]:
    """Pages, tiny ones joined with what follows; the first and last reach to the ends of the text."""
    start = 0
    n_words = 0
    for index, page in enumerate(text.pages):
        last = index + 1 == len(text.pages)
        end = len(text.text) if last else text.pages[index + 1].start
        n_words += len(text.text[page.start : end].split())
        if n_words >= _TINY_PAGE_WORDS or last:
            yield start, end
            start, n_words = end, 0
    if not text.pages:
        yield 0, len(text.text)


def _segments(text: str, start: int, end: int) -> Iterator[_Segment]:
    position = start
    while position < end:
        found = _BOUNDARY.search(text, position, end)
        stop = found.end() if found else end
        sentence = text[position:stop]
        words = sentence.split()
        if 0 < len(words) <= WORDS_MIN and stop - position <= _SEGMENT_CHARS_MAX:  # nearly all are
            first = position + len(sentence) - len(sentence.lstrip())
            yield _Segment(first, position + len(sentence.rstrip()), len(words))
        elif words:
            yield from _pieces(text, position, stop)
        position = stop


def _pieces(text: str, start: int, end: int) -> Iterator[_Segment]:
    """A sentence cut, where it is too long, before the word that would make it so."""
    first = last = -1
    n_words = 0
    for word in _WORD.finditer(text, start, end):
        for left in range(word.start(), word.end(), _SEGMENT_CHARS_MAX):
            right = min(left + _SEGMENT_CHARS_MAX, word.end())
            if first >= 0 and (n_words >= WORDS_MIN or right - first > _SEGMENT_CHARS_MAX):
                yield _Segment(first, last, n_words)
                first, n_words = -1, 0
            if first < 0:
                first = left
            last = right
            n_words += 1
    if first >= 0:
        yield _Segment(first, last, n_words)


def _windows(text: str, segments: list[_Segment]) -> Iterator[Window]:
    """Whole segments, at least WORDS_MIN words while there are any, each starting near the middle of
    the one before."""
    first = 0
    while first < len(segments):
        stop, n_words = first, 0
        while stop < len(segments) and (
            n_words < WORDS_MIN and (stop == first or n_words + segments[stop].n_words <= WORDS_MAX)
        ):
            too_far = segments[stop].end - segments[first].start > 2 * _SEGMENT_CHARS_MAX
            if stop > first and too_far:
                break
            n_words += segments[stop].n_words
            stop += 1
        yield Window(segments[first].start, segments[stop - 1].end)
        if stop == len(segments):
            return
        half, following = 0, first
        while following < stop and half + segments[following].n_words <= n_words // 2:
            half += segments[following].n_words
            following += 1
        first = max(following, first + 1)
