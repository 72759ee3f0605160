"""Put questions to systems, keeping every answer; what is there already is not asked again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from eval.qa.rows import Row, row_key
from eval.qa.systems import Cancelled, System
from eval.rowfile import RowFile
from eval.sets import Question
from kvfiles.errors import Cancelled as Stopped

Progress = Callable[[int, int, str], None]
"""Answers made now, answers to be made now, and what is under way."""


@dataclass(frozen=True, slots=True)
class Task:
    """One set's questions for some systems that share a model.

    `documents` is the fingerprint of the library, `common` the parameters that all systems share, `gold`
    gives the documents of a question, `circumstances` are noted with each answer.
    """

    set: str
    documents: str
    questions: Sequence[Question]
    gold: Callable[[Question], tuple[str, ...]]
    common: Mapping[str, object]
    circumstances: Mapping[str, object]


def run(
    task: Task,
    systems: Sequence[System],
    file: RowFile[Row],
    *,
    progress: Progress = lambda _done, _total, _what: None,
    cancelled: Cancelled = lambda: False,
    on_row: Callable[[Row], None] = lambda _row: None,
    keep: Callable[[Row], bool] = lambda _row: True,
) -> list[Row]:
    """The rows of all questions and systems, question by question, so that a stop leaves paired answers.

    `on_row` sees every answer that is made now; what `keep` refuses of those on the disk is made again.
    Raises Cancelled; answers made until then are kept.
    """
    known = {key: row for key, row in file.rows.items() if keep(row)}
    wanted = [
        (question, system, _key(task, question, system))
        for question in task.questions
        for system in systems
        if system.applies(question)
    ]
    missing = sum(key not in known for _, _, key in wanted)
    rows: list[Row] = []
    made = 0
    for question, system, key in wanted:
        row = known.get(key)
        if row is not None:
            rows.append(replace(row, question=question))  # its accepted answers may have been mended
            continue
        if cancelled():
            raise Stopped("stopped", remedy="the same command goes on where this one stopped")
        progress(made, missing, f"{system.name}: {question.id}")
        row = Row(
            key=key,
            set=task.set,
            system=system.name,
            parameters={**task.common, **system.parameters},
            question=question,
            gold=task.gold(question),
            given=system.answer(question, cancelled),
            circumstances=task.circumstances,
        )
        file.add(row)
        rows.append(row)
        made += 1
        progress(made, missing, f"{system.name}: {question.id}")
        on_row(row)
    return rows


def _key(task: Task, question: Question, system: System) -> str:
    return row_key(question, task.documents, system.name, {**task.common, **system.parameters})
