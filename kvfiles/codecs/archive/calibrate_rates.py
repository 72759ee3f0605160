"""The symbols of a coefficient and what they cost: frequencies of the classes, from counts or a model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kvfiles.codecs.archive.entropy import BASE_OFFSET
from kvfiles.codecs.archive.tables import ESCAPE, FREQUENCY_BITS, MAX_MAGNITUDE, N_CLASS, N_SYMBOL

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
U16 = NDArray[np.uint16]

TOTAL = 1 << FREQUENCY_BITS
N_MAGNITUDE = N_SYMBOL // 2
"""Magnitudes 0..15 have symbols of their own, one for each sign."""

_PRIOR_WEIGHT = 4.0
"""Counts that the model of a class weighs, against those that were seen."""
_GOLOMB_ORDER = 2


@dataclass(frozen=True, slots=True)
class ClassModel:
    """`freq` (64, 32) u16 and `expected` (64,) u16 as in `tables.ArchiveTables`."""

    freq: U16
    expected: U16

    def bits(self) -> F32:
        """(64, 17) f32 bits of the magnitudes 0..15 with their signs, and of the escape alone."""
        freq = self.freq.astype(np.float64)
        escape = -np.log2(freq[:, ESCAPE] / TOTAL)
        plus = freq[:, 1:ESCAPE:2]
        through = escape[:, None] + escape_bits(np.arange(1, N_MAGNITUDE))
        own = -np.log2(np.maximum(plus, 0.5) / TOTAL)
        out = np.empty((N_CLASS, N_MAGNITUDE + 1))
        out[:, 0] = -np.log2(np.maximum(freq[:, 0], 0.5) / TOTAL)
        out[:, 1:-1] = np.where(plus > 0, own, through)
        out[:, -1] = escape
        return out.astype(np.float32)


def escape_bits(magnitude: NDArray[np.signedinteger]) -> F64:
    """Bits after ESCAPE: |q| - 1 in the Exp-Golomb code of order 2, and the sign.  `magnitude` >= 1."""
    prefix = np.floor(np.log2(((magnitude - 1) >> _GOLOMB_ORDER) + 1))
    lengths: F64 = 2.0 * prefix + 1.0 + _GOLOMB_ORDER + 1.0
    return lengths


def modelled_counts() -> F64:
    """(64, 17): probabilities of the magnitudes 0..15 and of all above, geometric in each class."""
    mean = np.exp2((np.arange(N_CLASS) - BASE_OFFSET) / 2.0)
    ratio = mean / (1.0 + mean)  # P(|q| = m) = (1 - ratio) ratio^m has the mean ratio / (1 - ratio)
    powers = ratio[:, None] ** np.arange(N_MAGNITUDE + 1)
    out = powers * (1.0 - ratio[:, None])
    out[:, -1] = powers[:, -1]
    return out


def class_model(counts: F64, magnitudes: F64) -> ClassModel:
    """The model of what was seen.

    `counts` (64, 17) are of the magnitudes 0..15 and of all above in each class, `magnitudes` (64,) the
    sums of min(|q|, 12).  Classes that were hardly seen follow the geometric model.
    """
    prior = modelled_counts()
    smoothed = counts + _PRIOR_WEIGHT * prior
    n = smoothed.sum(1)
    known = np.minimum(np.arange(N_MAGNITUDE + 1), MAX_MAGNITUDE)
    mean = (magnitudes + _PRIOR_WEIGHT * (prior * known).sum(1)) / n
    freq = np.stack([_frequencies(row / total) for row, total in zip(smoothed, n, strict=True)])
    return ClassModel(freq, np.clip(np.rint(256 * mean), 1, 256 * MAX_MAGNITUDE).astype(np.uint16))


def geometric_model() -> ClassModel:
    """The model before anything was seen."""
    return class_model(np.zeros((N_CLASS, N_MAGNITUDE + 1)), np.zeros(N_CLASS))


def _frequencies(probability: F64) -> U16:
    """(32,) u16 that sum to 4096; what is rarer than half a count goes through ESCAPE."""
    pair = np.rint(probability[1:N_MAGNITUDE] * (TOTAL / 2)).astype(np.int64)
    own = np.where(pair > 0, probability[1:N_MAGNITUDE], 0.0).sum()
    escape = max(1, round((1.0 - probability[0] - own) * TOTAL))
    escape = min(escape, TOTAL - 1 - 2 * int(pair.sum()))
    while escape < 1:  # rounding up took everything
        pair[int(pair.argmax())] -= 1
        escape = min(1, TOTAL - 1 - 2 * int(pair.sum()))
    out = np.zeros(N_SYMBOL, np.int64)
    out[1:ESCAPE:2], out[2:ESCAPE:2], out[ESCAPE] = pair, pair, escape
    out[0] = TOTAL - out.sum()
    return out.astype(np.uint16)
