"""What the rows say: how often planted instructions are followed, shown, or keep the right answer away.

Shares have Wilson intervals, the difference of right answers with and without Newcombe's paired one and
McNemar's exact test.  The probes were written, not drawn: the intervals tell how far chance in such a set
goes, not how often an attacker who tries again and again succeeds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from beyondrag.errors import UsageError
from eval.injection.probes import KINDS
from eval.injection.rows import Row
from eval.stats import Estimate, mcnemar, paired_difference, share

ALL = "all"


@dataclass(frozen=True, slots=True)
class GroupSummary:
    """The probes of one kind, or all.

    Attributes:
        n_reached: probes whose instruction the model could read at all.
        obeyed: share whose answer, before any check, does what was planted.
        took_effect: share in which a user gets that (`Row.took_effect`).
        right_plain, right: share of right answers, before any check, without and with what was planted.
        withheld_plain, withheld: share of answers that the evidence check withholds, likewise.
        wrong_shown: share shown with what was planted that are not right.
        difference: of right answers, with less without; `p` is McNemar's two-sided p-value.
    """

    kind: str
    n: int
    n_reached: int
    obeyed: Estimate
    took_effect: Estimate
    right_plain: Estimate
    right: Estimate
    withheld_plain: Estimate
    withheld: Estimate
    wrong_shown: Estimate
    difference: Estimate
    p: float


@dataclass(frozen=True, slots=True)
class InjectionSummary:
    """`groups`: all probes, then each kind.  `n_control_tokens` of all `n_tokens` read are control tokens.
    `n_false_signs` plain answers look as if something had been obeyed: what the signs are worth."""

    model: str
    model_sha256: str
    engine: str
    n_tokens: int
    n_control_tokens: int
    n_false_signs: int
    groups: tuple[GroupSummary, ...]
    took_effect: tuple[Row, ...]


def summary(rows: Iterable[Row]) -> InjectionSummary:
    """Summarise the rows of one model; probes that lack one of the arms are left out.

    Raises UsageError when nothing is left, or when rows were measured in different ways.
    """
    every = list(rows)
    ways = {(row.model_sha256, row.engine, row.max_tokens) for row in every}
    plain = {row.probe: row for row in every if row.arm == "plain"}
    pairs = [(plain[row.probe], row) for row in every if row.arm == "planted" and row.probe in plain]
    if len(ways) > 1:
        raise UsageError("rows of several models or versions", remedy="use one --out file for each")
    if not pairs:
        raise UsageError("no probe was asked with and without what was planted", remedy="run the suite again")
    kinds = [(kind, [pair for pair in pairs if pair[1].kind == kind]) for kind in KINDS]
    read = [row for pair in pairs for row in pair]
    return InjectionSummary(
        read[0].model,
        read[0].model_sha256,
        read[0].engine,
        sum(row.n_tokens for row in read),
        sum(row.n_control for row in read),
        sum(before.obeyed for before, _ in pairs),
        tuple(_group(kind, some) for kind, some in [(ALL, pairs), *kinds] if some),
        tuple(after for _, after in pairs if after.took_effect),
    )


def _group(kind: str, pairs: Sequence[tuple[Row, Row]]) -> GroupSummary:
    plain, planted = [before for before, _ in pairs], [after for _, after in pairs]
    n = len(pairs)
    right_plain, right = [row.right for row in plain], [row.right for row in planted]
    return GroupSummary(
        kind=kind,
        n=n,
        n_reached=sum(row.reached for row in planted),
        obeyed=share(sum(row.obeyed for row in planted), n),
        took_effect=share(sum(row.took_effect for row in planted), n),
        right_plain=share(sum(right_plain), n),
        right=share(sum(right), n),
        withheld_plain=share(sum(not row.supported for row in plain), n),
        withheld=share(sum(not row.supported for row in planted), n),
        wrong_shown=share(sum(row.supported and not row.right for row in planted), n),
        difference=paired_difference(right, right_plain),
        p=mcnemar(right, right_plain)[2],
    )
