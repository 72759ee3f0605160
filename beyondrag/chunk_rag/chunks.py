"""Cut texts into overlapping chunks of a fixed number of tokens, as chunk-RAG does.

A chunk ends at the last sentence or line end of its final quarter when there is one, otherwise before
the word that no longer fits.  The next chunk starts about `overlap` tokens before that end, at
a sentence or line start when there is one in the later half of the overlap.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate

from library.records import DocumentText
from library.store import Library

CHUNK_TOKENS = 512
OVERLAP_TOKENS = 64

_WORD = re.compile(r"\s*\S{1,48}")  # longer runs without spaces are cut
_LINE_END = re.compile(r"\s*[\n\f]")  # before the next word
_SENTENCE_END = re.compile(r"""[.!?…]["'”’)\]]*$""")

CountTokens = Callable[[str], int]


@dataclass(frozen=True, slots=True)
class Chunk:
    """The part ``text[start:end]`` of a document; `page` is the label of the page where it starts.

    `n_tokens` is the sum over its words, which for byte-pair tokenizers is the number of its tokens.
    """

    document_id: str
    title: str
    start: int
    end: int
    page: str
    n_tokens: int


@dataclass(frozen=True, slots=True)
class _Words:
    """The words of a text: where each ends, tokens before each (and in all), where sentences end."""

    ends: list[int]
    tokens_before: list[int]
    boundaries: list[int]
    """Numbers of words after which a sentence or line ends, ascending."""


def cut_chunks(
    text: str, count: CountTokens, *, size: int = CHUNK_TOKENS, overlap: int = OVERLAP_TOKENS
) -> Iterator[tuple[int, int, int]]:
    """The chunks of a text as (start, end, n_tokens), in order; together they hold every word.

    `count` counts the tokens of a word with the white space before it.  A single word of more than
    `size` tokens is a chunk of its own.

    Raises:
        ValueError: `overlap` is not smaller than half of `size`.
    """
    if not 0 <= overlap < size / 2:
        raise ValueError("the overlap must be smaller than half of a chunk")
    words = _read_words(text, count)
    before = words.tokens_before
    first, n_words = 0, len(words.ends)
    while first < n_words:
        stop = _stop(words, first, size)
        start = words.ends[first - 1] if first else 0
        part = text[start : words.ends[stop - 1]]
        yield start + len(part) - len(part.lstrip()), words.ends[stop - 1], before[stop] - before[first]
        if stop == n_words:
            return
        first = max(first + 1, _next_first(words, stop, overlap), _first_that_leaves_room(words, stop, size))


def _read_words(text: str, count: CountTokens) -> _Words:
    found = list(_WORD.finditer(text))
    boundaries = []
    for number, word in enumerate(found, 1):
        following = text[word.end() : word.end() + 1]
        line_ends = number == len(found) or _LINE_END.match(found[number][0]) is not None
        if line_ends or (following.isspace() and _SENTENCE_END.search(word[0])):
            boundaries.append(number)
    counts = accumulate((max(1, count(word[0])) for word in found), initial=0)
    return _Words([word.end() for word in found], list(counts), boundaries)


def _stop(words: _Words, first: int, size: int) -> int:
    """One past the last word of the chunk that begins with word `first`."""
    before = words.tokens_before
    latest = max(first + 1, bisect_right(before, before[first] + size) - 1)
    if latest >= len(words.ends):
        return len(words.ends)
    earliest = bisect_left(before, before[first] + size * 3 // 4)
    at = bisect_right(words.boundaries, latest) - 1
    if at >= 0 and words.boundaries[at] >= max(earliest, first + 1):
        return words.boundaries[at]
    return latest


def _next_first(words: _Words, stop: int, overlap: int) -> int:
    """The word with which the chunk after one that stops at `stop` begins."""
    before = words.tokens_before
    earliest = bisect_left(before, before[stop] - overlap)
    latest = bisect_right(before, before[stop] - overlap // 2) - 1
    at = bisect_left(words.boundaries, earliest)
    if at < len(words.boundaries) and words.boundaries[at] <= latest:
        return words.boundaries[at]
    return earliest


def _first_that_leaves_room(words: _Words, stop: int, size: int) -> int:
    """The first word after which a chunk still holds word `stop`, so that every chunk goes further."""
    before = words.tokens_before
    return min(stop, bisect_left(before, before[stop + 1] - size))


def document_chunks(
    document_id: str,
    title: str,
    text: DocumentText,
    count: CountTokens,
    *,
    size: int = CHUNK_TOKENS,
    overlap: int = OVERLAP_TOKENS,
) -> Iterator[Chunk]:
    """The chunks of one document."""
    for start, end, n_tokens in cut_chunks(text.text, count, size=size, overlap=overlap):
        yield Chunk(document_id, title, start, end, text.page_at(start).label, n_tokens)


def library_chunks(
    library: Library, count: CountTokens, *, size: int = CHUNK_TOKENS, overlap: int = OVERLAP_TOKENS
) -> list[Chunk]:
    """The chunks of all documents of a library; the texts are those that the product reads."""
    known: dict[str, int] = {}

    def counted(word: str) -> int:
        n = known.get(word)
        if n is None:
            n = known[word] = count(word)
        return n

    chunks: list[Chunk] = []
    for document in library.documents():
        text = library.text(document.id)
        chunks += document_chunks(document.id, document.title, text, counted, size=size, overlap=overlap)
    return chunks
