"""The figures and tables of a report about answers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from eval.page import (
    Axis,
    Basis,
    Dots,
    Estimate,
    Mark,
    MarkGroup,
    Quantity,
    Reference,
    Table,
    shown,
)
from eval.qa.answered import Answered, command_of
from eval.qa.summary import (
    RANKS,
    Figures,
    Paired,
    Reading,
    Result,
    compare,
    groups,
    in_group,
    reading,
)
from eval.stats import Estimate as Measured

INTERVALS = "95 % percentile bootstrap over questions (Wilson for a share of none or all)"
PAIRED = "95 % Newcombe for paired shares"
RIGHT = Quantity("Right", percent=True, digits=0, better="higher")
HALLUCINATED = Quantity("Hallucinated", percent=True, digits=0, better="lower")
UNANSWERED = Quantity("Answerable, withheld", percent=True, digits=0, better="lower")
SECONDS = Quantity("First token", "s", digits=2, better="lower")
POINTS = Quantity("Difference", "points", percent=True, signed=True)

ALL_SETS = "All sets"
Pick = Callable[[Reading], Measured]


@dataclass(frozen=True, slots=True)
class Measure:
    """One of the two figures that decide: how it is named in `Paired`, shown and taken from a reading."""

    name: str
    quantity: Quantity
    pick: Pick


ACCURACY = Measure("accuracy", RIGHT, lambda one: one.accuracy)
HALLUCINATION = Measure("hallucination", HALLUCINATED, lambda one: one.hallucination)
MEASURES = (ACCURACY, HALLUCINATION)


@dataclass(frozen=True, slots=True)
class Pool:
    """Results under one heading, a set's or those of all sets, and the command that gives them."""

    name: str
    results: tuple[Result, ...]
    command: str

    @property
    def n_questions(self) -> int:
        return len({one.id for one in self.results})

    def of(self, system: str) -> list[Result]:
        return [one for one in self.results if one.row.system == system]


def pools(parts: Sequence[Answered], command: str | None) -> list[Pool]:
    """All sets together first, if there are several, then each; without `command` each has its own."""
    own = [Pool(part.set, part.results, command or command_of([part])) for part in parts]
    if len(own) == 1:
        return own
    every = tuple(one for part in parts for one in part.results)
    return [Pool(ALL_SETS, every, command or command_of(parts)), *own]


def basis(pool: Pool, intervals: str = INTERVALS) -> Basis:
    """What a table or figure over all questions of `pool` rests on."""
    return Basis(pool.n_questions, "questions", intervals, pool.command)


def systems_figure(pool: Pool, made: Sequence[Figures], measure: Measure) -> Dots:
    """A system a row."""
    marks = tuple(Mark(one.system, shown(measure.pick(one.shown))) for one in made)
    heading = "Right answers" if measure is ACCURACY else "Hallucinations"
    axis = Axis(measure.quantity, low=0, high=1)
    return Dots(f"{heading}, as shown", axis, (MarkGroup("", marks),), basis(pool))


def systems_table(pool: Pool, made: Sequence[Figures], *, checked: bool) -> Table:
    """Every system under one reading."""
    rows = []
    for one in made:
        read = one.shown if checked else one.unchecked
        rows.append(
            (
                one.system,
                shown(read.accuracy),
                shown(read.hallucination),
                shown(read.unanswered),
                shown(read.abstention_precision),
                shown(read.abstention_recall),
            )
        )
    columns = (
        "System",
        RIGHT,
        HALLUCINATED,
        UNANSWERED,
        Quantity("Abstention precision", percent=True, digits=0, better="higher"),
        Quantity("Abstention recall", percent=True, digits=0, better="higher"),
    )
    note = (
        "The first three add up to 100 %; what was withheld of answerable questions was not always right. "
        "Abstention precision: of all withheld answers, those to questions that no document answers. "
        "Abstention recall: of these questions, those whose answer was withheld."
    )
    title = f"{pool.name}: every system, {'as shown, with' if checked else 'unchecked, without'} the check"
    return Table(title, columns, tuple(rows), basis(pool), note, in_summary=checked)


def differences_figure(
    found: Sequence[Pool],
    product: str,
    others: Sequence[str],
    measure: Measure,
) -> Dots:
    """The product less each of `others`, by set."""
    marks = []
    for pool in found:
        pairs = compare(pool.results, (product, *others), checked=True, first=product)
        own = [pair for pair in pairs if pair.measure == measure.name]
        marks.append(MarkGroup(pool.name, tuple(Mark(p.second, shown(p.difference)) for p in own)))
    what = "right answers: above zero the product is better"
    if measure is HALLUCINATION:
        what = "hallucinations: below zero the product is better"
    return Dots(
        f"{product} less each other system, {what}",
        Axis(POINTS),
        tuple(group for group in marks if group.marks),
        basis(found[0], PAIRED),
        Reference(0, "no difference"),
    )


def pairs_table(pool: Pool, pairs: Sequence[Paired]) -> Table:
    """The product against every other system."""
    product = pairs[0].first
    columns = (
        "Measure",
        "Against",
        POINTS,
        Quantity(f"Only {product}", digits=0),
        Quantity("Only the other", digits=0),
        Quantity("p", digits=2, significant=True),
        Quantity("p, adjusted", digits=2, significant=True),
    )
    rows = tuple(
        (
            "right" if pair.measure == ACCURACY.name else "hallucinated",
            pair.second,
            shown(pair.difference),
            pair.only_first,
            pair.only_second,
            pair.p,
            pair.p_holm,
        )
        for pair in pairs
    )
    note = "p: exact McNemar test over the questions that both answered; adjusted: for all systems (Holm)."
    title = f"{pool.name}: {product} against every other system, question by question"
    return Table(title, columns, rows, basis(pool, PAIRED), note, in_summary=True)


def types_table(pool: Pool, systems: Sequence[str], measure: Measure) -> Table:
    """A system a row, a type of question a column; all questions in the first."""
    kinds = groups(pool.results)
    rows = []
    for system in systems:
        own = pool.of(system)
        cells = [shown(measure.pick(reading(in_group(own, kind), checked=True))) for kind in kinds]
        rows.append((system, *cells))
    better = measure.quantity.better
    columns: tuple[str | Quantity, ...] = (
        "System",
        *(Quantity(kind, percent=True, digits=0, better=better) for kind in kinds),
    )
    heading = "right answers" if measure is ACCURACY else "hallucinations"
    note = "" if measure is HALLUCINATION else "A question of type `null` is right when it is withheld."
    return Table(f"{pool.name}: {heading} by type", columns, tuple(rows), basis(pool), note)


def retrieval_table(pool: Pool, made: Sequence[Figures]) -> Table | None:
    """Whether the gold documents were found, and what was made of them; None without such questions."""
    rows = tuple(
        (
            one.system,
            *(shown(one.retrieval.recall[k]) for k in RANKS),
            shown(one.retrieval.all_given),
            shown(one.retrieval.accuracy_given_gold),
        )
        for one in made
        if one.retrieval.all_given.n
    )
    if not rows:
        return None
    columns: tuple[str | Quantity, ...] = (
        "System",
        *(Quantity(f"In top {k}", percent=True, digits=0, better="higher") for k in RANKS),
        Quantity("All gold given", percent=True, digits=0, better="higher"),
        Quantity("Right where given", percent=True, digits=0, better="higher"),
    )
    return Table(f"{pool.name}: retrieval and reading", columns, rows, basis(pool))


def effort_table(pool: Pool, made: Sequence[Figures]) -> Table:
    """Medians of what a question costs."""
    rows = tuple(
        (
            one.system,
            shown(one.effort.first_token_s),
            shown(one.effort.total_s),
            shown(one.effort.prefilled_tokens),
        )
        for one in made
    )
    columns = (
        "System",
        SECONDS,
        Quantity("Whole answer", "s", digits=2, better="lower"),
        Quantity("Tokens read for the question", digits=0, better="lower"),
    )
    intervals = "95 % percentile bootstrap over questions"
    return Table(
        f"{pool.name}: medians over questions",
        columns,
        rows,
        basis(pool, intervals),
        in_summary=True,
    )


def break_even_table(parts: Sequence[Answered], command: str) -> Table | None:
    """What reading a set beforehand cost and when that is earned back; None where it is not known."""
    rows: list[tuple[str | float | Estimate | None, ...]] = []
    for part in parts:
        cost = next(iter(part.ingest.values()), None)
        if cost is None or not cost.tokens:
            continue
        for system, questions in part.break_even.items():
            after = "never" if math.isinf(questions) else "not known" if math.isnan(questions) else ""
            needed = None if after else math.ceil(questions)
            rows.append(
                (part.set, system, cost.whole_seconds, max(cost.all_tokens, cost.tokens), needed, after)
            )
    if not rows:
        return None
    columns = (
        "Set",
        "Against",
        Quantity("Reading the set", "s", digits=0),
        Quantity("Tokens", digits=0),
        Quantity("Paid for itself after", "questions", digits=0),
        "Remark",
    )
    total = sum(len({one.id for one in part.results}) for part in parts)
    of = Basis(total, "questions, timed", "", command)
    return Table("What ingest cost, and when it is earned back", columns, tuple(rows), of)
