"""Random names and numbers, which no model can have read before."""

from __future__ import annotations

import keyword
from collections.abc import Callable

from eval.recall.samples import Rng

_CONSONANTS = "bdfgklmnprstvz"
_VOWELS = "aeiou"
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def identifier(rng: Rng, n_letters: int) -> str:
    """Random lower-case letters that are no Python keyword."""
    while True:
        name = "".join(_LETTERS[i] for i in rng.integers(0, len(_LETTERS), n_letters))
        if not keyword.iskeyword(name) and not keyword.issoftkeyword(name):
            return name


def word(rng: Rng) -> str:
    """Three random syllables and a consonant: a word that can be spoken and means nothing."""
    consonants = [_CONSONANTS[i] for i in rng.integers(0, len(_CONSONANTS), 4)]
    vowels = [_VOWELS[i] for i in rng.integers(0, len(_VOWELS), 3)]
    return "".join(a + b for a, b in zip(consonants, [*vowels, ""], strict=True))


def code(rng: Rng) -> str:
    """A number of five digits."""
    return str(rng.integers(10_000, 100_000))


def distinct(rng: Rng, make: Callable[[Rng], str], n: int) -> list[str]:
    """`n` different results of `make`, in the order in which they came."""
    found: dict[str, None] = {}
    while len(found) < n:
        found.setdefault(make(rng))
    return list(found)
