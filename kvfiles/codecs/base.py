"""What every codec is: the K and V of a document to named arrays, and back into a state blob."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kvfiles.kernels import Placing, RowTarget
from kvfiles.positions import RowRope
from kvfiles.state_blob import GGML_TYPE_F16, GGML_TYPE_Q8_0, row_bytes

F16 = NDArray[np.float16]
Array = NDArray[Any]

CHUNK_TOKENS = 256
"""Tokens that are stored, read and decoded together: a few MB, so that they stay in the CPU's cache."""


@dataclass(frozen=True, slots=True)
class TensorShape:
    """Sizes that a decoder checks stored arrays against."""

    n_layer: int
    n_tokens: int
    k_width: int
    v_width: int


@dataclass(frozen=True, slots=True)
class ChunkTarget:
    """Where the tokens row0 .. row1-1 of a document go, and how their K gets there.

    `stored` is the rotation K was stored with and `target` the one it is to have, one row for each
    token of the chunk; `moved` is False when both are the same, which keeps exact rows exact.
    """

    row0: int
    row1: int
    k: RowTarget
    v: RowTarget
    stored: RowRope
    target: RowRope
    moved: bool


class Decoder(Protocol):
    """What of a file concerns the whole document, checked; decodes chunk by chunk.  Thread-safe.

    With `whole_chunks` all rows of a chunk come out together; otherwise any share of them can be asked for.
    """

    whole_chunks: bool

    def chunk_names(self, row0: int) -> list[str]:
        """The names of the arrays that hold the chunk that begins with token `row0`."""

    def decode(self, arrays: Mapping[str, Array], chunk: ChunkTarget, placing: Placing) -> None:
        """Write the chunk into the blob by calls of `placing`, which may run them when `arrays` are filled.

        Raises ValueError or KeyError when the arrays do not fit.
        """


class Codec(Protocol):
    """`name` and `params()` stand in a file's header and make the codec again (`codecs.from_header`)."""

    name: str

    def params(self) -> Mapping[str, int | str]:
        """JSON-able parameters."""

    def bits_per_value(self, n_tokens: int, k_width: int, v_width: int) -> float:
        """Stored bits over the number of K and V elements, scales and means included."""

    def encode(self, k: Sequence[F16], v: Sequence[F16], stored: RowRope, pool: Executor) -> dict[str, Array]:
        """Code K and V, one (n, width) f16 array a layer; `stored` is the rotation that K carries.

        Arrays of one chunk of CHUNK_TOKENS tokens stand next to one another.
        """

    def document_names(self) -> list[str]:
        """The names of the arrays that concern the whole document."""

    def decoder(self, arrays: Mapping[str, Array], shape: TensorShape) -> Decoder:
        """Check the document's own arrays; raises ValueError or KeyError when they do not fit `shape`."""


def chunk_starts(n_tokens: int) -> range:
    """The first token of every chunk."""
    return range(0, n_tokens, CHUNK_TOKENS)


def behind(target: RowTarget, n_rows: int, width: int) -> RowTarget:
    """`target` without its first rows."""
    skipped = n_rows * row_bytes(width, GGML_TYPE_Q8_0 if target.q8 else GGML_TYPE_F16)
    return replace(target, first=target.first + skipped)


def expect(arrays: Mapping[str, Array], name: str, dtype: Any, shape: tuple[int, ...]) -> Array:
    """The array `name`; raises ValueError unless it has this dtype and shape."""
    array = arrays[name]
    if array.dtype != dtype or array.shape != shape:
        raise ValueError(f"{name} is {array.dtype}{array.shape}, not {np.dtype(dtype)}{shape}")
    return array
