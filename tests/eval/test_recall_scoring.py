"""Scores of replies written by hand."""

from __future__ import annotations

import numpy as np
import pytest

from eval.recall.samples import Probe
from eval.recall.scoring import (
    first_choice,
    first_number,
    first_wrong,
    forced_lines,
    share_of_lines,
    share_of_values,
)


def probe(*expected: str, choices: tuple[str, ...] = ()) -> Probe:
    return Probe("all", 0.5, "q", "o", "a", expected, choices)


@pytest.mark.parametrize(
    ("reply", "score"),
    [
        (" 48213.", 1),
        (": **48,213**", 1),
        (":\n\n48213\n", 1),
        (" 48213 or 99999", 1),
        (" 99999, not 48213", 0),
        (" 482137", 0),
        (" 4821", 0),
        (" 48,2130", 0),
        (" unknown", 0),
        ("", 0),
    ],
)
def test_the_first_number_counts(reply: str, score: float) -> None:
    assert first_number(probe("48213"), reply) == score


@pytest.mark.parametrize(
    ("reply", "score"),
    [
        (" brumek.", 1),
        (' the item "Brumek", by far', 1),
        (" fekifez, then brumek", 0),
        (" brumeks", 0),
        (" nothing", 0),
        ("", 0),
    ],
)
def test_the_first_item_named_counts(reply: str, score: float) -> None:
    assert first_choice(probe("brumek", choices=("fekifez", "brumek")), reply) == score


@pytest.mark.parametrize(
    ("reply", "score"),
    [
        (" 11111, 22222, 33333, 44444", 1),
        (" 44444, 33333, 22222, 11111", 1),
        (":\n1. 11111\n2. 22222\n3. 33333\n4. 44444", 1),
        (" 11111,22222 and 55555, 44444", 0.75),
        (" 11111, 11111, 11111, 22222", 0.5),
        (" 55555, 66666, 77777, 88888, 11111, 22222, 33333, 44444", 0),
        (" 11111", 0.25),
        ("", 0),
    ],
)
def test_saying_more_numbers_than_there_are_does_not_help(reply: str, score: float) -> None:
    assert share_of_values(probe("11111", "22222", "33333", "44444"), reply) == score


@pytest.mark.parametrize(
    ("reply", "score"),
    [
        ("def f(a):\n    b = a\n    return b", 1),
        ("def f(a):\n    b = a\n    return b\n```\nmore", 1),
        ("def f(a):\n    b = c\n    return b", 2 / 3),
        ("def f(a):\n    return b", 1 / 3),
        ("def f(a):\n  b = a\n    return b", 2 / 3),
        ("\ndef f(a):\n    b = a", 0),
        ("", 0),
    ],
)
def test_lines_count_at_their_own_place(reply: str, score: float) -> None:
    assert share_of_lines(probe("def f(a):", "    b = a", "    return b"), reply) == score


PIECES = [b"def", b" f", b"():", b"\n   ", b" b", b"\n", b"  ret", b"urn"]
"""Three lines; the fourth token ends the first line and begins the second, the sixth only ends it."""


@pytest.mark.parametrize(
    ("wrong", "lines_lost"),
    [
        ((), 0),
        ((0,), 1),
        ((0, 1, 2), 1),
        ((3,), 2),
        ((4,), 1),
        ((5,), 1),
        ((6,), 1),
        ((2, 7), 2),
        ((3, 7), 3),
    ],
)
def test_a_line_is_exact_when_all_its_tokens_are(wrong: tuple[int, ...], lines_lost: int) -> None:
    right = np.ones(len(PIECES), bool)
    right[list(wrong)] = False
    assert forced_lines(right, PIECES) == pytest.approx(1 - lines_lost / 3)
    assert first_wrong(right) == (min(wrong) if wrong else len(PIECES))
