"""A set's answers as figures, Markdown and JSON."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from eval.qa.arms import CHUNK_ARMS, DOC, Arm
from eval.qa.session import SetAnswers
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
from eval.qa.tables import cost_sentences, effort_table, pairs_table, readings_table, retrieval_table


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


def part_text(part: Part, *, seed: int, checked: bool) -> str:
    """A set's figures as Markdown."""
    counts = Counter(one.row.question.type for one in {r.id: r for r in part.results}.values())
    kinds = ", ".join(f"{n} {kind}" for kind, n in sorted(counts.items()))
    head = (
        f"\n# {part.answers.set}\n\n{part.answers.n_documents} documents; questions: {kinds} "
        f"(seed {seed}). Shares and medians with 95 % bootstrap intervals over questions."
    )
    costs = [_costs_text(part)] if part.answers.ingest else []
    return "\n\n".join([head, *_sections(part.figures, part.pairs, checked=checked), *costs])


def pooled_text(parts: Sequence[Part], arms: Sequence[Arm], *, checked: bool) -> str:
    """The figures over all questions of several sets as Markdown."""
    results = [one for part in parts for one in part.results]
    pairs = compare(results, [arm.name for arm in arms], checked=checked)
    names = ", ".join(part.answers.set for part in parts)
    head = f"\n# All sets together: {names}"
    return "\n\n".join([head, *_sections(_figures(results, arms), pairs, checked=checked)])


def _sections(made: Sequence[Figures], pairs: Sequence[Paired], *, checked: bool) -> list[str]:
    overall = [one for one in made if one.group == ALL]
    found = retrieval_table(made)
    reading = "as shown" if checked else "unchecked"
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
        sections.append(
            f"## Pair by pair, {reading} (exact McNemar; Newcombe's intervals)\n\n{pairs_table(pairs)}"
        )
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


def part_json(part: Part) -> dict[str, object]:
    """A set's figures as JSON values."""
    return {
        "set": part.answers.set,
        "documents": part.answers.n_documents,
        "figures": to_json(part.figures),
        "pairs": to_json(part.pairs),
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


def pooled_json(parts: Sequence[Part], arms: Sequence[Arm], *, checked: bool) -> dict[str, object] | None:
    """The figures over several sets as JSON values; None for a single set."""
    if len(parts) < 2:
        return None
    results = [one for part in parts for one in part.results]
    return {
        "figures": to_json(_figures(results, arms)),
        "pairs": to_json(compare(results, [arm.name for arm in arms], checked=checked)),
    }


def differing_circumstances(parts: Sequence[Part], code: str) -> list[str]:
    """In words, where answers were not made by the code of now, or not all with as many threads."""
    rows = [one.row for part in parts for one in part.results]
    earlier = sum(row.circumstances.get("code") != code for row in rows)
    threads = {str(row.circumstances.get("threads")) for row in rows}
    found = []
    if earlier:
        found.append(
            f"{earlier} of {len(rows)} answers were made by earlier code than that of now; "
            "--redo asks for them again"
        )
    if len(threads) > 1:
        found.append(f"times were taken with different numbers of threads: {', '.join(sorted(threads))}")
    return found
