"""The exact codec: f16 rows as llama.cpp had them; bit for bit at their own position."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor

import numpy as np

from kvfiles.codecs.base import CHUNK_TOKENS, F16, Array, ChunkTarget, TensorShape, chunk_starts, expect
from kvfiles.kernels import Placing
from kvfiles.positions import RowRope


class ExactCodec:
    """16 bits a value.  Moved elsewhere, K goes through f32 rotations and one f16 rounding."""

    name = "exact"

    def params(self) -> dict[str, int]:
        return {}

    def bits_per_value(self, n_tokens: int, k_width: int, v_width: int) -> float:
        return 16.0

    def encode(self, k: Sequence[F16], v: Sequence[F16], stored: RowRope, pool: Executor) -> dict[str, Array]:
        arrays: dict[str, Array] = {}
        for row0 in chunk_starts(len(k[0])):
            rows = slice(row0, row0 + CHUNK_TOKENS)
            arrays[f"{row0}/k"] = np.stack([layer[rows] for layer in k])
            arrays[f"{row0}/v"] = np.stack([layer[rows] for layer in v])
        return arrays

    def document_names(self) -> list[str]:
        return []

    def decoder(self, arrays: Mapping[str, Array], shape: TensorShape) -> ExactDecoder:
        return ExactDecoder(shape)


class ExactDecoder:
    """Decodes the chunks of one file."""

    whole_chunks = False

    def __init__(self, shape: TensorShape) -> None:
        self._shape = shape

    def chunk_names(self, row0: int) -> list[str]:
        return [f"{row0}/k", f"{row0}/v"]

    def decode(self, arrays: Mapping[str, Array], chunk: ChunkTarget, placing: Placing) -> None:
        shape, n = self._shape, chunk.row1 - chunk.row0
        k = expect(arrays, f"{chunk.row0}/k", np.float16, (shape.n_layer, n, shape.k_width))
        v = expect(arrays, f"{chunk.row0}/v", np.float16, (shape.n_layer, n, shape.v_width))
        place_exact(k, v, chunk, placing)


def place_exact(k: F16, v: F16, chunk: ChunkTarget, placing: Placing) -> None:
    """Write (L, n, width) f16 rows to the beginning of `chunk`, K moved if it has to be."""
    n = k.shape[1]
    undo, redo = (chunk.stored.rows(0, n).inverse(), chunk.target.rows(0, n)) if chunk.moved else (None, None)
    placing.relocate(k, undo, redo, chunk.k)
    placing.relocate(v, None, None, chunk.v)
