"""From answers to figures: for each system and type of question, and for each pair of systems.

Every answer is read twice: as shown, with the product's check (without verified evidence it is withheld),
and unchecked.  The check can be put on any system that copies its evidence, chunk-RAG as well as the
product, so both readings of every system belong into a fair comparison.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from itertools import combinations

import numpy as np

from eval.outcomes import Judged, Outcome, judge
from eval.qa.rows import Row
from eval.sets import NULL
from eval.stats import NOTHING, Estimate, holm, mcnemar, mean, median, paired_difference, ratio

RANKS = (1, 2, 3, 5)
ALL, ANSWERABLE = "all", "answerable"


@dataclass(frozen=True, slots=True)
class Result:
    """A row with both readings: `shown` with the check, `unchecked` without."""

    row: Row
    shown: Judged
    unchecked: Judged

    def read(self, *, checked: bool) -> Judged:
        return self.shown if checked else self.unchecked

    @property
    def id(self) -> str:
        return f"{self.row.set}\0{self.row.question.id}"


def result(row: Row) -> Result:
    """Grade a row.  A system to which the check cannot be applied is read the same way twice."""
    unchecked = judge(row.question, row.given.answer)
    shown = judge(row.question, row.given.answer, withheld=row.given.withheld)
    return Result(row, shown, unchecked)


@dataclass(frozen=True, slots=True)
class Reading:
    """Shares of answers under one reading.

    accuracy: right, or abstained on a null question.  hallucination: answered and not right.  unanswered:
    abstained although the documents answer, whatever was withheld; these three add up to 1.
    abstained: of all.  abstention_precision: null questions among the abstentions.  abstention_recall:
    abstentions among the null questions.
    """

    accuracy: Estimate
    hallucination: Estimate
    unanswered: Estimate
    abstained: Estimate
    abstention_precision: Estimate
    abstention_recall: Estimate


@dataclass(frozen=True, slots=True)
class Retrieval:
    """Shares over answerable questions with gold documents: gold documents among the first k ranked, all
    of them in the context, and accuracy (unchecked) where all were."""

    recall: dict[int, Estimate]
    all_given: Estimate
    accuracy_given_gold: Estimate


@dataclass(frozen=True, slots=True)
class Effort:
    """Medians over questions: seconds, and tokens prefilled for the question."""

    first_token_s: Estimate
    total_s: Estimate
    prefilled_tokens: Estimate


@dataclass(frozen=True, slots=True)
class Figures:
    """All figures of one system on one group of questions."""

    system: str
    group: str
    n: int
    checkable: bool
    shown: Reading
    unchecked: Reading
    retrieval: Retrieval
    effort: Effort


@dataclass(frozen=True, slots=True)
class Paired:
    """Two systems on the questions that both answered, under one reading and for one measure.

    `difference` is the mean of first minus second.  `p` is McNemar's exact p-value and `p_holm` the same
    adjusted for all pairs of the measure (Holm).
    """

    first: str
    second: str
    measure: str
    n: int
    only_first: int
    only_second: int
    difference: Estimate
    p: float
    p_holm: float


def groups(results: Iterable[Result]) -> list[str]:
    """The groups that figures are made for: all, the answerable ones, and each type by name."""
    types = sorted({one.row.question.type for one in results})
    if len(types) < 2:
        return [ALL]
    several = NULL in types and len(types) > 2
    return [ALL, *([ANSWERABLE] if several else []), *types]


def in_group(results: Iterable[Result], group: str) -> list[Result]:
    """The results of a group."""
    if group == ALL:
        return list(results)
    if group == ANSWERABLE:
        return [one for one in results if not one.row.question.is_null]
    return [one for one in results if one.row.question.type == group]


def figures(results: Sequence[Result], system: str, group: str) -> Figures:
    """The figures of `results`, which are those of one system and group."""
    return Figures(
        system=system,
        group=group,
        n=len(results),
        checkable=any(one.row.given.supported is not None for one in results),
        shown=reading(results, checked=True),
        unchecked=reading(results, checked=False),
        retrieval=_retrieval(results),
        effort=Effort(
            median([one.row.given.seconds.first_token for one in results]),
            median([one.row.given.seconds.total for one in results]),
            median([one.row.given.prefilled_tokens for one in results]),
        ),
    )


def reading(results: Sequence[Result], *, checked: bool) -> Reading:
    """The shares of `results` under one reading."""
    if not results:
        return Reading(NOTHING, NOTHING, NOTHING, NOTHING, NOTHING, NOTHING)
    judged = [one.read(checked=checked) for one in results]
    abstained = np.array([j.outcome is Outcome.ABSTAINED for j in judged])
    null = np.array([one.row.question.is_null for one in results])
    return Reading(
        accuracy=mean([j.good for j in judged], shares=True),
        hallucination=mean([j.hallucinated for j in judged], shares=True),
        unanswered=mean(abstained & ~null, shares=True),
        abstained=mean(abstained, shares=True),
        abstention_precision=ratio(abstained & null, abstained, shares=True),
        abstention_recall=ratio(abstained & null, null, shares=True),
    )


def _retrieval(results: Sequence[Result]) -> Retrieval:
    wanted = [one for one in results if one.row.gold and not one.row.question.is_null]
    ranked = [one for one in wanted if one.row.given.ranked is not None]
    recall = {
        k: mean([_recall(one.row, k) for one in ranked], shares=True) if ranked else NOTHING for k in RANKS
    }
    read = [one for one in wanted if one.row.given.texts or one.row.given.ranked is not None]
    complete = [set(one.row.gold) <= {text.document_id for text in one.row.given.texts} for one in read]
    right = [one.unchecked.good for one in read]
    return Retrieval(
        recall,
        mean(complete, shares=True) if read else NOTHING,
        ratio(np.array(right) & np.array(complete), complete, shares=True) if read else NOTHING,
    )


def _recall(row: Row, k: int) -> float:
    """The share of the gold documents among the first k ranked."""
    return len(set(row.gold) & set((row.given.ranked or ())[:k])) / len(set(row.gold))


def compare(
    results: Sequence[Result], systems: Sequence[str], *, checked: bool, first: str | None = None
) -> list[Paired]:
    """All pairs of systems, or `first` against each other one, for accuracy and for hallucination."""
    chosen = list(combinations(systems, 2))
    if first is not None:
        chosen = [(first, other) for other in systems if other != first]
    by_system = {name: {one.id: one for one in results if one.row.system == name} for name in systems}
    compared: list[Paired] = []
    for measure in ("accuracy", "hallucination"):
        pairs = []
        for one, other in chosen:
            both = [i for i in by_system[one] if i in by_system[other]]
            if both:
                a, b = (
                    np.array([_measured(by_system[name][i].read(checked=checked), measure) for i in both])
                    for name in (one, other)
                )
                difference = paired_difference(a, b)
                pairs.append((one, other, len(both), *mcnemar(a, b), difference))
        adjusted = holm([pair[5] for pair in pairs])
        compared += [
            Paired(one, other, measure, n, only_first, only_second, difference, p, p_holm)
            for (one, other, n, only_first, only_second, p, difference), p_holm in zip(
                pairs, adjusted, strict=True
            )
        ]
    return compared


def _measured(judged: Judged, measure: str) -> bool:
    return judged.good if measure == "accuracy" else judged.hallucinated


def saved_seconds(results: Sequence[Result], fast: str, slow: str) -> Estimate:
    """Median over questions that both answered of the seconds to the end of the reply: slow minus fast."""
    times = {
        name: {one.id: one.row.given.seconds.total for one in results if one.row.system == name}
        for name in (fast, slow)
    }
    both = [i for i in times[fast] if i in times[slow]]
    return median([times[slow][i] - times[fast][i] for i in both])


def break_even(cost_seconds: float, saved: Estimate) -> float:
    """Questions after which `cost_seconds` are earned back; infinite when never, NaN when unknown."""
    if saved.n == 0:
        return math.nan
    return cost_seconds / saved.value if saved.value > 0 else math.inf


def to_json(value: object) -> object:
    """Figures and comparisons as JSON values."""
    if isinstance(value, Estimate):
        return value.to_json()
    if is_dataclass(value):
        return {field.name: to_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    return value
