"""Seeded draws for the generated documents."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")

FIRST_NAMES = (
    "Agathe",
    "Bram",
    "Cosima",
    "Dorian",
    "Edda",
    "Falk",
    "Gesa",
    "Henrik",
    "Ilka",
    "Jorge",
    "Kaja",
    "Lorcan",
)
LAST_NAMES = (
    "Abelard",
    "Brunvoll",
    "Castellan",
    "Dravec",
    "Elsgood",
    "Fontaine",
    "Grimaldo",
    "Hollis",
    "Iversen",
    "Jankovic",
    "Kettering",
    "Lindhurst",
)


class Draws:
    """Random choices for one document; the same seed and stream always give the same ones."""

    def __init__(self, seed: int, stream: int) -> None:
        self._rng = np.random.default_rng([seed, stream])

    def some(self, items: Sequence[T], n: int) -> list[T]:
        """`n` different ones of `items`, in random order."""
        return [items[int(i)] for i in self._rng.choice(len(items), n, replace=False)]

    def any(self, items: Sequence[T], n: int) -> list[T]:
        """`n` of `items`, which may repeat."""
        return [items[int(i)] for i in self._rng.integers(0, len(items), n)]

    def numbers(self, low: int, high: int, n: int) -> list[int]:
        """`n` integers from `low` to `high`, which may repeat."""
        return self.any(range(low, high + 1), n)

    def distinct(self, low: int, high: int, n: int) -> list[int]:
        """`n` different integers from `low` to `high`."""
        return self.some(range(low, high + 1), n)

    def people(self, n: int) -> list[str]:
        """`n` people who share neither first nor last name, at most twelve."""
        pairs = zip(self.some(FIRST_NAMES, n), self.some(LAST_NAMES, n), strict=True)
        return [f"{first} {last}" for first, last in pairs]
