"""The measures against cases worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval.scores import bootstrap_interval, join, kl_divergence, score, skip_first, summarise


def logs(*rows: list[float]) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    with np.errstate(divide="ignore"):
        return np.log(np.array(rows, np.float32))


def test_divergence_of_two_coins() -> None:
    found = kl_divergence(logs([0.5, 0.5], [0.5, 0.5]), logs([0.25, 0.75], [0.5, 0.5]))
    np.testing.assert_allclose(found, [0.5 * math.log(2) + 0.5 * math.log(2 / 3), 0], atol=1e-7)


def test_divergence_is_not_symmetric_and_reads_reference_first() -> None:
    sure, fair = logs([0.9, 0.1]), logs([0.5, 0.5])
    forward = 0.9 * math.log(0.9 / 0.5) + 0.1 * math.log(0.1 / 0.5)
    assert kl_divergence(sure, fair)[0] == pytest.approx(forward, abs=1e-6)
    assert kl_divergence(fair, sure)[0] != pytest.approx(forward, abs=1e-2)


def test_what_the_reference_rules_out_adds_nothing() -> None:
    assert kl_divergence(logs([1.0, 0.0]), logs([0.5, 0.5]))[0] == pytest.approx(math.log(2), abs=1e-6)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_divergence_is_never_negative(seed: int) -> None:
    rng = np.random.default_rng(seed)
    p, q = (logs(row) for row in rng.dirichlet(np.ones(50) * 0.3, 2) + 1e-12)
    assert kl_divergence(p, q)[0] > -1e-6


def test_scores_of_three_tokens() -> None:
    reference = logs([0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4])
    other = logs([0.6, 0.3, 0.1], [0.5, 0.4, 0.1], [0.3, 0.3, 0.4])
    found = score(reference, other, np.array([0, 1, 2], np.int32))
    np.testing.assert_array_equal(found.same_top1, [True, False, True])
    np.testing.assert_allclose(found.nll_reference, -np.log([0.7, 0.8, 0.4]), rtol=1e-5)
    np.testing.assert_allclose(found.nll, -np.log([0.6, 0.4, 0.4]), rtol=1e-5)
    summary = summarise(found)
    assert summary.n_tokens == 3
    assert summary.same_top1 == pytest.approx(2 / 3)
    # perplexity is the inverse geometric mean of the probabilities
    assert 1 + summary.ppl_change == pytest.approx((0.7 * 0.8 * 0.4 / (0.6 * 0.4 * 0.4)) ** (1 / 3), rel=1e-5)
    assert summary.kld_max == found.kld.max() == found.kld[1]
    assert summary.kld_mean == pytest.approx(found.kld.sum() / 3)
    last = skip_first(found, 2)
    assert (last.kld[0], len(last.kld), len(last.same_top1)) == (found.kld[2], 1, 1)
    assert (last.nll[0], last.nll_reference[0]) == (found.nll[2], found.nll_reference[2])
    both = summarise(join([found, found]))
    assert (both.n_tokens, both.kld_mean) == (6, pytest.approx(summary.kld_mean))


def test_interval_of_a_constant_is_a_point() -> None:
    assert bootstrap_interval([np.full(9, 0.25), np.full(5, 0.75)]) == (0.5, 0.5)


def test_interval_agrees_with_the_normal_approximation() -> None:
    values = np.random.default_rng(3).normal(5, 2, 400)
    low, high = bootstrap_interval([values])
    half = 1.96 * values.std() / math.sqrt(len(values))
    assert low == pytest.approx(values.mean() - half, abs=0.15 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.15 * half)


def test_texts_count_alike_however_long_they_are() -> None:
    rng = np.random.default_rng(4)
    long, short = rng.normal(0, 0.1, 2000), rng.normal(1, 0.1, 100)
    low, high = bootstrap_interval([long, short])
    assert 0.45 < low < high < 0.55


def test_interval_is_reproducible() -> None:
    values = [np.random.default_rng(5).exponential(size=50)]
    assert bootstrap_interval(values) == bootstrap_interval(values)
