"""A document's own classes: corrections of the calibrated ones, learnt while coding and stored once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kvfiles.codecs.archive.entropy import (
    ADAPT_LIMIT,
    BASE_OFFSET,
    BLOCK,
    FINEST,
    LOWEST,
    Decoder,
    Encoder,
    StreamError,
)
from kvfiles.codecs.archive.reference import columns
from kvfiles.codecs.archive.tables import N_CLASS, ArchiveTables

F64 = NDArray[np.float64]
I8 = NDArray[np.int8]
U8 = NDArray[np.uint8]
I64 = NDArray[np.int64]

_PRIOR_TOKENS = 60.0
_PRIOR_MAGNITUDE = 4.0
"""The calibration counts as much as so many tokens of the document, and as so large a sum of magnitudes."""


def tokens_by_fineness(tables: ArchiveTables, fineness: I8) -> I64:
    """(FINEST - LOWEST + 1, L, k_width + v_width): in the classes of which fineness how many of the tokens
    are coded that `fineness` (n_group, L, n) tells of, sinks left out."""
    levels = np.arange(LOWEST, FINEST + 1)[:, None, None, None]
    found = (fineness == levels).sum(-1, dtype=np.int64)
    width = [of_group.stop - of_group.start for of_group, _, _ in columns(tables)]
    tokens: I64 = np.repeat(found.transpose(0, 2, 1), width, axis=2)
    return tokens


def adapted(base: U8, magnitudes: I64, tokens: I64) -> I64:
    """Corrections (L, w) in -6 .. 6 of the classes `base` (N_FINENESS, L, w) for the sums of |q| (L, w) over
    so many `tokens` of each fineness, sinks left out of both."""
    each: F64 = np.exp2((base[: len(tokens)].astype(np.float64) - BASE_OFFSET) / 2)
    n = tokens.sum(0)
    usual = np.where(n > 0, (each * tokens).sum(0) / np.maximum(n, 1), each[-LOWEST])
    weight = np.maximum(_PRIOR_TOKENS, _PRIOR_MAGNITUDE / usual)
    own = (magnitudes + weight * usual) / (n + weight)
    deltas: I64 = np.clip(np.rint(2 * np.log2(own / usual)), -ADAPT_LIMIT, ADAPT_LIMIT).astype(np.int64)
    return deltas


def corrected(base: U8, deltas: I64) -> U8:
    """The classes (N_FINENESS, L, w) with their corrections (L, w), the same for every fineness."""
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
    deltas: I64 = np.empty(base.shape[1:], np.int64)
    for row in deltas:
        for at in range(0, len(row), BLOCK):
            part = row[at : at + BLOCK]
            part[:] = reader.block([tables.delta_class] * len(part))
    reader.finish()
    if np.abs(deltas).max(initial=0) > ADAPT_LIMIT:
        raise StreamError("class corrections out of range")
    return corrected(base, deltas)
