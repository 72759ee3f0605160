"""One question in the words that each step needs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Query:
    """`asked` is the question as the person put it; it is what the answer repeats.

    `search` is what documents are looked for with, `about` what an answer is checked against: for a
    follow-up both name what it refers to.  `before` is plain text in front of the question, within the
    same turn: the questions and answers that it follows.
    """

    asked: str
    search: str
    about: str
    before: str = ""


def standing_alone(question: str) -> Query:
    """A question that needs no other one to be understood."""
    return Query(question, question, question)
