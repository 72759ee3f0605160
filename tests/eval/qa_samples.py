"""Questions, answers and a scripted system for the tests of the qa suite."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eval.qa.rows import Row
from eval.qa.runner import Task
from eval.qa.systems import Cancelled, Given, GivenText, Seconds
from eval.sets import Question

SINGLE = Question("q1", "How old was the keeper?", ("48",), ("harbour.txt",), "single")
COMPARE = Question("q2", "Which is older?", ("the oven",), ("harbour.txt", "bakery.txt"), "compare")
NULL = Question("q3", "Who painted the lamp?", (), ("harbour.txt",), "null")
QUESTIONS = (SINGLE, COMPARE, NULL)


def given(answer: str, **changes: Any) -> Given:
    values: dict[str, Any] = {
        "answer": answer,
        "supported": True,
        "copies": ("a line",),
        "ranked": ("harbour.txt", "bakery.txt"),
        "texts": (GivenText("harbour.txt", "Harbour", "The keeper was 48.", 0, 18),),
        "context_tokens": 40,
        "prefilled_tokens": 0,
        "seconds": Seconds(0.01, 0.2, 1.0),
    }
    return Given(**(values | changes))


def row(question: Question, system: str, answer: str, **changes: Any) -> Row:
    return Row(
        f"{system}/{question.id}",
        "a set",
        system,
        {},
        question,
        question.gold_docs,
        given(answer, **changes),
        {},
    )


class Scripted:
    """A system that says what it was told to; counts what it was asked."""

    def __init__(
        self, name: str, answers: Mapping[str, str], parameters: Mapping[str, object] | None = None
    ) -> None:
        self._name, self._answers, self._parameters = name, answers, parameters or {}
        self.asked: list[str] = []
        self.fails_at = ""

    @property
    def name(self) -> str:
        return self._name

    @property
    def parameters(self) -> Mapping[str, object]:
        return self._parameters

    def applies(self, question: Question) -> bool:
        return question.id in self._answers

    def answer(self, question: Question, cancelled: Cancelled) -> Given:
        if question.id == self.fails_at:
            raise KeyboardInterrupt
        self.asked.append(question.id)
        return given(self._answers[question.id])


def task(**changes: Any) -> Task:
    values: dict[str, Any] = {
        "set": "a set",
        "documents": "fingerprint",
        "questions": QUESTIONS,
        "gold": lambda question: question.gold_docs,
        "common": {"model_sha256": "m"},
        "circumstances": {"threads": 1},
    }
    return Task(**(values | changes))
