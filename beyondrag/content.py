"""The words of a question, an answer or a text that say something, in one spelling."""

from __future__ import annotations

from beyondrag.evidence import Word, words
from beyondrag.spelled_numbers import with_digits

FUNCTION_WORDS = frozenset(
    "a an the of in on at to for by with from and or is was were are be been it its this that as".split()
)


YES_NO = frozenset(("yes", "no"))
"""Answers that stand for a statement of the question: where the word itself stands says nothing."""


def content_words(text: str) -> list[Word]:
    """The words of a text that say something, numbers as digits: no articles, prepositions and the like."""
    return [word for word in with_digits(words(text)) if word.folded not in FUNCTION_WORDS]
