"""A document's own classes: corrections of the calibrated ones, learnt while coding and stored once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kvfiles.codecs.archive.entropy import ADAPT_LIMIT, BASE_OFFSET, BLOCK, Decoder, Encoder, StreamError
from kvfiles.codecs.archive.tables import N_CLASS, ArchiveTables

U8 = NDArray[np.uint8]
I64 = NDArray[np.int64]

_PRIOR_TOKENS = 60.0
_PRIOR_MAGNITUDE = 4.0
"""The calibration counts as much as so many tokens of the document, and as so large a sum of magnitudes."""


def adapted(base: U8, magnitudes: I64, n: int) -> I64:
    """Corrections in -6 .. 6 of the classes `base` for the sums of |q| over `n` tokens."""
    usual = np.exp2((base.astype(np.float64) - BASE_OFFSET) / 2)
    weight = np.maximum(_PRIOR_TOKENS, _PRIOR_MAGNITUDE / usual)
    own = (magnitudes + weight * usual) / (n + weight)
    deltas: I64 = np.clip(np.rint(2 * np.log2(own / usual)), -ADAPT_LIMIT, ADAPT_LIMIT).astype(np.int64)
    return deltas


def corrected(base: U8, deltas: I64) -> U8:
    """The classes with their corrections."""
    classes: U8 = np.clip(base.astype(np.int64) + deltas, 0, N_CLASS - 1).astype(np.uint8)
    return classes


def write_deltas(tables: ArchiveTables, base: U8, deltas: I64) -> tuple[U8, U8]:
    """The corrected classes, and the corrections as one stream in the class `delta_class`, layer by layer."""
    writer = Encoder(tables.freq)
    writer.tensor(deltas, np.full(deltas.shape, tables.delta_class, np.uint8))
    return corrected(base, deltas), writer.stream().astype("<u2").view(np.uint8)


def read_deltas(tables: ArchiveTables, base: U8, stream: U8) -> U8:
    """The corrected classes; raises StreamError."""
    if len(stream) % 2:
        raise StreamError("class corrections of a broken length")
    reader = Decoder(stream.view("<u2"), tables.freq)
    deltas: I64 = np.empty(base.shape, np.int64)
    for row in deltas:
        for at in range(0, len(row), BLOCK):
            part = row[at : at + BLOCK]
            part[:] = reader.block([tables.delta_class] * len(part))
    reader.finish()
    if np.abs(deltas).max(initial=0) > ADAPT_LIMIT:
        raise StreamError("class corrections out of range")
    return corrected(base, deltas)
