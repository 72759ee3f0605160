"""Whether a drafted question can be kept, as far as words can tell; the model's part is in `examiner`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Set
from dataclasses import dataclass
from enum import StrEnum

from beyondrag.content import YES_NO, content_words
from beyondrag.evidence import FoldedText
from beyondrag.verdict import says_not_stated
from library.analysis import stem_analyzer
from library.wording import one_line

MIN_QUESTION_WORDS, MAX_QUESTION_WORDS = 4, 40
MAX_ANSWER_WORDS = 10
MIN_ASKED = 2
"""Words of a question that say what it is about."""
MIN_GROUNDED = 0.5
"""Share of these that must stand in the passage: a question is about what it was drafted from."""
SAME_WORDS = 0.8
"""Share of common words (of all words of both) from which two questions are one."""

_ASKING = frozenset(
    "what which who whom whose when where why how many much did does do has have had will would can could "
    "than then there about into name named kind type".split()
)
_POINTING = re.compile(
    r"\b(this|that|these|those|the (above|following|given|provided)|"
    r"the (excerpt|passage|fact|snippet|statement|sentence|quote)|"
    r"(in|by|to|from|of|does) the (document|text|file|article)|he|she|they|it|him|her|them|his|their|its)\b",
    re.IGNORECASE,
)
"""Words that mean something only to a reader of the passage.  ("That" as a conjunction goes with them.)"""


class Refusal(StrEnum):
    """Why a draft was not kept; the value is what a person reads."""

    NO_QUESTION = "no question of 4 to 40 words"
    POINTS = "the question points to the passage, or says he, she or it"
    VAGUE = "the question names too little, or what the passage does not hold"
    NO_ANSWER = "no short answer that stands word for word in the statement"
    GIVEN_AWAY = "the question holds the answer"
    DUPLICATE = "asked already"
    SEVERAL_PLACES = "another place of the document answers it too"
    NOT_ANSWERED = "the model does not answer it from its own passage"
    AMBIGUOUS = "another passage gives another answer"
    TOO_LONG = "its passage does not fit into the context"
    STILL_ANSWERED = "without its document others may still answer it"


@dataclass(frozen=True, slots=True)
class Draft:
    """A question and its answer, as the document writes it."""

    question: str
    answer: str


class Stems:
    """The words of a text that say something, as stems of the search index; each text analysed once."""

    def __init__(self) -> None:
        self._analyzer = stem_analyzer()

    def of(self, text: str) -> frozenset[str]:
        """The stems of a text."""
        return frozenset(self._analyzer.analyze(" ".join(word.folded for word in content_words(text))))

    def asked(self, question: str) -> frozenset[str]:
        """Those that say what a question is about."""
        words = [w.folded for w in content_words(question) if w.folded not in _ASKING]
        return frozenset(self._analyzer.analyze(" ".join(words)))


def tidy(question: str, answer: str, statement: str) -> Draft | Refusal:
    """The draft in one line, its answer as `statement` writes it; or why it cannot be one."""
    asked = one_line(question, 4 * MAX_QUESTION_WORDS * 10)
    asked = asked[: asked.find("?") + 1].strip(" \"'“”*")
    n_words = len(asked.split())
    if not asked.endswith("?") or not MIN_QUESTION_WORDS <= n_words <= MAX_QUESTION_WORDS:
        return Refusal.NO_QUESTION
    wanted = answer.strip().strip("\"'“”*").rstrip(".").strip()
    words = content_words(wanted)
    found = FoldedText(statement).find(wanted)
    if found is None or not words or words[0].folded in YES_NO or says_not_stated(wanted):
        return Refusal.NO_ANSWER
    exact = " ".join(statement[found.start : found.end].split())
    if len(exact.split()) > MAX_ANSWER_WORDS or len(words) >= len(content_words(statement)):
        return Refusal.NO_ANSWER
    return Draft(asked, exact)


def refusal(draft: Draft, passage: frozenset[str], stems: Stems) -> Refusal | None:
    """What is wrong with a tidy draft about a passage with these stems (its title's among them)."""
    if _POINTING.search(draft.question):
        return Refusal.POINTS
    asked = stems.asked(draft.question)
    answer = stems.of(draft.answer)
    if FoldedText(draft.question).find(draft.answer) is not None or answer <= asked:
        return Refusal.GIVEN_AWAY
    if len(asked) < MIN_ASKED or len(asked & passage) < MIN_GROUNDED * len(asked):
        return Refusal.VAGUE
    return None


def is_duplicate(asked: Set[str], others: Iterable[Set[str]]) -> bool:
    """Whether a question with these stems is one of the others in other words."""
    return any(len(asked & other) >= SAME_WORDS * len(asked | other) for other in others)


def covers(asked: frozenset[str], gold: frozenset[str], other: frozenset[str]) -> bool:
    """Whether another passage holds every word of a question that its own passage holds."""
    return asked & gold <= other
