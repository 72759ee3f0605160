"""Answers on disk: one JSON object for each question and system, found again by a key.

A row is written when its answer is complete and is never changed.  The key is a hash of everything
that affects the answer; what does not (threads, versions) is noted beside it.  Grades are not stored: they
are made from the answer whenever rows are read.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import orjson

from eval.qa.systems import Given, GivenText, Seconds
from eval.sets import Question
from library.files import storage_errors
from library.wording import without_lone_surrogates

ROW_SCHEMA = 1
"""Raised when rows of before would mean something else."""

MAX_LINE_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class Row:
    """One answer.  `gold` are the ids of the question's documents; `circumstances` do not affect it."""

    key: str
    set: str
    system: str
    parameters: Mapping[str, object]
    question: Question
    gold: tuple[str, ...]
    given: Given
    circumstances: Mapping[str, object]


def row_key(question: Question, documents: str, system: str, parameters: Mapping[str, object]) -> str:
    """A key of 32 hex digits for an answer; `documents` is the fingerprint of the set's library.

    The accepted answers are left out, because they affect the grade and not the answer.
    """
    described = {
        "schema": ROW_SCHEMA,
        "id": question.id,
        "question": question.question,
        "options": question.options,
        "gold": question.gold_docs,
        "documents": documents,
        "system": system,
        "parameters": dict(parameters),
    }
    return hashlib.sha256(orjson.dumps(described, option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]


class RowFile:
    """The rows of one file.  For one writer at a time.  Raises StorageError."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> dict[str, Row]:
        """The rows by key, the latest of each; lines that are no rows (a torn last one) are skipped."""
        rows = {}
        for value in read_lines(self.path):
            row = _row(value)
            if row is not None:
                rows[row.key] = row
        return rows

    def append(self, row: Row) -> None:
        """Write a row; it is on the disk when this returns."""
        append_line(self.path, orjson.dumps(_valid(asdict(row))))


def append_line(path: Path, line: bytes) -> None:
    """Append a line and flush it to the disk; a torn line before it is ended first."""
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+b") as file:
            end = file.seek(0, os.SEEK_END)
            if end and (file.seek(end - 1), file.read(1))[1] != b"\n":
                line = b"\n" + line
            file.write(line + b"\n")
            file.flush()
            os.fsync(file.fileno())


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The JSON objects of a file, one a line; nothing when it is not there."""
    with storage_errors(path):
        if not path.exists():
            return
        with path.open("rb") as file:
            while line := file.readline(MAX_LINE_BYTES):
                try:
                    value = orjson.loads(line)
                except orjson.JSONDecodeError:
                    continue
                if isinstance(value, dict):
                    yield value


def _row(value: dict[str, Any]) -> Row | None:
    try:
        given = value["given"]
        texts = tuple(GivenText(**text) for text in given["texts"])
        ranked = given["ranked"]
        return Row(
            key=str(value["key"]),
            set=str(value["set"]),
            system=str(value["system"]),
            parameters=dict(value["parameters"]),
            question=_question(value["question"]),
            gold=tuple(value["gold"]),
            given=Given(
                **{
                    **given,
                    "copies": tuple(given["copies"]),
                    "ranked": None if ranked is None else tuple(ranked),
                    "texts": texts,
                    "seconds": Seconds(**given["seconds"]),
                }
            ),
            circumstances=dict(value["circumstances"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def _question(value: dict[str, Any]) -> Question:
    lists = {name: tuple(value[name]) for name in ("answers", "gold_docs", "options", "plausible")}
    return Question(id=value["id"], question=value["question"], type=value["type"], **lists)


def _valid(value: Any) -> Any:
    """`value` with texts that are valid Unicode: orjson refuses others."""
    if isinstance(value, str):
        return without_lone_surrogates(value)
    if isinstance(value, Mapping):
        return {str(key): _valid(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_valid(item) for item in value]
    return value
