"""The summary as text."""

from __future__ import annotations

import math
from collections.abc import Sequence

from eval.recall.arms import EXACT, NO_DOCUMENT
from eval.recall.summary import ArmResult, RecallSummary, TaskResult
from eval.report import markdown_table
from eval.stats import Estimate


def text(found: RecallSummary, answers: Sequence[str]) -> str:
    """Everything for people: the answers, then scores, grids, groups of questions."""
    parts = ["At which bits does each task start to fail?\n\n" + "\n".join(f"- {line}" for line in answers)]
    for result in found.tasks:
        head = f"{result.task}, {result.context_tokens} tokens, {result.n_documents} documents"
        parts.append(f"{head}\n\n{_scores(result)}")
        grid = _grid(result)
        if grid:
            parts.append(grid)
        groups = _strata(result)
        if groups:
            parts.append(groups)
    notes = (
        "* the difference from the untouched cache has a 95 % interval that excludes 0, on the bad side. "
        "Intervals: Wilson for shares, bootstrap over documents for everything else. Every setting is one of "
        "many comparisons, and with few documents the intervals are too narrow: of settings that cost "
        "nothing about 8 % will bear a star with 5 documents, 6 % with 8, 4 % with 20."
    )
    return "\n\n".join([*parts, notes])


def _scores(result: TaskResult) -> str:
    header = ["cache", "bits/value", "score", "95 %", "n", "less exact", "95 %", "nll", "less exact", "95 %"]
    header += ["tokens right", "first wrong", "reply"]
    return markdown_table(header, [_score_row(arm) for arm in result.arms])


def _score_row(arm: ArmResult) -> list[str]:
    is_exact = arm.arm == EXACT
    return [
        arm.arm,
        "-" if arm.bits_per_value is None else f"{arm.bits_per_value:.2f}",
        f"{arm.score.value:.3f}",
        _interval(arm.score),
        str(arm.score.n),
        "-" if is_exact else f"{arm.difference.value:+.3f}{'*' if arm.fails else ''}",
        _interval(arm.difference, "+.3f"),
        f"{arm.nll.value:.3f}",
        "-" if is_exact else f"{arm.nll_difference.value:+.3f}{'*' if arm.damaged else ''}",
        _interval(arm.nll_difference, "+.3f"),
        f"{100 * arm.agreement.value:.1f} %",
        f"{arm.first_wrong.value:.1f}",
        f"{arm.reply_score.value:.3f} (n={arm.reply_score.n})" if arm.reply_score.n else "-",
    ]


def _grid(result: TaskResult) -> str:
    """The heat map; empty when fewer than two settings of each were measured."""
    heat = result.heat_map
    if len(heat.k_bits) < 2 or len(heat.v_bits) < 2:
        return ""
    rows = []
    for k, scores, fails in zip(heat.k_bits, heat.scores, heat.fails, strict=True):
        cells = [
            "" if score is None else f"{score:.3f}{'*' if failed else ' '}"
            for score, failed in zip(scores, fails, strict=True)
        ]
        rows.append([f"K {k}", *cells])
    return markdown_table([f"{result.task}: score", *(f"V {v}" for v in heat.v_bits)], rows)


def _strata(result: TaskResult) -> str:
    """Scores by group of questions for the arms that bound the others, and those of equal bits.

    Empty when there is one group only.
    """
    shown = [arm for arm in result.arms if arm.arm in (EXACT, NO_DOCUMENT) or arm.k_bits == arm.v_bits]
    names = sorted({name for arm in shown for name, _ in arm.strata})
    if len(names) < 2:
        return ""
    rows = []
    for arm in shown:
        scores = dict(arm.strata)
        cells = [f"{scores[n].value:.2f} (n={scores[n].n})" if n in scores else "-" for n in names]
        rows.append([arm.arm, *cells])
    return markdown_table([f"{result.task}: score", *names], rows)


def _interval(estimate: Estimate, form: str = ".3f") -> str:
    if math.isnan(estimate.low):
        return "-"
    return f"{estimate.low:{form}}..{estimate.high:{form}}"
