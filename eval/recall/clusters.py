"""Means over questions that come in documents."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from eval.stats import LEVEL, N_RESAMPLES, NOTHING, SEED, Estimate, wilson

MIN_DOCUMENTS = 5

Bounds = tuple[float, float]


def clustered_mean(documents: Sequence[Sequence[float]], bounds: Bounds | None = None) -> Estimate:
    """The mean of all values, and the percentile interval of drawing whole documents again (Efron 1979).

    n counts values.  The interval is NaN with fewer than MIN_DOCUMENTS documents, and everything is
    without values.  Where all values are equal, drawing again would claim certainty: if the values are
    bounded the interval then reaches as far as Wilson's of 0 cases in as many as there are documents.
    """
    every = [value for values in documents for value in values]
    if not every:
        return NOTHING
    sums = np.array([math.fsum(values) for values in documents])
    sizes = np.array([len(values) for values in documents])
    mean = float(sums.sum() / sizes.sum())
    n = len(documents)
    if n < MIN_DOCUMENTS:
        return Estimate(mean, math.nan, math.nan, len(every))
    if bounds is not None and min(every) == max(every):
        reach = wilson(0, n)[1]
        return Estimate(mean, max(bounds[0], mean - reach), min(bounds[1], mean + reach), len(every))
    drawn = np.random.default_rng(SEED).integers(0, n, (N_RESAMPLES, n))
    means = sums[drawn].sum(1) / sizes[drawn].sum(1)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(mean, float(low), float(high), len(every))
