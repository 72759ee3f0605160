"""What became of a question: right, wrong or abstained, and whether the answer is a hallucination."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from beyondrag.verdict import says_not_stated
from eval.grading import Grade, grade
from eval.sets import Question


class Outcome(StrEnum):
    """On a `null` question an abstention is what was wanted, and there is no right answer."""

    RIGHT = "right"
    WRONG = "wrong"
    ABSTAINED = "abstained"


@dataclass(frozen=True, slots=True)
class Judged:
    """`good`: right, or abstained where the documents do not answer.  `hallucinated`: answered and not
    right.  `grade` is None for an abstention and on `null` questions."""

    outcome: Outcome
    good: bool
    hallucinated: bool
    grade: Grade | None


def judge(question: Question, answer: str, *, withheld: bool = False) -> Judged:
    """Judge an answer; one that was `withheld`, is empty or says "not stated" is an abstention.

    The product's own function decides what says "not stated".
    """
    if withheld or says_not_stated(answer):
        return Judged(Outcome.ABSTAINED, question.is_null, hallucinated=False, grade=None)
    if question.is_null:
        return Judged(Outcome.WRONG, good=False, hallucinated=True, grade=None)
    found = grade(answer, question.answers, question.options)
    outcome = Outcome.RIGHT if found.right else Outcome.WRONG
    return Judged(outcome, found.right, not found.right, found)
