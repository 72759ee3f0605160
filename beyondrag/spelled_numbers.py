"""English numbers in words as digits: "nine months" is "9 months", "one hundred and twenty" is 120."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from beyondrag.evidence import Word

_ONES = {
    word: number
    for number, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
        "sixteen seventeen eighteen nineteen".split()
    )
}
_TENS = {
    word: 10 * number
    for number, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), 2)
}
_SCALES = {"million": 1_000_000, "thousand": 1000}


def with_digits(spelled: Iterable[Word]) -> Iterator[Word]:
    """The words, with each English number below a thousand million as one word of digits."""
    words = list(spelled)
    at = 0
    while at < len(words):
        number = _Reader(words, at).number()
        if number is None:
            yield words[at]
            at += 1
        else:
            yield Word(str(number.value), words[at].start, words[number.stop - 1].end)
            at = number.stop


@dataclass(frozen=True, slots=True)
class _Number:
    """words[..stop] say `value`."""

    value: int
    stop: int


class _Reader:
    """Reads a number that begins with the word `at`; its words stand one space or hyphen apart."""

    def __init__(self, words: Sequence[Word], at: int) -> None:
        self._words, self._at = words, at

    def number(self) -> _Number | None:
        """Three digits, then perhaps a scale and more; None when no number begins here."""
        part = self._below_thousand(self._at)
        if part is None:
            return None
        total, limit = 0, 1 << 62
        while True:
            scale = _SCALES.get(self._next(part.stop))
            if scale is None or scale >= limit:  # "two thousand three million" are two numbers
                return _Number(total + part.value, part.stop)
            total, limit = total + part.value * scale, scale
            after = self._below_thousand(self._behind_and(part.stop + 1), inside=True)
            if after is None:
                return _Number(total, part.stop + 1)
            part = after

    def _below_thousand(self, at: int, *, inside: bool = False) -> _Number | None:
        if inside and not self._joined(at):
            return None
        first = self._below_hundred(at)
        if first is None:
            one = (
                at + 1 < len(self._words)
                and self._words[at].folded == "a"
                and self._next(at + 1) == "hundred"
            )
            if not one:
                return None
            first = _Number(1, at + 1)
        if not (0 < first.value < 10 and self._next(first.stop) == "hundred"):
            return first
        hundreds = _Number(100 * first.value, first.stop + 1)
        rest_at = self._behind_and(hundreds.stop)
        rest = self._below_hundred(rest_at) if self._joined(rest_at) else None
        return (
            hundreds if rest is None or rest.value == 0 else _Number(hundreds.value + rest.value, rest.stop)
        )

    def _below_hundred(self, at: int) -> _Number | None:
        if at >= len(self._words):
            return None
        word = self._words[at].folded
        if word in _ONES:
            return _Number(_ONES[word], at + 1)
        if word not in _TENS:
            return None
        ones = _ONES.get(self._next(at + 1), 0)
        return _Number(_TENS[word] + ones, at + 2) if 0 < ones < 10 else _Number(_TENS[word], at + 1)

    def _behind_and(self, at: int) -> int:
        """Where the number goes on: an "and" between its parts is stepped over, one behind it is not."""
        return at + 1 if self._next(at) == "and" and self._joined(at + 1) else at

    def _next(self, at: int) -> str:
        """The word `at` if it stands right behind the one before, else ""."""
        return self._words[at].folded if self._joined(at) else ""

    def _joined(self, at: int) -> bool:
        return 0 < at < len(self._words) and self._words[at].start == self._words[at - 1].end + 1
