"""The archive codec as files and placing see it."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kvfiles.codecs.archive.adapting import adapted, read_deltas, tokens_by_fineness, write_deltas
from kvfiles.codecs.archive.entropy import HIGHEST, LOWEST, base_classes
from kvfiles.codecs.archive.importance import document_fineness, layer_views
from kvfiles.codecs.archive.tables import ArchiveTables
from kvfiles.codecs.base import CHUNK_TOKENS, F16, Array, ChunkTarget, TensorShape, chunk_starts
from kvfiles.errors import DecodeError
from kvfiles.kernels import ArchiveChunk, ArchiveModel, Kernels, Placing
from kvfiles.positions import RowRope

U8 = NDArray[np.uint8]
I8 = NDArray[np.int8]
I64 = NDArray[np.int64]

VERSION = 4
"""Of the streams."""
UNSEEN = 1.15
"""Bits of a document over what its classes promise, which were measured on the calibration's own texts: 1.06
to 1.27, half below 1.15, for qualities from 1.3 to 2.5 on six other texts with the default model."""
MIN_LOG_G, MAX_LOG_G = -512, 768
"""g from 1/4 to 8."""

_LEARN_CHUNKS = 2
_LEARN_LEAST = 128
"""Tokens below which a document's own classes are not worth their bytes."""


class ArchiveCodec:
    """`log_g` is log2 of the quality g in 1/256.

    Document array: `adapt`, the coded class corrections (empty: none); each chunk has one section
    `<first token>/codes` (kvfiles.codecs.archive.reference).
    """

    name = "archive"

    def __init__(self, kernels: Kernels, tables: ArchiveTables, *, log_g: int) -> None:
        if not MIN_LOG_G <= log_g <= MAX_LOG_G:
            raise ValueError("quality out of range")
        self._kernels, self.tables = kernels, tables
        self.log_g = log_g
        self._base = base_classes(tables, log_g)
        self._views = functools.cache(lambda: layer_views(tables))

    def params(self) -> dict[str, int | str]:
        return {
            "version": VERSION,
            "log_g": self.log_g,
            "tables": self.tables.id,
        }

    def bits_per_value(self, n_tokens: int, k_width: int, v_width: int) -> float:
        """An estimate: the entropy of every component's class times UNSEEN; documents differ."""
        coded, width = _entropies(self.tables), k_width + v_width
        of_fineness = len(self.tables.groups) * coded[self.tables.fineness_class] / width
        by_fineness = coded[self._base].mean((1, 2))
        usual = float((by_fineness * _shares(self.tables)).sum())
        return UNSEEN * (usual + float(of_fineness + (by_fineness[-1] - usual) / n_tokens))

    def encode(self, k: Sequence[F16], v: Sequence[F16], stored: RowRope, pool: Executor) -> dict[str, Array]:
        coding = _Coding(
            self._kernels,
            self._kernels.archive_model(self.tables, encoding=True),
            k,
            v,
            stored,
            document_fineness(self.tables, self._views(), k, v, stored),
        )
        n = len(k[0])
        scale = _scale(self.log_g)

        def coded(row0: int, base: U8) -> _Coded:
            return coding.section(row0, min(row0 + CHUNK_TOKENS, n), base, scale)

        starts = list(chunk_starts(n))
        learnt = starts[:_LEARN_CHUNKS]
        first = dict(zip(learnt, pool.map(lambda row0: coded(row0, self._base), learnt), strict=True))
        base, adapt = self._learn(list(first.values()), n)
        if adapt is not None:
            again = dict(zip(learnt, pool.map(lambda row0: coded(row0, base), learnt), strict=True))
            saved = sum(len(first[row0].section) - len(again[row0].section) for row0 in learnt)
            n_learnt = sum(part.n_rows for part in first.values())
            if saved * n / n_learnt > len(adapt):
                first = again
            else:
                base, adapt = self._base, None
        rest = [row0 for row0 in starts if row0 not in first]
        done = first | dict(zip(rest, pool.map(lambda row0: coded(row0, base), rest), strict=True))
        arrays: dict[str, Array] = {"adapt": np.empty(0, np.uint8) if adapt is None else adapt}
        return arrays | {f"{row0}/codes": done[row0].section for row0 in starts}

    def _learn(self, coded: Sequence[_Coded], n: int) -> tuple[U8, U8 | None]:
        """The document's classes and their corrections, coded; None where there is too little to learn."""
        n_learnt = sum(part.n_rows for part in coded)
        if n < _LEARN_LEAST or n_learnt < _LEARN_LEAST:
            return self._base, None
        magnitudes: I64 = np.sum([part.magnitudes for part in coded], axis=0)
        fineness = np.concatenate([part.fineness for part in coded], axis=-1)
        deltas = adapted(self._base, magnitudes, tokens_by_fineness(self.tables, fineness))
        base, stream = write_deltas(self.tables, self._base, deltas)
        return base, stream

    def document_names(self) -> list[str]:
        return ["adapt"]

    def decoder(self, arrays: Mapping[str, Array], shape: TensorShape) -> ArchiveDecoder:
        found = (shape.n_layer, shape.k_width, shape.v_width)
        own = self.tables.shape
        if found != (own.n_layer, own.k_width, own.v_width):
            raise ValueError("the calibration is for another shape")
        adapt = _bytes(arrays, "adapt")
        base = read_deltas(self.tables, self._base, adapt) if len(adapt) else self._base
        model = self._kernels.archive_model(self.tables, encoding=False)
        return ArchiveDecoder(model, base, _scale(self.log_g))


class ArchiveDecoder:
    """Decodes the chunks of one file.  A chunk's rows come out together (`whole_chunks`)."""

    whole_chunks = True

    def __init__(self, model: ArchiveModel, base: U8, scale: float) -> None:
        self._model, self._base, self._scale = model, base, scale

    def chunk_names(self, row0: int) -> list[str]:
        return [f"{row0}/codes"]

    def decode(self, arrays: Mapping[str, Array], chunk: ChunkTarget, placing: Placing) -> None:
        section = _bytes(arrays, f"{chunk.row0}/codes")
        coded = ArchiveChunk(section, chunk.row1 - chunk.row0, self._base, self._scale)
        placing.decode_archive(self._model, coded, chunk.target, chunk.k, chunk.v)


@dataclass(frozen=True, slots=True)
class _Coded:
    section: U8
    magnitudes: I64
    fineness: I8

    @property
    def n_rows(self) -> int:
        return int(self.fineness.shape[-1])


@dataclass(frozen=True, slots=True)
class _Coding:
    """The rows of a document on their way into sections."""

    kernels: Kernels
    model: ArchiveModel
    k: Sequence[F16]
    v: Sequence[F16]
    stored: RowRope
    fineness: I8

    def section(self, row: int, stop: int, base: U8, scale: float) -> _Coded:
        """The tokens row .. stop-1 coded; raises DecodeError for numbers that cannot be."""
        k, v = (np.stack([layer[row:stop] for layer in layers]) for layers in (self.k, self.v))
        undo = self.stored.rows(row, stop).inverse()
        fineness = self.fineness[:, :, row:stop]
        coded = self.kernels.encode_archive(self.model, k, v, undo, base, scale, fineness)
        if coded is None:
            raise DecodeError(
                "the model's cache holds numbers that are not finite or too large for the archive codec",
                remedy="read the document again, or with another codec",
            )
        return _Coded(coded[0], coded[1], fineness)


def log_quality(g: float) -> int:
    """`log_g` of a quality; raises ValueError unless g is from 0.25 to 8."""
    if not 0.25 <= g <= 8:
        raise ValueError("the quality of the archive codec is from 0.25 (fine) to 8 (small)")
    return round(256 * math.log2(g))


def _scale(log_g: int) -> float:
    return float(np.float32(2.0 ** (log_g / 256)))


def _shares(tables: ArchiveTables) -> NDArray[np.float64]:
    """(N_FINENESS,): how many tokens have each fineness, going by the class that codes it."""
    fineness = np.arange(LOWEST, HIGHEST + 1)
    symbols = np.where(fineness > 0, 2 * fineness - 1, -2 * fineness)
    shares: NDArray[np.float64] = tables.freq[tables.fineness_class, symbols].astype(np.float64)
    return shares / max(float(shares.sum()), 1.0)


def _entropies(tables: ArchiveTables) -> NDArray[np.float64]:
    """(64,) bits of a symbol of every class."""
    p = tables.freq / tables.freq.sum(1, keepdims=True, dtype=np.float64)
    bits: NDArray[np.float64] = -(p * np.log2(np.where(p > 0, p, 1))).sum(1)
    return bits


def _bytes(arrays: Mapping[str, Array], name: str) -> U8:
    array = arrays[name]
    if array.dtype != np.uint8 or array.ndim != 1:
        raise ValueError(f"{name} is not bytes")
    return array
