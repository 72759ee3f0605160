"""Scores of replies and of forced reading: exact comparisons, no judgement."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from eval.recall.samples import Probe

_NUMBER = re.compile(r"\d+")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_WORD = re.compile(r"[a-z]+")

Bools = NDArray[np.bool_]


def first_number(probe: Probe, reply: str) -> float:
    """1 if the first number in the reply is the expected one, else 0."""
    found = _NUMBER.search(_THOUSANDS.sub("", reply))
    return float(found is not None and found[0] == probe.expected[0])


def first_choice(probe: Probe, reply: str) -> float:
    """1 if the first of the probe's choices that the reply names is the expected one, else 0."""
    named = (word for word in _WORD.findall(reply.casefold()) if word in probe.choices)
    return float(next(named, None) == probe.expected[0])


def share_of_values(probe: Probe, reply: str) -> float:
    """The share of the n expected numbers among the first n different numbers of the reply.

    Saying more than n does not help, so it is precision and recall at once.  Numbers of another length,
    such as those of a numbered list, do not count.
    """
    n, length = len(probe.expected), len(probe.expected[0])
    said = [number for number in dict.fromkeys(_NUMBER.findall(reply)) if len(number) == length]
    return len(set(said[:n]) & set(probe.expected)) / n


def share_of_lines(probe: Probe, reply: str) -> float:
    """The share of the expected lines that stand in the reply at their own place, character by character."""
    said = reply.split("\n")[: len(probe.expected)]
    return sum(a == b for a, b in zip(said, probe.expected, strict=False)) / len(probe.expected)


def forced_lines(right: Bools, pieces: Sequence[bytes]) -> float:
    """The share of lines all of whose tokens were the likeliest, when each was read after the true ones.

    `right` (n,) tells it for each token, `pieces` are the tokens' bytes.  A token that holds a line
    break and the next line's indentation counts for both lines.
    """
    wrong: set[int] = set()
    line = 0
    for is_right, piece in zip(right, pieces, strict=True):
        last = line + piece.count(b"\n")
        if not is_right:
            end = last - 1 if piece.endswith(b"\n") else last
            wrong.update(range(line, end + 1))
        line = last
    n_lines = b"".join(pieces).count(b"\n") + 1
    return 1 - len(wrong) / n_lines


def first_wrong(right: Bools) -> int:
    """How many tokens are right before the first wrong one; n when all are.

    This is how far greedy decoding would get without an error.
    """
    wrong = np.flatnonzero(~right)
    return int(wrong[0]) if len(wrong) else len(right)
