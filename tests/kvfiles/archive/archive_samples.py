"""Made-up calibrations and rows for the tests of the archive codec."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kvfiles.codecs.archive.entropy import FINEST, HIGHEST, LOWEST
from kvfiles.codecs.archive.tables import (
    ESCAPE,
    N_CLASS,
    N_SCALAR,
    N_SYMBOL,
    ArchiveTables,
    GroupTables,
    group_heads,
)
from kvfiles.kernels import NativeKernels, available
from kvfiles.runtime.model import ModelShape

LEVELS = np.array([-256, 0, 256], np.int16)


def natives() -> list[NativeKernels]:
    """Every compiled implementation that this machine can run, fastest first, none with tables arranged."""
    return [kernels for kernels in available() if isinstance(kernels, NativeKernels)]


def frequencies() -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """Two-sided geometric distributions of every class's mean magnitude, and the means of min(|q|, 12)."""
    freq = np.zeros((N_CLASS, N_SYMBOL), np.int64)
    expected = np.zeros(N_CLASS, np.uint16)
    sizes = np.arange(64)
    for k in range(N_CLASS):
        mean = 2.0 ** ((k - 25) / 2)
        ratio = mean / (1 + mean)
        p = (1 - ratio) * ratio**sizes
        expected[k] = min(round(256 * float((np.minimum(sizes, 12) * p).sum() / p.sum())), 12 * 256)
        of_symbol = np.concatenate([[p[0]], np.repeat(p[1:16], 2) / 2])
        freq[k, :ESCAPE] = np.maximum(np.floor(4000 * of_symbol), sizes[:ESCAPE] < 3)
        freq[k, ESCAPE] = 1
        freq[k, freq[k].argmax()] += 4096 - freq[k].sum()
    return freq.astype(np.uint16), expected


def make_tables(
    n_layer: int = 3, n_head: int = 2, k_dim: int = 16, v_dim: int = 16, seed: int = 0, shrink: float = 0.1
) -> ArchiveTables:
    """Random but well-behaved transforms: predictions that shrink, nearly orthogonal KLTs, any rho."""
    rng = np.random.default_rng(seed)
    shape = ModelShape(n_layer, n_head, k_dim, v_dim)
    groups = []
    for heads in group_heads(shape):
        wk, wv = heads * k_dim, heads * v_dim
        groups.append(_group(rng, n_layer, wk, wv))
    freq, expected = frequencies()
    return ArchiveTables(
        model="0" * 64, shape=shape, groups=tuple(groups), levels=LEVELS, freq=freq, expected=expected,
        delta_class=24, fineness_class=26, shrink=shrink, n_tokens=1000, texts="t",
    )  # fmt: skip


def _group(rng: np.random.Generator, n_layer: int, wk: int, wv: int) -> GroupTables:
    def matrix(*shape: int) -> NDArray[np.float16]:
        return (rng.normal(size=shape) * 0.7 / np.sqrt(shape[-2])).astype(np.float16)

    def transform(width: int) -> NDArray[np.float16]:
        turned = [np.linalg.qr(rng.normal(size=(width, width)))[0] for _ in range(n_layer)]
        return np.stack(turned).astype(np.float16)

    def bases(width: int) -> NDArray[np.int16]:
        decay = np.linspace(400, -2500, width)
        return np.stack([np.tile(decay - 512 * float(g) / 256, (n_layer, 1)) for g in LEVELS]).astype(
            np.int16
        )

    return GroupTables(
        k_width=wk, v_width=wv,
        mean_k=rng.normal(size=(n_layer, wk)).astype(np.float32) * 3,
        mean_v=rng.normal(size=(n_layer, wv)).astype(np.float32),
        predict_k=matrix(n_layer - 1, wk + wv, wk), predict_v0=matrix(wk, wv),
        predict_v=matrix(n_layer - 1, 2 * wk + wv, wv),
        decode_k=transform(wk), decode_v=transform(wv),
        step_k=rng.uniform(0.4, 0.6, n_layer).astype(np.float32),
        step_v=rng.uniform(0.4, 0.6, n_layer).astype(np.float32),
        base_k=bases(wk), base_v=bases(wv),
        rho_k=rng.uniform(-0.89, 0.89, (n_layer, wk)).astype(np.float16),
        rho_v=rng.uniform(-0.89, 0.89, (n_layer, wv)).astype(np.float16),
        attend=(rng.normal(size=(n_layer, N_SCALAR + wk)) * 0.1).astype(np.float32),
    )  # fmt: skip


def make_fineness(tables: ArchiveTables, n: int, seed: int = 2) -> NDArray[np.int8]:
    """(n_group, L, n): sinks at the start and in the middle, and else every one there is."""
    size = (len(tables.groups), tables.shape.n_layer, n)
    fineness = np.random.default_rng(seed).integers(LOWEST, FINEST + 1, size, dtype=np.int8)
    fineness[..., [0, n // 2]] = HIGHEST
    return fineness


def even(tables: ArchiveTables, n: int) -> NDArray[np.int8]:
    """(n_group, L, n): no token finer than another."""
    return np.zeros((len(tables.groups), tables.shape.n_layer, n), np.int8)


def make_rows(
    tables: ArchiveTables, n: int, seed: int = 1
) -> tuple[NDArray[np.float16], NDArray[np.float16]]:
    """(L, n, width) K before RoPE and V that the tables suit: a few coefficients are large."""
    rng = np.random.default_rng(seed)
    parts: tuple[list[Any], list[Any]] = ([], [])
    for group in tables.groups:
        for decode, mean, into in (
            (group.decode_k, group.mean_k, parts[0]), (group.decode_v, group.mean_v, parts[1])
        ):  # fmt: skip
            spread = np.exp(np.linspace(0.5, -3, decode.shape[1]))
            c = rng.laplace(size=(len(decode), n, decode.shape[1])) * spread
            c[:, ::7] *= 20  # some tokens leave the range of the symbols
            into.append(c @ decode.astype(np.float64) + mean[:, None])
    k, v = (np.concatenate(part, axis=2).astype(np.float16) for part in parts)
    return k, v
