"""The rows as Markdown: divergences in thousandths of a nat."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from eval.compression.arms import Arm
from eval.compression.rows import Measured, Mode, Row
from eval.compression.verdict import Verdict
from eval.report import markdown_table
from eval.scores import summarise

_HEADER = ["cache", "bits/value", "vs f16", "KLD x1000", "95 % interval", "p99", "worst", "same top-1", "PPL"]
_ALONG: dict[Mode, str] = {"text": "along the text", "answer": "along the f16 cache's own answers"}


def table(rows: Sequence[Row]) -> str:
    """One line for each kind of cache."""
    cells = [
        [
            row.name,
            f"{row.bits_per_value:.2f}",
            f"{16 / row.bits_per_value:.1f}x",
            f"{1e3 * row.summary.kld_mean:.2f}",
            f"{1e3 * row.interval[0]:.2f}..{1e3 * row.interval[1]:.2f}",
            f"{1e3 * row.summary.kld_p99:.1f}",
            f"{1e3 * row.summary.kld_max:.1f}",
            f"{100 * row.summary.same_top1:.1f} %",
            f"{100 * row.summary.ppl_change:+.2f} %",
        ]
        for row in rows
    ]
    return markdown_table(_HEADER, cells)


def text_table(rows: Sequence[Row]) -> str:
    """Each text's mean divergence."""
    names = rows[0].text_names
    cells = [[row.name, *(f"{1e3 * one.kld_mean:.2f}" for one in row.texts)] for row in rows]
    return markdown_table(["KLD x1000", *names], cells)


def sections(rows: Sequence[Row]) -> Iterator[str]:
    """For each mode and length: a line that says what it is, the table, and the texts' own."""
    for (mode, context_tokens), part in groupby(rows, lambda row: (row.mode, row.context_tokens)):
        group = list(part)
        n_texts, n_tokens = len(group[0].texts), group[0].summary.n_tokens
        heading = f"{context_tokens} tokens of context, {_ALONG[mode]}: {n_tokens} tokens of {n_texts} texts"
        yield f"{heading}\n\n{table(group)}\n\n{text_table(group)}"


def length_table(rows: Sequence[Row]) -> str:
    """Mean divergence along the text by length, of what was measured at several; empty for one length."""
    lengths = sorted({row.context_tokens for row in rows if row.mode == "text"})
    if len(lengths) < 2:
        return ""
    found = {(row.name, row.context_tokens): row for row in rows if row.mode == "text"}
    cells = []
    for name in dict.fromkeys(name for name, _ in found):
        here = [found.get((name, length)) for length in lengths]
        cells.append([name, *("" if row is None else f"{1e3 * row.summary.kld_mean:.2f}" for row in here)])
    return markdown_table(["KLD x1000", *(f"{length} tokens" for length in lengths)], cells)


def verdict_table(verdicts: Sequence[Verdict]) -> str:
    """The verdicts with their reasons."""
    cells = [[one.codec, one.status, one.reason] for one in verdicts]
    return markdown_table(["cache", "verdict", "why"], cells, left=(0, 1, 2))


def arm_notes(arms: Sequence[Arm]) -> str:
    """Where the methods in the table are from, each once."""
    return "\n".join(f"- {source}" for source in dict.fromkeys(arm.source for arm in arms if arm.source))


def row_line(row: Measured) -> str:
    """One measurement in one line, for progress."""
    summary = summarise(row.scores)
    return (
        f"  {row.cache}: {row.bits_per_value:.2f} bits/value, KLD x1000 {1e3 * summary.kld_mean:.2f}, "
        f"same top-1 {100 * summary.same_top1:.1f} % of {summary.n_tokens} "
        f"({row.case.text}, {row.case.mode}, {row.case.context_tokens} tokens)"
    )
