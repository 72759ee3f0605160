"""The statistics against the reference coder, which was written apart from them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from calibration_samples import SMALL, observed

from kvfiles.codecs.archive.calibrate import Origin, calibrate
from kvfiles.codecs.archive.calibrate_classes import (
    Pass,
    TextSums,
    cheapest_class,
    code_tokens,
    log_mean,
)
from kvfiles.codecs.archive.calibrate_fit import Tensors, fit_transforms
from kvfiles.codecs.archive.calibrate_rates import ClassModel, geometric_model
from kvfiles.codecs.archive.entropy import base_classes
from kvfiles.codecs.archive.reference import encode_group


@pytest.mark.parametrize("memory", [0.0, 0.8])
def test_the_predicted_bits_are_those_of_the_stream(memory: float) -> None:
    """The reference coder spends what the classes promise."""
    sample = observed(lengths=(300,), memory=memory)
    tables = calibrate(sample, SMALL, Origin("m", "t"))
    fitted = fit_transforms(Tensors(sample.k, sample.v), sample.moments, sample.lengths)
    model = ClassModel(tables.freq, tables.expected)
    counts, sums = code_tokens(
        Tensors(sample.k, sample.v), fitted, sample.lengths, Pass(1.0, model, tables.shrink)
    )
    assert counts.symbols[:, -1].sum() == 0  # no escapes, whose bits come on top
    predicted = float((counts.symbols * model.bits()).sum())
    predicted += 300 * SMALL.n_layer * float(model.bits()[tables.fineness_class, 0])
    coded = encode_group(
        tables,
        tables.groups[0],
        base_classes(tables, 0),
        1.0,
        np.zeros((SMALL.n_layer, 300), np.int8),
        sample.k.astype(np.float32),
        sample.v.astype(np.float32),
    )
    assert 16 * (len(coded.stream) - 32) == pytest.approx(predicted, rel=0.01)
    assert sums.k.sum() + sums.v.sum() == pytest.approx(coded.magnitudes.sum(), rel=0.002)


def test_magnitudes_are_summed_by_text() -> None:
    sample = observed(lengths=(40, 1, 59))
    data = Tensors(sample.k, sample.v)
    fitted = fit_transforms(data, sample.moments, sample.lengths)
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
    small = cheapest_class(rng.choice([0, 0, 0, 0, 1, -1], 1000), model)
    large = cheapest_class(rng.integers(-6, 7, 1000), model)
    assert small < 25 <= large
