"""One question from retrieval to the answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, replace

import numpy as np

from beyondrag.asking import Asking
from beyondrag.choosing import Choice, Chooser, read_documents
from beyondrag.desk import Desk
from beyondrag.errors import UsageError
from beyondrag.events import (
    AnswerDelta,
    Attached,
    Chosen,
    Done,
    Event,
    EvidenceDelta,
    Timings,
)
from beyondrag.placing import Placement, Placer
from beyondrag.query import Query, standing_alone
from beyondrag.verdict import Circumstances, conclude
from ingest.reader import PrefixFacts
from library.records import DocumentRecord

MAX_QUESTION_CHARS = 4000
ANSWER_TOKENS = 256


@dataclass(frozen=True, slots=True)
class AskOptions:
    """How to answer.

    `documents` pins documents by name or id; `exact` prefills everything again instead of attaching
    snapshots; `repair_tokens` recomputes that many first tokens of documents 2..n; `check` withholds an
    answer without verified evidence.
    """

    top_k: int = 3
    documents: tuple[str, ...] = ()
    exact: bool = False
    repair_tokens: int = 0
    check: bool = True
    max_tokens: int = ANSWER_TOKENS


def check_question(question: str) -> str:
    """The question, trimmed.  Raises UsageError when it is empty or too long."""
    text = " ".join(question.split())
    if not text:
        raise UsageError(
            "the question is empty", remedy='ask something: beyondrag ask "How old was the pilot?"'
        )
    if len(text) > MAX_QUESTION_CHARS:
        raise UsageError(
            f"the question has {len(text):,} characters; at most {MAX_QUESTION_CHARS:,} can be answered",
            remedy="shorten it, or ingest the long text as a document and ask about that",
        )
    return text


class Turn:
    """The steps of answering one question: choose, place, answer; the context is left dirty.

    `started` is when the question was asked (`time.perf_counter`), `open_s` how long the model took.
    """

    def __init__(
        self,
        desk: Desk,
        options: AskOptions,
        facts: PrefixFacts,
        cancelled: Callable[[], bool] | None,
        *,
        started: float,
        open_s: float,
    ) -> None:
        self._desk, self._options, self._facts, self._cancelled = desk, options, facts, cancelled
        self._started = started
        self._timings = Timings(open_s=open_s)
        self.chooser = Chooser(
            desk,
            top_k=options.top_k,
            max_tokens=options.max_tokens,
            exact=options.exact,
            relocatable=facts.relocatable,
        )

    def run(self, question: str) -> Iterator[Event]:
        """Answer a question that stands alone; the last event is `Done`."""
        began = time.perf_counter()
        query = standing_alone(question)
        choice = self.chooser.choose(query, self.pinned())
        self.retrieved(began)
        yield Chosen(choice.documents, choice.left_out)
        if not choice.documents:
            yield self.nothing(query, choice)
            return
        placement = yield from self.place(choice)
        yield from self.answer(query, placement)

    def pinned(self) -> list[DocumentRecord]:
        """The documents that the options name.  Raises DocumentNotFound."""
        return [self._desk.library.find(name) for name in self._options.documents]

    def retrieved(self, began: float) -> None:
        """Note that the choice is made; it `began` then."""
        self._timings = replace(self._timings, retrieve_s=time.perf_counter() - began)

    def nothing(self, query: Query, choice: Choice) -> Done:
        """The end when there is nothing to read."""
        timings = replace(self._timings, total_s=time.perf_counter() - self._started)
        circumstances = Circumstances((), choice.nearest, choice.selection.left_out, timings, 0)
        return Done(conclude(query.asked, None, circumstances, check=self._options.check))

    def place(self, choice: Choice) -> Generator[Event, None, Placement]:
        """Replace what the context holds by the chosen documents.  Raises as `Placer.place` does."""
        placer = Placer(
            self._desk,
            self._facts,
            exact=self._options.exact,
            repair_tokens=self._options.repair_tokens,
            cancelled=self._cancelled,
        )
        placement = yield from placer.place(choice)
        self._timings = replace(self._timings, attach_s=placement.seconds)
        yield Attached(placement.n_tokens, placement.seconds, placement.parts)
        return placement

    def answer(self, query: Query, placement: Placement) -> Iterator[Event]:
        """Ask over what stands in the context; the last event is `Done`."""
        choice = placement.choice
        read = read_documents(self._desk, choice)
        tokens = np.concatenate(placement.tokens)
        asking = Asking(
            self._desk.model,
            self._desk.context,
            self._desk.frame,
            query.asked,
            read,
            tokens,
            self._cancelled,
            before=query.before,
            about=query.about,
        )
        timings = yield from timed(asking, self._options.max_tokens, self._started, self._timings)
        circumstances = Circumstances(
            choice.documents,
            choice.nearest,
            choice.selection.left_out,
            timings,
            placement.prefilled_tokens,
        )
        yield Done(conclude(query.asked, asking.reply, circumstances, check=self._options.check))


def timed(
    asking: Asking, max_tokens: int, started: float, timings: Timings
) -> Generator[Event, None, Timings]:
    """The events of `asking`; returns `timings` with those of the reply, counted from `started`."""
    ttft_s = 0.0
    for event in asking.run(max_tokens):
        if ttft_s == 0.0 and isinstance(event, EvidenceDelta | AnswerDelta):
            ttft_s = time.perf_counter() - started
        yield event
    total_s = time.perf_counter() - started
    return replace(
        timings, ttft_s=ttft_s or total_s, total_s=total_s, decode_tokens_per_s=asking.tokens_per_s
    )
