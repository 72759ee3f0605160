"""Ways to quantise numbers, in NumPy: the grids, group sizes and scales that were tried.

Every quantiser gives back what a decoder would see.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from kvfiles.codecs.reference import levels
from kvfiles.codecs.rotated import GAUSSIAN_GRIDS

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
Grid = Literal["absmax", "searched", "polynomial", "lloyd"]
Scale = Literal["f16", "log8"]

SEARCHED_RATIOS = tuple(r / 20 for r in range(12, 21))
"""Clipping points that the searched uniform grid tries, as parts of a group's largest value."""

SCALE_BITS: dict[Scale, int] = {"f16": 16, "log8": 8}
ASYMMETRIC_BITS = 32
"""Bits that an asymmetric group takes besides its codes: smallest value and step, f16 each."""

_STEPS_PER_OCTAVE = 16
_LLOYD_ROUNDS = 500
_DENSITY_POINTS = 20_001


def store_scale(scale: F32, kind: Scale) -> F32:
    """`scale` as it comes back from storage: f16, or 8 bits in sixteenths of an octave below the largest."""
    if kind == "f16":
        return scale.astype(np.float16).astype(np.float32)
    top = scale.max(initial=0)
    if top == 0:
        return scale
    octaves = np.log2(np.maximum(scale, np.finfo(np.float32).tiny) / top)
    index = np.clip(np.round(-_STEPS_PER_OCTAVE * octaves), 0, 255)
    decoded: F32 = (top * np.exp2(-index / _STEPS_PER_OCTAVE)).astype(np.float32)
    return decoded


def quantise(groups: F32, bits: int, grid: Grid, scale: Scale) -> F32:
    """(n_group, size) f32 values through `bits` a value and one stored scale a group."""
    if grid in ("absmax", "searched"):
        return _uniform(groups, bits, (1.0,) if grid == "absmax" else SEARCHED_RATIOS, scale)
    return _codebook(groups, codebook(bits, grid), scale)


def quantise_asymmetric(groups: F32, bits: int) -> F32:
    """(n_group, size) f32 values through 2**bits even steps from a group's smallest to its largest value.

    The smallest value and the step are stored as f16 (KIVI, Liu et al. 2024, arXiv 2402.02750, section 3.1).
    """
    low = groups.min(1, keepdims=True).astype(np.float16).astype(np.float32)
    top = (1 << bits) - 1
    step = ((groups.max(1, keepdims=True) - low) / np.float32(top)).astype(np.float16).astype(np.float32)
    codes = np.divide(groups - low, step, out=np.zeros_like(groups), where=step > 0)
    decoded: F32 = np.clip(np.rint(codes), 0, top) * step + low
    return decoded


def codebook(bits: int, grid: Grid) -> F32:
    """(2**bits,) f32 ascending levels for unit variance of the non-uniform grids."""
    if grid == "polynomial":
        return levels(bits, np.array(GAUSSIAN_GRIDS[bits], np.float32))
    return lloyd_max(bits)


def lloyd_max(bits: int) -> F32:
    """(2**bits,) f32 levels of least mean squared error for a unit Gaussian (Max 1960; Lloyd 1982).

    In turns, each level becomes the mean of the density over its cell, (phi(a) - phi(b)) / (Phi(b) - Phi(a))
    between the edges a and b, and each edge the midpoint of two levels.
    """
    n = 1 << bits
    found = np.linspace(-3, 3, n) if n > 2 else np.array([-0.8, 0.8])
    for _ in range(_LLOYD_ROUNDS):
        edges = np.concatenate([[-np.inf], (found[1:] + found[:-1]) / 2, [np.inf]])
        density = np.exp(-edges * edges / 2) / math.sqrt(2 * math.pi)
        below = np.array([0.5 * (1 + math.erf(e / math.sqrt(2))) for e in edges])
        found = (density[:-1] - density[1:]) / np.maximum(below[1:] - below[:-1], 1e-300)
    return found.astype(np.float32)


@cache
def sphere_codebook(bits: int, n_dim: int) -> F32:
    """(2**bits,) f32 Lloyd-Max levels for one coordinate of a random unit vector of `n_dim` dimensions.

    Its density is proportional to (1 - x^2)^((n_dim - 3) / 2) (TurboQuant, Zandieh et al. 2025,
    arXiv 2504.19874, lemma 1).
    """
    x = np.linspace(-1, 1, _DENSITY_POINTS)
    with np.errstate(divide="ignore"):  # two dimensions: infinite at the ends, which are left out
        density = np.clip(1 - x * x, 0, 1) ** ((n_dim - 3) / 2)
    return _lloyd_of(x[1:-1], density[1:-1], bits)


@cache
def angle_codebook(bits: int, level: int) -> F32:
    """(2**bits,) f32 Lloyd-Max angles, in radians, for level 1, 2, ... of the recursive polar transform.

    Of Gaussian values the angles of level 1 are uniform on [0, 2 pi), those of level l have the density
    sin(2 t)^(2^(l-1) - 1) on [0, pi/2] (PolarQuant, Han et al. 2025, arXiv 2502.02617, lemma 2).
    """
    if level == 1:
        return ((np.arange(1 << bits) + 0.5) * (2 * math.pi / (1 << bits))).astype(np.float32)
    angle = np.linspace(0, math.pi / 2, _DENSITY_POINTS)
    return _lloyd_of(angle, np.sin(2 * angle).clip(0) ** (2 ** (level - 1) - 1), bits)


def nearest(values: F32, book: F32) -> F32:
    """The nearest level of the ascending `book` for each of `values`."""
    return book[np.searchsorted((book[1:] + book[:-1]) / 2, values)]


def _lloyd_of(points: F64, density: F64, bits: int) -> F32:
    """Lloyd-Max levels of a density known at equally spaced points, by the trapezoidal rule.

    Its integrals are interpolated between the points: edges that jumped from point to point would stick.
    """
    mass, moment = _integral(density), _integral(density * points)
    shares = (np.arange(1 << bits) + 0.5) / (1 << bits)
    found = np.interp(shares * mass[-1], mass, points)
    for _ in range(_LLOYD_ROUNDS):
        edges = np.concatenate([points[:1], (found[1:] + found[:-1]) / 2, points[-1:]])
        weight = np.diff(np.interp(edges, points, mass))
        means = np.diff(np.interp(edges, points, moment)) / np.maximum(weight, 1e-300)
        found = np.where(weight > 0, means, found)
    levels_found: F32 = found.astype(np.float32)
    return levels_found


def _integral(values: F64) -> F64:
    """(n,) integrals from the first point on, in units of the distance between points."""
    return np.concatenate([[0.0], np.cumsum((values[1:] + values[:-1]) / 2)])


def _uniform(groups: F32, bits: int, ratios: tuple[float, ...], kind: Scale) -> F32:
    """A midpoint-uniform grid; of the clipping points `ratios` the one with the least squared error."""
    half = 1 << (bits - 1)
    largest = np.abs(groups).max(1, keepdims=True)
    best, best_error = np.zeros_like(groups), np.full((len(groups), 1), np.inf, np.float32)
    for ratio in ratios:
        step = store_scale((largest * np.float32(ratio / half)).astype(np.float32), kind)
        codes = np.floor(np.divide(groups, step, out=np.zeros_like(groups), where=step > 0))
        decoded = (np.clip(codes, -half, half - 1) + np.float32(0.5)) * step
        error = ((decoded - groups) ** 2).sum(1, keepdims=True)
        best, best_error = np.where(error < best_error, decoded, best), np.minimum(error, best_error)
    return best.astype(np.float32)


def _codebook(groups: F32, book: F32, kind: Scale) -> F32:
    """Nearest levels at the root mean square, the least-squares scale for them, nearest levels again."""
    rms = np.sqrt((groups * groups).mean(1, keepdims=True))
    q = _nearest_scaled(groups, rms, book)
    fitted = ((groups * q).sum(1, keepdims=True) / (q * q).sum(1, keepdims=True)).astype(np.float32)
    scale = store_scale(np.maximum(fitted, 0), kind)
    return _nearest_scaled(groups, scale, book) * scale


def _nearest_scaled(groups: F32, scale: F32, book: F32) -> F32:
    return nearest(np.divide(groups, scale, out=np.zeros_like(groups), where=scale > 0), book)
