"""The cache kernels behind one interface: compiled ones if there are any, NumPy otherwise."""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kvfiles.positions import RowRope

F16 = NDArray[np.float16]
F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

VARIANT_ENV = "BEYONDRAG_KERNELS"
BLOCK = 64
"""Values that share one scale."""


@dataclass(frozen=True, slots=True)
class RowTarget:
    """Where rows of consecutive layers go: layer i starts at byte first + i*stride of `blob`.

    With `q8` rows are ggml q8_0 after llama.cpp's own rotation in sub-blocks of `rotation`
    (0: none); otherwise they are f16.
    """

    blob: U8
    first: int
    stride: int
    q8: bool = False
    rotation: int = 0


@dataclass(frozen=True, slots=True)
class Quantiser:
    """The parameters of one tensor's coding.

    `bits` a value; Hadamard sub-blocks of `rotation` values that mix values `stride`, 2*stride, ...
    apart (1 or 8); `grid` (3,) f32 coefficients of the odd polynomial that spaces the levels;
    `scale_table` (256,) f32 factors of the 8-bit scales.
    """

    bits: int
    rotation: int
    stride: int
    grid: F32
    scale_table: F32


@dataclass(frozen=True, slots=True)
class CodedLayers:
    """A coded tensor or a chunk of its rows: L layers of n rows of `width` values.

    codes (L, n, n_block, 8*bits) u8; scales (L, n, n_block) u8; mean (L, width) f16;
    reference (L,) f32, the scale that index 0 stands for.
    """

    codes: U8
    scales: U8
    mean: F16
    reference: F32


def empty_layers(n_layer: int, n_rows: int, width: int, bits: int) -> CodedLayers:
    """Room for a coded tensor."""
    n_block = -(-width // BLOCK)
    return CodedLayers(
        np.empty((n_layer, n_rows, n_block, 8 * bits), np.uint8),
        np.empty((n_layer, n_rows, n_block), np.uint8),
        np.empty((n_layer, width), np.float16),
        np.empty(n_layer, np.float32),
    )


class Placing(Protocol):
    """What decoding a chunk needs.  `rope` None leaves rows unrotated (V, or K at its own position)."""

    def decode(
        self, coded: CodedLayers, rope: RowRope | None, quantiser: Quantiser, target: RowTarget
    ) -> None:
        """Decode all layers into `target` and apply `rope` (n rows)."""

    def relocate(self, rows: F16, undo: RowRope | None, redo: RowRope | None, target: RowTarget) -> None:
        """Write (L, n, width) f16 `rows` after `undo` and `redo`; without both, bit for bit."""


class Kernels(Placing, Protocol):
    """What a codec needs."""

    name: str

    def encode(
        self, rows: F16, rope: RowRope | None, quantiser: Quantiser, out: CodedLayers, layer: int
    ) -> None:
        """Code (n, width) f16 `rows` after `rope` (usually an inverse one) into layer `layer` of `out`."""


class NativeKernels:
    """The compiled kernels (kvfiles/native); each call releases the GIL."""

    def __init__(self, module: Any, variant: str) -> None:
        self.module = module
        self.name = variant

    def encode(
        self, rows: F16, rope: RowRope | None, quantiser: Quantiser, out: CodedLayers, layer: int
    ) -> None:
        out.reference[layer] = self.module.encode(
            self.name,
            np.ascontiguousarray(rows).view(np.uint16),
            self._rope(rope),
            quantiser.scale_table,
            quantiser.grid,
            quantiser.bits,
            quantiser.rotation,
            quantiser.stride,
            out.codes[layer],
            out.scales[layer],
            out.mean[layer].view(np.uint16),
        )

    def decode(
        self, coded: CodedLayers, rope: RowRope | None, quantiser: Quantiser, target: RowTarget
    ) -> None:
        self.module.decode(self.name, self.decode_call(coded, rope, quantiser, target))

    def relocate(self, rows: F16, undo: RowRope | None, redo: RowRope | None, target: RowTarget) -> None:
        self.module.relocate(self.name, self.relocate_call(rows, undo, redo, target))

    def decode_call(
        self, coded: CodedLayers, rope: RowRope | None, quantiser: Quantiser, target: RowTarget
    ) -> Any:
        """`decode`, checked and ready to run; codes and scales may be filled until then."""
        return self.module.DecodeCall(
            coded.codes,
            coded.scales,
            coded.mean.view(np.uint16),
            coded.reference,
            quantiser.scale_table,
            quantiser.grid,
            quantiser.bits,
            quantiser.rotation,
            quantiser.stride,
            self._rope(rope),
            self._target(target),
        )

    def relocate_call(self, rows: F16, undo: RowRope | None, redo: RowRope | None, target: RowTarget) -> Any:
        """`relocate`, checked and ready to run; the rows may be filled until then."""
        return self.module.RelocateCall(
            rows.view(np.uint16), self._rope(undo), self._rope(redo), self._target(target)
        )

    def _rope(self, rope: RowRope | None) -> Any:
        if rope is None:
            return None
        return self.module.Rope(rope.cos, rope.sin, rope.n_head, rope.head_dim, rope.neox)

    def _target(self, target: RowTarget) -> Any:
        return self.module.Target(target.blob, target.first, target.stride, target.q8, target.rotation)


def available() -> list[Kernels]:
    """Every implementation that runs on this machine, fastest first; NumPy is always last."""
    from kvfiles.codecs.reference import NumpyKernels  # noqa: PLC0415  # it imports this module's types

    try:
        compiled = importlib.import_module("kvfiles._kernels")
    except ImportError:  # nothing was compiled
        return [NumpyKernels()]
    return [*(NativeKernels(compiled, name) for name in compiled.variants()), NumpyKernels()]


def best() -> Kernels:
    """The fastest implementation, or the one named by the environment variable BEYONDRAG_KERNELS."""
    wanted = os.environ.get(VARIANT_ENV, "")
    choices = available()
    return next((k for k in choices if k.name == wanted), choices[0])
