"""Answers on disk: one JSON object for each question and system, found again by a key.

A row is written when its answer is complete and is never changed.  The key is a hash of everything
that affects the answer; what does not (threads, versions) is noted beside it.  Grades are not stored: they
are made from the answer whenever rows are read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from eval.qa.systems import Given, GivenText, Seconds
from eval.sets import Question
from library.wording import without_lone_surrogates

ROW_SCHEMA = 1
"""Raised when rows of before would mean something else."""


@dataclass(frozen=True, slots=True)
class Row:
    """One answer.  `gold` are the ids of the question's documents; `circumstances` do not affect it.

    What does: `key` (see `row_key`).  Processor and threads are circumstances, because they change times and
    no more than the last bits of a logit; a GPU is a parameter, because it has kernels of its own.
    """

    key: str
    set: str
    system: str
    parameters: Mapping[str, object]
    question: Question
    gold: tuple[str, ...]
    given: Given
    circumstances: Mapping[str, object]

    def to_json(self) -> dict[str, Any]:
        """JSON values: texts that are not valid Unicode (orjson refuses them) are made so."""
        values: dict[str, Any] = _valid(asdict(self))
        return values


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


def parse_row(value: Any) -> Row:
    """The row of a decoded JSON object; raises ValueError, TypeError or KeyError when it is none."""
    if not isinstance(value, dict):
        raise TypeError("not an object")
    given = value["given"]
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
                "texts": tuple(GivenText(**text) for text in given["texts"]),
                "seconds": Seconds(**given["seconds"]),
            }
        ),
        circumstances=dict(value["circumstances"]),
    )


def _question(value: dict[str, Any]) -> Question:
    lists = {name: tuple(value[name]) for name in ("answers", "gold_docs", "options", "plausible")}
    hidden = tuple(value.get("hidden", ()))  # rows from before there were hidden documents have none
    return Question(id=value["id"], question=value["question"], type=value["type"], hidden=hidden, **lists)


def _valid(value: Any) -> Any:
    """`value` with texts that are valid Unicode: orjson refuses others."""
    if isinstance(value, str):
        return without_lone_surrogates(value)
    if isinstance(value, Mapping):
        return {str(key): _valid(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_valid(item) for item in value]
    return value
