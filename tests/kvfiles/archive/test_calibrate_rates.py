"""Frequencies from counts: always a valid code, and the right one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvfiles.codecs.archive.calibrate_rates import (
    N_MAGNITUDE,
    class_model,
    escape_bits,
    geometric_model,
    modelled_counts,
)
from kvfiles.codecs.archive.tables import ESCAPE, N_CLASS

NOTHING = np.zeros((N_CLASS, N_MAGNITUDE + 1))


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.01, 0.3, 1.0, 3.0]), st.integers(0, 9))
def test_every_count_gives_a_code(seed: int, spread: float, power: int) -> None:
    rng = np.random.default_rng(seed)
    counts = np.floor(10.0**power * rng.dirichlet(np.full(N_MAGNITUDE + 1, spread), N_CLASS))
    known = np.minimum(np.arange(N_MAGNITUDE + 1), 12)
    model = class_model(counts, counts @ known)
    freq = model.freq.astype(np.int64)
    assert (freq.sum(1) == 4096).all()
    assert (freq[:, ESCAPE] >= 1).all()
    assert freq.max() < 4096
    assert (freq[:, 1:ESCAPE:2] == freq[:, 2:ESCAPE:2]).all()
    assert 1 <= model.expected.min() <= model.expected.max() <= 12 * 256
    bits = model.bits()
    assert np.isfinite(bits).all()
    assert bits.min() >= 0


def test_the_code_fits_what_was_counted() -> None:
    counts, known = NOTHING.copy(), np.minimum(np.arange(N_MAGNITUDE + 1), 12)
    counts[30] = 1e6 * modelled_counts()[28]  # other statistics than the class's own
    model = class_model(counts, counts @ known)
    share = counts[30] / counts[30].sum()
    n_sign = 1.0 - share[0]
    entropy = -(share[share > 0] * np.log2(share[share > 0])).sum() + n_sign - share[-1]
    assert (share * model.bits()[30]).sum() == pytest.approx(entropy, abs=0.01)
    assert model.expected[30] == pytest.approx(256 * (share * known).sum(), abs=1)
    assert (model.freq[[29, 31]] == geometric_model().freq[[29, 31]]).all()


def test_a_class_is_half_an_octave() -> None:
    probability = modelled_counts()
    mean = probability[:30, :-1] @ np.arange(N_MAGNITUDE) + probability[:30, -1] * N_MAGNITUDE
    assert np.allclose(np.diff(np.log2(mean[:20])), 0.5, atol=1e-3)
    assert mean[25] == pytest.approx(1.0, abs=1e-3)


def test_the_length_of_escaped_values() -> None:
    """Exp-Golomb codes of order 2 written out: |q| - 1 of 0..3 take three bits, 4..11 five, and so on."""
    lengths = escape_bits(np.array([1, 4, 5, 12, 13, 28, 29]))
    assert lengths.tolist() == [4, 4, 6, 6, 8, 8, 10]
