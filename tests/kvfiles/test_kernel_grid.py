"""The grid of the rotated codec against the best scalar quantiser there is."""

from __future__ import annotations

import math

import numpy as np
import pytest
from kernel_oracle import (
    BITS,
    LLOYD_MAX,
    decode,
    encode,
    quantiser,
)
from numpy.typing import NDArray

from kvfiles.codecs.reference import levels
from kvfiles.codecs.rotated import GAUSSIAN_GRIDS
from kvfiles.kernels import (
    Kernels,
)

F64 = NDArray[np.float64]


def lloyd_max(bits: int) -> float:
    """The least mean squared error of 2**bits levels on a unit Gaussian, by Lloyd's iteration."""
    n = 1 << bits
    level = np.linspace(-1, 1, n) * (1 + bits / 2)
    for _ in range(4000):
        edge = np.r_[-10.0, (level[1:] + level[:-1]) / 2, 10.0]
        probability, moment = np.diff(normal_cdf(edge)), normal_pdf(edge[:-1]) - normal_pdf(edge[1:])
        level = moment / probability
    return grid_mse(level)


def normal_cdf(x: F64) -> F64:
    return np.array([0.5 * math.erfc(-value / math.sqrt(2)) for value in x])


def normal_pdf(x: F64) -> F64:
    return np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)


def grid_mse(level: F64) -> float:
    edge = np.r_[-10.0, (level[1:] + level[:-1]) / 2, 10.0]
    probability, moment = np.diff(normal_cdf(edge)), normal_pdf(edge[:-1]) - normal_pdf(edge[1:])
    return float(1 - 2 * (level * moment).sum() + (level**2 * probability).sum())


@pytest.mark.parametrize("bits", [2, 3, 4, 5])
def test_the_published_optimum_is_the_optimum(bits: int) -> None:
    assert lloyd_max(bits) == pytest.approx(LLOYD_MAX[bits], rel=2e-3)


@pytest.mark.parametrize("bits", BITS)
def test_the_grid_is_near_the_optimum(bits: int) -> None:
    grid = levels(bits, np.array(GAUSSIAN_GRIDS[bits], np.float32)).astype(np.float64)
    assert (np.diff(grid) > 0).all()
    np.testing.assert_allclose(grid, -grid[::-1], atol=1e-6)
    worst = {2: 1.001, 3: 1.001, 4: 1.005, 5: 1.02, 6: 1.05, 7: 1.14, 8: 1.24}[bits]
    assert 0.999 < grid_mse(grid) / LLOYD_MAX[bits] < worst


@pytest.mark.parametrize("bits", [2, 3, 4, 5])
def test_gaussian_values_cost_what_the_optimum_costs(kernels: Kernels, bits: int) -> None:
    """Blocks fit their own scale, which gains a little, and round it to 1/16 octave, which costs a little."""
    rows = np.random.default_rng(bits).standard_normal((4000, 128)).astype(np.float16)
    got = decode(kernels, encode(kernels, rows, None, quantiser(bits, 128)), None, quantiser(bits, 128))
    error = ((got.astype(np.float64) - rows) ** 2).mean()
    assert 0.90 * LLOYD_MAX[bits] < error < 1.03 * LLOYD_MAX[bits]
