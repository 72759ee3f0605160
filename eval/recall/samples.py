"""What a generator makes: a document, and questions about it whose answers are known exactly."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

N_BINS = 5
"""Depth bins: fifths of the document."""

Rng = np.random.Generator


@dataclass(frozen=True, slots=True)
class Probe:
    """One question about a document.

    Attributes:
        stratum: the group in which its score is shown as well, such as "depth 20-40 %" or "2 hops".
        depth: where the line that is asked about stands, 0 (start) to 1 (end of the document).
        opening: the first words of the reply, put into the model's mouth so that it answers at once
            (the answer prefix of RULER).
        answer: what a perfect reply continues with, white space between included.
        expected: the parts of the answer that are looked for in a reply.
        choices: every item that could be the answer, where there are few.
    """

    stratum: str
    depth: float
    question: str
    opening: str
    answer: str
    expected: tuple[str, ...]
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sample:
    """A document of `n_items` generated items, and the questions about it."""

    title: str
    body: str
    n_items: int
    probes: tuple[Probe, ...]


Build = Callable[[Rng, int], Sample]
"""Makes a sample of a number of items; the same state of the generator gives the same sample."""


def depth_of(line: int, n_lines: int) -> float:
    """Where line `line` of `n_lines` stands: the middle of the line, 0 to 1."""
    return (line + 0.5) / n_lines


def depth_stratum(depth: float) -> str:
    """The name of the fifth of the document that `depth` (0 to 1) falls into."""
    fifth = min(int(depth * N_BINS), N_BINS - 1)
    width = 100 // N_BINS
    return f"depth {fifth * width}-{(fifth + 1) * width} %"


def one_per_bin(rng: Rng, n: int) -> list[int]:
    """One index out of 0..n-1 in each fifth, ascending; fifths that hold none are left out."""
    edges = [round(i * n / N_BINS) for i in range(N_BINS + 1)]
    return [int(rng.integers(a, b)) for a, b in pairwise(edges) if b > a]
