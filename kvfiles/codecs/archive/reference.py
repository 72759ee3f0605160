"""The archive codec's closed loop in NumPy: definition, oracle, and fallback without a compiler.

Slow: 15 tokens/s with the default model, nearly all of it in the entropy coder.  A section holds the number
of words (u32) of every group's stream and then the streams (`entropy`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kvfiles.codecs.archive.entropy import (
    BLOCK,
    LANES,
    MAX_Q,
    MAX_SHIFT,
    PRIOR_WEIGHTS,
    U8,
    Decoder,
    Encoder,
    StreamError,
    block_sums,
    classes_of,
    expected_before,
    shift_of,
)
from kvfiles.codecs.archive.tables import ESCAPE, N_CLASS, N_SYMBOL, ArchiveTables, GroupTables

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I64 = NDArray[np.int64]

LARGEST = 32768.0
"""Decoded values beyond this do not fit into the cache's f16; no sound file has them."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor of one layer of a group: `is_v`, its prediction matrix (or None) and everything else."""

    layer: int
    is_v: bool
    predict: F64 | None
    decode: F64
    step: float
    base: U8
    mean: F32


def tensors(group: GroupTables, base: U8) -> Iterator[Tensor]:
    """The tensors of a group in coding order; `base` (L, k_width + v_width) are its classes."""
    wk = group.k_width
    for layer in range(len(group.step_k)):
        predict = group.predict_k[layer - 1].astype(np.float64) if layer else None
        yield Tensor(
            layer, False, predict, group.decode_k[layer].astype(np.float64), float(group.step_k[layer]),
            base[layer, :wk], group.mean_k[layer],
        )  # fmt: skip
        predict = (group.predict_v[layer - 1] if layer else group.predict_v0).astype(np.float64)
        yield Tensor(
            layer, True, predict, group.decode_v[layer].astype(np.float64), float(group.step_v[layer]),
            base[layer, wk:], group.mean_v[layer],
        )  # fmt: skip


def restore(q: NDArray[np.int64], shrink: float) -> F64:
    """rec(q): the values that coefficients stand for."""
    restored: F64 = np.sign(q) * (np.abs(q) - shrink)
    return restored


class _Loop:
    """The closed loop: what was decoded before."""

    def __init__(self, n: int, group: GroupTables) -> None:
        self._group, self._n = group, n
        self._k = self._v = self._k_before = np.zeros((n, 0))
        self.k: list[F64] = []
        self.v: list[F64] = []

    def prediction(self, tensor: Tensor) -> F64:
        if tensor.predict is None:
            return np.zeros((self._n, self._group.k_width))
        if not tensor.is_v:
            context = [self.k[-1], self.v[-1]]
        elif tensor.layer == 0:
            context = [self.k[-1]]
        else:
            context = [self.k[-1], self.v[-1], self.k[-2]]
        predicted: F64 = np.hstack(context) @ tensor.predict
        return predicted

    def add(self, tensor: Tensor, decoded: F64) -> None:
        (self.v if tensor.is_v else self.k).append(decoded)


def decode_group(
    tables: ArchiveTables, group: GroupTables, base: U8, scale: float, stream: NDArray[np.uint16], n: int
) -> tuple[F32, F32]:
    """(L, n, wk) and (L, n, wv) f32 rows of one stream, K before RoPE, means added; `scale` is g.

    Raises StreamError.
    """
    reader, loop = Decoder(stream, tables.freq), _Loop(n, group)
    prior: I64 = np.zeros(n, np.int64)
    rows: tuple[list[F64], list[F64]] = [], []
    for tensor in tensors(group, base):
        q, prior = _read(reader, tables, tensor.base, prior)
        step = float(np.float32(tensor.step) * np.float32(scale))
        decoded = loop.prediction(tensor) + (restore(q, tables.shrink) * step) @ tensor.decode
        loop.add(tensor, decoded)
        rows[tensor.is_v].append(decoded + tensor.mean)
    reader.finish()
    k, v = np.stack(rows[0]), np.stack(rows[1])
    if not (np.abs(k) <= LARGEST).all() or not (np.abs(v) <= LARGEST).all():
        raise StreamError("values out of range")
    return k.astype(np.float32), v.astype(np.float32)


def _read(reader: Decoder, tables: ArchiveTables, base: U8, prior: I64) -> tuple[I64, I64]:
    """The coefficients (n, w) of one tensor and the next prior."""
    ahead, w = expected_before(base, tables.expected), len(base)
    wide = base.astype(np.int64)
    q: I64 = np.zeros((len(prior), w), np.int64)
    after = np.zeros_like(prior)
    for row, before in enumerate(prior):
        seen, shift = int(PRIOR_WEIGHTS[before + MAX_SHIFT]), int(before)
        for b, at in enumerate(range(0, w, BLOCK)):
            if b:
                shift = int(shift_of(np.array(seen), ahead[b]))
            classes = np.clip(wide[at : at + BLOCK] + shift, 0, N_CLASS - 1).tolist()
            q[row, at : at + BLOCK] = reader.block(classes)
            seen += int(block_sums(q[row : row + 1, at : at + BLOCK]).sum())
        after[row] = shift_of(np.array(seen), ahead[-1])
    return q, after


@dataclass(frozen=True, slots=True)
class EncodedGroup:
    """A stream, and (L, wk + wv) sums of |q| over its tokens, from which a document's classes are learnt."""

    stream: NDArray[np.uint16]
    magnitudes: I64


def bit_costs(tables: ArchiveTables) -> F64:
    """(64, 32): bits of every symbol in every class; without frequency that of ESCAPE."""
    bits: F64 = 12 - np.log2(np.maximum(tables.freq, 1))
    return np.where(tables.freq > 0, bits, bits[:, -1:])


def value_cost(costs: F64, classes: U8, q: I64) -> F64:
    """Bits of coefficients in their classes."""
    symbol = np.minimum(np.where(q > 0, 2 * q - 1, -2 * q), N_SYMBOL - 1)
    bits: F64 = costs[classes, symbol]
    # ESCAPE and those without frequency: Exp-Golomb of order 2 and a sign
    length = np.floor(np.log2(np.abs(q) + 3.0))
    escaped = (symbol == ESCAPE) | (bits >= costs[classes, np.full_like(symbol, ESCAPE)])
    return bits + np.where(escaped & (q != 0), 2 * length, 0.0)


def quantise(
    c: F64, base: U8, tables: ArchiveTables, costs: F64, trade: float, prior: I64
) -> tuple[I64, I64]:
    """Greedy rate-distortion choice: of round(c), one nearer to zero and 0, the least
    (c - rec(q))^2 + trade * bits, block by block because a block's choice changes the classes after it.

    Returns q (n, w) and the next prior.
    """
    n, w = c.shape
    ahead, wide = expected_before(base, tables.expected), base.astype(np.int64)
    q: I64 = np.zeros((n, w), np.int64)
    seen, shift = PRIOR_WEIGHTS[prior + MAX_SHIFT].copy(), prior
    for b, at in enumerate(range(0, w, BLOCK)):
        if b:
            shift = shift_of(seen, np.full_like(seen, ahead[b]))
        part = c[:, at : at + BLOCK]
        classes = np.clip(wide[at : at + BLOCK] + shift[:, None], 0, N_CLASS - 1).astype(np.uint8)
        size = np.floor(np.abs(part) + 0.5).astype(np.int64)
        sign = np.where(part < 0, -1, 1)
        choices = np.stack([size * sign, np.maximum(size - 1, 0) * sign, np.zeros_like(size)])
        loss = (part - restore(choices, tables.shrink)) ** 2 + trade * np.stack(
            [value_cost(costs, classes, choice) for choice in choices]
        )
        best = np.take_along_axis(choices, loss.argmin(0)[None], 0)[0]
        q[:, at : at + BLOCK] = best
        seen += block_sums(best)[:, 0]
    return q, shift_of(seen, np.full_like(seen, ahead[-1]))


def encode_group(
    tables: ArchiveTables, group: GroupTables, base: U8, scale: float, trade: float, k: F32, v: F32
) -> EncodedGroup:
    """Code (L, n, wk) and (L, n, wv) rows, K before RoPE, means included; `trade` is lambda of `quantise`.

    Raises StreamError for coefficients or values too large for the format.
    """
    n = k.shape[1]
    writer, loop, costs = Encoder(tables.freq), _Loop(n, group), bit_costs(tables)
    prior: I64 = np.zeros(n, np.int64)
    magnitudes: tuple[list[I64], list[I64]] = [], []
    for tensor in tensors(group, base):
        rows = (v if tensor.is_v else k)[tensor.layer] - tensor.mean.astype(np.float64)
        predicted = loop.prediction(tensor)
        step = float(np.float32(tensor.step) * np.float32(scale))
        c = (rows - predicted) @ np.linalg.inv(tensor.decode) / step
        if not (np.abs(c) <= MAX_Q).all():
            raise StreamError("coefficients out of range")
        q, after = quantise(c, tensor.base, tables, costs, trade, prior)
        writer.tensor(q, classes_of(q, tensor.base, tables.expected, prior)[0])
        decoded = predicted + (restore(q, tables.shrink) * step) @ tensor.decode
        if not (np.abs(decoded + tensor.mean) <= LARGEST).all():
            raise StreamError("values out of range")
        loop.add(tensor, decoded)
        magnitudes[tensor.is_v].append(np.abs(q).sum(0))
        prior = after
    return EncodedGroup(
        writer.stream(), np.concatenate([np.stack(magnitudes[0]), np.stack(magnitudes[1])], axis=1)
    )


def encode_section(
    tables: ArchiveTables, k: F32, v: F32, base: U8, scale: float, trade: float
) -> tuple[U8, I64] | None:
    """The section of (L, n, width) rows of all groups, and the magnitudes like `base`; None when the rows
    hold numbers that are not finite or too large for the format."""
    if not ((np.abs(k) <= LARGEST).all() and (np.abs(v) <= LARGEST).all()):
        return None
    streams, magnitudes = [], []
    try:
        for group, (of_base, of_k, of_v) in zip(tables.groups, _columns(tables), strict=True):
            coded = encode_group(tables, group, base[:, of_base], scale, trade, k[..., of_k], v[..., of_v])
            streams.append(coded.stream)
            magnitudes.append(coded.magnitudes)
    except StreamError:
        return None
    head = np.array([len(stream) - 2 * LANES for stream in streams], "<u4").view(np.uint8)
    section = np.concatenate([head, *(stream.astype("<u2").view(np.uint8) for stream in streams)])
    return section, np.concatenate(magnitudes, axis=1)


def decode_section(tables: ArchiveTables, section: U8, base: U8, scale: float, n: int) -> tuple[F32, F32]:
    """(L, n, width) f32 rows of all groups, K before RoPE.  Raises StreamError."""
    at = 4 * len(tables.groups)
    if len(section) < at:
        raise StreamError("a section is too short")
    sizes = 2 * (section[:at].view("<u4").astype(np.int64) + 2 * LANES)
    if at + int(sizes.sum()) != len(section):
        raise StreamError("a section has the wrong length")
    rows_k, rows_v = [], []
    for group, size, (of_base, _, _) in zip(tables.groups, sizes.tolist(), _columns(tables), strict=True):
        stream = section[at : at + size].view("<u2")
        at += size
        k, v = decode_group(tables, group, base[:, of_base], scale, stream, n)
        rows_k.append(k)
        rows_v.append(v)
    return np.concatenate(rows_k, axis=2), np.concatenate(rows_v, axis=2)


def _columns(tables: ArchiveTables) -> Iterator[tuple[slice, slice, slice]]:
    """The columns of every group: among all classes, of K and of V."""
    at_k = at_v = 0
    for group in tables.groups:
        to_k, to_v = at_k + group.k_width, at_v + group.v_width
        yield slice(at_k + at_v, to_k + to_v), slice(at_k, to_k), slice(at_v, to_v)
        at_k, at_v = to_k, to_v
