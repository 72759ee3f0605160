"""The archive codec's closed loop in NumPy: definition, oracle, and fallback without a compiler.

Slow: 15 tokens/s with the default model, nearly all of it in the entropy coder.  A section holds the number
of words (u32) of every group's stream and then the streams (`entropy`); a stream holds, layer by layer, the
fineness of the tokens and the coefficients of K and of V.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kvfiles.codecs.archive.entropy import (
    BLOCK,
    FINEST,
    HIGHEST,
    LANES,
    LOWEST,
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
from kvfiles.codecs.archive.tables import N_CLASS, ArchiveTables, GroupTables

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I8 = NDArray[np.int8]
I64 = NDArray[np.int64]

LARGEST = 32768.0
"""Decoded values beyond this do not fit into the cache's f16; no sound file has them."""
FACTORS = np.exp2(-np.arange(LOWEST, HIGHEST + 1) / 2).astype(np.float32)
"""What fineness does to a step."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor of one layer of a group: `is_v`, its prediction matrix (or None) and everything else.

    `rho` (w,) predicts the coefficients of a token by the decoded ones of the token before; `base`
    (N_FINENESS, w) are the classes.
    """

    layer: int
    is_v: bool
    predict: F64 | None
    decode: F64
    rho: F64
    step: float
    base: U8
    mean: F32


def tensors(group: GroupTables, base: U8) -> Iterator[Tensor]:
    """The tensors of a group in coding order; `base` (N_FINENESS, L, k_width + v_width) are their classes."""
    wk = group.k_width
    for layer in range(len(group.step_k)):
        predict = group.predict_k[layer - 1].astype(np.float64) if layer else None
        yield Tensor(
            layer, False, predict,
            group.decode_k[layer].astype(np.float64), group.rho_k[layer].astype(np.float64),
            float(group.step_k[layer]), base[:, layer, :wk], group.mean_k[layer],
        )  # fmt: skip
        predict = (group.predict_v[layer - 1] if layer else group.predict_v0).astype(np.float64)
        yield Tensor(
            layer, True, predict,
            group.decode_v[layer].astype(np.float64), group.rho_v[layer].astype(np.float64),
            float(group.step_v[layer]), base[:, layer, wk:], group.mean_v[layer],
        )  # fmt: skip


def restore(q: NDArray[np.int64], shrink: float) -> F64:
    """rec(q): the values that coefficients stand for."""
    restored: F64 = np.sign(q) * (np.abs(q) - shrink)
    return restored


def links(rho: F64, fineness: I64) -> F64:
    """(n, w): by how much each token's coefficients go on from those before, `rho` (w,) but after sinks."""
    return np.where(np.append(True, fineness[:-1] > FINEST)[:, None], 0.0, rho)


def chained(values: F64, links: F64) -> F64:
    """The decoded coefficients (n, w) of consecutive tokens whose symbols stand for `values`."""
    out = values.copy()
    for t in range(1, len(out)):
        out[t] += links[t] * out[t - 1]
    return out


def quantise(c: F64, links: F64, steps: F64, shrink: float) -> tuple[I64, F64]:
    """The symbols q (n, w) of coefficients `c` of consecutive tokens, and the decoded coefficients.

    `steps` (n, 1) are those of the rows.  Every coefficient is rounded to the nearest: with a dead zone or a
    rate-distortion choice errors of neighbouring tokens agree, and what bits it saved cost as much divergence
    under attention as a larger step.  Raises StreamError for coefficients too large for the format.
    """
    q: I64 = np.zeros(c.shape, np.int64)
    decoded, before = np.zeros_like(c), np.zeros(c.shape[1])
    for t, (link, step) in enumerate(zip(links, steps, strict=True)):
        wanted = (c[t] - link * before) / step
        if not (np.abs(wanted) <= MAX_Q).all():
            raise StreamError("coefficients out of range")
        q[t] = np.rint(wanted)
        decoded[t] = before = link * before + restore(q[t], shrink) * step
    return q, decoded


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
    fineness: I64 = np.zeros(n, np.int64)
    rows: tuple[list[F64], list[F64]] = [], []
    for tensor in tensors(group, base):
        if not tensor.is_v:
            fineness = _read_fineness(reader, tables, n)
        q, prior = _read(reader, tables, tensor.base[fineness - LOWEST], prior)
        values = restore(q, tables.shrink) * _steps(tensor, scale, fineness)
        decoded = loop.prediction(tensor) + chained(values, links(tensor.rho, fineness)) @ tensor.decode
        loop.add(tensor, decoded)
        rows[tensor.is_v].append(decoded + tensor.mean)
    reader.finish()
    k, v = np.stack(rows[0]), np.stack(rows[1])
    if not (np.abs(k) <= LARGEST).all() or not (np.abs(v) <= LARGEST).all():
        raise StreamError("values out of range")
    return k.astype(np.float32), v.astype(np.float32)


def _steps(tensor: Tensor, scale: float, fineness: I64) -> F64:
    """(n, 1): the step of every row."""
    steps = np.float32(tensor.step) * np.float32(scale) * FACTORS[fineness - LOWEST]
    return steps[:, None].astype(np.float64)


def _read_fineness(reader: Decoder, tables: ArchiveTables, n: int) -> I64:
    """(n,) of one layer."""
    found: list[int] = []
    while len(found) < n:
        found += reader.block([tables.fineness_class] * min(BLOCK, n - len(found)))
    fineness = np.array(found, np.int64)
    if fineness.min() < LOWEST or fineness.max() > HIGHEST:
        raise StreamError("fineness out of range")
    return fineness


def _read(reader: Decoder, tables: ArchiveTables, base: U8, prior: I64) -> tuple[I64, I64]:
    """The coefficients (n, w) of one tensor, whose classes are `base` (n, w), and the next prior."""
    ahead, w = expected_before(base, tables.expected), base.shape[1]
    wide = base.astype(np.int64)
    q: I64 = np.zeros((len(prior), w), np.int64)
    after = np.zeros_like(prior)
    for row, before in enumerate(prior):
        seen, shift = int(PRIOR_WEIGHTS[before + MAX_SHIFT]), int(before)
        for b, at in enumerate(range(0, w, BLOCK)):
            if b:
                shift = int(shift_of(np.array(seen), ahead[row, b]))
            classes = np.clip(wide[row, at : at + BLOCK] + shift, 0, N_CLASS - 1).tolist()
            q[row, at : at + BLOCK] = reader.block(classes)
            seen += int(block_sums(q[row : row + 1, at : at + BLOCK]).sum())
        after[row] = shift_of(np.array(seen), ahead[row, -1])
    return q, after


@dataclass(frozen=True, slots=True)
class EncodedGroup:
    """A stream, and (L, wk + wv) sums of |q| over its tokens but sinks: a document's classes are learnt from
    them."""

    stream: NDArray[np.uint16]
    magnitudes: I64


def encode_group(
    tables: ArchiveTables, group: GroupTables, base: U8, scale: float, fineness: I8, k: F32, v: F32
) -> EncodedGroup:
    """Code (L, n, wk) and (L, n, wv) rows, K before RoPE, means included; `fineness` is (L, n).

    Raises StreamError for coefficients or values too large for the format.
    """
    n = k.shape[1]
    writer, loop = Encoder(tables.freq), _Loop(n, group)
    prior: I64 = np.zeros(n, np.int64)
    magnitudes: tuple[list[I64], list[I64]] = [], []
    for tensor in tensors(group, base):
        own = fineness[tensor.layer].astype(np.int64)
        if not tensor.is_v:
            writer.tensor(own[None], np.full((1, n), tables.fineness_class, np.uint8))
        rows = (v if tensor.is_v else k)[tensor.layer] - tensor.mean.astype(np.float64)
        predicted = loop.prediction(tensor)
        c = (rows - predicted) @ np.linalg.inv(tensor.decode)
        q, coefficients = quantise(c, links(tensor.rho, own), _steps(tensor, scale, own), tables.shrink)
        classes, prior = classes_of(q, tensor.base[own - LOWEST], tables.expected, prior)
        writer.tensor(q, classes)
        decoded = predicted + coefficients @ tensor.decode
        if not (np.abs(decoded + tensor.mean) <= LARGEST).all():
            raise StreamError("values out of range")
        loop.add(tensor, decoded)
        magnitudes[tensor.is_v].append(np.abs(q[own <= FINEST]).sum(0))
    return EncodedGroup(
        writer.stream(), np.concatenate([np.stack(magnitudes[0]), np.stack(magnitudes[1])], axis=1)
    )


def encode_section(
    tables: ArchiveTables, k: F32, v: F32, base: U8, scale: float, fineness: I8
) -> tuple[U8, I64] | None:
    """The section of (L, n, width) rows of all groups, `fineness` (n_group, L, n), and the magnitudes (L,
    width); None when the rows hold numbers that are not finite or too large for the format."""
    if not ((np.abs(k) <= LARGEST).all() and (np.abs(v) <= LARGEST).all()):
        return None
    streams, magnitudes = [], []
    try:
        for group, own, (of_base, of_k, of_v) in zip(tables.groups, fineness, columns(tables), strict=True):
            coded = encode_group(tables, group, base[..., of_base], scale, own, k[..., of_k], v[..., of_v])
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
    for group, size, (of_base, _, _) in zip(tables.groups, sizes.tolist(), columns(tables), strict=True):
        stream = section[at : at + size].view("<u2")
        at += size
        k, v = decode_group(tables, group, base[..., of_base], scale, stream, n)
        rows_k.append(k)
        rows_v.append(v)
    return np.concatenate(rows_k, axis=2), np.concatenate(rows_v, axis=2)


def columns(tables: ArchiveTables) -> Iterator[tuple[slice, slice, slice]]:
    """The columns of every group: among all classes, of K and of V."""
    at_k = at_v = 0
    for group in tables.groups:
        to_k, to_v = at_k + group.k_width, at_v + group.v_width
        yield slice(at_k + at_v, to_k + to_v), slice(at_k, to_k), slice(at_v, to_v)
        at_k, at_v = to_k, to_v
