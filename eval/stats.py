"""Intervals and paired tests for shares, means and medians over questions.

Everything is seeded: the same values always give the same interval.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

F64 = NDArray[np.float64]
Bools = NDArray[np.bool_]

N_RESAMPLES = 2000
SEED = 20260101
LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its interval and the number of observations behind it; NaN where n is 0."""

    value: float
    low: float
    high: float
    n: int

    def to_json(self) -> dict[str, float | int | None]:
        """NaN as None."""
        numbers = {"value": self.value, "low": self.low, "high": self.high}
        rounded = {k: None if math.isnan(v) else round(v, 5) for k, v in numbers.items()}
        return {**rounded, "n": self.n}


NOTHING = Estimate(math.nan, math.nan, math.nan, 0)


def wilson(n_good: int, n: int, z: float = 1.959964) -> tuple[float, float]:
    """95 % Wilson score interval of a share (Wilson 1927); (0, 1) for n = 0."""
    if n == 0:
        return 0.0, 1.0
    p = n_good / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return max(0.0, centre - half), min(1.0, centre + half)


def share(n_true: int, n: int) -> Estimate:
    """A share with its Wilson interval."""
    return Estimate(n_true / n, *wilson(n_true, n), n) if n else NOTHING


def mean(values: ArrayLike, *, shares: bool = False, level: float = LEVEL) -> Estimate:
    """Mean of (n,) values with its percentile-bootstrap interval (Efron 1979); `shares` as for `ratio`."""
    return ratio(values, np.ones(len(_column(values))), shares=shares, level=level)


def ratio(above: ArrayLike, below: ArrayLike, *, shares: bool = False, level: float = LEVEL) -> Estimate:
    """sum(above) / sum(below) over n questions, both (n,); the questions are drawn again together.

    n is the sum of `below` (rounded), which for yes/no values is the number of cases that count.
    Resamples in which `below` sums to 0 have no value and are left out.  Drawing again from equal values
    claims certainty.  With `shares` (above is from 0 to below, for every question) a share of none or of all
    gets the Wilson interval over the questions that count instead; do not say so of differences.
    """
    a, b = _column(above), _column(below)
    if b.sum() == 0:
        return NOTHING
    if shares and a.sum() in (0, b.sum()):
        n_counting = int(np.count_nonzero(b))
        value = float(a.sum() / b.sum())
        return Estimate(value, *wilson(n_counting if value else 0, n_counting), round(float(b.sum())))

    def statistic(drawn: NDArray[np.int64]) -> F64:
        total = b[drawn].sum(1)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(np.where(total == 0, np.nan, a[drawn].sum(1) / total), np.float64)

    low, high = _percentiles(statistic, len(a), level)
    return Estimate(float(a.sum() / b.sum()), low, high, round(float(b.sum())))


def paired_difference(first: ArrayLike, second: ArrayLike) -> Estimate:
    """First share less second share of n paired yes/no observations, with its 95 % interval.

    Newcombe's square-and-add interval from the Wilson limits of both shares, with the correlation phi
    of the pairs corrected for continuity (R. G. Newcombe, Statistics in Medicine 17, 1998, 2635, method 10).
    It does not claim certainty when no pair differs.  Raises ValueError when the columns are not paired.
    """
    a, b = _pair(first, second)
    n, n_first, n_second = len(a), int(a.sum()), int(b.sum())
    if n == 0:
        return NOTHING
    p1, p2 = n_first / n, n_second / n
    (l1, u1), (l2, u2) = wilson(n_first, n), wilson(n_second, n)
    phi = _phi(int((a & b).sum()), int((a & ~b).sum()), int((b & ~a).sum()), int((~a & ~b).sum()))
    down = _combined(p1 - l1, u2 - p2, phi)
    up = _combined(u1 - p1, p2 - l2, phi)
    difference = p1 - p2
    return Estimate(difference, max(-1.0, difference - down), min(1.0, difference + up), n)


def _pair(first: ArrayLike, second: ArrayLike) -> tuple[Bools, Bools]:
    a, b = np.asarray(first, bool).reshape(-1), np.asarray(second, bool).reshape(-1)
    if a.shape != b.shape:
        raise ValueError("the columns must be paired")
    return a, b


def _phi(both: int, only_first: int, only_second: int, neither: int) -> float:
    n = both + only_first + only_second + neither
    margins = (both + only_first) * (only_second + neither) * (both + only_second) * (only_first + neither)
    if margins == 0:
        return 0.0
    excess: float = both * neither - only_first * only_second
    if excess > 0:
        excess = max(excess - n / 2, 0)
    return excess / math.sqrt(margins)


def _combined(one: float, other: float, phi: float) -> float:
    return math.sqrt(max(one * one - 2 * phi * one * other + other * other, 0.0))


def median(values: ArrayLike, *, level: float = LEVEL) -> Estimate:
    """Median of (n,) values with its percentile-bootstrap interval."""
    v = _column(values)
    if len(v) == 0:
        return NOTHING
    low, high = _percentiles(lambda drawn: np.asarray(np.median(v[drawn], 1), np.float64), len(v), level)
    return Estimate(float(np.median(v)), low, high, len(v))


def _column(values: ArrayLike) -> F64:
    return np.asarray(values, np.float64).reshape(-1)


def _percentiles(statistic: Callable[[NDArray[np.int64]], F64], n: int, level: float) -> tuple[float, float]:
    """`statistic` gets (resamples, n) indices and returns (resamples,) values."""
    rng = np.random.default_rng(SEED)
    rows = max(1, min(N_RESAMPLES, 2_000_000 // max(n, 1)))  # bounded memory, whatever n
    parts = [
        statistic(rng.integers(0, n, (min(rows, N_RESAMPLES - start), n)))
        for start in range(0, N_RESAMPLES, rows)
    ]
    found = np.concatenate(parts)
    found = found[~np.isnan(found)]
    tail = (1 - level) / 2
    low, high = np.quantile(found, [tail, 1 - tail])
    return float(low), float(high)


def mcnemar(first: ArrayLike, second: ArrayLike) -> tuple[int, int, float]:
    """Exact McNemar test of two paired yes/no columns (McNemar 1947; the binomial form).

    Returns how often only the first was true, how often only the second, and the two-sided p-value
    2 * P(X <= min) for X ~ Binomial(b + c, 1/2), at most 1.
    """
    a, b = _pair(first, second)
    only_first, only_second = int((a & ~b).sum()), int((b & ~a).sum())
    n, k = only_first + only_second, min(only_first, only_second)
    tail = sum(math.comb(n, i) for i in range(k + 1))
    return only_first, only_second, min(1.0, float(2 * tail / 2**n)) if n else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment for several tests (Holm 1979), in the order given."""
    adjusted = [1.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted
