"""NumPy implementation of every kernel: the reference that tests compare against, and the fallback.

Written from the formulas, not from the C++: values go through whole arrays here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kvfiles.codecs.archive.reference import decode_section, encode_section
from kvfiles.codecs.archive.tables import ArchiveTables
from kvfiles.kernels import BLOCK, ArchiveChunk, ArchiveModel, CodedLayers, Quantiser, RowTarget
from kvfiles.positions import RowRope

F16 = NDArray[np.float16]
F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]
I8 = NDArray[np.int8]
U32 = NDArray[np.uint32]

_PLANES = {2: (2,), 3: (2, 1), 4: (4,), 5: (4, 1), 6: (4, 2), 7: (4, 2, 1), 8: (4, 4)}
_WORDS = {4: "<u4", 2: "<u2", 1: "u1"}


def levels(bits: int, grid: F32) -> F32:
    """(2**bits,) f32 grid values: an odd polynomial of the midpoints of 2**bits equal cells of [-1, 1]."""
    half = np.float32(1 << (bits - 1))
    u = (np.arange(1 << bits, dtype=np.float32) + np.float32(0.5) - half) / half
    values: F32 = (u * (grid[0] + u * u * (grid[1] + u * u * grid[2]))).astype(np.float32)
    return values


def hadamard(x: F32, size: int, stride: int = 1) -> F32:
    """Orthonormal Walsh-Hadamard transform of the last axis in sub-blocks of `size`; its own inverse.

    Mixes values that are stride, 2*stride, ... size/2 apart; values closer together stay apart.
    """
    shape = x.shape
    y, h = x, stride
    while h < size:
        pairs = y.reshape(-1, size // (2 * h), 2, h)
        y = np.stack([pairs[:, :, 0] + pairs[:, :, 1], pairs[:, :, 0] - pairs[:, :, 1]], axis=2)
        h *= 2
    scaled: F32 = (y / np.sqrt(np.float32(size // stride))).reshape(shape).astype(np.float32)
    return scaled


def rotate_rows(rows: F32, rope: RowRope | None) -> F32:
    """Apply `rope` to (n, width) f32 rows."""
    if rope is None:
        return rows
    x = rows.reshape(len(rows), rope.n_head, rope.head_dim).copy()
    n_rot = rope.cos.shape[1]
    part = x[..., :n_rot]
    if rope.neox:
        partner = np.concatenate([part[..., n_rot // 2 :], part[..., : n_rot // 2]], axis=-1)
    else:
        partner = part.reshape(*part.shape[:-1], n_rot // 2, 2)[..., ::-1].reshape(part.shape)
    x[..., :n_rot] = part * rope.cos[:, None] + partner * rope.sin[:, None]
    return x.reshape(rows.shape)


def pack(codes: U32, bits: int) -> U8:
    """(n, n_block, 64) codes -> (n, n_block, 8*bits) bytes; value e of a block: lane e % 8, slot e // 8."""
    n, n_block, _ = codes.shape
    by_lane = codes.reshape(n, n_block, 8, 8).transpose(0, 1, 3, 2)  # lane, slot
    planes, at = [], 0
    for p in _PLANES[bits]:
        part = (by_lane >> np.uint32(at)) & np.uint32((1 << p) - 1)
        words = (part << (p * np.arange(8, dtype=np.uint32))).sum(-1, dtype=np.uint32).astype(_WORDS[p])
        planes.append(words.view(np.uint8).reshape(n, n_block, 8 * p))
        at += p
    return np.concatenate(planes, axis=-1)


def unpack(packed: U8, bits: int) -> U32:
    """The inverse of `pack`."""
    n, n_block, _ = packed.shape
    codes = np.zeros((n, n_block, 8, 8), np.uint32)
    at = byte = 0
    for p in _PLANES[bits]:
        words = np.ascontiguousarray(packed[..., byte : byte + 8 * p]).view(_WORDS[p]).astype(np.uint32)
        part = (words[..., None] >> (p * np.arange(8, dtype=np.uint32))) & np.uint32((1 << p) - 1)
        codes |= part << np.uint32(at)
        at, byte = at + p, byte + 8 * p
    return codes.transpose(0, 1, 3, 2).reshape(n, n_block, BLOCK)


def quantise_q8(rows: F32, rotation: int) -> U8:
    """(n, width) f32 -> (n, width/32*34) u8 in ggml's q8_0 after llama.cpp's orthonormal rotation."""
    x = hadamard(rows, rotation) if rotation else rows
    groups = x.reshape(len(x), -1, 32)
    d = np.abs(groups).max(-1, keepdims=True) / np.float32(127)
    inverse = np.divide(np.float32(1), d, out=np.zeros_like(d), where=d > 0)
    scaled = groups * inverse
    q = (np.sign(scaled) * np.floor(np.abs(scaled) + np.float32(0.5))).astype(np.int8)
    out = np.concatenate([d.astype(np.float16).view(np.uint8), q.view(np.uint8)], axis=-1)
    return out.reshape(len(x), -1)


class NumpyKernels:
    """See `kvfiles.kernels.Kernels`.  Numbers that are not finite pass through silently, as in the C++."""

    name = "numpy"

    @np.errstate(divide="ignore", invalid="ignore", over="ignore")
    def encode(
        self, rows: F16, rope: RowRope | None, quantiser: Quantiser, out: CodedLayers, layer: int
    ) -> None:
        n, width = rows.shape
        n_block = -(-width // BLOCK)
        x = rotate_rows(rows.astype(np.float32), rope)
        mean = (x.mean(0, dtype=np.float64) if n else np.zeros(width)).astype(np.float16)
        centred = np.zeros((n, n_block * BLOCK), np.float32)
        centred[:, :width] = x - mean.astype(np.float32)
        blocks = hadamard(centred, quantiser.rotation, quantiser.stride).reshape(n, n_block, BLOCK)
        grid = levels(quantiser.bits, quantiser.grid)
        rms = np.sqrt((blocks * blocks).mean(-1, keepdims=True))
        q = grid[self._nearest(blocks, rms, grid)]
        wanted = np.where(rms[..., 0] > 0, (blocks * q).sum(-1) / (q * q).sum(-1), 0).astype(np.float32)
        wanted[~np.isfinite(wanted)] = 0
        top = wanted.max(initial=0)
        octaves = np.where(wanted > 0, -16 * np.log2(wanted / top), 255)
        scales = np.floor(np.minimum(octaves, 255) + 0.5).clip(0, 255).astype(np.uint8)
        final = quantiser.scale_table[scales] * top
        codes = self._nearest(blocks, final[..., None], grid)
        out.codes[layer] = pack(codes.astype(np.uint32), quantiser.bits)
        out.scales[layer], out.mean[layer], out.reference[layer] = scales, mean, top

    @staticmethod
    def _nearest(blocks: F32, scale: F32, grid: F32) -> NDArray[np.int64]:
        midpoints = (grid[1:] + grid[:-1]) * np.float32(0.5)
        inverse = np.divide(np.float32(1), scale, out=np.zeros_like(scale), where=scale > 0)
        return np.searchsorted(midpoints, blocks * inverse, side="left")

    def decode(
        self, coded: CodedLayers, rope: RowRope | None, quantiser: Quantiser, target: RowTarget
    ) -> None:
        n_layer, n = coded.codes.shape[:2]
        width = coded.mean.shape[1]
        grid = levels(quantiser.bits, quantiser.grid)
        for layer in range(n_layer):
            scale = quantiser.scale_table[coded.scales[layer]] * coded.reference[layer]
            values = grid[unpack(coded.codes[layer], quantiser.bits)] * scale[..., None]
            spread = values.reshape(n, coded.codes.shape[2] * BLOCK)
            rows = hadamard(spread, quantiser.rotation, quantiser.stride)[:, :width]
            self._store(rotate_rows(rows + coded.mean[layer].astype(np.float32), rope), target, layer)

    def relocate(self, rows: F16, undo: RowRope | None, redo: RowRope | None, target: RowTarget) -> None:
        for layer, part in enumerate(rows):
            self._store(rotate_rows(rotate_rows(part.astype(np.float32), undo), redo), target, layer)

    def archive_model(self, tables: ArchiveTables, *, encoding: bool) -> ArchiveModel:
        return ArchiveModel(tables)

    def decode_archive(
        self, model: ArchiveModel, coded: ArchiveChunk, rope: RowRope, k: RowTarget, v: RowTarget
    ) -> None:
        rows_k, rows_v = decode_section(model.tables, coded.section, coded.base, coded.scale, coded.n_rows)
        for layer in range(len(rows_k)):
            self._store(rotate_rows(rows_k[layer], rope), k, layer)
            self._store(rows_v[layer], v, layer)

    def encode_archive(
        self, model: ArchiveModel, k: F16, v: F16, undo: RowRope, base: U8, scale: float, fineness: I8
    ) -> tuple[U8, NDArray[np.int64]] | None:
        rows = [rotate_rows(layer.astype(np.float32), undo) for layer in k]
        return encode_section(model.tables, np.stack(rows), v.astype(np.float32), base, scale, fineness)

    @staticmethod
    @np.errstate(invalid="ignore", over="ignore")
    def _store(rows: F32, target: RowTarget, index: int) -> None:
        if target.q8:
            out = quantise_q8(rows, target.rotation).reshape(-1)
        else:
            out = rows.astype(np.float16).view(np.uint8).reshape(-1)
        start = target.first + index * target.stride
        target.blob[start : start + len(out)] = out
