"""Fit the transforms of one group: predictors, query-weighted KLT, steps and rho, closed loop.

Layer by layer the data that later layers are predicted from is what a decoder would have: every matrix is
rounded to f16 before it is used, coefficients are rounded at quality 1, and the decoded values go on.  The
KLT is that of the whole residual, of which the token before then predicts a part.

Sources: ridge regression (Hoerl and Kennard 1970); KLT of the weighted residual, optimal for a quadratic
distortion at high rate (Gersho and Gray, Vector Quantization and Signal Compression, 1992, ch. 8).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kvfiles.codecs.archive.calibrate_chain import Chains, code_chains, fit_rho

F16 = NDArray[np.float16]
F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

RIDGE = 3e-3
"""Strength of the ridge, in mean diagonals of the context's second moments."""
EIGENVALUE_FLOOR = 1e-3
"""Least weight of a direction of K, in mean eigenvalues of the query moments."""

_LEAST_RMS = 1e-6
_LARGEST_F16 = float(np.finfo(np.float16).max)

OnLayer = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Tensors:
    """K without rotation and V of one group: (n_layer, n, wk) and (n_layer, n, wv) f16, or views of them."""

    k: F16
    v: F16


@dataclass(frozen=True, slots=True)
class Transforms:
    """The arrays of `tables.GroupTables` that do not concern entropy coding, under the same names."""

    mean_k: F32
    mean_v: F32
    predict_k: F16
    predict_v0: F16
    predict_v: F16
    decode_k: F16
    decode_v: F16
    rho_k: F16
    rho_v: F16
    step_k: F32
    step_v: F32


@dataclass(frozen=True, slots=True)
class Basis:
    """`decode` (w, w) f16 takes coefficients times `step` back to a residual."""

    decode: F16
    step: float


def forward_matrix(decode: F16) -> F32:
    """(..., w, w) f32 that takes residuals to coefficients: the inverse of `decode`, taken in f64."""
    inverse: F32 = np.linalg.inv(decode.astype(np.float64)).astype(np.float32)
    return inverse


def fit_transforms(
    data: Tensors,
    moments: F64,
    lengths: Sequence[int],
    *,
    on_layer: OnLayer = lambda _layer: None,
) -> Transforms:
    """Fit one group.

    `moments` (n_layer, n_head, head_dim, head_dim) are the query moments of the group's heads, `lengths` the
    tokens of each text.  K's step is one attention logit (before the 1/sqrt(head_dim)) of query-weighted
    error, V's the rms of the layer's V; steps by the measured sensitivity of layers gained nothing on
    held-out texts.  `on_layer` is told after each layer and may raise to stop.
    """
    n_layer, n, wk = data.k.shape
    wv = data.v.shape[2]
    out, chains = _empty(n_layer, wk, wv), Chains.of(lengths)
    before_k, before_v = np.zeros((n, wk), np.float32), np.zeros((n, wv), np.float32)
    for layer in range(n_layer):
        k, out.mean_k[layer] = centred(data.k[layer])
        v, out.mean_v[layer] = centred(data.v[layer])
        if layer == 0:
            predicted_k = np.zeros_like(k)
        else:
            context = np.hstack([before_k, before_v])
            out.predict_k[layer - 1] = ridge(context, k)
            predicted_k = context @ out.predict_k[layer - 1].astype(np.float32)
        weight = weights(moments[layer])
        basis = fit_basis(k - predicted_k, weight, 1.0)
        out.decode_k[layer], out.step_k[layer] = basis.decode, basis.step
        out.rho_k[layer], residual = _coded(k - predicted_k, basis, chains)
        decoded_k = predicted_k + residual
        if layer == 0:
            context, predictor = decoded_k, out.predict_v0
        else:
            context, predictor = np.hstack([decoded_k, before_v, before_k]), out.predict_v[layer - 1]
        predictor[:] = ridge(context, v)
        predicted_v = context @ predictor.astype(np.float32)
        unit = max(float(np.sqrt(np.mean(np.square(v), dtype=np.float64))), _LEAST_RMS)
        basis = fit_basis(v - predicted_v, None, unit)
        out.decode_v[layer], out.step_v[layer] = basis.decode, basis.step
        out.rho_v[layer], residual = _coded(v - predicted_v, basis, chains)
        before_k, before_v = decoded_k, predicted_v + residual
        on_layer(layer)
    return out


def _empty(n_layer: int, wk: int, wv: int) -> Transforms:
    def f16(*shape: int) -> F16:
        return np.zeros(shape, np.float16)

    def f32(*shape: int) -> F32:
        return np.zeros(shape, np.float32)

    return Transforms(
        f32(n_layer, wk),
        f32(n_layer, wv),
        f16(n_layer - 1, wk + wv, wk),
        f16(wk, wv),
        f16(n_layer - 1, wk + wv + wk, wv),
        f16(n_layer, wk, wk),
        f16(n_layer, wv, wv),
        f16(n_layer, wk),
        f16(n_layer, wv),
        f32(n_layer),
        f32(n_layer),
    )


def centred(rows: F16) -> tuple[F32, F32]:
    """(n, w) f32 without the mean, and the mean (w,) f32."""
    mean = rows.mean(0, dtype=np.float64).astype(np.float32)
    return rows.astype(np.float32) - mean, mean


def ridge(context: F32, x: F32) -> F16:
    """(wc, w) f16: the linear prediction of x (n, w) from `context` (n, wc)."""
    gram = (context.T @ context).astype(np.float64)
    size = len(gram)
    gram[np.diag_indices(size)] += RIDGE * np.trace(gram) / size + np.finfo(np.float32).tiny
    solved = np.linalg.solve(gram, (context.T @ x).astype(np.float64))
    limited: F16 = np.clip(solved, -_LARGEST_F16, _LARGEST_F16).astype(np.float16)
    return limited


def weights(moments: F64) -> F64:
    """(2, w, w) f64: the symmetric square root of the heads' `moments`, block diagonal, and its inverse."""
    n_head, dim, _ = moments.shape
    both = np.zeros((2, n_head * dim, n_head * dim))
    for head, moment in enumerate(moments):
        values, vectors = np.linalg.eigh(moment)
        mean = float(values.mean())
        values = np.maximum(values, mean * EIGENVALUE_FLOOR) if mean > 0 else np.ones(dim)
        root = np.sqrt(values)
        at = slice(head * dim, (head + 1) * dim)
        both[0, at, at] = (vectors * root) @ vectors.T
        both[1, at, at] = (vectors / root) @ vectors.T
    return both


def fit_basis(residual: F32, weight: F64 | None, step: float) -> Basis:
    """The KLT of the weighted `residual` (n, w), components in descending variance.

    The matrix is scaled to the rms of an orthonormal one, so that f16 holds it whatever the units; the
    step takes the scale.
    """
    weighted = residual if weight is None else residual @ weight[0].astype(np.float32)
    moment = (weighted.T @ weighted).astype(np.float64) / max(len(weighted), 1)
    vectors = np.linalg.eigh(moment)[1][:, ::-1]
    decode = vectors.T if weight is None else vectors.T @ weight[1]
    scale = float(np.sqrt(np.mean(np.square(decode)) * len(decode)))
    return Basis((decode / scale).astype(np.float16), float(np.float32(step * scale)))


def _coded(residual: F32, basis: Basis, chains: Chains) -> tuple[F16, F32]:
    """rho, and what a decoder gets of `residual` at quality 1."""
    c = residual @ forward_matrix(basis.decode)
    rho = fit_rho(c, basis.step, chains)
    decoded: F32 = code_chains(c, rho, basis.step, 0.0, chains).decoded @ basis.decode.astype(np.float32)
    return rho, decoded
