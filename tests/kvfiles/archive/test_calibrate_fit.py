"""The fitted transforms against what linear algebra says of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from calibration_samples import observed

from kvfiles.codecs.archive.calibrate_fit import (
    EIGENVALUE_FLOOR,
    Tensors,
    fit_basis,
    fit_transforms,
    forward_matrix,
    ridge,
    weights,
)


def test_the_prediction_finds_a_linear_map() -> None:
    rng = np.random.default_rng(0)
    context, truth = rng.standard_normal((4000, 12)), rng.standard_normal((12, 5))
    x = (context @ truth + 0.01 * rng.standard_normal((4000, 5))).astype(np.float32)
    found = ridge(context.astype(np.float32), x)
    assert found.dtype == np.float16
    assert np.abs(found - truth / (1 + 3e-3)).max() < 0.01


def test_nothing_is_predicted_from_nothing() -> None:
    assert not ridge(np.zeros((50, 4), np.float32), np.ones((50, 3), np.float32)).any()


def test_weights_are_roots_of_the_moments_and_their_inverses() -> None:
    moments = observed().moments[0]
    root, inverse = weights(moments)
    dim = moments.shape[-1]
    for head, moment in enumerate(moments):
        at = slice(head * dim, (head + 1) * dim)
        assert np.allclose((root @ root)[at, at], moment)
    assert np.allclose(root @ inverse, np.eye(2 * dim))
    assert not root[:dim, dim:].any()


@pytest.mark.parametrize("rank", [0, 3])
def test_directions_without_queries_keep_a_little_weight(rank: int) -> None:
    moment = np.zeros((1, 16, 16))
    moment[0, range(rank), range(rank)] = 2.0
    root, inverse = weights(moment)
    least = 2.0 * rank / 16 * EIGENVALUE_FLOOR if rank else 1.0
    assert np.isclose(np.linalg.eigvalsh(root @ root).min(), least)
    assert np.isfinite(inverse).all()


def test_coefficients_do_not_correlate_and_fall_in_strength() -> None:
    sample = observed()
    x = (sample.k[0] - sample.k[0].mean(0)).astype(np.float32)
    weight = weights(sample.moments[0])
    basis = fit_basis(x, weight, 0.5)
    forward = forward_matrix(basis.decode)
    assert np.allclose(forward @ basis.decode, np.eye(32), atol=1e-4)
    c = x @ forward / basis.step
    moment = c.T @ c / len(c)
    strengths = np.diag(moment)
    assert (np.diff(strengths) < 1e-3 * strengths[:-1]).all()
    off = moment / np.sqrt(np.outer(strengths, strengths)) - np.eye(32)
    assert np.abs(off).max() < 0.05  # matrices of f16
    # A step of 0.5 is one of 0.5 logits: weighted errors have the size of errors of coefficients.
    error = np.random.default_rng(0).uniform(-0.5, 0.5, c.shape).astype(np.float32)
    logits = (error * basis.step) @ basis.decode.astype(np.float32) @ weight[0]
    assert np.isclose(np.square(logits).mean(), 0.25 / 12, rtol=0.03)


@pytest.mark.parametrize("scale", [1e-2, 100.0])
def test_units_of_the_cache_do_not_matter(scale: float) -> None:
    """Keys of other units with queries of the inverse ones give the same logits, so the same coefficients."""
    plain, scaled = observed(), observed(scale=scale)
    scaled = replace(scaled, moments=scaled.moments / scale**2)
    one = fit_transforms(Tensors(plain.k, plain.v), plain.moments, plain.lengths)
    other = fit_transforms(Tensors(scaled.k, scaled.v), scaled.moments, plain.lengths)
    assert np.isclose(one.step_k[0] * scale, other.step_k[0], rtol=0.01)
    strongest = np.abs(one.decode_k[0, 0].astype(np.float64)), np.abs(other.decode_k[0, 0].astype(np.float64))
    assert np.allclose(*strongest, atol=0.01)


def test_a_cache_that_never_changes_can_be_fitted() -> None:
    k, v = np.full((2, 100, 32), 3, np.float16), np.zeros((2, 100, 16), np.float16)
    fitted = fit_transforms(Tensors(k, v), observed().moments[:2], (60, 40))
    assert (fitted.mean_k == 3).all()
    for array in (fitted.decode_k, fitted.decode_v, fitted.predict_k, fitted.step_k, fitted.step_v):
        assert np.isfinite(array).all()
    assert (fitted.step_v > 0).all()
    assert not fitted.rho_k.any()
    assert not fitted.rho_v.any()
