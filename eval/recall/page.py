"""The report about recall: at which bits each task starts to fail, with a heat map for each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from eval.page import (
    Axis,
    Basis,
    Block,
    Cell,
    Chapter,
    Command,
    Finding,
    HeatMap,
    Quantity,
    Section,
    Summary,
    Table,
    shown,
)
from eval.page.chapters import Facts
from eval.recall.arms import EXACT
from eval.recall.clusters import MIN_DOCUMENTS
from eval.recall.rows import Row
from eval.recall.summary import RecallSummary, TaskResult, summary
from eval.recall.tasks import all_tasks
from eval.recall.verdicts import answer, paths

_SCORE = Quantity("Score", percent=True, digits=0, better="higher")
_LESS = Quantity("Difference from exact", "points", percent=True, signed=True)
_NLL = Quantity("Answer's NLL", "nats a token", digits=3, better="lower")
_INTERVALS = "95 % Wilson for shares, percentile bootstrap over documents for everything else"
_ABOUT = (
    "Generated documents that no prior helps with; the same questions behind every cache. A setting fails "
    "when its score is below that of the untouched cache (`exact`) by a 95 % interval, over documents, that "
    "excludes zero. `no document` shows what guessing gives: a task on which the untouched cache does no "
    "better cannot show what a codec costs."
)
_NOISE = (
    "Every setting is one of many comparisons, and percentile intervals of few documents are too narrow: of "
    "settings that cost nothing about 8 % will seem to fail with 5 documents, 6 % with 8, 4 % with 20."
)


def chapter(rows: Iterable[Row], *, command: str | None = None, facts: Facts | None = None) -> Chapter:
    """Everything about rows of one model; raises UsageError like `summary`."""
    found = summary(rows)
    line = command or _command(found)
    note = "" if command else "with the same --samples and --lines, if they were given"
    tasks = [_task(result, line) for result in found.tasks]
    return Chapter(
        "recall",
        _summary(found),
        (
            Section("Recall: at which bits each task starts to fail", (_ABOUT,), (_failing(found, line),)),
            *tasks,
        ),
        (Command(line, note),),
        (("Model", found.model), ("Model SHA-256", found.model_sha256)) if facts is None else facts,
        (),
        _data(found),
    )


def _command(found: RecallSummary) -> str:
    tasks = ",".join(dict.fromkeys(result.task for result in found.tasks))
    lengths = {result.context_tokens for result in found.tasks}
    seed = f" --seed {found.seeds[0]}" if len(found.seeds) == 1 else ""
    tokens = f" --context-tokens {next(iter(lengths))}" if len(lengths) == 1 else ""
    return f"beyondrag eval recall --tasks {tasks}{tokens}{seed}"


def _heading(result: TaskResult) -> str:
    return f"{result.task}, {result.context_tokens:,} tokens"


def _first_failing(result: TaskResult, measure: str, name: str = "any") -> str | None:
    found = [path for path in paths(result) if path.measure == measure and path.name == name]
    return found[0].first_failing if found else None


def _usable(result: TaskResult) -> bool:
    return result.n_documents >= MIN_DOCUMENTS and result.arm(EXACT) is not None


def _summary(found: RecallSummary) -> Summary:
    told, silent = [], []
    for result in found.tasks:
        if not _usable(result) or result.informative is False:
            silent.append(_heading(result))
            continue
        failing = _first_failing(result, "score")
        told.append(f"{_heading(result)}: {f'first at `{failing}`' if failing else 'never'}")
    text = f"**Recall, {found.model}.** By falling bits, the score falls below that of the untouched cache: "
    parts = [text + "; ".join(told) + "."] if told else []
    if silent:
        lead = "" if told else f"**Recall, {found.model}.** "
        why = "too few documents, or the model cannot do the task at all"
        parts.append(f"{lead}No answer for {'; '.join(silent)}: {why}.")
    findings = tuple(
        Finding(_heading(result), _SCORE, shown(exact.score), "the untouched cache")
        for result in found.tasks
        if (exact := result.arm(EXACT)) is not None
    )
    return Summary(" ".join(parts), findings, (_NOISE,))


def _failing(found: RecallSummary, line: str) -> Table:
    rows = []
    for result in found.tasks:
        for name in ("K", "V", "K and V", "any"):
            some = {path.measure: path for path in paths(result) if path.name == name}
            if not some or not _usable(result):
                continue
            least = some["score"].arms[-1]
            by_score = some["score"].first_failing or f"none down to {least}"
            if result.informative is False:
                by_score = "cannot be told"
            likely = some["likelihood"].first_failing or f"none down to {least}"
            recovers = ", ".join(some["score"].recovers)
            what = "every setting" if name == "any" else name
            rows.append((_heading(result), what, by_score, recovers, likely))
    n = sum(result.n_documents for result in found.tasks)
    columns = (
        "Task",
        "What falls",
        "First failing, by score",
        "Does not fail behind it",
        "First failing, by likelihood",
    )
    note = (
        "K alone and V alone: the other one at its most bits. By likelihood: the true answer becomes less "
        "likely, which shows before a score does."
    )
    basis = Basis(n, "documents", "verdicts by 95 % percentile bootstrap over documents", line)
    return Table("The first failing bits", columns, tuple(rows), basis, note, in_summary=True)


def _task(result: TaskResult, line: str) -> Section:
    n = max((arm.score.n for arm in result.arms), default=0)
    basis = Basis(n, f"questions about {result.n_documents} documents", _INTERVALS, line)
    blocks: list[Block] = []
    heat = _heat_map(result, basis)
    if heat is not None:
        blocks.append(heat)
    blocks.append(_table(result, basis))
    task = all_tasks().get(result.task)
    about = (f"The task: {task.about}.",) if task else ()
    return Section(f"Recall: {_heading(result)}", (*about, answer(result)), tuple(blocks))


def _heat_map(result: TaskResult, basis: Basis) -> HeatMap | None:
    """Score by bits of K and V; None when fewer than two of each were measured."""
    heat = result.heat_map
    if len(heat.k_bits) < 2 or len(heat.v_bits) < 2:
        return None
    arms = {(arm.k_bits, arm.v_bits): arm for arm in result.arms}
    rows = []
    for k in heat.k_bits:
        found = [arms.get((k, v)) for v in heat.v_bits]
        cells = (Cell(None) if arm is None else Cell(shown(arm.score), arm.fails) for arm in found)
        rows.append((f"K {k}", tuple(cells)))
    return HeatMap(
        f"{_heading(result)}: score by bits",
        "bits of V",
        "bits of K",
        tuple(f"V {v}" for v in heat.v_bits),
        tuple(rows),
        Axis(_SCORE, low=0, high=1),
        basis,
        "below the untouched cache by a 95 % interval",
    )


def _table(result: TaskResult, basis: Basis) -> Table:
    columns = (
        "Cache",
        Quantity("Bits a value", digits=2, better="lower"),
        _SCORE,
        _LESS,
        _NLL,
        Quantity("NLL, difference", "nats a token", digits=3, signed=True, better="lower"),
        Quantity("Tokens right", percent=True, better="higher"),
    )
    rows = tuple(
        (
            arm.arm,
            arm.bits_per_value,
            shown(arm.score),
            shown(arm.difference),
            shown(arm.nll),
            shown(arm.nll_difference),
            shown(arm.agreement),
        )
        for arm in result.arms
    )
    return Table(f"{_heading(result)}: every cache", columns, rows, basis)


def _data(found: RecallSummary) -> dict[str, Any]:
    return {
        "model_sha256": found.model_sha256,
        "seeds": found.seeds,
        "tasks": [
            {
                "task": result.task,
                "context_tokens": result.context_tokens,
                "documents": result.n_documents,
                "informative": result.informative,
                "answer": answer(result),
                "paths": [path.to_json() for path in paths(result)],
                "arms": [arm.to_json() for arm in result.arms],
            }
            for result in found.tasks
        ],
    }
