"""The report about answers: the product against chunk-RAG and against no text, then the evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from eval.page import Block, Chapter, Command, Examples, Finding, Section, Summary, shown
from eval.page.chapters import Facts
from eval.qa.answered import Answered, command_of, facts_of, ordered, product
from eval.qa.arms import CHUNK_ARMS, CLOSED_BOOK
from eval.qa.page_blocks import (
    ACCURACY,
    HALLUCINATED,
    HALLUCINATION,
    MEASURES,
    POINTS,
    RIGHT,
    UNANSWERED,
    Pool,
    break_even_table,
    differences_figure,
    effort_table,
    pairs_table,
    pools,
    retrieval_table,
    systems_figure,
    systems_table,
    types_table,
)
from eval.qa.page_examples import pair_examples
from eval.qa.page_strata import gold_table, thresholds_table
from eval.qa.summary import ALL, Figures, Paired, compare, figures, to_json

SIGNIFICANT = 0.05

_READINGS = (
    "Every system with text in its context copies the lines that it answers from. **As shown**, an answer "
    "whose copied lines do not stand in the texts, or do not support it, is withheld: the product's check, "
    "applied to every system alike. **Unchecked**, every answer counts that does not itself say that nothing "
    "is stated. A hallucination is an answer that was given and is not right; on a question that no "
    "document answers, every answer is one."
)
_RETRIEVAL = (
    "Gold documents are those that hold the answer. *In top k* is the share of them among the first k that "
    "retrieval ranked (for chunks: documents in the order of their best chunk); *right where given* counts "
    "unchecked answers to questions whose gold documents were all in the context."
).replace("*", "")

_WITHHELD = (
    "After an answer with evidence the model is asked again, directly and with leave to decline, and the "
    "answer's own tokens are scored: log-odds of the answer against declining. Below a threshold it is "
    "withheld. The table says what other thresholds would do to the same answers."
)


def chapter(parts: Sequence[Answered], *, command: str | None = None, facts: Facts | None = None) -> Chapter:
    """Everything about `parts`.  Without `command` and `facts` they are what the rows say."""
    line = command or command_of(parts)
    found = pools(parts, command)
    systems = ordered(name for part in parts for name in part.systems)
    made = {pool.name: _figures(pool, systems) for pool in found}
    ours = product(systems)
    pairs = compare(found[0].results, systems, checked=True, first=ours) if ours else []
    note = "with the same --limit, --seed and --types, if the sets were sampled" if command is None else ""
    return Chapter(
        "qa",
        _summary(parts, found[0], made[found[0].name], pairs),
        (*_sections(parts, found, made, pairs, line), *_examples(parts, systems, ours)),
        (Command(line, note),),
        facts_of(parts) if facts is None else facts,
        systems,
        _data(parts, made, pairs),
    )


def _figures(pool: Pool, systems: Sequence[str]) -> list[Figures]:
    return [figures(own, system, ALL) for system in systems if (own := pool.of(system))]


def opponents(systems: Sequence[str]) -> list[str]:
    """The systems that the product must beat: chunk-RAG, and the model without any text."""
    return [name for name in systems if name in CHUNK_ARMS or name == CLOSED_BOOK]


def _summary(
    parts: Sequence[Answered], pool: Pool, made: Sequence[Figures], pairs: Sequence[Paired]
) -> Summary:
    by_name = {one.system: one for one in made}
    ours = pairs[0].first if pairs else product(list(by_name))
    model = dict(facts_of(parts))["Model"]
    sets = f"{len(parts)} sets" if len(parts) > 1 else f"the set {parts[0].set}"
    limits = _limits(parts)
    if ours is None:
        text = f"{pool.n_questions:,} questions of {sets}; the product itself was not asked."
        return Summary(text, (), limits)
    own = by_name[ours].shown
    told = [
        f"**Answers, {model}.** On {pool.n_questions:,} questions of {sets} the product (`{ours}`) was right "
        f"on {RIGHT.value(own.accuracy.value)} (counting unanswerable questions that it rightly withheld), "
        f"hallucinated on {HALLUCINATED.value(own.hallucination.value)}, and gave no answer, "
        f"though the documents hold one, on {UNANSWERED.value(own.unanswered.value)}. "
        "Differences follow with 95 % intervals "
        "and p of exact McNemar tests, adjusted for all systems."
    ]
    rivals = opponents(list(by_name))
    told += [_against(name, [pair for pair in pairs if pair.second == name]) for name in rivals]
    chunked = [by_name[name] for name in rivals if name in CHUNK_ARMS]
    best = max(chunked, key=lambda one: one.shown.accuracy.value, default=None)
    cards = [(by_name[ours], "the product")]
    if best is not None:
        cards.append((best, "the chunk system with the most right answers here"))
    if CLOSED_BOOK in by_name:
        cards.append((by_name[CLOSED_BOOK], "the same model without any text"))
    findings = tuple(
        Finding(one.system, measure.quantity, shown(measure.pick(one.shown)), remark)
        for one, remark in cards
        for measure in MEASURES
    )
    return Summary(" ".join(told), findings, limits)


def _against(name: str, pairs: Sequence[Paired]) -> str:
    words = []
    for pair in pairs:
        what = "right answers" if pair.measure == ACCURACY.name else "hallucinations"
        low, high = POINTS.number(pair.difference.low), POINTS.number(pair.difference.high)
        p = "p < 0.001" if pair.p_holm < 0.001 else f"p {pair.p_holm:.2g}"
        sure = "" if pair.p_holm < SIGNIFICANT else ", **not significant**"
        words.append(f"{what} {POINTS.value(pair.difference.value)} ({low} to {high}, {p}{sure})")
    return f"Against `{name}`: {', '.join(words)}."


def _limits(parts: Sequence[Answered]) -> tuple[str, ...]:
    rows = [one.row for part in parts for one in part.results]
    found = [
        "Questions about one document are not independent, and one model was asked: intervals speak of "
        "questions like these to this model and are, if anything, too narrow.",
    ]
    if len(parts) > 1:
        found.append("All sets together counts every question alike, so larger sets count more.")
    threads = {str(row.circumstances.get("threads")) for row in rows}
    processors = {str(row.circumstances.get("processor", "not noted")) for row in rows}
    if len(processors) > 1:
        found.append(f"Times were taken on different processors ({', '.join(sorted(processors))}).")
    if len(threads) > 1:
        found.append(
            f"Times were taken with different numbers of threads ({', '.join(sorted(threads))}): "
            "compare them with care."
        )
    if any(row.parameters.get("gpu") for row in rows):
        found.append("Answers were computed with a GPU; on a CPU reading texts takes far longer.")
    codes = {str(row.circumstances.get("code")) for row in rows}
    if len(codes) > 1:
        found.append(f"Answers were made by {len(codes)} states of the code.")
    left_out = sum(part.n_left_out for part in parts)
    if left_out:
        found.append(f"{left_out:,} answers made under earlier settings are left out.")
    return tuple(found)


def _sections(
    parts: Sequence[Answered],
    found: Sequence[Pool],
    made: Mapping[str, Sequence[Figures]],
    pairs: Sequence[Paired],
    line: str,
) -> list[Section]:
    first = found[0]
    systems = [one.system for one in made[first.name]]
    blocks: list[Block] = [systems_figure(first, made[first.name], m) for m in MEASURES]
    sections = [
        Section(
            "Answers, system by system",
            (_READINGS,),
            (
                *blocks,
                *(systems_table(first, made[first.name], checked=checked) for checked in (True, False)),
            ),
        )
    ]
    rivals = opponents(systems)
    if pairs and rivals:
        sections.append(
            Section(
                "Answers, the product against the others",
                ("Every difference is over the questions that both systems answered, as shown.",),
                (
                    differences_figure(found, pairs[0].first, rivals, ACCURACY),
                    differences_figure(found, pairs[0].first, rivals, HALLUCINATION),
                    pairs_table(first, pairs),
                ),
            )
        )
    tables = [types_table(pool, systems, m) for pool in found for m in MEASURES]
    golden = gold_table(first, systems)
    sections.append(
        Section(
            "Answers by set and type of question",
            ("All as shown, with the check.",),
            (*tables, *([] if golden is None else [golden])),
        )
    )
    if (tried := thresholds_table(first, systems)) is not None:
        sections.append(Section("Where answers are withheld", (_WITHHELD,), (tried,)))
    retrieval = [retrieval_table(pool, made[pool.name]) for pool in found]
    sections.append(
        Section("Retrieval apart from reading", (_RETRIEVAL,), tuple(t for t in retrieval if t is not None))
    )
    return [*sections, _effort(parts, first, made[first.name], line)]


def _effort(parts: Sequence[Answered], pool: Pool, made: Sequence[Figures], line: str) -> Section:
    earned = break_even_table(parts, line)
    paragraphs = [
        "Seconds from the question to the first token and to the end of the answer, the check included, and "
        "the tokens of documents or chunks that had to be read for the question."
    ]
    if earned is None:
        paragraphs.append(
            "What ingest cost is not kept with the answers; `beyondrag eval qa --report` counts it and says "
            "after how many questions it has paid for itself."
        )
    blocks: list[Block] = [effort_table(pool, made)]
    return Section("Effort", tuple(paragraphs), tuple(blocks if earned is None else [*blocks, earned]))


def _examples(parts: Sequence[Answered], systems: Sequence[str], ours: str | None) -> list[Section]:
    if ours is None:
        return []
    found: list[Examples] = []
    for rival in opponents(systems):
        both = (pair_examples(parts, ours, rival), pair_examples(parts, rival, ours))
        found += [one for one in both if one is not None]
    if not found:
        return []
    text = (
        "Drawn, not picked: for the product and each other system the questions that one gets right and the "
        "other hallucinates, in both directions, with the texts that each was given. Lines that the model "
        "copied as its evidence are marked where they stand. Long texts are kept only around the evidence."
    )
    return [Section("Answers to read", (text,), tuple(found))]


def _data(
    parts: Sequence[Answered], made: Mapping[str, Sequence[Figures]], pairs: Sequence[Paired]
) -> dict[str, Any]:
    return {
        "sets": {part.set: len({one.id for one in part.results}) for part in parts},
        "figures": {name: to_json(list(some)) for name, some in made.items()},
        "pairs": to_json(list(pairs)),
        "left_out": {part.set: part.n_left_out for part in parts},
    }
