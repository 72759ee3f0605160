"""What the rows say: scores with intervals by task and arm, differences from the untouched cache.

Questions about one document share its cache, so documents, not questions, are what is drawn again for
bootstrap intervals (a cluster bootstrap; Efron 1979).  Only the interval of a share by itself is
Wilson's over questions.  With fewer than MIN_DOCUMENTS there are no bootstrap intervals.

Percentile intervals of few documents are too narrow: of normally distributed differences around 0 the
95 % interval lies wholly below 0 in 8.3 % of cases with 5 documents, 6.1 % with 8, 5.0 % with 12 and
4.5 % with 20, instead of 2.5 % (2,000 simulated cases each).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from beyondrag.errors import UsageError
from eval.recall.arms import EXACT, NO_DOCUMENT, bits_of
from eval.recall.clusters import Bounds, clustered_mean
from eval.recall.rows import Row
from eval.stats import Estimate, share

_SHARE: Bounds = (0.0, 1.0)
_DIFFERENCE: Bounds = (-1.0, 1.0)

_Cases = Mapping[tuple[int, int, int], Row]
"""Rows of one arm by seed, sample and probe."""


@dataclass(frozen=True, slots=True)
class ArmResult:
    """One task with one kind of cache.  Intervals are of 95 %; n counts questions.

    Attributes:
        k_bits, v_bits: None for what is not one of our codecs with bits.
        bits_per_value: of the stored cache, None for "no document".
        score: 0 to 1; `nll` of the true answer in nats a token; `agreement` share of its tokens that were
            the likeliest; `first_wrong` tokens before the first that was not; `reply_score` that of
            generated replies, which for `verbatim` are a few.
        difference, nll_difference: this arm less "exact", question by question; NaN for "exact" itself.
        strata: the score by group of questions.
    """

    arm: str
    k_bits: int | None
    v_bits: int | None
    bits_per_value: float | None
    score: Estimate
    nll: Estimate
    agreement: Estimate
    first_wrong: Estimate
    reply_score: Estimate
    difference: Estimate
    nll_difference: Estimate
    strata: tuple[tuple[str, Estimate], ...]

    @property
    def fails(self) -> bool:
        """Whether the score is below that of the untouched cache by an interval that excludes 0."""
        return self.difference.high < 0

    @property
    def damaged(self) -> bool:
        """Whether the true answers are less likely by an interval that excludes 0."""
        return self.nll_difference.low > 0

    def to_json(self) -> dict[str, Any]:
        names = ("score", "nll", "agreement", "first_wrong", "reply_score", "difference", "nll_difference")
        return {
            "arm": self.arm,
            "k_bits": self.k_bits,
            "v_bits": self.v_bits,
            "bits_per_value": self.bits_per_value,
            **{name: getattr(self, name).to_json() for name in names},
            "fails": self.fails,
            "damaged": self.damaged,
            "strata": {name: estimate.to_json() for name, estimate in self.strata},
        }


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Scores by bits of K (rows) and of V (columns), most bits first; None where nothing was measured."""

    k_bits: tuple[int, ...]
    v_bits: tuple[int, ...]
    scores: tuple[tuple[float | None, ...], ...]
    fails: tuple[tuple[bool, ...], ...]

    def to_json(self) -> dict[str, Any]:
        return {"k_bits": self.k_bits, "v_bits": self.v_bits, "scores": self.scores, "fails": self.fails}


@dataclass(frozen=True, slots=True)
class TaskResult:
    """One task at one length.  `arms` in the order in which they were measured."""

    task: str
    context_tokens: int
    n_documents: int
    arms: tuple[ArmResult, ...]

    def arm(self, name: str) -> ArmResult | None:
        return next((arm for arm in self.arms if arm.arm == name), None)

    @property
    def informative(self) -> bool | None:
        """Whether the untouched cache does better than no document at all, by an interval that excludes 0.

        If not, the model cannot do the task, and no codec can fail it.  None when it cannot be told.
        """
        guess = self.arm(NO_DOCUMENT)
        if guess is None or math.isnan(guess.difference.high):
            return None
        return guess.difference.high < 0

    @property
    def heat_map(self) -> HeatMap:
        by_bits = {
            (arm.k_bits, arm.v_bits): arm
            for arm in self.arms
            if arm.k_bits is not None and arm.v_bits is not None
        }
        k_bits = tuple(
            sorted({arm.k_bits for arm in by_bits.values() if arm.k_bits is not None}, reverse=True)
        )
        v_bits = tuple(
            sorted({arm.v_bits for arm in by_bits.values() if arm.v_bits is not None}, reverse=True)
        )
        grid = [[by_bits.get((k, v)) for v in v_bits] for k in k_bits]
        return HeatMap(
            k_bits,
            v_bits,
            tuple(tuple(None if cell is None else cell.score.value for cell in row) for row in grid),
            tuple(tuple(cell is not None and cell.fails for cell in row) for row in grid),
        )


@dataclass(frozen=True, slots=True)
class RecallSummary:
    """Everything that the rows of one model say."""

    model: str
    model_sha256: str
    seeds: tuple[int, ...]
    tasks: tuple[TaskResult, ...]


def summary(rows: Iterable[Row]) -> RecallSummary:
    """The results by task and length, in the order in which they first come.

    Raises UsageError without rows and for rows of several models.
    """
    every = list(rows)
    models = {row.model_sha256: row.model for row in every}
    if len(models) != 1:
        raise UsageError(
            f"rows of {len(models)} models" if models else "no rows", remedy="summarise one model at a time"
        )
    groups: dict[tuple[str, int], dict[str, dict[tuple[int, int, int], Row]]] = {}
    for row in every:
        arms = groups.setdefault((row.task, row.context_tokens), {})
        arms.setdefault(row.arm, {})[row.seed, row.sample, row.probe] = row
    ((sha256, model),) = models.items()
    return RecallSummary(
        model,
        sha256,
        tuple(sorted({row.seed for row in every})),
        tuple(_task_result(task, n_tokens, arms) for (task, n_tokens), arms in groups.items()),
    )


def _task_result(task: str, context_tokens: int, arms: Mapping[str, _Cases]) -> TaskResult:
    exact = arms.get(EXACT, {})
    documents = {case[:2] for cases in arms.values() for case in cases}
    results = tuple(_arm_result(name, cases, exact) for name, cases in arms.items())
    return TaskResult(task, context_tokens, len(documents), results)


def _arm_result(arm: str, cases: _Cases, exact: _Cases) -> ArmResult:
    rows = list(cases.values())
    bits = bits_of(arm)
    stored = [row.bits_per_value for row in rows if row.bits_per_value is not None]
    replied = [row for row in rows if row.reply_score is not None]
    pairs = [] if arm == EXACT else [(row, exact[case]) for case, row in cases.items() if case in exact]
    return ArmResult(
        arm=arm,
        k_bits=None if bits is None else bits[0],
        v_bits=None if bits is None else bits[1],
        bits_per_value=sum(stored) / len(stored) if stored else None,
        score=_score(rows),
        nll=_mean(rows, lambda row: row.nll),
        agreement=_mean(rows, lambda row: row.agreement, _SHARE),
        first_wrong=_mean(rows, lambda row: row.first_wrong),
        reply_score=_mean(replied, lambda row: row.reply_score or 0.0, _SHARE),
        difference=_clustered(((a, a.score - b.score) for a, b in pairs), _DIFFERENCE),
        nll_difference=_clustered((a, a.nll - b.nll) for a, b in pairs),
        strata=tuple(
            (name, _score([row for row in rows if row.stratum == name]))
            for name in sorted({row.stratum for row in rows})
        ),
    )


def _score(rows: Sequence[Row]) -> Estimate:
    if not all(row.share for row in rows):
        return _mean(rows, lambda row: row.score, _SHARE)
    n_right = round(sum(row.score for row in rows))
    return share(n_right, len(rows))


def _mean(rows: Sequence[Row], value: Callable[[Row], float], bounds: Bounds | None = None) -> Estimate:
    return _clustered(((row, value(row)) for row in rows), bounds)


def _clustered(values: Iterable[tuple[Row, float]], bounds: Bounds | None = None) -> Estimate:
    """The mean of a value a row, rows of one document together."""
    documents: dict[tuple[int, int], list[float]] = {}
    for row, value in values:
        documents.setdefault((row.seed, row.sample), []).append(value)
    return clustered_mean(list(documents.values()), bounds)
