"""Figures by how many documents a question needs or was given, and by the threshold of the second reading."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from eval.outcomes import Outcome, judge
from eval.qa.summary import Paired, Reading, Result, compare, reading
from eval.sets import NULL
from eval.stats import Estimate, holm, share

By = Literal["type", "gold", "context"]

THRESHOLDS = (None, -6.0, -4.0, -3.0, -2.0, -1.0, 0.0)
"""Log-odds (nats) of the second reading below which an answer is withheld; None: it is not asked at all."""


MANY = 2
"""More documents than that are one group: a digit each, so that names sort as numbers do."""


@dataclass(frozen=True, slots=True)
class Stratum:
    """One system on the questions of one group."""

    group: str
    system: str
    n: int
    shown: Reading
    unchecked: Reading


@dataclass(frozen=True, slots=True)
class AtThreshold:
    """What the product's check does with a system's answers at one threshold.

    Shares: answerable questions answered rightly and shown, wrongly and shown, and questions that no document
    answers for which nothing is shown.
    """

    system: str
    threshold: float | None
    right_shown: Estimate
    wrong_shown: Estimate
    null_withheld: Estimate


def gold_group(one: Result) -> str:
    """The group of a question by the number of documents that it needs."""
    if one.row.question.is_null:
        return NULL
    return _numbered(len(one.row.gold), "gold document")


def _numbered(n: int, noun: str) -> str:
    if n > MANY:
        return f"{MANY + 1} or more {noun}s"
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def by_gold(results: Sequence[Result], systems: Sequence[str]) -> list[Stratum]:
    """Every system by number of gold documents; empty where all questions need as many."""
    names = _ordered({gold_group(one) for one in results})
    if len(set(names) - {NULL}) < 2:
        return []
    found = []
    for name in names:
        for system in systems:
            own = [one for one in results if one.row.system == system and gold_group(one) == name]
            if own:
                readings = (reading(own, checked=checked) for checked in (True, False))
                found.append(Stratum(name, system, len(own), *readings))
    return found


def pairs_by(
    results: Sequence[Result], systems: Sequence[str], by: By, *, checked: bool
) -> list[tuple[str, Paired]]:
    """The first system against each other one, group by group.

    Groups are types of questions, numbers of gold documents, or numbers of documents that stood in the
    first system's context; in the last two, questions that no document answers are a group of their own.
    `p_holm` is adjusted for all groups and pairs of a measure together.
    """
    grouped = _grouping(results, systems[0], by)
    found = []
    for name in _ordered({group for one in results if (group := grouped(one)) is not None}):
        own = [one for one in results if grouped(one) == name]
        found += [(name, pair) for pair in compare(own, systems, checked=checked, first=systems[0])]
    adjusted: dict[int, float] = {}
    for measure in ("accuracy", "hallucination"):
        places = [i for i, (_, pair) in enumerate(found) if pair.measure == measure]
        adjusted |= zip(places, holm([found[i][1].p for i in places]), strict=True)
    return [(name, replace(pair, p_holm=adjusted[i])) for i, (name, pair) in enumerate(found)]


def _grouping(results: Sequence[Result], first: str, by: By) -> Callable[[Result], str | None]:
    if by == "type":
        return lambda one: one.row.question.type
    if by == "gold":
        return gold_group
    given = {
        one.id: NULL
        if one.row.question.is_null
        else f"{_numbered(len(one.row.given.texts), 'document')} given"
        for one in results
        if one.row.system == first
    }
    return lambda one: given.get(one.id)


def _ordered(groups: set[str]) -> list[str]:
    """Those that begin with a digit first."""
    return sorted(groups, key=lambda name: (not name[0].isdigit(), name))


def at_thresholds(
    results: Sequence[Result], systems: Sequence[str], thresholds: Sequence[float | None] = THRESHOLDS
) -> list[AtThreshold]:
    """What each threshold would show, for systems whose answers were read a second time."""
    found = []
    for system in systems:
        own = [one for one in results if one.row.system == system]
        if any(one.row.given.log_odds is not None for one in own):
            found += [_at(own, system, threshold) for threshold in thresholds]
    return found


def _at(own: Sequence[Result], system: str, threshold: float | None) -> AtThreshold:
    judged = [
        (one, judge(one.row.question, one.row.given.answer, withheld=withheld_at(one, threshold)))
        for one in own
    ]
    answerable = [found for one, found in judged if not one.row.question.is_null]
    null = [found for one, found in judged if one.row.question.is_null]
    return AtThreshold(
        system,
        threshold,
        share(sum(found.outcome is Outcome.RIGHT for found in answerable), len(answerable)),
        share(sum(found.outcome is Outcome.WRONG for found in answerable), len(answerable)),
        share(sum(found.outcome is Outcome.ABSTAINED for found in null), len(null)),
    )


def withheld_at(one: Result, threshold: float | None) -> bool:
    """Whether the check with this threshold withholds an answer.

    Log-odds are there exactly where there was evidence; without evidence nothing could save the answer.
    """
    given = one.row.given
    if given.log_odds is None:
        return given.supported is False
    return threshold is not None and given.log_odds < threshold
