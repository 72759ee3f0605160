"""Intervals against known distributions, tests against naive sums."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.stats import NOTHING, holm, mcnemar, mean, median, paired_difference, ratio, share, wilson


def test_wilson_against_published_values() -> None:
    # Newcombe 1998, Statistics in Medicine 17:857, table I, method 3.
    for n_good, n, low, high in [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611)]:
        found = wilson(n_good, n)
        assert found == pytest.approx((low, high), abs=1e-4)
    assert wilson(29, 29) == pytest.approx((0.8830, 1.0), abs=1e-4)
    assert wilson(0, 0) == (0.0, 1.0)


def test_the_interval_of_a_mean_is_that_of_the_normal_distribution() -> None:
    values = np.random.default_rng(1).normal(3.0, 2.0, 900)
    found = mean(values)
    half = 1.96 * values.std() / math.sqrt(900)
    assert found.value == pytest.approx(values.mean())
    assert found.low == pytest.approx(values.mean() - half, abs=0.02)
    assert found.high == pytest.approx(values.mean() + half, abs=0.02)
    assert found.n == 900


def test_intervals_of_shares_cover_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(2)
    covered = 0
    for _ in range(200):
        found = mean(rng.random(80) < 0.3)
        covered += found.low <= 0.3 <= found.high
    assert 0.90 <= covered / 200 <= 0.99


def test_the_same_values_give_the_same_interval() -> None:
    values = [0, 1, 1, 0, 1, 0, 0, 1]
    assert mean(values) == mean(values)
    assert mean(values) != mean([*values, 1])


def test_a_ratio_counts_its_cases() -> None:
    found = ratio([1, 0, 0, 1], [1, 1, 0, 1])
    assert found.value == pytest.approx(2 / 3)
    assert found.n == 3
    assert 0 <= found.low <= found.value <= found.high <= 1


def test_shares_of_none_and_of_all_are_not_certain() -> None:
    for good, every in ((11, [True] * 11), (0, [0] * 11)):
        found = mean(every, shares=True)
        assert (found.low, found.high) == wilson(good, 11)
    counting = ratio([1, 1, 0], [1, 1, 0], shares=True)
    assert (counting.low, counting.high, counting.n) == (*wilson(2, 2), 2)
    tokens = ratio([40, 60], [40, 60], shares=True)  # two questions, not a hundred cases
    assert (tokens.low, tokens.high, tokens.n) == (*wilson(2, 2), 100)
    assert mean([0.5, 0.5], shares=True).low == 0.5  # no limit to be near to
    assert ratio([0, 0], [0, 0]) is NOTHING
    assert mean([]) is NOTHING


def test_what_is_no_share_never_gets_the_interval_of_one() -> None:
    for equal in ([0.0] * 9, [1.0] * 9):  # differences, divergences
        found = mean(equal)
        assert (found.low, found.high) == (equal[0], equal[0])


def test_a_share_by_its_counts() -> None:
    assert (share(3, 12).value, share(3, 12).n) == (0.25, 12)
    assert (share(3, 12).low, share(3, 12).high) == wilson(3, 12)
    assert share(0, 0) is NOTHING


def test_a_median_and_its_interval() -> None:
    values = np.random.default_rng(3).normal(10, 1, 401)
    found = median(values)
    assert found.value == np.median(values)
    half = 1.96 * math.sqrt(math.pi / 2) / math.sqrt(401)  # of a normal's median
    assert found.high - found.low == pytest.approx(2 * half, rel=0.35)
    assert median([]) is NOTHING


def test_large_columns_do_not_take_large_memory() -> None:
    assert mean(np.arange(30_000)).n == 30_000


def pairs(both: int, only_first: int, only_second: int, neither: int) -> tuple[list[int], list[int]]:
    """Two columns with these counts."""
    first = [1] * (both + only_first) + [0] * (only_second + neither)
    second = [1] * both + [0] * only_first + [1] * only_second + [0] * neither
    return first, second


def test_the_paired_interval_is_newcombes() -> None:
    """An example of the paper's own table, method 10."""
    found = paired_difference(*pairs(36, 12, 2, 0))
    assert (found.low, found.high) == (pytest.approx(0.0569, abs=5e-5), pytest.approx(0.3404, abs=5e-5))


@given(st.tuples(*[st.integers(0, 60)] * 4).filter(any))
def test_the_paired_interval_holds_the_difference_and_turns_with_it(
    counts: tuple[int, int, int, int],
) -> None:
    a, b, c, d = counts
    one, other = paired_difference(*pairs(a, b, c, d)), paired_difference(*pairs(a, c, b, d))
    assert -1 <= one.low <= one.value + 1e-12
    assert one.value - 1e-12 <= one.high <= 1
    assert one.low < one.high
    assert one.value == pytest.approx((b - c) / sum(counts))
    assert (one.low, one.high) == (pytest.approx(-other.high), pytest.approx(-other.low))


def test_columns_that_are_not_paired_have_no_difference() -> None:
    assert paired_difference([], []) is NOTHING
    with pytest.raises(ValueError, match="paired"):
        paired_difference([1], [1, 0])


def naive_p(b: int, c: int) -> float:
    """The share of the 2^(b+c) ways to toss b + c coins that are at least as one-sided."""
    n = b + c
    extreme = [
        sum(coins) for coins in product((0, 1), repeat=n) if min(sum(coins), n - sum(coins)) <= min(b, c)
    ]
    return float(Fraction(len(extreme), 2**n))


@pytest.mark.parametrize(("b", "c"), [(0, 1), (5, 0), (6, 2), (3, 3), (1, 9), (4, 7)])
def test_mcnemar_against_counting_coins(b: int, c: int) -> None:
    first = [True] * b + [False] * c + [True, False]
    second = [False] * b + [True] * c + [True, False]
    assert mcnemar(first, second) == (b, c, pytest.approx(naive_p(b, c)))


def test_mcnemar_without_differences_and_with_many() -> None:
    assert mcnemar([True, False], [True, False]) == (0, 0, 1.0)
    assert 0 < mcnemar([True] * 4000, [False] * 4000)[2] + 1e-300 < 1e-100
    with pytest.raises(ValueError, match="paired"):
        mcnemar([True], [True, False])


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_never_lowers_a_value_and_keeps_the_order(values: list[float]) -> None:
    adjusted = holm(values)
    assert all(a >= p or a == 1 for a, p in zip(adjusted, values, strict=True))
    ranked = [a for _, a in sorted(zip(values, adjusted, strict=True))]
    assert ranked == sorted(ranked)
