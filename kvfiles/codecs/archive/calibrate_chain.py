"""Coefficients of consecutive tokens as the codec codes them: each predicted by its own of the token before.

Texts are walked through side by side, token by token: a token needs what was decoded of the one before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kvfiles.codecs.archive.entropy import MAX_Q
from kvfiles.codecs.archive.tables import MAX_RHO

F16 = NDArray[np.float16]
F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]

RHO_RIDGE = 16.0
"""Ridge of rho, in squared steps: as much evidence for 0 as 16 tokens with a decoded magnitude of 1."""
_FITS = 2
"""rho is fitted on what was decoded without it, and again on what was decoded with the first."""


@dataclass(frozen=True, slots=True)
class Chains:
    """Texts of consecutive tokens: `starts` (n_text,) are their first rows, `order` (n,) all rows, the first
    tokens of all texts, then the second ones and so on, long texts first; `n_alive` of the texts have a token
    of each number."""

    starts: I64
    order: I64
    n_alive: tuple[int, ...]

    @staticmethod
    def of(lengths: Sequence[int]) -> Chains:
        size = np.asarray(lengths, np.int64)
        starts = np.cumsum(size) - size
        by_length = np.argsort(-size, kind="stable")
        alive = [by_length[size[by_length] > t] for t in range(int(size.max()))]
        order = np.concatenate([starts[texts] + t for t, texts in enumerate(alive)])
        return Chains(starts, order, tuple(len(texts) for texts in alive))


@dataclass(frozen=True, slots=True)
class Coded:
    """`q` (n, w) i32 and the decoded coefficients (n, w) f32."""

    q: I32
    decoded: F32


def code_chains(c: F32, rho: F16, step: float, shrink: float, chains: Chains) -> Coded:
    """Round the coefficients `c` (n, w); `rho` (w,), `step` and rec(q) as in `tables`."""
    factor, width = rho.astype(np.float32), np.float32(step)
    wanted = c[chains.order]
    q = np.empty_like(wanted)
    before = np.zeros((len(chains.starts), c.shape[1]), np.float32)
    scratch = np.empty_like(before)
    at = 0
    for n in chains.n_alive:
        now, whole, past, part = wanted[at : at + n], q[at : at + n], before[:n], scratch[:n]
        past *= factor
        np.subtract(now, past, out=part)
        part /= width
        np.rint(part, out=whole)
        np.maximum(whole, -MAX_Q, out=whole)
        np.minimum(whole, MAX_Q, out=whole)
        np.sign(whole, out=part)
        part *= np.float32(-shrink)
        part += whole
        part *= width
        past += part
        now[:] = past
        at += n
    coded = Coded(np.empty(c.shape, np.int32), np.empty_like(c))
    coded.q[chains.order], coded.decoded[chains.order] = q, wanted
    return coded


def fit_rho(c: F32, step: float, chains: Chains) -> F16:
    """(w,): least squares of the coefficients `c` (n, w) on the decoded ones of the token before in the text,
    each component for itself, closed loop at this `step`; within MAX_RHO."""
    rho = np.zeros(c.shape[1], np.float16)
    for _ in range(_FITS):
        rho = _least_squares(c, code_chains(c, rho, step, 0.0, chains).decoded, step, chains)
    return rho


def _least_squares(c: F32, decoded: F32, step: float, chains: Chains) -> F16:
    follows = np.ones(len(c), bool)
    follows[chains.starts] = False
    now, before = c[1:] / np.float32(step), decoded[:-1] / np.float32(step)
    before[~follows[1:]] = 0
    product: F64 = np.einsum("nw,nw->w", now, before, dtype=np.float64)
    power: F64 = np.einsum("nw,nw->w", before, before, dtype=np.float64)
    limit = float(np.float16(MAX_RHO))
    rho: F16 = np.clip(product / (power + RHO_RIDGE), -limit, limit).astype(np.float16)
    return rho
