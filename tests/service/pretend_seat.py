"""A seat without a model: its context is a list of words, its documents have as many slices as one likes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from beyondrag.events import (
    Answer,
    AnswerDelta,
    Attached,
    Chosen,
    ChosenDocument,
    ChunkRead,
    ChunksRead,
    ContextChoice,
    Done,
    Event,
    PlacedPart,
    ReadingDocument,
    Timings,
)
from beyondrag.reading_queue import Unread
from beyondrag.service.door import LibraryGone
from beyondrag.service.inbox import Question
from beyondrag.service.notices import Arm, WhatWasRead
from beyondrag.service.seat import SeatFacts
from beyondrag.settings import Settings
from ingest.pipeline import PendingVolume
from kvfiles.errors import Cancelled
from library.errors import DocumentNotFound
from library.records import DocumentRecord, SnapshotRecord, Volume

SLICE = 10
"""Tokens of a slice."""


@dataclass
class Pretence:
    """What outlives a seat, and what a test decides.

    `slices` of each document; `gate` is waited for before every slice, `hearing` before every word of an
    answer; `copies` is called to make hot copies; `errors` are raised by the next answers (None: no error),
    `reading_errors` by the next readings of a document.
    """

    slices: dict[str, int] = field(default_factory=dict)
    words: Sequence[str] = ("one ", "two ", "three")
    gate: Callable[[str, int], None] = lambda _document, _slice: None
    hearing: Callable[[int], None] = lambda _word: None
    errors: list[Exception | None] = field(default_factory=list)
    reading_errors: dict[str, list[Exception]] = field(default_factory=dict)
    opening_errors: list[Exception] = field(default_factory=list)
    keep_error: Exception | None = None
    copies: Callable[[Callable[[], bool]], None] = lambda _cancelled: None
    reads_for_questions: dict[str, str] = field(default_factory=dict)
    snapshots: dict[str, list[str]] = field(default_factory=dict)
    kept: list[tuple[str, str | None, str]] = field(default_factory=list)
    gone: bool = False
    models: list[str] = field(default_factory=list)
    n_open: int = 0
    threads: set[int] = field(default_factory=set)

    def open(self, settings: Settings) -> PretendSeat:
        self.threads.add(threading.get_ident())
        if self.opening_errors:
            raise self.opening_errors.pop(0)
        self.models.append(settings.model)
        self.n_open += 1
        return PretendSeat(self, settings)


class PretendSeat:
    """Reading puts every slice's words into the context and takes all of them as the snapshot."""

    def __init__(self, pretence: Pretence, settings: Settings) -> None:
        self._pretence = pretence
        self._facts = SeatFacts(settings.model, "k4v4", 1000, 1, 0.1, "profile", ("a warning",))
        self.context: list[str] = []
        self._listener: Callable[[Event], None] | None = None
        self._reading = False
        self._open = True

    @property
    def facts(self) -> SeatFacts:
        return self._facts

    @property
    def reading(self) -> PretendSeat:
        return self

    def require_library(self) -> None:
        if self._pretence.gone:
            raise LibraryGone("the library is gone", remedy="put it back")

    def close(self) -> None:
        assert not self._reading, "a seat is never left in the middle of a reading"
        if self._open:
            self._open = False
            self._pretence.n_open -= 1

    # -- asking

    def converse(self, question: Question, cancelled: Callable[[], bool]) -> Iterator[Event]:
        question.conversing.id = question.conversing.id or f"conversation of {question.text}"
        kept = bool(self.context)
        yield ContextChoice(kept, "the same documents" if kept else "")
        yield from self._reply(question, cancelled)

    def report_to(self, listener: Callable[[Event], None] | None) -> None:
        self._listener = listener

    def answer(self, arm: Arm, question: Question, cancelled: Callable[[], bool]) -> Iterator[Event]:
        if arm == "chunks":
            chunk = ChunkRead("a" * 64, "/a.txt", "A", "1", 0, 4, "text", 1.5)
            yield ChunksRead((chunk,), 4)
        yield from self._reply(question, cancelled)

    def keep(self, question: Question, answer: Answer | None, partial: str, read: WhatWasRead | None) -> str:
        if self._pretence.keep_error:
            raise self._pretence.keep_error
        self._pretence.kept.append((question.text, answer and answer.answer, partial))
        return f"turn {len(self._pretence.kept)}"

    def _reply(self, question: Question, cancelled: Callable[[], bool]) -> Iterator[Event]:
        assert self._open
        self._pretence.threads.add(threading.get_ident())
        self.context = ["prefix", "document"]
        document = ChosenDocument("d" * 64, "/d.txt", "Document D", 0, "whole", 1, 1.0, "snapshot", ())
        yield Chosen((document,), ("e.txt: it does not fit",))
        for document_id in filter(None, [self._pretence.reads_for_questions.pop(question.text, "")]):
            if self._listener is not None:
                self._listener(ReadingDocument(document_id, SLICE, 2 * SLICE))
            self._pretence.snapshots[document_id] = ["read for a question"]
        yield Attached(2, 0.01, (PlacedPart(document, 1, 2, "snapshot", "k4v4", 4.1),))
        text = ""
        for number, word in enumerate(self._pretence.words):
            self._pretence.hearing(number)
            if cancelled():
                raise Cancelled("stopped")
            text += word
            yield AnswerDelta(word)
        error = self._pretence.errors.pop(0) if self._pretence.errors else None
        if error is not None:
            raise error
        yield Done(Answer(question.text, text, False, True, (document,), (), (), (), Timings(), 0))

    # -- the context

    def forget(self) -> None:
        self.context = []

    def context_tokens(self) -> int:
        return len(self.context)

    def make_hot_copies(self, cancelled: Callable[[], bool]) -> None:
        self._pretence.copies(cancelled)

    def set_reading_aside(self) -> Callable[[], None]:
        assert self._reading
        state = list(self.context)
        self.context = []

        def put_back() -> None:
            assert not self.context, "forgotten first"
            self.context = state

        return put_back

    # -- reading

    def unread(self, document_ids: Sequence[str]) -> list[Unread]:
        return [
            Unread(d, SLICE * self._pretence.slices[d], 1)
            for d in document_ids
            if d in self._pretence.slices and d not in self._pretence.snapshots
        ]

    def pending(self, document_id: str) -> list[PendingVolume]:
        if document_id not in self._pretence.slices:
            raise DocumentNotFound("no such document")
        record = DocumentRecord(
            document_id, document_id, "text/plain", 1, 1, 0.0, (f"/{document_id}.txt",), False, ()
        )
        n_tokens = SLICE * self._pretence.slices[document_id]
        return [PendingVolume(record, Volume(document_id, 0, 0, 1, n_tokens, "whole"), 1)]

    def is_read(self, pending: PendingVolume) -> bool:
        return pending.document.id in self._pretence.snapshots

    def read(
        self, pending: PendingVolume, on_slice: Callable[[int], None], cancelled: Callable[[], bool]
    ) -> SnapshotRecord:
        assert self._open
        document_id = pending.document.id
        self.context, self._reading = [], True
        try:
            for number in range(self._pretence.slices[document_id]):
                if cancelled():
                    raise Cancelled("stopped")
                self._pretence.gate(document_id, number)
                self.context.append(f"{document_id} {number}")
                on_slice(SLICE * (number + 1))
            if self._pretence.reading_errors.get(document_id):
                raise self._pretence.reading_errors[document_id].pop(0)
            self._pretence.snapshots[document_id] = list(self.context)
        finally:
            self.context, self._reading = [], False
        n_tokens = pending.volume.n_tokens
        return SnapshotRecord(document_id, 0, "profile", Path("x.kv"), 7, n_tokens, "k4v4", 0.0, None)

    def drop_snapshots(self, document_id: str) -> None:
        self._pretence.snapshots.pop(document_id, None)


def whole(document_id: str, n_slices: int) -> list[str]:
    """The snapshot of a document that was read without anything getting lost."""
    return [f"{document_id} {number}" for number in range(n_slices)]
