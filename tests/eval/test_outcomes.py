"""Right, wrong, abstained; and what is a hallucination."""

from __future__ import annotations

import pytest

from eval.outcomes import Outcome, judge
from eval.sets import Question

ASKED = Question("1", "How old?", ("48",), ("a",), "single")
NULL = Question("2", "How old?", ("unanswerable",), ("a",), "null")


@pytest.mark.parametrize(
    ("question", "answer", "withheld", "outcome", "good", "hallucinated"),
    [
        (ASKED, "48 years", False, Outcome.RIGHT, True, False),
        (ASKED, "50", False, Outcome.WRONG, False, True),
        (ASKED, "48 years", True, Outcome.ABSTAINED, False, False),
        (ASKED, "not stated", False, Outcome.ABSTAINED, False, False),
        (ASKED, "", False, Outcome.ABSTAINED, False, False),
        (NULL, "Not stated in the report.", False, Outcome.ABSTAINED, True, False),
        (NULL, "50", True, Outcome.ABSTAINED, True, False),
        (NULL, "50", False, Outcome.WRONG, False, True),
        (NULL, "yes", False, Outcome.WRONG, False, True),
    ],
)
def test_outcomes(
    question: Question, answer: str, withheld: bool, outcome: Outcome, good: bool, hallucinated: bool
) -> None:
    found = judge(question, answer, withheld=withheld)
    assert (found.outcome, found.good, found.hallucinated) == (outcome, good, hallucinated)
    assert (found.grade is None) == (outcome is Outcome.ABSTAINED or question is NULL)


def test_abstention_is_decided_by_the_product(monkeypatch: pytest.MonkeyPatch) -> None:
    import eval.outcomes

    monkeypatch.setattr(eval.outcomes, "says_not_stated", lambda answer: answer == "pass")
    assert judge(ASKED, "pass").outcome is Outcome.ABSTAINED
    assert judge(ASKED, "not stated").outcome is Outcome.WRONG
