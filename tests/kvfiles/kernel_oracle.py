"""A second oracle for the kernels, in double precision, and the samples they are tried on.

It shares no code with the NumPy reference or the C++: a dense Hadamard matrix, bits taken apart one by
one, complex multiplication for RoPE.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kvfiles.codecs.rotated import GAUSSIAN_GRIDS, SCALE_TABLE, rotation
from kvfiles.kernels import (
    CodedLayers,
    Kernels,
    Quantiser,
    RowTarget,
    available,
    empty_layers,
)
from kvfiles.positions import RopeTables, RowRope
from kvfiles.rope import RopeSpec

F16 = NDArray[np.float16]
F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]

KERNELS = {kernels.name: kernels for kernels in available()}
BITS = range(2, 9)
HEADS = [  # (n_head, head_dim): whole blocks, half blocks, odd ends, more than one rotation a head
    (2, 64), (1, 128), (2, 128), (1, 256), (3, 32), (1, 80),
    (2, 96), (2, 100), (5, 8), (3, 20), (3, 6), (1, 192),
]  # fmt: skip
ROWS = (0, 1, 5, 130)


LLOYD_MAX = {2: 0.117482, 3: 0.034548, 4: 0.009501, 5: 0.002505, 6: 0.000644, 7: 0.0001635, 8: 0.0000413}
"""Mean squared error of the best scalar quantiser of a unit Gaussian (Max 1960, table I; by iteration)."""


def quantiser(bits: int, head_dim: int) -> Quantiser:
    size, stride = rotation(head_dim)
    return Quantiser(bits, size, stride, np.array(GAUSSIAN_GRIDS[bits], np.float32), SCALE_TABLE)


def key_like(n: int, width: int, seed: int = 0) -> F16:
    """Rows with channels of very different mean and size, as keys have them."""
    rng = np.random.default_rng(seed)
    offset = 20 * rng.standard_normal(width)
    return (offset + np.exp(rng.standard_normal(width)) * rng.standard_normal((n, width))).astype(np.float16)


def rope_of(
    n_head: int, head_dim: int, n: int, first: int = 17, pairing: Any = "neox", n_rot: int = 0
) -> RowRope:
    n_rot = n_rot or head_dim
    return RopeTables(RopeSpec(pairing, head_dim, n_rot, 10000.0), n_head).at(first, n)


def encode(kernels: Kernels, rows: F16, rope: RowRope | None, q: Quantiser) -> CodedLayers:
    coded = empty_layers(1, len(rows), rows.shape[1], q.bits)
    for array in (coded.codes, coded.scales, coded.mean, coded.reference):
        array.view(np.uint8)[...] = 0xA5  # whatever is not written shows
    kernels.encode(rows, rope, q, coded, 0)
    return coded


def decode(kernels: Kernels, coded: CodedLayers, rope: RowRope | None, q: Quantiser) -> F16:
    n, width = coded.codes.shape[1], coded.mean.shape[1]
    blob = np.full(n * width * 2 + 16, 0xA5, np.uint8)
    kernels.decode(coded, rope, q, RowTarget(blob, 8, 0))
    assert (blob[:8] == 0xA5).all(), "wrote before its rows"
    assert (blob[len(blob) - 8 :] == 0xA5).all(), "wrote behind its rows"
    return blob[8:-8].view(np.float16).reshape(n, width)


def dense_hadamard(size: int, stride: int = 1) -> F64:
    """The orthonormal Sylvester matrix; with a stride, values closer than that are not mixed."""
    matrix = np.eye(stride)
    while len(matrix) < size:
        matrix = np.kron(np.array([[1.0, 1.0], [1.0, -1.0]]), matrix)
    return matrix / math.sqrt(size / stride)


def rotated_blocks(x: F64, size: int, stride: int = 1) -> F64:
    n, width = x.shape
    return (x.reshape(n, width // size, size) @ dense_hadamard(size, stride)).reshape(n, width)


def turned(rows: F64, rope: RowRope | None) -> F64:
    """RoPE by complex multiplication; the angle's sign is read off the table of the kernel."""
    if rope is None:
        return rows
    n_rot = rope.cos.shape[1]
    x = rows.reshape(len(rows), rope.n_head, rope.head_dim).copy()
    half = n_rot // 2
    first, second = (np.r_[0:half], np.r_[half:n_rot]) if rope.neox else (np.r_[0:n_rot:2], np.r_[1:n_rot:2])
    turn = rope.cos[:, None, first].astype(np.float64) + 1j * rope.sin[:, None, second]
    z = (x[..., first] + 1j * x[..., second]) * turn
    x[..., first], x[..., second] = z.real, z.imag
    return x.reshape(rows.shape)


def code_bits(codes: U8, bits: int) -> NDArray[np.int64]:
    """(n, n_block, 64) codes, bit by bit: value e is lane e % 8, slot e // 8; planes of 4, 2 and 1 bits."""
    n, n_block, _ = codes.shape
    stream = np.unpackbits(codes, axis=-1, bitorder="little")
    planes = {2: [2], 3: [2, 1], 4: [4], 5: [4, 1], 6: [4, 2], 7: [4, 2, 1], 8: [4, 4]}[bits]
    out = np.zeros((n, n_block, 64), np.int64)
    for element in range(64):
        lane, slot = element % 8, element // 8
        start = at = 0
        for p in planes:
            word = start + lane * 8 * p
            for bit in range(p):
                out[:, :, element] |= stream[:, :, word + slot * p + bit].astype(np.int64) << (at + bit)
            start, at = start + 64 * p, at + p
    return out


def grid_of(q: Quantiser) -> F64:
    half = 2.0 ** (q.bits - 1)
    u = (np.arange(2 * half) + 0.5 - half) / half
    p = q.grid.astype(np.float64)
    return p[0] * u + p[1] * u**3 + p[2] * u**5


def oracle_decode(coded: CodedLayers, q: Quantiser) -> F64:
    """(n, width) values before RoPE."""
    width = coded.mean.shape[1]
    scale = float(coded.reference[0]) * np.exp2(coded.scales[0] / -16.0)
    values = grid_of(q)[code_bits(coded.codes[0], q.bits)] * scale[..., None]
    flat = values.reshape(len(values), values.shape[1] * 64)[:, :width]
    return rotated_blocks(flat, q.rotation, q.stride) + coded.mean[0].astype(np.float64)


def rounding(want: F64) -> F64:
    """What one rounding to f16 and f32 arithmetic may cost."""
    return 2.0**-11 * np.abs(want) + 2.0**-24 + 1e-5 * np.abs(want).max(initial=1e-6)
