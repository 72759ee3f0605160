"""The summary as Markdown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from beyondrag.quantities import bytes_in_words, seconds_in_words
from eval.qa.shelf import IngestCost
from eval.qa.strata import AtThreshold, Stratum
from eval.qa.summary import ALL, ANSWERABLE, RANKS, Figures, Paired, Reading
from eval.report import markdown_table
from eval.stats import Estimate

DASH = "–"


def share(estimate: Estimate) -> str:
    """ "62 % (51–73)", in per cent with the 95 % interval; a dash where there is no case."""
    if estimate.n == 0:
        return DASH
    low, high = 100 * estimate.low, 100 * estimate.high
    return f"{100 * estimate.value:.0f} % ({low:.0f}–{high:.0f})"


def counted(estimate: Estimate) -> str:
    """A share with the number of cases behind it."""
    return DASH if estimate.n == 0 else f"{share(estimate)} of {estimate.n}"


def number_of(estimate: Estimate) -> str:
    """How many cases a share stands for, with the share: "52 (58 %, 47–68)"; a dash where there is none."""
    if estimate.n == 0:
        return DASH
    low, high = 100 * estimate.low, 100 * estimate.high
    n = round(estimate.value * estimate.n)
    return f"{n} ({100 * estimate.value:.0f} %, {low:.0f}–{high:.0f})"


def seconds(estimate: Estimate) -> str:
    """A median of seconds with its interval."""
    if estimate.n == 0:
        return DASH
    return f"{estimate.value:.2f} ({estimate.low:.2f}–{estimate.high:.2f})"


def readings_table(figures: Sequence[Figures], *, checked: bool) -> str:
    """Accuracy, hallucination and abstention by system and group."""
    header = [
        "questions",
        "system",
        "n",
        "accuracy",
        "hallucination",
        "abstention precision",
        "abstention recall",
    ]
    return markdown_table(header, [_reading_cells(one, checked=checked) for one in figures], left=(0, 1))


def _reading_cells(one: Figures, *, checked: bool) -> list[str]:
    reading: Reading = one.shown if checked else one.unchecked
    name = one.system if one.checkable or not checked else f"{one.system} (no check possible)"
    return [
        one.group,
        name,
        str(one.n),
        share(reading.accuracy),
        share(reading.hallucination),
        counted(reading.abstention_precision),
        counted(reading.abstention_recall),
    ]


def retrieval_table(figures: Sequence[Figures]) -> str:
    """Gold recall by rank, and reading where all gold documents were given."""
    answerable = any(one.group == ANSWERABLE for one in figures)  # the same questions as all of them
    header = [
        "questions",
        "system",
        *(f"gold in top {k}" for k in RANKS),
        "all gold given",
        "accuracy given all gold",
    ]
    rows = [
        [
            one.group,
            one.system,
            *(share(one.retrieval.recall[k]) for k in RANKS),
            counted(one.retrieval.all_given),
            counted(one.retrieval.accuracy_given_gold),
        ]
        for one in figures
        if one.retrieval.all_given.n and (one.group != ALL or not answerable)
    ]
    return markdown_table(header, rows, left=(0, 1)) if rows else ""


def strata_table(strata: Sequence[Stratum]) -> str:
    """Numbers of right answers and hallucinations by number of gold documents, under both readings."""
    header = [
        "questions",
        "system",
        "n",
        "right, shown",
        "hallucinated, shown",
        "right, unchecked",
        "hallucinated, unchecked",
    ]
    rows = [
        [
            one.group,
            one.system,
            str(one.n),
            *(number_of(e) for r in (one.shown, one.unchecked) for e in (r.accuracy, r.hallucination)),
        ]
        for one in strata
    ]
    return markdown_table(header, rows, left=(0, 1))


def thresholds_table(found: Sequence[AtThreshold]) -> str:
    """Numbers of answers that the check would show or withhold at each threshold."""
    header = ["system", "log-odds at least", "right and shown", "wrong and shown", "unanswerable, withheld"]
    rows = [
        [
            one.system,
            "any" if one.threshold is None else f"{one.threshold:g}",
            *(
                f"{number_of(e)} of {e.n}" if e.n else DASH
                for e in (one.right_shown, one.wrong_shown, one.null_withheld)
            ),
        ]
        for one in found
    ]
    return markdown_table(header, rows)


def effort_table(figures: Sequence[Figures]) -> str:
    """Medians of time and of prefilled tokens."""
    header = ["system", "n", "first token, s", "whole answer, s", "tokens prefilled"]
    rows = [
        [
            one.system,
            str(one.n),
            seconds(one.effort.first_token_s),
            seconds(one.effort.total_s),
            f"{one.effort.prefilled_tokens.value:,.0f}" if one.n else DASH,
        ]
        for one in figures
    ]
    return markdown_table(header, rows)


def pairs_table(pairs: Sequence[Paired]) -> str:
    """Paired tests: how often only one of two was right (or hallucinated), and how sure the difference is."""
    return markdown_table(_PAIR, [_pair_cells(pair) for pair in pairs], left=(0, 1, 2))


def grouped_pairs_table(pairs: Sequence[tuple[str, Paired]]) -> str:
    """The same with the group of questions before it."""
    rows = [[group, *_pair_cells(pair)] for group, pair in pairs]
    return markdown_table(["questions", *_PAIR], rows, left=(0, 1, 2, 3))


_PAIR = ("measure", "A", "B", "n", "only A", "only B", "A - B, points", "p", "p (Holm)")


def _pair_cells(pair: Paired) -> list[str]:
    return [
        pair.measure,
        pair.first,
        pair.second,
        str(pair.n),
        str(pair.only_first),
        str(pair.only_second),
        points(pair.difference),
        p_value(pair.p),
        p_value(pair.p_holm),
    ]


def points(difference: Estimate) -> str:
    """ "+12 (+3 to +21)", in per cent points."""
    value, low, high = (100 * x for x in (difference.value, difference.low, difference.high))
    return f"{value:+.0f} ({low:+.0f} to {high:+.0f})"


def p_value(p: float) -> str:
    """Three digits, or "<0.001"."""
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def cost_sentences(
    cost: IngestCost, break_even: Mapping[str, float], chunk_seconds: Mapping[str, float]
) -> str:
    """What ingest has cost, and after how many questions it has paid for itself."""
    if cost.tokens == 0:
        return "Ingest: its cost was not measured here (the snapshots were there, or coded from exact ones)."
    lines = [
        f"Ingest: {cost.tokens:,} tokens read in {seconds_in_words(cost.seconds)} "
        f"({cost.tokens / max(cost.seconds, 1e-9):.0f} tokens/s), {bytes_in_words(cost.bytes)} of snapshots."
    ]
    if cost.all_tokens > cost.tokens:
        lines.append(
            f"Only a part was read; all {cost.all_tokens:,} tokens would take "
            f"{seconds_in_words(cost.whole_seconds)} at this rate, which is what the next lines count."
        )
    for name, seconds_spent in chunk_seconds.items():
        lines.append(f"Chunks and index of {name}: {seconds_in_words(seconds_spent)}.")
    for name, questions in break_even.items():
        lines.append(f"Against {name}: {_break_even_in_words(questions)}.")
    return "\n".join(f"- {line}" for line in lines)


def _break_even_in_words(questions: float) -> str:
    if math.isnan(questions):
        return "no question was answered by both"
    if math.isinf(questions):
        return "ingest never pays for itself, a question takes no less time"
    return f"ingest has paid for itself after {math.ceil(questions):,} questions"
