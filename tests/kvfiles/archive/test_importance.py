"""Which tokens get finer steps: the features, the regression, and the range of what comes out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from archive_samples import make_rows, make_tables
from hypothesis import given
from hypothesis import strategies as st

from kvfiles.codecs.archive.entropy import FINEST, HIGHEST, LOWEST
from kvfiles.codecs.archive.importance import (
    Attended,
    distance_features,
    document_fineness,
    energy_features,
    fit_importance,
    layer_views,
    predicted,
    to_fineness,
    views_of,
)
from kvfiles.codecs.archive.tables import N_SCALAR, ArchiveTables
from kvfiles.codecs.reference import rotate_rows
from kvfiles.positions import RopeTables
from kvfiles.rope import RopeSpec

ROPES = RopeTables(RopeSpec("neox", 16, 16, 10000.0), 2)


def slowly(tables: ArchiveTables, k: np.ndarray, v: np.ndarray, layer: int, token: int) -> float:
    """The prediction for one token of the first group, feature by feature, in f64."""
    group, n = tables.groups[0], k.shape[1]
    row, value = k[layer, token].astype(np.float64), v[layer, token].astype(np.float64)
    x = row - group.mean_k[layer]
    step = float(group.step_k[layer])
    c, c_row = (np.linalg.solve(group.decode_k[layer].astype(np.float64).T, z) / step for z in (x, row))
    d = min(np.log2(n - token + 1), 8.0)
    features = [d, d * d / 10, d**3 / 100]
    features += [np.log2(sum(z * z) + 1e-3) for z in (c_row, c, row, value)]
    return float(np.dot([*features, *row], group.attend[layer].astype(np.float64)))


def test_against_a_slow_loop() -> None:
    tables = make_tables(n_layer=2)
    n = 600
    k, v = make_rows(tables, n)
    views = layer_views(tables)
    ahead = n - np.arange(n)
    rope = ROPES.at(70, n)
    stored = [rotate_rows(x.astype(np.float32), rope).astype(np.float16) for x in k]
    whole = document_fineness(tables, views, stored, list(v), rope)
    assert whole.shape == (1, 2, n)
    for layer in range(2):
        rows = k[layer].astype(np.float32), v[layer].astype(np.float32)
        fast = predicted(*rows, ahead, views[0][layer], tables.groups[0].attend[layer])
        slow = np.array([slowly(tables, k, v, layer, token) for token in range(n)])
        np.testing.assert_allclose(fast, slow, atol=2e-4 * np.abs(slow).max())
        wanted = np.clip(np.rint(2 * (slow - np.median(slow))), LOWEST, FINEST)
        assert np.mean(whole[0, layer, 1:] != wanted[1:]) < 0.03  # f16 of rotated rows, on an edge
        assert whole[0, layer, 0] == HIGHEST


def test_groups_are_told_apart() -> None:
    """A wide model's groups have weights, and fineness, of their own."""
    tables = make_tables(2, 4, 128, 64)
    ropes = RopeTables(RopeSpec("neox", 128, 128, 10000.0), 4)
    k, v = make_rows(tables, 300)
    upright = replace(
        ropes.at(0, 300), cos=np.ones((300, 128), np.float32), sin=np.zeros((300, 128), np.float32)
    )
    views = layer_views(tables)
    found = document_fineness(tables, views, list(k), list(v), upright)
    at_k = at_v = 0
    for g, group in enumerate(tables.groups):
        rows = k[1][:, at_k : at_k + group.k_width], v[1][:, at_v : at_v + group.v_width]
        k_rows, v_rows = (part.astype(np.float32) for part in rows)
        alone = predicted(k_rows, v_rows, 300 - np.arange(300), views[g][1], group.attend[1])
        assert np.mean(found[g, 1] != to_fineness(alone)) < 0.02
        at_k, at_v = at_k + group.k_width, at_v + group.v_width


@pytest.mark.parametrize("of", ["x", "energy", "distance"])
def test_the_regression_finds_the_tokens_that_count(of: str) -> None:
    """Made-up attention that is loud where one feature is, with noise: tokens unseen are ordered by it."""
    rng = np.random.default_rng(0)
    tables = make_tables(n_layer=1)
    group = tables.groups[0]
    views = views_of(group.mean_k, group.decode_k, group.step_k)
    n = 4000
    k, v = make_rows(tables, n)
    ahead = rng.integers(1, 700, n)
    loud = {
        "x": (k[0].astype(np.float64) - group.mean_k[0])[:, 3] / k[0].astype(np.float64).std(),
        "energy": 0.5 * np.log2(np.square(v[0].astype(np.float64)).sum(1)),
        "distance": -np.log2(ahead + 1.0).clip(0, 8),
    }[of]
    a = 4.0 ** (loud + rng.normal(size=n) * 0.5 - 8)
    half = n // 2
    attended = Attended(np.arange(half), ahead[:half], a[None, None, :half].repeat(2, 1).astype(np.float32))
    fitted = fit_importance(k[:, :half], v[:, :half], views, attended, slice(0, 2))
    rows = k[0, half:].astype(np.float32), v[0, half:].astype(np.float32)
    found = predicted(*rows, ahead[half:], views[0], fitted.weights[0])
    assert np.corrcoef(found, loud[half:])[0, 1] > 0.75
    assert fitted.fineness.shape == (1, half)
    assert np.unique(fitted.fineness).size >= 4


def test_one_token_of_several_documents_counts_for_each() -> None:
    """Rows may come more than once, with other distances."""
    tables = make_tables(n_layer=2)
    group = tables.groups[0]
    views = views_of(group.mean_k, group.decode_k, group.step_k)
    k, v = make_rows(tables, 50)
    rows = np.concatenate([np.arange(20), np.arange(40)])
    ahead = np.concatenate([20 - np.arange(20), 40 - np.arange(40)])
    received = np.exp2(-np.arange(60.0)).astype(np.float32)[None, None].repeat(2, 0).repeat(2, 1)
    fitted = fit_importance(k, v, views, Attended(rows, ahead, received), slice(0, 2))
    assert fitted.weights.shape == (2, N_SCALAR + 32)
    assert np.isfinite(fitted.weights).all()
    assert fitted.weights.any(1).all()


def test_nothing_attended_means_nothing_finer() -> None:
    tables = make_tables()
    group = tables.groups[0]
    nothing = Attended(np.empty(0, int), np.empty(0, int), np.empty((3, 2, 0), np.float32))
    views = views_of(group.mean_k, group.decode_k, group.step_k)
    fitted = fit_importance(*make_rows(tables, 9), views, nothing, slice(0, 2))
    assert not fitted.weights.any()
    assert fitted.fineness.shape == (3, 0)


@pytest.mark.parametrize("n", [1, 2, 300])
def test_weights_of_zero_leave_all_but_the_sink(n: int) -> None:
    tables = make_tables(n_layer=2)
    group = replace(tables.groups[0], attend=np.zeros_like(tables.groups[0].attend))
    tables = replace(tables, groups=(group,))
    k, v = make_rows(tables, n)
    found = document_fineness(tables, layer_views(tables), list(k), list(v), ROPES.at(0, n))
    assert (found[..., 0] == HIGHEST).all()
    assert not found[..., 1:].any()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 65504.0])
def test_wild_rows_have_some_fineness(value: float) -> None:
    """The encoder refuses what is not finite, after this."""
    tables = make_tables(n_layer=2)
    k, v = make_rows(tables, 9)
    k[0, 3], v[1, 4] = value, value
    found = document_fineness(tables, layer_views(tables), list(k), list(v), ROPES.at(0, 9))
    assert found.dtype == np.int8
    assert LOWEST <= found.min() <= found.max() <= HIGHEST


@given(st.lists(st.floats(width=32), min_size=1, max_size=40))
def test_fineness_is_in_its_range(values: list[float]) -> None:
    found = to_fineness(np.array([values, values[::-1]], np.float32))
    assert found.shape == (2, len(values))
    assert found.min() >= LOWEST
    assert found[:, 1:].max(initial=LOWEST) <= FINEST
    assert (found[:, 0] == HIGHEST).all()


def test_features_of_zeros_and_of_the_last_token() -> None:
    tables = make_tables(n_layer=1)
    group = tables.groups[0]
    (view,) = views_of(group.mean_k, group.decode_k, group.step_k)
    zeros = np.zeros((1, 32), np.float32)
    assert np.isfinite(energy_features(zeros, zeros, view)).all()
    np.testing.assert_allclose(distance_features(np.array([1, 10**6])), [[1, 0.1, 0.01], [8, 6.4, 5.12]])
