"""A set's answers as figures, Markdown and JSON."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from beyondrag.verdict import MIN_LOG_ODDS
from eval.qa.arms import CHUNK_ARMS, DOC, Arm
from eval.qa.session import SetAnswers
from eval.qa.strata import By, at_thresholds, by_gold, pairs_by
from eval.qa.summary import (
    ALL,
    Figures,
    Paired,
    Result,
    break_even,
    compare,
    figures,
    groups,
    in_group,
    result,
    saved_seconds,
    to_json,
)
from eval.qa.tables import (
    cost_sentences,
    effort_table,
    grouped_pairs_table,
    pairs_table,
    readings_table,
    retrieval_table,
    strata_table,
    thresholds_table,
)


@dataclass(frozen=True, slots=True)
class View:
    """What a person wants to see: pairs as shown (`checked`) or unchecked; and beside the usual tables
    `pairs_by` group, and what other thresholds of the second reading would do.
    """

    checked: bool = True
    pairs_by: By | None = None
    thresholds: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """Everything about one set."""

    answers: SetAnswers
    results: tuple[Result, ...]
    figures: tuple[Figures, ...]
    pairs: tuple[Paired, ...]
    break_even: dict[str, float]


def part_of(answers: SetAnswers, arms: Sequence[Arm], *, checked: bool) -> Part:
    """Grade the rows of a set; systems are compared as shown (`checked`) or unchecked."""
    results = tuple(result(row) for row in answers.rows)
    return Part(
        answers,
        results,
        _figures(results, arms),
        tuple(compare(results, [arm.name for arm in arms], checked=checked)),
        _break_even(answers, results, arms),
    )


def _break_even(answers: SetAnswers, results: Sequence[Result], arms: Sequence[Arm]) -> dict[str, float]:
    """Questions after which the first codec's ingest has paid for itself, against each chunk system."""
    doc = next((arm for arm in arms if arm.base == DOC), None)
    cost = answers.ingest.get(doc.codec or answers.codec) if doc else None
    if doc is None or cost is None or not cost.tokens:
        return {}
    return {
        arm.name: break_even(
            max(cost.whole_seconds - answers.chunk_seconds.get(arm.name, 0.0), 0.0),
            saved_seconds(results, doc.name, arm.name),
        )
        for arm in arms
        if arm.base in CHUNK_ARMS
    }


def _figures(results: Sequence[Result], arms: Sequence[Arm]) -> tuple[Figures, ...]:
    made = []
    for group in groups(results):
        for arm in arms:
            own = [one for one in in_group(results, group) if one.row.system == arm.name]
            if own:
                made.append(figures(own, arm.name, group))
    return tuple(made)


def part_text(part: Part, arms: Sequence[Arm], *, seed: int, view: View) -> str:
    """A set's figures as Markdown."""
    counts = Counter(one.row.question.type for one in {r.id: r for r in part.results}.values())
    kinds = ", ".join(f"{n} {kind}" for kind, n in sorted(counts.items()))
    n_documents = part.answers.n_documents
    documents = "" if n_documents is None else f"{n_documents} documents; "
    head = (
        f"\n# {part.answers.set}\n\n{documents}questions: {kinds} "
        f"(seed {seed}). Shares and medians with 95 % bootstrap intervals over questions."
    )
    costs = [_costs_text(part)] if part.answers.ingest else []
    more = _more(part.results, [arm.name for arm in arms], view)
    return "\n\n".join([head, *_sections(part.figures, part.pairs, checked=view.checked), *more, *costs])


def pooled_text(parts: Sequence[Part], arms: Sequence[Arm], view: View) -> str:
    """The figures over all questions of several sets as Markdown."""
    results, systems = [one for part in parts for one in part.results], [arm.name for arm in arms]
    pairs = compare(results, systems, checked=view.checked)
    names = ", ".join(part.answers.set for part in parts)
    head = f"\n# All sets together: {names}"
    usual = _sections(_figures(results, arms), pairs, checked=view.checked)
    return "\n\n".join([head, *usual, *_more(results, systems, view)])


_GROUPS = {
    "type": "by type of question",
    "gold": "by number of gold documents",
    "context": "by number of documents in the context of {}",
}


def _more(results: Sequence[Result], systems: Sequence[str], view: View) -> list[str]:
    sections = []
    if strata := by_gold(results, systems):
        sections.append(f"## By number of gold documents\n\n{strata_table(strata)}")
    if view.pairs_by is not None and len(systems) > 1:
        title = f"{systems[0]} against the others, {_GROUPS[view.pairs_by].format(systems[0])}"
        table = grouped_pairs_table(pairs_by(results, systems, view.pairs_by, checked=view.checked))
        sections.append(f"## {title}, {_reading(checked=view.checked)}\n\n{table}")
    if view.thresholds and (found := at_thresholds(results, systems)):
        today = f"withheld is what has less than the threshold (today {MIN_LOG_ODDS:g}) or no evidence at all"
        sections.append(
            f"## By threshold of the second reading\n\n{today[0].upper()}{today[1:]}. Answerable questions: "
            f"right or wrong and shown; Wilson's intervals.\n\n{thresholds_table(found)}"
        )
    return sections


def _reading(*, checked: bool) -> str:
    return "as shown" if checked else "unchecked"


def _sections(made: Sequence[Figures], pairs: Sequence[Paired], *, checked: bool) -> list[str]:
    overall = [one for one in made if one.group == ALL]
    found = retrieval_table(made)
    sections = [
        "## As shown: with the check of the copied evidence, for every system\n\n"
        + readings_table(made, checked=True),
        "## Unchecked: every answer counts, unless it says itself that nothing is stated\n\n"
        + readings_table(made, checked=False),
    ]
    if found:
        sections.append(f"## Retrieval apart from reading (accuracy unchecked)\n\n{found}")
    sections.append(f"## Effort for a question (medians)\n\n{effort_table(overall)}")
    if pairs:
        title = f"Pair by pair, {_reading(checked=checked)} (exact McNemar; Newcombe's intervals)"
        sections.append(f"## {title}\n\n{pairs_table(pairs)}")
    return sections


def _costs_text(part: Part) -> str:
    parts = [
        f"## What was spent before ({codec})\n\n"
        + cost_sentences(
            cost, part.break_even if number == 0 else {}, part.answers.chunk_seconds if number == 0 else {}
        )
        for number, (codec, cost) in enumerate(part.answers.ingest.items())
    ]
    return "\n\n".join(parts) + "\n"


def _more_json(results: Sequence[Result], arms: Sequence[Arm], view: View) -> dict[str, object]:
    systems = [arm.name for arm in arms]
    more: dict[str, object] = {"by_gold": to_json(by_gold(results, systems))}
    if view.pairs_by is not None and len(systems) > 1:
        found = pairs_by(results, systems, view.pairs_by, checked=view.checked)
        more[f"pairs_by_{view.pairs_by}"] = [{"group": name, "pair": to_json(pair)} for name, pair in found]
    if view.thresholds:
        more["thresholds"] = to_json(at_thresholds(results, systems))
    return more


def part_json(part: Part, arms: Sequence[Arm], view: View) -> dict[str, object]:
    """A set's figures as JSON values."""
    return {
        "set": part.answers.set,
        "documents": part.answers.n_documents,
        "figures": to_json(part.figures),
        "pairs": to_json(part.pairs),
        **_more_json(part.results, arms, view),
        "ingest": {
            codec: {
                "seconds": round(cost.seconds, 2),
                "tokens": cost.tokens,
                "all_tokens": cost.all_tokens,
                "parse_seconds": round(cost.parse_seconds, 2),
                "bytes": cost.bytes,
            }
            for codec, cost in part.answers.ingest.items()
        },
        "chunk_seconds": {name: round(spent, 2) for name, spent in part.answers.chunk_seconds.items()},
        "break_even_questions": {
            name: math.ceil(n) if math.isfinite(n) else None for name, n in part.break_even.items()
        },
    }


def pooled_json(parts: Sequence[Part], arms: Sequence[Arm], view: View) -> dict[str, object] | None:
    """The figures over several sets as JSON values; None for a single set."""
    if len(parts) < 2:
        return None
    results = [one for part in parts for one in part.results]
    return {
        "figures": to_json(_figures(results, arms)),
        "pairs": to_json(compare(results, [arm.name for arm in arms], checked=view.checked)),
        **_more_json(results, arms, view),
    }


def differing_circumstances(parts: Sequence[Part], code: str) -> list[str]:
    """In words, where answers were not made by the code of now, or not all on one kind of machine."""
    rows = [one.row for part in parts for one in part.results]
    earlier = sum(row.circumstances.get("code") != code for row in rows)
    threads = {str(row.circumstances.get("threads")) for row in rows}
    processors = {str(row.circumstances.get("processor", "not noted")) for row in rows}
    found = []
    if earlier:
        found.append(
            f"{earlier} of {len(rows)} answers were made by earlier code than that of now; "
            "--redo asks for them again"
        )
    if len(threads) > 1:
        found.append(f"times were taken with different numbers of threads: {', '.join(sorted(threads))}")
    if len(processors) > 1:
        found.append(f"times were taken on different processors: {', '.join(sorted(processors))}")
    return found
