"""Decides whether a drafted question is kept: words first, the model last."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Protocol

from beyondrag.support import find_support
from eval.grading import is_right
from eval.make_questions.checks import Draft, Refusal, is_duplicate, refusal
from eval.make_questions.collection import Collection, Rival
from eval.make_questions.facts import Fact

MAX_RIVALS = 3
"""More passages that hold all that a question names, and it is about none of them in particular."""


class Examines(Protocol):
    """See `examiner.Examiner`."""

    def answer(self, question: str, title: str, passage: str) -> str | None: ...


class Gate:
    """Knows the `asked` questions, so that none is kept twice."""

    def __init__(self, collection: Collection, examiner: Examines, asked: Iterable[str]) -> None:
        self._collection, self._examiner = collection, examiner
        self._asked = [collection.stemmer.asked(question) for question in asked]

    def note(self, question: str) -> None:
        """A question has been kept."""
        self._asked.append(self._collection.stemmer.asked(question))

    def refusal(self, draft: Draft, fact: Fact, *, hidden: bool) -> Refusal | None:
        """Why a tidy draft cannot be kept, or None; `hidden`: it will be asked without its document.

        Raises Cancelled, ContextOverflow, model errors.
        """
        found = self._of_itself(draft, fact)
        if found is not None:
            return found
        rivals = list(islice(self._collection.rivals(draft, fact, hidden=hidden), MAX_RIVALS + 1))
        return self._among_others(draft, fact, rivals, hidden=hidden) or self._examined(draft, fact, rivals)

    def _of_itself(self, draft: Draft, fact: Fact) -> Refusal | None:
        collection = self._collection
        title = collection.document(fact.document_id).title
        found = refusal(draft, collection.stems(title, collection.passage(fact)), collection.stemmer)
        if found is None and is_duplicate(collection.stemmer.asked(draft.question), self._asked):
            return Refusal.DUPLICATE
        return found

    def _among_others(
        self, draft: Draft, fact: Fact, rivals: Sequence[Rival], *, hidden: bool
    ) -> Refusal | None:
        """Whether other passages fit the question as well, by their words.

        For a hidden document only words decide: dropping the questions that the model would answer wrongly
        without it would leave those that it withholds anyway, and make the set easy.
        """
        if hidden:
            support = find_support(draft.question, draft.answer, self._collection.near_texts(draft, fact))
            return Refusal.STILL_ANSWERED if rivals or support is not None else None
        if any(rival.holds_answer for rival in rivals):
            return Refusal.SEVERAL_PLACES
        return Refusal.AMBIGUOUS if len(rivals) > MAX_RIVALS else None

    def _examined(self, draft: Draft, fact: Fact, rivals: Sequence[Rival]) -> Refusal | None:
        """Whether the model answers the question from its own passage, and from no other."""
        collection = self._collection
        title, passage = collection.document(fact.document_id).title, collection.passage(fact)
        own = self._examiner.answer(draft.question, title, passage)
        if own is None or not is_right(own, (draft.answer,)):
            return Refusal.NOT_ANSWERED
        for rival in rivals:
            if self._examiner.answer(draft.question, rival.title, rival.passage) is not None:
                return Refusal.AMBIGUOUS
        return None
