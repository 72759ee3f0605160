"""Does a codec keep the model's predictions?  A verdict for each, for `doctor` and for the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import orjson

from beyondrag.models.disk import replace_file
from eval.compression.rows import Row

MAX_KLD = 0.0065
"""Mean divergence in nats that a codec may cost."""
MIN_SAME_TOP1 = 0.95
MIN_TOKENS = 256
"""Fewer scored tokens prove nothing good."""

JUDGED = ("codec", "llama.cpp", "noise floor")
Status = Literal["ok", "warn", "fail"]
_VERSION = 1


@dataclass(frozen=True, slots=True)
class Verdict:
    """`status` of one codec on one model.

    ok: both limits are kept.  fail: an interval (95 %) lies wholly beyond its limit.  warn: a limit is
    missed by no more than its interval, or too few tokens were scored.
    """

    codec: str
    status: Status
    reason: str


def verdict(rows: Sequence[Row]) -> list[Verdict]:
    """A verdict for each codec and llama.cpp cache, the worst over lengths and modes, in their order."""
    worst: dict[str, Verdict] = {}
    order: tuple[Status, ...] = ("ok", "warn", "fail")
    for row in rows:
        if row.family not in JUDGED:
            continue
        found = _judge(row)
        known = worst.get(row.name)
        if known is None or order.index(found.status) > order.index(known.status):
            worst[row.name] = found
    return list(worst.values())


def _judge(row: Row) -> Verdict:
    summary = row.summary
    where = f"{summary.n_tokens} tokens after {row.context_tokens}, {row.mode}"
    kld = f"mean divergence {summary.kld_mean:.4f} nats ({row.interval[0]:.4f} to {row.interval[1]:.4f})"
    low, high = row.same_top1_interval
    top1 = f"same likeliest token {summary.same_top1:.1%} ({low:.1%} to {high:.1%})"
    if row.interval[0] > MAX_KLD:
        return Verdict(row.name, "fail", f"{kld}, above {MAX_KLD}; {where}")
    if high < MIN_SAME_TOP1:
        return Verdict(row.name, "fail", f"{top1}, below {MIN_SAME_TOP1:.0%}; {where}")
    if summary.n_tokens < MIN_TOKENS:
        return Verdict(row.name, "warn", f"{kld}; too few to tell: {where}")
    if not summary.kld_mean <= MAX_KLD:
        return Verdict(row.name, "warn", f"{kld}, around {MAX_KLD}; {where}")
    if not summary.same_top1 >= MIN_SAME_TOP1:
        return Verdict(row.name, "warn", f"{top1}, around {MIN_SAME_TOP1:.0%}; {where}")
    return Verdict(row.name, "ok", f"{kld}; {top1}; {where}")


def verdict_document(model: str, model_sha256: str, rows: Sequence[Row]) -> dict[str, Any]:
    """What is stored for a model: the limits, and each codec's verdict."""
    return {
        "version": _VERSION,
        "model": model,
        "model_sha256": model_sha256,
        "limits": {"kld_mean": MAX_KLD, "same_top1": MIN_SAME_TOP1, "n_tokens": MIN_TOKENS},
        "verdicts": [asdict(one) for one in verdict(rows)],
    }


def write_verdicts(path: Path, model: str, model_sha256: str, rows: Sequence[Row]) -> None:
    """Store `verdict_document` as JSON, atomically; raises StorageError."""
    document = verdict_document(model, model_sha256, rows)
    replace_file(path, orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n")
