"""Made-up measurements for the tests of what is done with them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from eval.compression.rows import CaseId, Family, Measured, Mode, Row
from eval.scores import Summary, TokenScores

CASE = CaseId("model", "a" * 64, "text one", "b" * 64, "text", 100, 16, "binding 1, kernels plain")


def measured(  # one argument for each thing that tests vary
    cache: str = "k4v4",
    *,
    case: CaseId = CASE,
    n: int = 16,
    seed: int = 0,
    bits: float = 4.25,
    family: Family = "codec",
) -> Measured:
    rng = np.random.default_rng(seed)
    scores = TokenScores(
        rng.exponential(0.01, n).astype(np.float32).astype(np.float64),
        rng.random(n) < 0.9,
        rng.exponential(2, n).astype(np.float32).astype(np.float64),
        rng.exponential(2, n).astype(np.float32).astype(np.float64),
    )
    return Measured(case.key(cache), case, cache, family, bits, scores)


def another_text(name: str) -> CaseId:
    return replace(CASE, text=name, case_sha256=f"{name:0>64}")


def row(
    name: str = "k4v4",
    *,
    bits: float = 4.2,
    kld: float = 0.005,
    interval: tuple[float, float] = (0.004, 0.006),
    top1: float = 0.97,
    top1_interval: tuple[float, float] = (0.96, 0.98),
    n: int = 1000,
    family: Family = "codec",
    mode: Mode = "text",
    context_tokens: int = 2560,
) -> Row:
    summary = Summary(n, kld, 3 * kld, 9 * kld, top1, 0.01)
    return Row(
        name, bits, summary, interval, (summary,), top1_interval, ("one",), family, mode, context_tokens
    )
