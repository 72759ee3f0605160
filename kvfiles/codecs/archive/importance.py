"""Which tokens get finer steps: those that attention is likely to look at, told from their K and V.

The cost of an error in row t of a layer's K or V is proportional to a_t, the mean of p_t^2 over the queries
that come after the document (p: the attention probability of the token).  At high rate the least cost for the
bits is that of steps proportional to a_t^(-1/2) (reverse water-filling of a weighted quadratic distortion,
Gersho and Gray, Vector Quantization and Signal Compression, 1992, ch. 8).  The future is not known when a
document is coded, so log2 of a_t^(1/2) is predicted, by a linear function of features of the token.

For one group and layer, K before RoPE, x = K - mean_k, and F the encoder's matrix, in steps:

    d, d^2 / 10, d^3 / 100,  where d = min(log2(tokens to the end of the document + 1), 8)
    log2 |K F|^2, log2 |x F|^2   (K F weighs by the moments of the queries: a squared logit)
    log2 |K|^2, log2 |V|^2
    x                            (wk values)

Fineness is in half octaves around the median of the document: step * 2^(-fineness / 2).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kvfiles.codecs.archive.entropy import FINEST, HIGHEST, LOWEST
from kvfiles.codecs.archive.tables import MAX_ATTEND, N_SCALAR, ArchiveTables
from kvfiles.codecs.reference import rotate_rows
from kvfiles.kernels import forward
from kvfiles.positions import RowRope

F16 = NDArray[np.float16]
F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I8 = NDArray[np.int8]
I64 = NDArray[np.int64]

_FARTHEST = 8.0
_LEAST_SQUARE = 1e-3
_LEAST_RECEIVED = 1e-7
_SCALAR_RIDGE, _X_RIDGE, _X_SCALE = 0.3, 2.0, 0.3
"""Ridges in rows, and the rms of x to which they belong; chosen on texts outside the calibration, where they
explain 0.37 of the variance of a layer's logarithms, and a hundredth of each 0.27."""
_LEAST_RMS = 1e-6
_BLOCK_ROWS = 1024


@dataclass(frozen=True, slots=True)
class Attended:
    """What tokens of the calibration texts received as parts of documents.

    `rows` (m,) are their numbers among all observed tokens, `ahead` (m,) the tokens from each to the end of
    its document, itself included, `received` (n_layer, n_kv_head, m) f32 the mean of p^2.
    """

    rows: I64
    ahead: I64
    received: F32


@dataclass(frozen=True, slots=True)
class LayerView:
    """What the features of one layer of a group are made with: `mean` (wk,) f32 of K, `forward` (wk, wk) f32
    from K to coefficients in steps, and what it makes of the mean."""

    mean: F32
    forward: F32
    weighed_mean: F32


def views_of(mean: F32, decode: F16, step: F32) -> tuple[LayerView, ...]:
    """By layer, of `mean_k`, `decode_k` and `step_k` of `tables`.  Raises ValueError for a `decode` that
    cannot be inverted."""
    by_layer = forward(decode) / step[:, None, None]
    return tuple(LayerView(one, matrix, one @ matrix) for one, matrix in zip(mean, by_layer, strict=True))


def layer_views(tables: ArchiveTables) -> tuple[tuple[LayerView, ...], ...]:
    """By group and layer.  Raises ValueError."""
    return tuple(views_of(group.mean_k, group.decode_k, group.step_k) for group in tables.groups)


def distance_features(ahead: I64) -> F32:
    """(n, 3) f32 from the tokens to the end of the document, (n,), each at least 1."""
    d = np.minimum(np.log2(ahead + 1.0), _FARTHEST)
    features: F32 = np.stack([d, d**2 / 10, d**3 / 100], axis=1).astype(np.float32)
    return features


def energy_features(k: F32, v: F32, view: LayerView) -> F32:
    """(n, 4) f32 logarithms from the rows of K without rotation (n, wk) and of V (n, wv)."""
    weighed = k @ view.forward
    rows = (weighed, weighed - view.weighed_mean, k, v)
    squares = np.stack([np.einsum("nw,nw->n", row, row) for row in rows], axis=1)
    features: F32 = np.log2(squares + np.float32(_LEAST_SQUARE))
    return features


@dataclass(frozen=True, slots=True)
class Fitted:
    """`weights` (n_layer, 7 + wk) f32 of the features, and the `fineness` (n_layer, m) i8 that they give the
    attended tokens as if these were one document."""

    weights: F32
    fineness: I8


def fit_importance(k: F16, v: F16, views: Sequence[LayerView], attended: Attended, heads: slice) -> Fitted:
    """Ridge regression layer by layer.

    `k` (n_layer, n, wk) without rotation and `v` (n_layer, n, wv) f16 are the group's observed tensors,
    `heads` its KV heads.  Nothing attended: zeros.
    """
    n_layer, _, wk = k.shape
    weights = np.zeros((n_layer, N_SCALAR + wk), np.float32)
    logarithms = np.zeros((n_layer, len(attended.rows)), np.float32)
    if len(attended.rows) == 0:
        return Fitted(weights, np.zeros(logarithms.shape, np.int8))
    near = distance_features(attended.ahead)
    for layer, view in enumerate(views):
        rows = k[layer].astype(np.float32)
        energies = energy_features(rows, v[layer].astype(np.float32), view)
        x = rows - view.mean
        rms = max(float(np.sqrt(np.mean(np.square(x), dtype=np.float64))), _LEAST_RMS)
        unit = np.float32(_X_SCALE / rms)
        features = np.hstack([near, energies[attended.rows], x[attended.rows] * unit])
        received = attended.received[layer, heads].mean(0, dtype=np.float64)
        solved = _ridge(features, 0.5 * np.log2(received + _LEAST_RECEIVED))
        solved[N_SCALAR:] *= unit
        weights[layer] = np.clip(solved, -MAX_ATTEND, MAX_ATTEND)
        logarithms[layer] = features[:, :N_SCALAR] @ weights[layer, :N_SCALAR]
        logarithms[layer] += (x @ weights[layer, N_SCALAR:])[attended.rows]
    return Fitted(weights, to_fineness(logarithms))


def _ridge(features: F32, wanted: F64) -> F64:
    """Weights without an intercept, which the median takes away; strengths are in rows."""
    centred = features - features.mean(0)
    gram = (centred.T @ centred).astype(np.float64)
    strength = np.full(len(gram), _X_RIDGE * len(features))
    strength[:N_SCALAR] = _SCALAR_RIDGE * len(features)
    gram[np.diag_indices(len(gram))] += strength
    solved: F64 = np.linalg.solve(gram, centred.T.astype(np.float64) @ (wanted - wanted.mean()))
    return solved


def predicted(k: F32, v: F32, ahead: I64, view: LayerView, weights: F32) -> F32:
    """(n,) f32: the logarithm, up to a constant, for rows of one layer and group."""
    features = np.hstack([distance_features(ahead), energy_features(k, v, view)])
    out: F32 = features @ weights[:N_SCALAR] + k @ weights[N_SCALAR:]
    return out


def document_fineness(
    tables: ArchiveTables,
    views: Sequence[Sequence[LayerView]],
    k: Sequence[F16],
    v: Sequence[F16],
    stored: RowRope,
) -> I8:
    """(n_group, n_layer, n) i8 for a document whose layers are `k` (n, k_width), rotated by `stored`, and `v`
    (n, v_width); `views` are those of the tables' groups.

    One thread, beside those of the BLAS: with several the products would wait for each other.
    """

    @np.errstate(over="ignore", invalid="ignore")  # what is not finite is refused by the encoder
    def of_rows(rows: slice) -> F32:
        n = len(k[0])
        ahead = n - np.arange(n, dtype=np.int64)[rows]
        undo = stored.rows(rows.start, rows.stop).inverse()
        out = np.empty((len(tables.groups), len(k), len(ahead)), np.float32)
        for layer in range(len(k)):
            plain = rotate_rows(k[layer][rows].astype(np.float32), undo)
            values = v[layer][rows].astype(np.float32)
            at_k = at_v = 0
            for group, of_group, own in zip(tables.groups, views, out, strict=True):
                to_k, to_v = at_k + group.k_width, at_v + group.v_width
                own[layer] = predicted(
                    plain[:, at_k:to_k], values[:, at_v:to_v], ahead, of_group[layer], group.attend[layer]
                )
                at_k, at_v = to_k, to_v
        return out

    return to_fineness(np.concatenate([of_rows(rows) for rows in _row_blocks(len(k[0]))], axis=-1))


def _row_blocks(n: int) -> Iterator[slice]:
    """Runs of rows, so that little is held as f32 at once."""
    return (slice(at, min(at + _BLOCK_ROWS, n)) for at in range(0, n, _BLOCK_ROWS))


def to_fineness(logarithms: F32) -> I8:
    """(..., n) i8 in LOWEST .. FINEST from predictions (..., n) for all tokens of a document; the first one,
    which attention uses as a sink (Xiao et al., 2023), gets HIGHEST.  Not a number: 0."""
    sound = np.clip(np.nan_to_num(logarithms, nan=0.0, posinf=0.0, neginf=0.0), -1e6, 1e6)
    around = sound - np.median(sound, axis=-1, keepdims=True)
    fineness: I8 = np.clip(np.rint(2 * around), LOWEST, FINEST).astype(np.int8)
    fineness[..., 0] = HIGHEST
    return fineness
