"""The tried quantisers against published constants and bounds."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from eval.grids import (
    Grid,
    Scale,
    angle_codebook,
    codebook,
    lloyd_max,
    nearest,
    quantise,
    quantise_asymmetric,
    sphere_codebook,
    store_scale,
)

GRIDS: tuple[Grid, ...] = get_args(Grid)
SCALES: tuple[Scale, ...] = get_args(Scale)
NORMAL = np.random.default_rng(0).standard_normal((2000, 64)).astype(np.float32)


def squared_error(values: np.ndarray[tuple[int, ...], np.dtype[np.float32]], grid: Grid, bits: int) -> float:
    return float(((quantise(values, bits, grid, "f16") - values) ** 2).mean())


@pytest.mark.parametrize(("bits", "outermost"), [(1, 0.7979), (2, 1.510), (3, 2.152), (4, 2.733)])
def test_lloyd_max_levels_are_those_of_max_1960(bits: int, outermost: float) -> None:
    levels = lloyd_max(bits)
    assert levels[-1] == pytest.approx(outermost, abs=1e-3)
    np.testing.assert_allclose(levels, -levels[::-1], atol=1e-6)


@pytest.mark.parametrize(("bits", "published"), [(2, 0.1175), (3, 0.03454), (4, 0.009497)])
def test_lloyd_max_error_is_that_of_max_1960(bits: int, published: float) -> None:
    book = codebook(bits, "lloyd")
    nearest = book[np.abs(NORMAL[..., None] - book).argmin(-1)]
    assert float(((nearest - NORMAL) ** 2).mean()) == pytest.approx(published, rel=0.02)


@pytest.mark.parametrize("bits", [2, 3, 4, 5])
def test_the_polynomial_grid_is_nearly_as_good(bits: int) -> None:
    assert squared_error(NORMAL, "polynomial", bits) < 1.03 * squared_error(NORMAL, "lloyd", bits)


@pytest.mark.parametrize("bits", [2, 3, 4, 5])
def test_each_search_helps(bits: int) -> None:
    assert squared_error(NORMAL, "searched", bits) < squared_error(NORMAL, "absmax", bits)


@pytest.mark.parametrize("grid", GRIDS)
def test_a_bit_more_gives_less_than_a_third_of_the_error(grid: Grid) -> None:
    errors = [squared_error(NORMAL, grid, bits) for bits in (3, 4, 5)]
    assert errors[0] > 3 * errors[1] > 9 * errors[2]


@settings(max_examples=100, deadline=None)
@given(
    arrays(np.float32, (3, 32), elements=st.floats(-1000, 1000, width=32, allow_subnormal=False)),
    st.sampled_from(GRIDS),
    st.sampled_from(SCALES),
)
def test_what_comes_back_is_finite_and_no_larger_than_what_went_in(
    values: np.ndarray[tuple[int, int], np.dtype[np.float32]], grid: Grid, scale: Scale
) -> None:
    decoded = quantise(values, 4, grid, scale)
    assert decoded.shape == values.shape
    assert decoded.dtype == np.float32
    largest = np.abs(values).max(1)
    assert (np.abs(decoded).max(1) <= 1.6 * largest + 1e-6 + 1e-5 * np.abs(values).max()).all()


def test_absmax_is_off_by_half_a_step_at_most() -> None:
    step = np.abs(NORMAL).max(1, keepdims=True) / 8
    assert (
        np.abs(quantise(NORMAL, 4, "absmax", "f16") - NORMAL) <= 0.505 * step
    ).all()  # f16 rounds the step


def test_a_logarithmic_scale_is_off_by_a_32nd_of_an_octave() -> None:
    scale = np.geomspace(1e-3, 7, 500).astype(np.float32)[:, None]
    ratio = np.abs(np.log2(store_scale(scale, "log8") / scale))
    assert ratio.max() <= 1 / 32 + 1e-5
    assert ratio.max() > 1 / 40  # it does use the room


@settings(max_examples=100, deadline=None)
@given(arrays(np.float32, (2, 16), elements=st.floats(-100, 100, width=32, allow_subnormal=False)))
def test_asymmetric_steps_are_those_of_a_naive_loop(
    values: np.ndarray[tuple[int, int], np.dtype[np.float32]],
) -> None:
    found = quantise_asymmetric(values, 3)
    for group, decoded in zip(values, found, strict=True):
        low = float(np.float16(group.min()))
        step = float(np.float16((group.max() - np.float32(low)) / np.float32(7)))
        levels = [low + code * max(step, 0.0) for code in range(8)]
        for value, got in zip(group, decoded, strict=True):
            best = min(abs(level - float(value)) for level in levels)
            assert abs(float(got) - float(value)) <= best + 1e-4


def test_asymmetric_steps_keep_the_ends_and_constants() -> None:
    values = np.array([[0, 1, 2, 3], [5, 5, 5, 5]], np.float32)
    np.testing.assert_array_equal(quantise_asymmetric(values, 2), values)


def test_a_coordinate_on_the_sphere_in_three_dimensions_is_uniform() -> None:
    np.testing.assert_allclose(sphere_codebook(2, 3), [-0.75, -0.25, 0.25, 0.75], atol=1e-3)


@pytest.mark.parametrize("bits", [2, 3, 4])
def test_in_many_dimensions_the_sphere_is_gaussian(bits: int) -> None:
    np.testing.assert_allclose(sphere_codebook(bits, 2000) * np.sqrt(2000), lloyd_max(bits), atol=0.03)


def test_angles_of_the_first_level_are_uniform_and_those_above_symmetric() -> None:
    np.testing.assert_allclose(angle_codebook(1, 1), [np.pi / 2, 3 * np.pi / 2], rtol=1e-6)
    # the mean of sin(2 t) over [0, pi/4] is at 1/2
    np.testing.assert_allclose(angle_codebook(1, 2), [0.5, np.pi / 2 - 0.5], atol=1e-3)
    for level in (2, 3, 4):
        book = angle_codebook(2, level)
        np.testing.assert_allclose(book + book[::-1], np.pi / 2, atol=1e-3)
    assert np.ptp(angle_codebook(2, 4)) < np.ptp(angle_codebook(2, 3)) < np.ptp(angle_codebook(2, 2))


def test_nearest_is_nearest() -> None:
    book = np.array([-2, 0, 0.5, 4], np.float32)
    wanted = book[np.abs(NORMAL[:50, :, None] - book).argmin(-1)]
    np.testing.assert_array_equal(nearest(NORMAL[:50], book), wanted)
