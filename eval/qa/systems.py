"""What is compared: a system takes a question and gives an answer with everything that is measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from beyondrag.verdict import MIN_LOG_ODDS
from eval.grading import lettered
from eval.sets import Question
from library.records import DocumentText

MAX_EXCERPT_CHARS = 2400
"""About a chunk; of a whole document the part around the quote or the best passage is kept."""

Cancelled = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class GivenText:
    """A text that the model was given: ``text`` are its characters from `start` on, of `n_chars` in all."""

    document_id: str
    title: str
    text: str
    start: int
    n_chars: int


@dataclass(frozen=True, slots=True)
class Seconds:
    """From the question to: documents or chunks found, first token of the reply, end of the reply."""

    retrieve: float
    first_token: float
    total: float


@dataclass(frozen=True, slots=True)
class Given:
    """What a system gave for one question.

    `answer` is unchecked.  `supported` says whether the check (copied lines stand in the texts, and the
    answer follows from them) holds; None for a system to which it cannot be applied.  `copies` are the lines
    that the model copied, verified or not.  `ranked` are document ids as retrieval ranked them, None without
    retrieval.  `texts` are those that stood in the context, in order.  `prefilled_tokens` counts
    the tokens of documents or chunks read for this question (the question itself is read by all).
    `log_odds` is the second reading's, None where there was no evidence to doubt.
    """

    answer: str
    supported: bool | None
    copies: tuple[str, ...]
    ranked: tuple[str, ...] | None
    texts: tuple[GivenText, ...]
    context_tokens: int
    prefilled_tokens: int
    seconds: Seconds
    log_odds: float | None = None

    @property
    def withheld(self) -> bool:
        """Whether the check as it is today withholds the answer: its threshold is not part of a row."""
        if self.log_odds is not None:
            return self.log_odds < MIN_LOG_ODDS
        return self.supported is False


class System(Protocol):
    """A way to answer.  `parameters` are all that affects its answers beside model and prompt."""

    @property
    def name(self) -> str: ...

    @property
    def parameters(self) -> Mapping[str, object]: ...

    def applies(self, question: Question) -> bool:
        """Whether the question can be put to it (the oracle needs gold documents)."""

    def answer(self, question: Question, cancelled: Cancelled) -> Given:
        """Answer; raises Cancelled, model, library and storage errors."""


def asked(question: Question) -> str:
    """The question as every system puts it: with its options, if it has some."""
    if not question.options:
        return question.question
    return f"{question.question} Options: {lettered(question.options)}. Answer with one of the options."


def excerpt(
    document_id: str, title: str, text: DocumentText, start: int, end: int, around: int | None = None
) -> GivenText:
    """The given part ``text[start:end]``, cut to MAX_EXCERPT_CHARS around an offset of the whole text."""
    first, last = start, end
    if end - start > MAX_EXCERPT_CHARS:
        centre = start if around is None else min(max(around, start), end)
        first = max(start, min(centre - MAX_EXCERPT_CHARS // 2, end - MAX_EXCERPT_CHARS))
        last = first + MAX_EXCERPT_CHARS
    return GivenText(document_id, title, text.text[first:last], first - start, end - start)
