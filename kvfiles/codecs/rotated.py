"""The rotated codec: un-RoPE, centre, Hadamard, quantise with separate bits for K and V.

Per layer and tensor, n tokens after the first `n_sink`, which stay exact f16:

1. K only: undo RoPE in f32, so that K no longer depends on its position.
2. Subtract the per-channel mean over the document (stored f16).  Qwen2's key bias sits in it.
3. Rotate every head by an orthonormal Walsh-Hadamard transform, which makes the values near Gaussian.
   Heads that are a multiple of 64 mix values 8, 16, 32 (and 64) apart, which needs whole vectors only;
   `eval.grid_arms` compares it with mixing all of them.  Other heads mix the largest power of two that
   divides them.
4. Quantise in blocks of 64: an 8-bit logarithmic scale (sixteenths of an octave below the largest
   scale of the tensor, least squares for the codes) and a non-uniform grid.

The grid is an odd polynomial p0*u + p1*u^3 + p2*u^5 of the 2**bits cell midpoints u of [-1, 1], fitted to
the least mean squared error on a unit Gaussian: within 1.4 % of Lloyd-Max up to 5 bits (at 6, 7 and 8 bits,
where the error hardly counts, 5, 13 and 23 %), but decoded by two multiply-adds instead of a table, on any
instruction set.  (Max 1960; Lloyd 1982.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np

from kvfiles.codecs.base import (
    CHUNK_TOKENS,
    F16,
    Array,
    ChunkTarget,
    TensorShape,
    behind,
    chunk_starts,
    expect,
)
from kvfiles.codecs.exact import place_exact
from kvfiles.errors import DecodeError
from kvfiles.kernels import BLOCK, F32, CodedLayers, Kernels, Placing, Quantiser, empty_layers
from kvfiles.positions import RowRope

MAX_ROTATION = 128
MIN_BITS, MAX_BITS = 2, 8

GAUSSIAN_GRIDS: dict[int, tuple[float, float, float]] = {
    2: (1.7805, 0.4077, 0.0),
    3: (1.9617, 0.3185, 0.4488),
    4: (2.1072, 0.0993, 0.9548),
    5: (2.1223, 0.0389, 1.3465),
    6: (2.0579, 0.3248, 1.3675),
    7: (1.9155, 1.3370, 0.6909),
    8: (1.9243, 1.6976, 0.4424),
}
"""Polynomial coefficients by bits, fitted by coordinate descent on 300,000 normal samples."""

SCALE_TABLE = np.exp2(-np.arange(256, dtype=np.float64) / 16).astype(np.float32)


def rotation(head_dim: int) -> tuple[int, int]:
    """Size and stride of the Hadamard sub-blocks for a head of `head_dim` values."""
    size = min(head_dim & -head_dim, MAX_ROTATION)
    return size, 8 if size >= BLOCK else 1


class RotatedCodec:
    """K and V with `k_bits` and `v_bits` (2 to 8) and the first `n_sink` tokens exact."""

    name = "rotated"

    def __init__(
        self, kernels: Kernels, *, k_bits: int, v_bits: int, n_sink: int, k_head_dim: int, v_head_dim: int
    ) -> None:
        if not (MIN_BITS <= k_bits <= MAX_BITS and MIN_BITS <= v_bits <= MAX_BITS and 0 <= n_sink <= 1024):
            raise ValueError("bits must be 2 to 8 and sinks 0 to 1024")
        self._kernels = kernels
        self.k_bits, self.v_bits, self.n_sink = k_bits, v_bits, n_sink
        self.k_head_dim, self.v_head_dim = k_head_dim, v_head_dim
        self._k = _quantiser(k_bits, k_head_dim)
        self._v = _quantiser(v_bits, v_head_dim)

    def params(self) -> dict[str, int]:
        return {
            "k_bits": self.k_bits,
            "v_bits": self.v_bits,
            "n_sink": self.n_sink,
            "k_head_dim": self.k_head_dim,
            "v_head_dim": self.v_head_dim,
        }

    def bits_per_value(self, n_tokens: int, k_width: int, v_width: int) -> float:
        n_sink = min(self.n_sink, n_tokens)
        stored = 16 * n_sink * (k_width + v_width)
        for bits, width in ((self.k_bits, k_width), (self.v_bits, v_width)):
            n_block = -(-width // BLOCK)
            stored += (n_tokens - n_sink) * n_block * (BLOCK * bits + 8) + 16 * width + 32
        return stored / (n_tokens * (k_width + v_width))

    def encode(self, k: Sequence[F16], v: Sequence[F16], stored: RowRope, pool: Executor) -> dict[str, Array]:
        n_layer, n = len(k), len(k[0])
        sink = min(self.n_sink, n)
        undo = stored.rows(sink, n).inverse()
        coded_k = empty_layers(n_layer, n - sink, k[0].shape[1], self.k_bits)
        coded_v = empty_layers(n_layer, n - sink, v[0].shape[1], self.v_bits)

        def encode_layer(layer: int) -> None:
            self._kernels.encode(k[layer][sink:], undo, self._k, coded_k, layer)
            self._kernels.encode(v[layer][sink:], None, self._v, coded_v, layer)

        for _ in pool.map(encode_layer, range(n_layer)):
            pass
        _refuse_infinities(coded_k, [layer[:sink] for layer in k])
        _refuse_infinities(coded_v, [layer[:sink] for layer in v])
        arrays: dict[str, Array] = {}
        for name, coded, layers in (("k", coded_k, k), ("v", coded_v, v)):
            arrays[f"{name}.mean"] = coded.mean
            arrays[f"{name}.reference"] = coded.reference
            arrays[f"{name}.sink"] = np.stack([layer[:sink] for layer in layers])
        for row0 in chunk_starts(n):
            rows = slice(max(row0 - sink, 0), max(row0 + CHUNK_TOKENS - sink, 0))
            for name, coded in (("k", coded_k), ("v", coded_v)):
                arrays[f"{row0}/{name}.codes"] = np.ascontiguousarray(coded.codes[:, rows])
                arrays[f"{row0}/{name}.scales"] = np.ascontiguousarray(coded.scales[:, rows])
        return arrays

    def document_names(self) -> list[str]:
        return [f"{name}.{part}" for name in ("k", "v") for part in ("mean", "reference", "sink")]

    def decoder(self, arrays: Mapping[str, Array], shape: TensorShape) -> RotatedDecoder:
        sink = min(self.n_sink, shape.n_tokens)
        return RotatedDecoder(
            shape,
            sink,
            _Stored.checked(arrays, "k", shape.n_layer, sink, shape.k_width, self._k),
            _Stored.checked(arrays, "v", shape.n_layer, sink, shape.v_width, self._v),
        )


@dataclass(frozen=True, slots=True)
class _Stored:
    """What concerns a whole document: mean (L, width), reference (L,), sink (L, n_sink, width)."""

    name: str
    mean: F16
    reference: F32
    sink: F16
    quantiser: Quantiser

    @classmethod
    def checked(
        cls,
        arrays: Mapping[str, Array],
        name: str,
        n_layer: int,
        n_sink: int,
        width: int,
        quantiser: Quantiser,
    ) -> _Stored:
        stored = cls(
            name,
            expect(arrays, f"{name}.mean", np.float16, (n_layer, width)),
            expect(arrays, f"{name}.reference", np.float32, (n_layer,)),
            expect(arrays, f"{name}.sink", np.float16, (n_layer, n_sink, width)),
            quantiser,
        )
        if not all(np.isfinite(array).all() for array in (stored.reference, stored.mean, stored.sink)):
            raise ValueError(f"{name}: numbers that are not finite")
        return stored

    def chunk(self, arrays: Mapping[str, Array], row0: int, n: int) -> CodedLayers:
        """The codes of the chunk at `row0`, of which `n` tokens are coded."""
        n_layer, width = self.mean.shape
        n_block = -(-width // BLOCK)
        codes = expect(
            arrays, f"{row0}/{self.name}.codes", np.uint8, (n_layer, n, n_block, 8 * self.quantiser.bits)
        )
        scales = expect(arrays, f"{row0}/{self.name}.scales", np.uint8, (n_layer, n, n_block))
        return CodedLayers(codes, scales, self.mean, self.reference)


class RotatedDecoder:
    """Decodes the chunks of one file."""

    whole_chunks = False

    def __init__(self, shape: TensorShape, n_sink: int, k: _Stored, v: _Stored) -> None:
        self._shape = shape
        self._n_sink = n_sink
        self._k, self._v = k, v

    def chunk_names(self, row0: int) -> list[str]:
        return [f"{row0}/{name}.{part}" for name in ("k", "v") for part in ("codes", "scales")]

    def decode(self, arrays: Mapping[str, Array], chunk: ChunkTarget, placing: Placing) -> None:
        n = chunk.row1 - chunk.row0
        n_exact = max(0, min(self._n_sink, chunk.row1) - chunk.row0)
        coded_k = self._k.chunk(arrays, chunk.row0, n - n_exact)
        coded_v = self._v.chunk(arrays, chunk.row0, n - n_exact)
        if n_exact:
            rows = slice(chunk.row0, chunk.row0 + n_exact)
            sink_k, sink_v = (np.ascontiguousarray(t.sink[:, rows]) for t in (self._k, self._v))
            place_exact(sink_k, sink_v, chunk, placing)
        if n_exact < n:
            rope = chunk.target.rows(n_exact, n)
            k_target = behind(chunk.k, n_exact, self._shape.k_width)
            v_target = behind(chunk.v, n_exact, self._shape.v_width)
            placing.decode(coded_k, rope, self._k.quantiser, k_target)
            placing.decode(coded_v, None, self._v.quantiser, v_target)


def _refuse_infinities(coded: CodedLayers, sinks: Sequence[F16]) -> None:
    """Raise DecodeError for a cache with numbers that are not finite; each makes its channel's mean one."""
    if not (np.isfinite(coded.mean).all() and all(np.isfinite(rows).all() for rows in sinks)):
        raise DecodeError(
            "the model's cache holds numbers that are not finite",
            remedy="read the document again; if that does not help, the GGUF is damaged: pull it again",
        )


def _quantiser(bits: int, head_dim: int) -> Quantiser:
    size, stride = rotation(head_dim)
    return Quantiser(bits, size, stride, np.array(GAUSSIAN_GRIDS[bits], np.float32), SCALE_TABLE)
