"""Cuts a document that is too long for one context into volumes of about equal length.

A cut is made where it hurts least: between pages or sections, else between paragraphs, lines,
sentences, words, and only as a last resort inside a word.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import ceil

from library.records import DocumentText

WHOLE_LABEL = "whole document"

_HEADROOM = 0.05  # parts are planned this much below the maximum, so that a cut has room to move
_REACH = 0.25  # a cut may lie this share of a part before or after the place of equal parts
_PIECES_PER_VOLUME = 48  # how finely the text is measured
_MIN_PIECE_CHARS = 64

# Each matches the separator before a possible cut, best kind of cut first (after page ends).
_SEPARATORS = (
    re.compile(r"\n[ \t]*\n\s*"),
    re.compile(r"\n"),
    re.compile(r"[.!?…][\"'”’)\]]*\s+|[。！？]"),
    re.compile(r"\s+"),
)


@dataclass(frozen=True, slots=True)
class CutVolume:
    """The part ``text[char_start:char_end]``, `n_tokens` long; `label` names its pages."""

    char_start: int
    char_end: int
    n_tokens: int
    label: str


def cut(text: DocumentText, n_tokens: Callable[[str], int], max_tokens: int) -> tuple[CutVolume, ...]:
    """Cut `text` into volumes of at most `max_tokens` tokens each, as counted by `n_tokens`.

    The volumes, joined, are the whole text.  A text that fits is one volume; an empty one has none.
    The tokenizer sees the text about three times in all: whole, in small pieces to find the places of
    equal parts, and volume by volume (again, shortened, for a volume that comes out too long).

    Raises:
        ValueError: `max_tokens` is smaller than 1, or than what a single character takes.
    """
    if max_tokens < 1:
        raise ValueError("a volume needs room for at least one token")
    whole = text.text
    if not whole:
        return ()
    total = n_tokens(whole)
    if total <= max_tokens:
        return (CutVolume(0, len(whole), total, WHOLE_LABEL),)
    cutter = _Cutter(text, n_tokens, max_tokens, total)
    volumes: list[CutVolume] = []
    start = 0
    while start < len(whole):
        end, count = cutter.next_end(start)
        volumes.append(CutVolume(start, end, count, _label(text, start, end)))
        start = end
    return tuple(volumes)


class _Ruler:
    """Where tokens lie in a text: measured in small pieces, in between in proportion."""

    def __init__(self, text: str, n_tokens: Callable[[str], int], n_pieces: int) -> None:
        step = max(_MIN_PIECE_CHARS, ceil(len(text) / n_pieces))
        self._chars = [*range(0, len(text), step), len(text)]
        self._tokens = [0.0]
        for start, end in pairwise(self._chars):
            self._tokens.append(self._tokens[-1] + n_tokens(text[start:end]))

    def tokens_before(self, char: int) -> float:
        return _interpolate(self._chars, self._tokens, char)

    def char_at(self, tokens: float) -> int:
        return round(_interpolate(self._tokens, self._chars, tokens))


def _interpolate(xs: list[int] | list[float], ys: list[int] | list[float], x: float) -> float:
    """Piecewise linear; `xs` ascends (flat parts allowed)."""
    index = min(max(bisect_right(xs, x), 1), len(xs) - 1)
    x0, x1, y0, y1 = xs[index - 1], xs[index], ys[index - 1], ys[index]
    share = min(max((x - x0) / (x1 - x0), 0.0), 1.0) if x1 > x0 else 1.0
    return y0 + (y1 - y0) * share


class _Cutter:
    """Finds where volumes end."""

    def __init__(
        self, text: DocumentText, n_tokens: Callable[[str], int], max_tokens: int, total: int
    ) -> None:
        self._text = text.text
        self._page_starts = [page.start for page in text.pages]
        self._n_tokens = n_tokens
        self._max_tokens = max_tokens
        self._ruler = _Ruler(self._text, n_tokens, _PIECES_PER_VOLUME * ceil(total / max_tokens))
        self._total = self._ruler.tokens_before(len(self._text))

    def next_end(self, start: int) -> tuple[int, int]:
        """Where the volume that begins at `start` ends, and its tokens."""
        text, room = self._text, self._max_tokens
        done = self._ruler.tokens_before(start)
        left = self._total - done
        if left <= room * (1 + _HEADROOM):
            count = self._n_tokens(text[start:])
            if count <= room:
                return len(text), count
        n_parts = max(2, ceil(left / (room * (1 - _HEADROOM))))
        equal = left / n_parts
        # What is left after this part must still fit into the others.
        shortest = max(equal * (1 - _REACH), left - (n_parts - 1) * room * (1 - _HEADROOM / 2))
        longest = min(equal * (1 + _REACH), room)
        low = self._ruler.char_at(done + shortest)
        high = min(len(text) - 1, self._ruler.char_at(done + longest))
        aim = self._ruler.char_at(done + equal)
        while True:
            high = max(high, start + 1)
            low = min(max(low, start + 1), high)
            end = self._best_place(low, high, min(max(aim, low), high))
            count = self._n_tokens(text[start:end])
            if count <= room:
                return end, count
            if end - start == 1:
                raise ValueError(f"one character takes {count} tokens, a volume holds {room}")
            # The measure was too optimistic: shorten in proportion, at least by an eighth.
            high = start + min(int((end - start) * room / count), (end - start) * 7 // 8)
            low = start + (high - start) * 3 // 4
            aim = high

    def _best_place(self, low: int, high: int, aim: int) -> int:
        """The place to cut in ``[low, high]``: after the best kind of separator, there nearest to `aim`."""

        def distance(place: int) -> tuple[int, int]:
            return abs(place - aim), place

        starts = self._page_starts
        pages = starts[bisect_left(starts, low) : bisect_right(starts, high)]
        if pages:
            return min(pages, key=distance)
        for separator in _SEPARATORS:
            places = [place for place in _ends(separator, self._text, low, high) if place >= low]
            if places:
                return min(places, key=distance)
        return aim


def _ends(separator: re.Pattern[str], text: str, low: int, high: int) -> Iterator[int]:
    # One character before `low` is looked at, so that a separator that ends at `low` counts.
    return (match.end() for match in separator.finditer(text, max(0, low - 1), high))


def _label(text: DocumentText, start: int, end: int) -> str:
    if not text.pages:
        return ""
    first, last = text.page_at(start).label, text.page_at(end - 1).label
    return first if first == last else f"{first} to {last}"
