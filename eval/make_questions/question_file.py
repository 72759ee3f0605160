"""The questions that were kept: plain JSONL, which belongs to the person who edits it.

Rows are only ever appended.  A question that was changed or deleted stays so.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import orjson

from eval.sets import NULL, Question, read_questions
from library.files import storage_errors

ID_PREFIX = "drafted-"


class QuestionFile:
    """`questions` are those in the file, as they stand there now.  Raises SetError for a bad line."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.questions: list[Question] = read_questions(path) if path.exists() else []

    def count(self, *, null: bool) -> int:
        """Drafted questions in the file."""
        return sum(q.is_null == null for q in self.questions if q.id.startswith(ID_PREFIX))

    def holds(self, question_id: str) -> bool:
        return any(question.id == question_id for question in self.questions)

    def append(self, row: dict[str, Any]) -> None:
        """Append a row; it is on the disk when this returns.  Raises StorageError."""
        with storage_errors(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a+b") as file:
                end = file.seek(0, os.SEEK_END)
                unended = end > 0 and (file.seek(end - 1), file.read(1))[1] != b"\n"
                file.write((b"\n" if unended else b"") + orjson.dumps(row) + b"\n")
                file.flush()
                os.fsync(file.fileno())
        self.questions.append(
            Question(
                row["id"],
                row["question"],
                tuple(row["answers"]),
                tuple(row["gold_docs"]),
                row["type"],
                hidden=tuple(row.get("hidden", ())),
            )
        )


def single_row(
    fact_key: str, question: str, answer: str, document: str, place: dict[str, str]
) -> dict[str, Any]:
    """A question that `document` answers; `place` says where, for the person who checks it."""
    asked = {"id": ID_PREFIX + fact_key, "question": question, "answers": [answer], "gold_docs": [document]}
    return asked | {"type": "single", **place}


def null_row(
    fact_key: str, question: str, answer: str, documents: tuple[str, ...], place: dict[str, str]
) -> dict[str, Any]:
    """A question that only the hidden files `documents` of one document would answer, with `answer`."""
    asked = {"id": ID_PREFIX + fact_key, "question": question, "answers": [], "gold_docs": []}
    return asked | {"type": NULL, "hidden": list(documents), "hidden_answer": answer, **place}
