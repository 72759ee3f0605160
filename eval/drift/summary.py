"""What the rows say: constraints kept, agreement with f16, and divergence, for each kind of cache.

Shares have Wilson intervals, differences of shares Newcombe's paired ones; means and medians have bootstrap
intervals over probes; arms are compared with f16 on the same probes by McNemar's exact test.  Probes about
one document share its cache and are not wholly independent, so intervals and tests are, if anything, too
narrow.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from beyondrag.errors import UsageError
from eval.drift.arms import BASE
from eval.drift.probes import KINDS
from eval.drift.rows import Row
from eval.stats import Estimate, holm, mcnemar, mean, median, paired_difference, ratio, share

ALL = "all"


@dataclass(frozen=True, slots=True)
class ArmSummary:
    """One arm on the probes of one kind, or of all (`kind` "all").

    Attributes:
        bits_per_value: mean over documents.
        kept: share of the probes whose constraints were all kept.
        only_base, only_arm: probes kept only behind f16, and only behind this arm.
        p: McNemar's exact two-sided p-value of these two; `p_holm` adjusted for the number of arms (Holm
            1979), only for kind "all".
        difference: of the shares kept, this arm less f16.
        agree: share of the probes whose whole conversation is the same as behind f16, token for token.
        before_divergence: median of the reply tokens before the first that differs, of those that differ.
        kld: mean over probes of the mean divergence along f16's replies, in nats.
        same_top1: share of the tokens of f16's replies that are this arm's likeliest too.
    What compares with f16 is None for f16 itself.
    """

    arm: str
    kind: str
    n: int
    bits_per_value: float
    kept: Estimate
    only_base: int = 0
    only_arm: int = 0
    p: float | None = None
    p_holm: float | None = None
    difference: Estimate | None = None
    agree: Estimate | None = None
    before_divergence: Estimate | None = None
    kld: Estimate | None = None
    same_top1: Estimate | None = None


@dataclass(frozen=True, slots=True)
class Changed:
    """A probe that f16 keeps and an arm does not, or the other way round."""

    arm: str
    document: str
    probe: str
    kind: str
    requests: tuple[str, ...]
    base_replies: tuple[str, ...]
    base_kept: bool
    arm_replies: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DriftSummary:
    """`arms` over all probes, f16 first; `by_kind` the same for each kind; `changed` for the examples."""

    model: str
    model_sha256: str
    n_probes: int
    n_documents: int
    arms: tuple[ArmSummary, ...]
    by_kind: tuple[ArmSummary, ...]
    changed: tuple[Changed, ...]


def summary(rows: Iterable[Row]) -> DriftSummary:
    """Summarise rows of one model, which may be of several seeds; cases without a row of f16 are left out.

    Raises UsageError when there are none, or when the rows were measured in different ways.
    """
    every = list(rows)
    ways = {(row.model_sha256, row.library, row.max_tokens): row for row in every}
    base = {row.case: row for row in every if row.arm == BASE}
    if len(ways) > 1:
        raise UsageError(
            "rows of several models, versions of llama-cpp-python or lengths of reply",
            remedy="use one --out file for each",
        )
    if not base:
        raise UsageError("no rows of f16 to compare with", remedy="run the suite again")
    (any_row,) = ways.values()
    names = dict.fromkeys(row.arm for row in every)
    arms = {name: [row for row in every if row.arm == name and row.case in base] for name in names}
    whole = _adjusted([_arm(name, ALL, some, base) for name, some in arms.items()])
    by_kind = [
        _arm(name, kind, chosen, base)
        for kind in KINDS
        for name, some in arms.items()
        if (chosen := [row for row in some if row.kind == kind])
    ]
    return DriftSummary(
        any_row.model,
        any_row.model_sha256,
        len(base),
        len({row.document for row in base.values()}),
        tuple(whole),
        tuple(by_kind),
        tuple(_changed(arms, base)),
    )


def _arm(name: str, kind: str, rows: Sequence[Row], base: dict[str, Row]) -> ArmSummary:
    kept = [row.all_kept for row in rows]
    by_document = {row.document: row.bits_per_value for row in rows}
    bits = sum(by_document.values()) / len(by_document)
    if name == BASE:
        return ArmSummary(name, kind, len(rows), bits, share(sum(kept), len(kept)))
    kept_base = [base[row.case].all_kept for row in rows]
    only_base, only_arm, p = mcnemar(kept_base, kept)
    same = [row.divergence is None for row in rows]
    lengths = [n for row in rows if (n := row.tokens_before_divergence) is not None]
    return ArmSummary(
        arm=name,
        kind=kind,
        n=len(rows),
        bits_per_value=bits,
        kept=share(sum(kept), len(kept)),
        only_base=only_base,
        only_arm=only_arm,
        p=p,
        difference=paired_difference(kept, kept_base),
        agree=share(sum(same), len(same)),
        before_divergence=median(lengths),
        kld=mean([sum(row.kld) / len(row.kld) for row in rows]),
        same_top1=ratio([row.n_same_top1 for row in rows], [len(row.kld) for row in rows], shares=True),
    )


def _adjusted(arms: Sequence[ArmSummary]) -> list[ArmSummary]:
    tested = [arm for arm in arms if arm.p is not None]
    adjusted = dict(zip((arm.arm for arm in tested), holm([arm.p or 0.0 for arm in tested]), strict=True))
    return [replace(arm, p_holm=adjusted.get(arm.arm)) for arm in arms]


def _changed(arms: dict[str, list[Row]], base: dict[str, Row]) -> list[Changed]:
    return [
        Changed(
            row.arm,
            row.document,
            row.probe,
            row.kind,
            row.requests,
            base[row.case].replies,
            base[row.case].all_kept,
            row.replies,
        )
        for rows in arms.values()
        for row in rows
        if row.all_kept != base[row.case].all_kept
    ]
