"""The cache kernels behind one interface: compiled ones if there are any, NumPy otherwise."""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kvfiles.positions import RowRope

if TYPE_CHECKING:  # it lives in a package that imports this module's types
    from kvfiles.codecs.archive.tables import ArchiveTables

F16 = NDArray[np.float16]
F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]
I8 = NDArray[np.int8]
I64 = NDArray[np.int64]

VARIANT_ENV = "BEYONDRAG_KERNELS"
BLOCK = 64
"""Values that share one scale."""
MAX_ARCHIVE_MODELS = 2
"""Calibrations kept arranged: 26 MB each for the default model, and 15 MB more for encoding."""


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


@dataclass(frozen=True, slots=True)
class ArchiveModel:
    """Calibration tables as an implementation wants them: `native` is the compiled form, if there is one."""

    tables: ArchiveTables
    native: Any = None


@dataclass(frozen=True, slots=True)
class ArchiveChunk:
    """A chunk of the archive codec: `section` (bytes) holds the streams of `n_rows` tokens.

    `base` (N_FINENESS, L, k_width + v_width) u8 are the classes of all components, group by group K and V;
    `scale` is g.
    """

    section: U8
    n_rows: int
    base: U8
    scale: float


class Placing(Protocol):
    """What decoding a chunk needs.  `rope` None leaves rows unrotated (V, or K at its own position)."""

    def decode(
        self, coded: CodedLayers, rope: RowRope | None, quantiser: Quantiser, target: RowTarget
    ) -> None:
        """Decode all layers into `target` and apply `rope` (n rows)."""

    def relocate(self, rows: F16, undo: RowRope | None, redo: RowRope | None, target: RowTarget) -> None:
        """Write (L, n, width) f16 `rows` after `undo` and `redo`; without both, bit for bit."""

    def decode_archive(
        self, model: ArchiveModel, coded: ArchiveChunk, rope: RowRope, k: RowTarget, v: RowTarget
    ) -> None:
        """Decode K and V of all layers; raises ValueError for streams that no encoder wrote."""


class Kernels(Placing, Protocol):
    """What a codec needs."""

    name: str

    def encode(
        self, rows: F16, rope: RowRope | None, quantiser: Quantiser, out: CodedLayers, layer: int
    ) -> None:
        """Code (n, width) f16 `rows` after `rope` (usually an inverse one) into layer `layer` of `out`."""

    def archive_model(self, tables: ArchiveTables, *, encoding: bool) -> ArchiveModel:
        """Arrange `tables` for decoding, or for `encoding` too, which takes longer."""

    def encode_archive(
        self, model: ArchiveModel, k: F16, v: F16, undo: RowRope, base: U8, scale: float, fineness: I8
    ) -> tuple[U8, I64] | None:
        """The section of a chunk of (L, n, width) rows, `fineness` (n_group, L, n), and (L, k_width +
        v_width) sums of the magnitudes of their coefficients.  None when the rows hold
        numbers that are not finite or beyond what the cache holds."""


class NativeKernels:
    """The compiled kernels (kvfiles/native); each call releases the GIL."""

    def __init__(self, module: Any, variant: str) -> None:
        self.module = module
        self.name = variant
        self._archives: dict[tuple[str, bool], ArchiveModel] = {}

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

    def archive_model(self, tables: ArchiveTables, *, encoding: bool) -> ArchiveModel:
        key = (tables.id, encoding)
        if key not in self._archives:
            if len(self._archives) >= MAX_ARCHIVE_MODELS:
                self._archives.pop(next(iter(self._archives)))
            self._archives[key] = ArchiveModel(tables, self._arranged(tables, encoding))
        return self._archives[key]

    def _arranged(self, tables: ArchiveTables, encoding: bool) -> Any:
        model = self.module.ArchiveModel(
            tables.shape.n_layer, tables.freq, tables.expected, float(tables.shrink), tables.fineness_class
        )
        for group in tables.groups:
            k, v = (
                self.module.ArchiveMatrices(
                    mean,
                    predict.view(np.uint16),
                    decode.view(np.uint16),
                    step,
                    rho.astype(np.float32),
                    forward(decode) if encoding else None,
                )
                for mean, predict, decode, step, rho in (
                    (group.mean_k, group.predict_k, group.decode_k, group.step_k, group.rho_k),
                    (group.mean_v, group.predict_v, group.decode_v, group.step_v, group.rho_v),
                )
            )
            model.add_group(k, v, group.predict_v0.view(np.uint16))
        return model

    def decode_archive(
        self, model: ArchiveModel, coded: ArchiveChunk, rope: RowRope, k: RowTarget, v: RowTarget
    ) -> None:
        why = self.module.decode_archive(self.name, self.archive_call(model, coded, rope, k, v))
        if why:
            raise ValueError(f"streams of the archive codec: {why}")

    def archive_call(
        self, model: ArchiveModel, coded: ArchiveChunk, rope: RowRope, k: RowTarget, v: RowTarget
    ) -> Any:
        """`decode_archive`, checked and ready to run; the section may be filled until then."""
        return self.module.ArchiveCall(
            model.native,
            coded.section,
            coded.n_rows,
            coded.base,
            coded.scale,
            self._rope(rope),
            self._target(k),
            self._target(v),
        )

    def encode_archive(
        self, model: ArchiveModel, k: F16, v: F16, undo: RowRope, base: U8, scale: float, fineness: I8
    ) -> tuple[U8, I64] | None:
        magnitudes = np.zeros(base.shape[1:], np.int64)
        k, v = np.ascontiguousarray(k).view(np.uint16), np.ascontiguousarray(v).view(np.uint16)
        section = self.module.encode_archive(
            self.name,
            model.native,
            k,
            v,
            self._rope(undo),
            base,
            scale,
            np.ascontiguousarray(fineness),
            magnitudes,
        )
        return None if section is None else (np.frombuffer(section, np.uint8), magnitudes)

    def _rope(self, rope: RowRope | None) -> Any:
        if rope is None:
            return None
        return self.module.Rope(rope.cos, rope.sin, rope.n_head, rope.head_dim, rope.neox)

    def _target(self, target: RowTarget) -> Any:
        return self.module.Target(target.blob, target.first, target.stride, target.q8, target.rotation)


def forward(decode: F16) -> F32:
    """The encoder's matrices for the decoder's (L, w, w), inverted in f64; ValueError if there are none."""
    try:
        inverse: F32 = np.linalg.inv(decode.astype(np.float64)).astype(np.float32)
    except np.linalg.LinAlgError as error:
        raise ValueError("a transform has no inverse") from error
    return inverse


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
