"""Rounding and statistics, the latter against the reference coder, which was written apart from them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from calibration_samples import SMALL, observed

from kvfiles.codecs.archive.calibrate import Origin, calibrate
from kvfiles.codecs.archive.calibrate_classes import (
    V_DECAY,
    V_FEEDBACK,
    Pass,
    TextSums,
    code_tokens,
    delta_class,
    log_mean,
    rounded,
    rounded_with_feedback,
)
from kvfiles.codecs.archive.calibrate_fit import Tensors, fit_transforms
from kvfiles.codecs.archive.calibrate_rates import ClassModel, geometric_model
from kvfiles.codecs.archive.entropy import base_classes
from kvfiles.codecs.archive.reference import encode_group


def test_fed_back_errors_cancel_over_tokens() -> None:
    rng = np.random.default_rng(0)
    lengths = [500, 1, 300]
    c = rng.normal(0.3, 0.1, (801, 4)).astype(np.float32)
    plain, fed = rounded(c), rounded_with_feedback(c, lengths, 0.0)
    assert np.abs((plain - c)[:500].mean(0)).min() > 0.2
    assert np.abs((fed - c)[:500].mean(0)).max() < 0.1
    assert np.abs(fed - c).max() < 1.3


def test_feedback_is_what_its_formula_says_and_ends_with_the_text() -> None:
    c = np.random.default_rng(1).normal(0, 2, (30, 3)).astype(np.float32)
    lengths, expected = [10, 15, 5], []
    for start, stop in ((0, 10), (10, 25), (25, 30)):
        errors = np.zeros(3)
        for row in c[start:stop].astype(np.float64):
            q = np.rint(row + V_FEEDBACK * errors)
            errors = V_DECAY * errors + row - np.sign(q) * (np.abs(q) - 0.05)
            expected.append(q)
    assert (rounded_with_feedback(c, lengths, 0.05) == np.stack(expected)).all()


def test_the_predicted_bits_are_those_of_the_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """With plain rounding everywhere the reference coder spends what the classes promise."""
    monkeypatch.setattr("kvfiles.codecs.archive.calibrate_classes.V_FEEDBACK", 0.0)
    sample = observed(lengths=(150, 150))
    tables = calibrate(sample, SMALL, Origin("m", "t"))
    fitted = fit_transforms(Tensors(sample.k, sample.v), sample.moments)
    model = ClassModel(tables.freq, tables.expected)
    counts, sums = code_tokens(
        Tensors(sample.k, sample.v), fitted, sample.lengths, Pass(1.0, model, tables.shrink)
    )
    assert counts.symbols[:, -1].sum() == 0  # no escapes, whose bits come on top
    predicted = float((counts.symbols * model.bits()).sum())
    coded = encode_group(
        tables,
        tables.groups[0],
        base_classes(tables, 0),
        1.0,
        0.0,
        sample.k.astype(np.float32),
        sample.v.astype(np.float32),
    )
    assert 16 * (len(coded.stream) - 32) == pytest.approx(predicted, rel=0.01)
    assert sums.k.sum() + sums.v.sum() == pytest.approx(coded.magnitudes.sum(), rel=0.002)


def test_magnitudes_are_summed_by_text() -> None:
    sample = observed(lengths=(40, 1, 59))
    data = Tensors(sample.k, sample.v)
    fitted = fit_transforms(data, sample.moments)
    how = Pass(1.0, geometric_model(), 0.05)
    _, whole = code_tokens(data, fitted, sample.lengths, how)
    part = Tensors(sample.k[:, 40:41], sample.v[:, 40:41])
    _, alone = code_tokens(part, fitted, [1], how)
    assert (whole.k[1] == alone.k[0]).all()
    assert (whole.v[1] == alone.v[0]).all()
    bases = whole.bases()
    assert (bases[0] == log_mean(whole.k.sum(0), 100)).all()
    assert bases[1].shape == (3, 16)


def test_logarithms_of_means() -> None:
    expected = [round(512 * math.log2((total + 0.3) / 1001)) for total in (1000, 500, 0)]
    assert log_mean(np.array([1000.0, 500.0, 0.0]), 1000).tolist() == expected
    assert log_mean(np.zeros(1), 10**6).tolist() == [round(512 * math.log2(2e-4))]


def test_a_text_unlike_the_others_wants_other_classes() -> None:
    k = np.full((3, 1, 2), 100.0)
    k[2] *= 8
    sums = TextSums(k, np.full((3, 1, 1), 100.0), np.full(3, 200))
    deltas = sums.deltas()
    assert deltas.min() >= -6
    assert deltas.max() == 2  # a mean of 4 against one of 5/3, both with 60 tokens as usual
    assert (deltas[-3:] == 0).all()


def test_the_class_of_corrections_is_the_cheapest() -> None:
    rng = np.random.default_rng(0)
    model = geometric_model()
    small = delta_class(rng.choice([0, 0, 0, 0, 1, -1], 1000), model)
    large = delta_class(rng.integers(-6, 7, 1000), model)
    assert small < 25 <= large
