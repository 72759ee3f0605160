"""How far one next-token distribution is from another, token by token, and what that is on average.

The measure is the Kullback-Leibler divergence D(reference || other) in nats over the whole vocabulary:
it sees every change of the distribution, where perplexity sees one token of it and may even improve.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]

N_RESAMPLES = 2000
SEED = 20260101
"""Fixed, so that the same scores always give the same interval."""


def kl_divergence(reference: F32, other: F32) -> F64:
    """(n,) f64 divergences in nats of two (n, n_vocab) f32 arrays of log-probabilities.

    Row by row: a whole array of them takes hundreds of MB.  Tokens that the reference gives no
    probability (log-probability -inf) add nothing.
    """
    out = np.empty(len(reference), np.float64)
    for i, (p, q) in enumerate(zip(reference, other, strict=True)):
        possible = np.isfinite(p)
        log_p = p[possible].astype(np.float64)
        out[i] = (np.exp(log_p) * (log_p - q[possible])).sum()
    return out


@dataclass(frozen=True, slots=True)
class TokenScores:
    """One text's scores, each (n,): divergence in nats (f64), whether the likeliest token is the same
    (bool), and the negative log-probability of the text's next token (f64) by the reference and the other."""

    kld: F64
    same_top1: NDArray[np.bool_]
    nll_reference: F64
    nll: F64


def score(reference: F32, other: F32, targets: NDArray[np.int32]) -> TokenScores:
    """Compare two (n, n_vocab) arrays of log-probabilities; `targets` (n,) are the tokens that came next."""
    rows = np.arange(len(targets))
    return TokenScores(
        kl_divergence(reference, other),
        reference.argmax(-1) == other.argmax(-1),
        -reference[rows, targets].astype(np.float64),
        -other[rows, targets].astype(np.float64),
    )


def join(parts: Sequence[TokenScores]) -> TokenScores:
    """The scores of several stretches one after another."""
    return TokenScores(
        np.concatenate([p.kld for p in parts]),
        np.concatenate([p.same_top1 for p in parts]),
        np.concatenate([p.nll_reference for p in parts]),
        np.concatenate([p.nll for p in parts]),
    )


def skip_first(scores: TokenScores, n: int) -> TokenScores:
    """The scores without those of the first `n` tokens."""
    return TokenScores(scores.kld[n:], scores.same_top1[n:], scores.nll_reference[n:], scores.nll[n:])


@dataclass(frozen=True, slots=True)
class Summary:
    """Scores of one text, or of all its tokens put together.

    kld_* in nats; same_top1 and ppl_change as fractions (0.01 is one per cent).
    """

    n_tokens: int
    kld_mean: float
    kld_p99: float
    kld_max: float
    same_top1: float
    ppl_change: float


def summarise(scores: TokenScores) -> Summary:
    """Mean, 99th percentile and worst divergence, agreement, and the change of perplexity exp(mean NLL)."""
    return Summary(
        n_tokens=len(scores.kld),
        kld_mean=float(scores.kld.mean()),
        kld_p99=float(np.quantile(scores.kld, 0.99)),
        kld_max=float(scores.kld.max()),
        same_top1=float(scores.same_top1.mean()),
        ppl_change=float(np.expm1(scores.nll.mean() - scores.nll_reference.mean())),
    )


def bootstrap_interval(texts: Sequence[NDArray[np.float64]], *, level: float = 0.95) -> tuple[float, float]:
    """The percentile-bootstrap interval of the mean over texts of each text's mean.

    Tokens are drawn again with replacement within each text, so the interval speaks of these texts and
    not of others.  (Efron 1979.)
    """
    rng = np.random.default_rng(SEED)
    means = np.zeros(N_RESAMPLES)
    for values in texts:
        for i in range(N_RESAMPLES):
            means[i] += values[rng.integers(0, len(values), len(values))].mean() / len(texts)
    tail = (1 - level) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return float(low), float(high)
