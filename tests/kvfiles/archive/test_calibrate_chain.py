"""Coding texts side by side against the reference coder one by one, and rho against what made the data."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from kvfiles.codecs.archive.calibrate_chain import Chains, code_chains, fit_rho
from kvfiles.codecs.archive.entropy import MAX_Q
from kvfiles.codecs.archive.reference import chained, quantise, restore
from kvfiles.codecs.archive.tables import MAX_RHO

lengths_of_texts = st.lists(st.integers(1, 12), min_size=1, max_size=6)


@given(lengths=lengths_of_texts)
def test_every_token_has_its_turn_after_the_one_before(lengths: list[int]) -> None:
    chains = Chains.of(lengths)
    place = {row: i for i, row in enumerate(chains.order.tolist())}
    assert sorted(place) == list(range(sum(lengths)))
    assert sum(chains.n_alive) == sum(lengths)
    assert list(chains.n_alive) == sorted(chains.n_alive, reverse=True)
    for start, length in zip(chains.starts.tolist(), lengths, strict=True):
        turns = [place[start + t] for t in range(length)]
        assert turns == sorted(turns)


@settings(max_examples=40, deadline=None)
@given(
    lengths=lengths_of_texts,
    seed=st.integers(0, 2**32 - 1),
    step=st.sampled_from([0.01, 0.7, 5.0]),
    shrink=st.sampled_from([0.0, 0.05, 0.4]),
)
def test_the_reference_codes_every_text_alike(
    lengths: list[int], seed: int, step: float, shrink: float
) -> None:
    """To f32, but for coefficients on the edge of rounding, from where on the two may differ by a symbol."""
    rng = np.random.default_rng(seed)
    c = rng.laplace(size=(sum(lengths), 5)).astype(np.float32) * np.float32([10, 3, 1, 0.3, 0.01])
    rho = rng.uniform(-0.9, 0.9, 5).astype(np.float16)
    coded = code_chains(c, rho, step, shrink, Chains.of(lengths))
    start = 0
    for length in lengths:
        rows = slice(start, start + length)
        start += length
        own = np.full((length, 1), np.float32(step), np.float64)
        exact = np.broadcast_to(rho.astype(np.float64), (length, 5))
        q, decoded = quantise(c[rows].astype(np.float64), exact, own, shrink)
        same = (coded.q[rows] == q).all(0)
        assert (np.abs(coded.decoded[rows] - decoded)[:, same] < 1e-4 * (np.abs(decoded).max() + step)).all()
        # Whatever was chosen, it is within half a step, and what it stands for is what was decoded.
        told = chained(restore(coded.q[rows].astype(np.int64), shrink) * own, exact)
        assert np.abs(coded.decoded[rows] - told).max() < 1e-4 * (np.abs(told).max() + step)
        assert np.abs(coded.decoded[rows] - c[rows]).max() <= (0.5 + shrink) * step + 1e-4 * np.abs(c).max()


def test_coefficients_beyond_the_format_are_clipped() -> None:
    c = np.array([[1e9, -1e9, 1.0]], np.float32)
    assert code_chains(c, np.zeros(3, np.float16), 1.0, 0.0, Chains.of([1])).q.tolist() == [
        [MAX_Q, -MAX_Q, 1]
    ]


def autoregression(
    rng: np.random.Generator, lengths: list[int], rho: NDArray[np.float64]
) -> NDArray[np.float32]:
    parts = []
    for length in lengths:
        part = rng.standard_normal((length, len(rho)))
        for t in range(1, length):
            part[t] = rho * part[t - 1] + np.sqrt(1 - rho**2) * part[t]
        parts.append(part)
    return np.concatenate(parts).astype(np.float32)


def test_rho_is_found_within_its_limits() -> None:
    truth = np.array([0.97, 0.8, 0.4, 0.0, -0.6, -0.99])
    lengths = [900, 1, 1500, 600]
    c = autoregression(np.random.default_rng(0), lengths, truth)
    found = fit_rho(c, 0.1, Chains.of(lengths)).astype(np.float64)
    limit = float(np.float16(MAX_RHO))
    assert found.tolist() == pytest.approx(np.clip(truth, -limit, limit).tolist(), abs=0.05)
    assert np.abs(found).max() <= MAX_RHO


def test_nothing_is_learnt_across_the_start_of_a_text() -> None:
    """Whole texts repeat one value: where all texts are one token long, that says nothing of the next."""
    c = np.ones((300, 2), np.float32)
    assert not fit_rho(c, 0.5, Chains.of([1] * 300)).any()
    alternating = np.tile([[3.0], [3.0], [-3.0], [-3.0]], (100, 1)).astype(np.float32)
    assert fit_rho(alternating, 0.5, Chains.of([2] * 200))[0] > 0.85
    assert abs(float(fit_rho(alternating, 0.5, Chains.of([400]))[0])) < 0.1


def test_components_that_are_hardly_ever_told_have_none() -> None:
    c = np.zeros((1000, 1), np.float32)
    c[500:502] = 1.0
    assert abs(float(fit_rho(c, 1.0, Chains.of([1000]))[0])) < 0.1
