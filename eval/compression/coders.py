"""Codings of one layer's K or V from the literature, in NumPy: coded and decoded at once.

Every coder takes (n, width) f32 rows, the concatenated heads of `head_dim` values of n tokens, and gives back
what a decoder would see; `stored_bits` counts everything that a file would have to hold for it.
Experiments, written for clearness; the product's codec is `kvfiles.codecs.rotated`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache
from typing import Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from eval.grids import (
    ASYMMETRIC_BITS,
    SCALE_BITS,
    Grid,
    Scale,
    angle_codebook,
    nearest,
    quantise,
    quantise_asymmetric,
    sphere_codebook,
)
from kvfiles.codecs.reference import hadamard

F32 = NDArray[np.float32]
Rotation = Literal["none", "stride 8", "full"]

MAX_ROTATION = 128
NORM_BITS = 16
"""Norms and radii are f16."""
_ROTATION_SEED = 20260101


class Coder(Protocol):
    """One way to code a tensor; frozen, so that its `repr` says exactly what was measured."""

    def code(self, rows: F32, head_dim: int) -> F32:
        """(n, width) f32 `rows`, n > 0, coded and decoded."""

    def stored_bits(self, n: int, width: int, head_dim: int) -> float:
        """Bits that n coded rows take, with every scale, norm, mean and index."""

    def finer(self, bits: int) -> Coder:
        """The same with `bits` more for every value."""


@dataclass(frozen=True, slots=True)
class Rotated:
    """Centre, rotate by Hadamard, quantise groups along the row; the defaults are the product's codec."""

    bits: int
    grid: Grid = "polynomial"
    group: int = 64
    scale: Scale = "log8"
    rotation: Rotation = "stride 8"
    centred: bool = True

    def code(self, rows: F32, head_dim: int) -> F32:
        mean = np.zeros(rows.shape[1], np.float32)
        if self.centred:
            mean = rows.mean(0).astype(np.float16).astype(np.float32)
        padded = -(-rows.shape[1] // self.group) * self.group
        groups = np.zeros((len(rows), padded), np.float32)
        groups[:, : rows.shape[1]] = self._rotate(rows - mean, head_dim)
        decoded = quantise(groups.reshape(-1, self.group), self.bits, self.grid, self.scale)
        inside = np.ascontiguousarray(decoded.reshape(groups.shape)[:, : rows.shape[1]])
        return self._rotate(inside, head_dim) + mean

    def _rotate(self, rows: F32, head_dim: int) -> F32:
        size = min(head_dim & -head_dim, MAX_ROTATION)
        stride = 8 if self.rotation == "stride 8" and size > 8 else 1
        return rows if self.rotation == "none" else hadamard(rows, size, stride)

    def stored_bits(self, n: int, width: int, head_dim: int) -> float:
        n_group = -(-width // self.group)
        return n * n_group * (self.group * self.bits + SCALE_BITS[self.scale]) + 16 * width * self.centred

    def finer(self, bits: int) -> Self:
        return replace(self, bits=self.bits + bits)


@dataclass(frozen=True, slots=True)
class PerChannel:
    """Asymmetric steps over `group` consecutive tokens of one channel, as KIVI codes K (Liu et al. 2024)."""

    bits: int
    group: int

    def code(self, rows: F32, head_dim: int) -> F32:
        out = np.empty_like(rows)
        whole = len(rows) // self.group * self.group
        for part in (slice(0, whole), slice(whole, len(rows))):
            n = part.stop - part.start
            if n == 0:
                continue
            size = min(self.group, n)
            columns = rows[part].reshape(-1, size, rows.shape[1]).transpose(0, 2, 1)
            decoded = quantise_asymmetric(np.ascontiguousarray(columns).reshape(-1, size), self.bits)
            out[part] = decoded.reshape(columns.shape).transpose(0, 2, 1).reshape(n, -1)
        return out

    def stored_bits(self, n: int, width: int, head_dim: int) -> float:
        return width * (n * self.bits + -(-n // self.group) * ASYMMETRIC_BITS)

    def finer(self, bits: int) -> Self:
        return replace(self, bits=self.bits + bits)


@dataclass(frozen=True, slots=True)
class PerToken:
    """Asymmetric steps over `group` consecutive channels of one token's head, as KIVI codes V."""

    bits: int
    group: int

    def code(self, rows: F32, head_dim: int) -> F32:
        heads = rows.reshape(-1, head_dim)
        parts = [
            quantise_asymmetric(np.ascontiguousarray(heads[:, at : at + self.group]), self.bits)
            for at in range(0, head_dim, self.group)
        ]
        return np.concatenate(parts, axis=1).reshape(rows.shape)

    def stored_bits(self, n: int, width: int, head_dim: int) -> float:
        groups = width // head_dim * -(-head_dim // self.group)
        return n * (width * self.bits + groups * ASYMMETRIC_BITS)

    def finer(self, bits: int) -> Self:
        return replace(self, bits=self.bits + bits)


@dataclass(frozen=True, slots=True)
class TurboQuant:
    """Unit vector of a head, random rotation, Lloyd-Max for the sphere (TurboQuant_mse, Zandieh et al. 2025).

    With `outliers` the quarter of a head's channels that is largest in the mean over the document is
    coded apart with a bit more and its own norm, as the paper's 2.5- and 3.5-bit settings do.
    """

    bits: int
    outliers: bool = False

    def code(self, rows: F32, head_dim: int) -> F32:
        out = np.empty_like(rows)
        for start in range(0, rows.shape[1], head_dim):
            head = rows[:, start : start + head_dim]
            for channels, bits in self._parts(head):
                out[:, start + channels] = _turbo(np.ascontiguousarray(head[:, channels]), bits)
        return out

    def _parts(self, head: F32) -> list[tuple[NDArray[np.int64], int]]:
        order = np.argsort(-np.abs(head).mean(0), kind="stable")
        n = head.shape[1] // 4 if self.outliers else 0
        parts = [(np.sort(order[:n]), self.bits + 1), (np.sort(order[n:]), self.bits)]
        return [(channels, bits) for channels, bits in parts if len(channels)]

    def stored_bits(self, n: int, width: int, head_dim: int) -> float:
        n_head = width // head_dim
        n_outlier = head_dim // 4 if self.outliers else 0
        token = head_dim * self.bits + n_outlier + NORM_BITS * (2 if n_outlier else 1)
        return n_head * (n * token + (head_dim if n_outlier else 0))  # one bit a channel says which

    def finer(self, bits: int) -> Self:
        return replace(self, bits=self.bits + bits)


@dataclass(frozen=True, slots=True)
class Polar:
    """Random rotation, then recursive polar coordinates of blocks of 2**levels values (Han et al. 2025).

    `level_bits` are the bits of an angle of level 1, 2, ...; one f16 radius stays of each block.  The
    default is the paper's: 4 + 2 + 2 + 2 bits, 3.875 bits a value.
    """

    level_bits: tuple[int, ...] = (4, 2, 2, 2)

    def code(self, rows: F32, head_dim: int) -> F32:
        rotation = random_rotation(head_dim)
        radius = (rows.reshape(-1, head_dim) @ rotation.T).reshape(rows.size)
        angles = []
        for level, bits in enumerate(self._bits(head_dim), 1):
            pairs = radius.reshape(-1, 2)
            angle = np.arctan2(pairs[:, 1], pairs[:, 0]) % np.float32(2 * math.pi)
            angles.append(nearest(angle, angle_codebook(bits, level)))
            radius = np.hypot(pairs[:, 0], pairs[:, 1])
        radius = radius.astype(np.float16).astype(np.float32)
        for angle in reversed(angles):
            radius = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).reshape(-1)
        decoded: F32 = (radius.reshape(-1, head_dim) @ rotation).reshape(rows.shape).astype(np.float32)
        return decoded

    def _bits(self, head_dim: int) -> tuple[int, ...]:
        """Fewer levels where a head is not a multiple of the block."""
        return self.level_bits[: (head_dim & -head_dim).bit_length() - 1]

    def stored_bits(self, n: int, width: int, head_dim: int) -> float:
        bits = self._bits(head_dim)
        angles = sum(b / (1 << level) for level, b in enumerate(bits, 1))
        return n * width * (angles + NORM_BITS / (1 << len(bits)))

    def finer(self, bits: int) -> Self:
        return replace(self, level_bits=tuple(b + bits for b in self.level_bits))


@cache
def random_rotation(size: int) -> F32:
    """(size, size) f32 orthogonal matrix, always the same: Q of a Gaussian matrix, signs by R's diagonal."""
    gaussian = np.random.default_rng(_ROTATION_SEED).standard_normal((size, size))
    q, r = np.linalg.qr(gaussian)
    return (q * np.sign(np.diag(r))).astype(np.float32)


def _turbo(vectors: F32, bits: int) -> F32:
    """(n, d) vectors through f16 norms and Lloyd-Max levels of the rotated unit vectors."""
    d = vectors.shape[1]
    norm = np.linalg.norm(vectors, axis=1, keepdims=True).astype(np.float16).astype(np.float32)
    unit = np.divide(vectors, norm, out=np.zeros_like(vectors), where=norm > 0)
    rotation = random_rotation(d)
    found: F32 = nearest(unit @ rotation.T, sphere_codebook(bits, d)) @ rotation * norm
    return found
