"""Does a codec keep the model's predictions?  A verdict for each, for the product and for the report.

Limits and the stored form are the product's own (`beyondrag.fidelity_verdict`): it warns by them.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from beyondrag.fidelity_verdict import (
    MAX_KLD,
    MIN_SAME_TOP1,
    MIN_TOKENS,
    Finding,
    ModelVerdicts,
    Status,
    store_verdicts,
    worst,
)
from eval.compression.rows import Row

__all__ = [
    "MAX_KLD",
    "MIN_SAME_TOP1",
    "MIN_TOKENS",
    "Status",
    "Verdict",
    "findings",
    "verdict",
    "write_verdicts",
]

JUDGED = ("codec", "llama.cpp", "noise floor")


@dataclass(frozen=True, slots=True)
class Verdict:
    """`status` of one codec on one model (see `beyondrag.fidelity_verdict.Status`)."""

    codec: str
    status: Status
    reason: str


def verdict(rows: Sequence[Row]) -> list[Verdict]:
    """A verdict for each codec and llama.cpp cache, the worst over lengths and modes, in their order."""
    found = findings(rows)
    names = dict.fromkeys(finding.codec for finding in found)
    chosen = (worst(finding for finding in found if finding.codec == name) for name in names)
    return [Verdict(one.codec, one.status, one.reason) for one in chosen if one is not None]


def findings(rows: Sequence[Row]) -> list[Finding]:
    """What each judged row shows, as the product keeps it; measured now."""
    now = time.time()
    return [_judge(row, now) for row in rows if row.family in JUDGED]


def write_verdicts(path: Path, model: str, model_sha256: str, rows: Sequence[Row]) -> None:
    """Add what `rows` show to the verdicts in `path`, atomically; raises StorageError."""
    store_verdicts(path, ModelVerdicts(model, model_sha256, tuple(findings(rows))))


def _judge(row: Row, now: float) -> Finding:
    status, reason = _status(row)
    tokens = row.summary.n_tokens
    return Finding(row.name, status, reason, row.mode, row.context_tokens, tokens, now)


def _status(row: Row) -> tuple[Status, str]:
    summary = row.summary
    where = f"{summary.n_tokens} tokens after {row.context_tokens}, {row.mode}"
    kld = f"mean divergence {summary.kld_mean:.4f} nats ({row.interval[0]:.4f} to {row.interval[1]:.4f})"
    low, high = row.same_top1_interval
    top1 = f"same likeliest token {summary.same_top1:.1%} ({low:.1%} to {high:.1%})"
    if row.interval[0] > MAX_KLD:
        return "fail", f"{kld}, above {MAX_KLD}; {where}"
    if high < MIN_SAME_TOP1:
        return "fail", f"{top1}, below {MIN_SAME_TOP1:.0%}; {where}"
    if summary.n_tokens < MIN_TOKENS:
        return "warn", f"{kld}; too few to tell: {where}"
    if not summary.kld_mean <= MAX_KLD:
        return "warn", f"{kld}, around {MAX_KLD}; {where}"
    if not summary.same_top1 >= MIN_SAME_TOP1:
        return "warn", f"{top1}, around {MIN_SAME_TOP1:.0%}; {where}"
    return "ok", f"{kld}; {top1}; {where}"
