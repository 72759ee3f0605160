"""The archive codec as files and placing see it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kvfiles.codecs.archive.adapting import adapted, read_deltas, write_deltas
from kvfiles.codecs.archive.entropy import base_classes
from kvfiles.codecs.archive.tables import ArchiveTables
from kvfiles.codecs.base import CHUNK_TOKENS, F16, Array, ChunkTarget, TensorShape, behind, chunk_starts
from kvfiles.errors import DecodeError
from kvfiles.kernels import ArchiveChunk, ArchiveModel, Kernels, Placing
from kvfiles.positions import RowRope
from kvfiles.runtime.model import ModelShape

U8 = NDArray[np.uint8]
I64 = NDArray[np.int64]

DEFAULT_SINKS = 4
SINK_OCTAVES = 3
"""The first tokens, which every token attends to, are coded with g / 2**SINK_OCTAVES."""
TRADE = 0.0
"""What a bit may cost in squared steps (lambda of the rate-distortion choice).

Nothing: saved bits lost as much in Kullback-Leibler divergence as a larger step, because the errors of a dead
zone agree over neighbouring tokens and do not average out under attention.
"""
MIN_LOG_G, MAX_LOG_G = -512, 768
"""g from 1/4 to 8."""

_LEARN_CHUNKS = 2
_LEARN_LEAST = 128
"""Tokens below which a document's own classes are not worth their bytes."""


class ArchiveCodec:
    """`log_g` is log2 of the quality g in 1/256; the first `n_sink` tokens are coded eight times finer.

    Document arrays: `sink`, the section of the first tokens, and `adapt`, the coded class corrections
    (empty: none); each chunk has one section `<first token>/codes` (kvfiles.codecs.archive.reference).
    """

    name = "archive"

    def __init__(self, kernels: Kernels, tables: ArchiveTables, *, log_g: int, n_sink: int) -> None:
        if not (MIN_LOG_G <= log_g <= MAX_LOG_G and 0 <= n_sink <= CHUNK_TOKENS):
            raise ValueError("quality or sinks out of range")
        self._kernels, self.tables = kernels, tables
        self.log_g, self.n_sink = log_g, n_sink
        self._base = base_classes(tables, log_g)
        self._sink_base = base_classes(tables, log_g - 256 * SINK_OCTAVES)

    def params(self) -> dict[str, int | str]:
        return {"log_g": self.log_g, "n_sink": self.n_sink, "tables": self.tables.id}

    def bits_per_value(self, n_tokens: int, k_width: int, v_width: int) -> float:
        """An estimate: the entropy of every component's class; documents differ by tens of percent."""
        n_sink = min(self.n_sink, n_tokens)
        coded = _entropies(self.tables)
        bits = coded[self._base].mean() * (n_tokens - n_sink) + coded[self._sink_base].mean() * n_sink
        return float(bits) / n_tokens

    def encode(self, k: Sequence[F16], v: Sequence[F16], stored: RowRope, pool: Executor) -> dict[str, Array]:
        coding = _Coding(self._kernels, self._kernels.archive_model(self.tables, encoding=True), k, v, stored)
        n = len(k[0])
        n_sink = min(self.n_sink, n)
        runs = {row0: (max(row0, n_sink), min(row0 + CHUNK_TOKENS, n)) for row0 in chunk_starts(n)}
        scale = _scale(self.log_g)
        of_sink = _scale(self.log_g - 256 * SINK_OCTAVES)
        sink = pool.submit(coding.section, 0, n_sink, self._sink_base, of_sink)

        def coded(row0: int, base: U8) -> _Coded:
            return coding.section(*runs[row0], base, scale)

        learnt = [row0 for row0 in runs if runs[row0][1] > runs[row0][0]][:_LEARN_CHUNKS]
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
        rest = [row0 for row0 in runs if row0 not in first]
        done = first | dict(zip(rest, pool.map(lambda row0: coded(row0, base), rest), strict=True))
        arrays: dict[str, Array] = {
            "adapt": np.empty(0, np.uint8) if adapt is None else adapt,
            "sink": sink.result().section,
        }
        return arrays | {f"{row0}/codes": done[row0].section for row0 in runs}

    def _learn(self, coded: Sequence[_Coded], n: int) -> tuple[U8, U8 | None]:
        """The document's classes and their corrections, coded; None where there is too little to learn."""
        n_learnt = sum(part.n_rows for part in coded)
        if n < _LEARN_LEAST or n_learnt < _LEARN_LEAST:
            return self._base, None
        magnitudes: I64 = np.sum([part.magnitudes for part in coded], axis=0)
        deltas = adapted(self._base, magnitudes, n_learnt)
        base, stream = write_deltas(self.tables, self._base, deltas)
        return base, stream

    def document_names(self) -> list[str]:
        return ["adapt", "sink"]

    def decoder(self, arrays: Mapping[str, Array], shape: TensorShape) -> ArchiveDecoder:
        found = (shape.n_layer, shape.k_width, shape.v_width)
        own = self.tables.shape
        if found != (own.n_layer, own.k_width, own.v_width):
            raise ValueError("the calibration is for another shape")
        adapt, sink = _bytes(arrays, "adapt"), _bytes(arrays, "sink")
        return ArchiveDecoder(
            self._kernels.archive_model(self.tables, encoding=False),
            own,
            _Quality(
                read_deltas(self.tables, self._base, adapt) if len(adapt) else self._base, _scale(self.log_g)
            ),
            _Quality(self._sink_base, _scale(self.log_g - 256 * SINK_OCTAVES)),
            sink,
            min(self.n_sink, shape.n_tokens),
        )


@dataclass(frozen=True, slots=True)
class _Quality:
    """Classes (L, k_width + v_width) u8 and g."""

    base: U8
    scale: float


class ArchiveDecoder:
    """Decodes the chunks of one file.  A chunk's rows come out together (`whole_chunks`)."""

    whole_chunks = True

    def __init__(
        self,
        model: ArchiveModel,
        shape: ModelShape,
        quality: _Quality,
        of_sink: _Quality,
        sink: U8,
        n_sink: int,
    ) -> None:
        self._model, self._shape = model, shape
        self._quality, self._of_sink = quality, of_sink
        self._sink, self._n_sink = sink, n_sink

    def chunk_names(self, row0: int) -> list[str]:
        return [f"{row0}/codes"]

    def decode(self, arrays: Mapping[str, Array], chunk: ChunkTarget, placing: Placing) -> None:
        n = chunk.row1 - chunk.row0
        n_sink = max(0, min(self._n_sink, chunk.row1) - chunk.row0)
        section = _bytes(arrays, f"{chunk.row0}/codes")
        if n_sink:
            if chunk.row0:
                raise ValueError("the first tokens are not in the first chunk")
            coded = ArchiveChunk(self._sink, n_sink, self._of_sink.base, self._of_sink.scale)
            placing.decode_archive(self._model, coded, chunk.target.rows(0, n_sink), chunk.k, chunk.v)
        if n_sink < n:
            k = behind(chunk.k, n_sink, self._shape.k_width)
            v = behind(chunk.v, n_sink, self._shape.v_width)
            coded = ArchiveChunk(section, n - n_sink, self._quality.base, self._quality.scale)
            placing.decode_archive(self._model, coded, chunk.target.rows(n_sink, n), k, v)
        elif len(section):
            raise ValueError("streams without tokens")


@dataclass(frozen=True, slots=True)
class _Coded:
    section: U8
    magnitudes: I64
    n_rows: int


@dataclass(frozen=True, slots=True)
class _Coding:
    """The rows of a document on their way into sections."""

    kernels: Kernels
    model: ArchiveModel
    k: Sequence[F16]
    v: Sequence[F16]
    stored: RowRope

    def section(self, row: int, stop: int, base: U8, scale: float) -> _Coded:
        """The tokens row .. stop-1 coded; raises DecodeError for numbers that cannot be."""
        if stop <= row:
            return _Coded(np.empty(0, np.uint8), np.zeros(base.shape, np.int64), 0)
        k, v = (np.stack([layer[row:stop] for layer in layers]) for layers in (self.k, self.v))
        undo = self.stored.rows(row, stop).inverse()
        coded = self.kernels.encode_archive(self.model, k, v, undo, base, scale, TRADE)
        if coded is None:
            raise DecodeError(
                "the model's cache holds numbers that are not finite or too large for the archive codec",
                remedy="read the document again, or with another codec",
            )
        return _Coded(coded[0], coded[1], stop - row)


def log_quality(g: float) -> int:
    """`log_g` of a quality; raises ValueError unless g is from 0.25 to 8."""
    if not 0.25 <= g <= 8:
        raise ValueError("the quality of the archive codec is from 0.25 (fine) to 8 (small)")
    return round(256 * math.log2(g))


def _scale(log_g: int) -> float:
    return float(np.float32(2.0 ** (log_g / 256)))


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
