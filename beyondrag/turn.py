"""One question from retrieval to the answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from beyondrag.answering import Answerer, ReadDocument, Reply, line_start
from beyondrag.errors import UsageError
from beyondrag.events import (
    Answer,
    AnswerDelta,
    Attached,
    Chosen,
    ChosenDocument,
    Done,
    EvidenceDelta,
    Event,
    ReadingDocument,
    Source,
    Timings,
)
from beyondrag.evidence import FoldedText
from beyondrag.generation import Generator as TokenGenerator
from beyondrag.prompt import PromptFrame
from beyondrag.retrieval import Candidate, Selection, find_hits, select, subjects
from ingest.pipeline import PendingVolume, read_volume, volume_title, volumes_of
from ingest.reader import PrefixFacts, Reader
from kvfiles.compose import Composer, Span
from kvfiles.errors import SnapshotError
from kvfiles.kernels import Kernels
from kvfiles.repair import repair_heads
from kvfiles.runtime import Context, Model
from kvfiles.runtime.model import Tokens
from kvfiles.snapshot import Snapshot
from library.records import DocumentRecord, ReadingProfile, SnapshotRecord, Volume
from library.store import Library

MAX_QUESTION_CHARS = 4000
ANSWER_TOKENS = 256
FORCED_TOKENS = 512
"""Room for copied lines and the forced pieces between them."""


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


@dataclass(frozen=True, slots=True)
class Desk:
    """What an engine lends to a turn."""

    library: Library
    model: Model
    context: Context
    profile: ReadingProfile
    reader: Reader
    composer: Composer
    kernels: Kernels
    frame: PromptFrame
    prefix: Tokens


def check_question(question: str) -> str:
    """The question, trimmed.  Raises UsageError when it is empty or too long."""
    text = " ".join(question.split())
    if not text:
        raise UsageError("the question is empty", remedy='ask something: beyondrag ask "How old was the pilot?"')
    if len(text) > MAX_QUESTION_CHARS:
        raise UsageError(
            f"the question has {len(text):,} characters; at most {MAX_QUESTION_CHARS:,} can be answered",
            remedy="shorten it, or ingest the long text as a document and ask about that",
        )
    return text


class Turn:
    """Answers one question; the context is left dirty and cleared by the engine."""

    def __init__(
        self, desk: Desk, question: str, options: AskOptions, cancelled: Callable[[], bool] | None
    ) -> None:
        self._desk, self._question, self._options, self._cancelled = desk, question, options, cancelled
        self._prefilled = 0

    def run(self, facts: PrefixFacts, *, started: float, open_s: float) -> Iterator[Event]:
        """Yield events; the last one is `Done`.  `started` is when the question was asked."""
        desk, options = self._desk, self._options
        timings = Timings(open_s=open_s)
        began = time.perf_counter()
        pinned = [desk.library.find(name) for name in options.documents]
        question_tokens = desk.frame.question_tokens(desk.model, self._question)
        budget = (
            desk.context.n_ctx - len(desk.prefix) - len(question_tokens) - FORCED_TOKENS - options.max_tokens
        )
        hits = find_hits(desk.library, self._question, pinned, options.top_k)
        selection = select(hits, self._volumes, budget)
        documents = tuple(self._describe(candidate) for candidate in selection.candidates)
        timings = replace(timings, retrieve_s=time.perf_counter() - began)
        yield Chosen(documents, selection.left_out)
        if not documents:
            yield Done(self._nothing(selection, replace(timings, total_s=time.perf_counter() - started)))
            return
        for candidate, document in zip(selection.candidates, documents, strict=True):
            yield from self._ensure_snapshot(candidate, document)

        began = time.perf_counter()
        tokens = yield from self._place(selection, documents, facts)
        attach_s = time.perf_counter() - began
        yield Attached(sum(len(part) for part in tokens), attach_s)

        read = [self._read_document(c, d) for c, d in zip(selection.candidates, documents, strict=True)]
        about = self._subjects(read)
        generator = TokenGenerator(desk.context, lookup=np.concatenate(tokens))
        first = desk.model.tokenize(line_start(about[0] if about else ""))
        generator.feed(np.concatenate([question_tokens, first]), self._cancelled)
        generating = time.perf_counter()
        answerer = Answerer(desk.model, generator, read, self._cancelled)
        ttft_s = 0.0
        for event in answerer.run(about, options.max_tokens):
            if ttft_s == 0.0 and isinstance(event, EvidenceDelta | AnswerDelta):
                ttft_s = time.perf_counter() - started
            yield event
        now = time.perf_counter()
        timings = replace(
            timings,
            attach_s=attach_s,
            ttft_s=ttft_s,
            total_s=now - started,
            decode_tokens_per_s=generator.n_generated / max(now - generating, 1e-9),
        )
        yield Done(self._answer(answerer.reply(), selection, documents, read, timings))

    # ------------------------------------------------------------------ documents

    def _volumes(self, document: DocumentRecord) -> Sequence[Volume]:
        return volumes_of(self._desk.library, document, self._desk.profile, self._desk.reader)

    def _record(self, document: ChosenDocument) -> SnapshotRecord | None:
        return self._desk.library.snapshot(document.id, document.volume, self._desk.profile.id)

    def _describe(self, candidate: Candidate) -> ChosenDocument:
        document, volume = candidate.hit.document, candidate.volume
        known = self._desk.library.snapshot(document.id, volume.ordinal, self._desk.profile.id)
        return ChosenDocument(
            id=document.id,
            path=document.path,
            title=document.title,
            volume=volume.ordinal,
            label=volume.label,
            n_tokens=known.n_tokens if known else volume.n_tokens,
            score=candidate.hit.score,
            read_from="snapshot" if known and not self._options.exact else "prefill",
            passages=candidate.hit.passages,
        )

    def _ensure_snapshot(self, candidate: Candidate, document: ChosenDocument) -> Iterator[Event]:
        """Read the volume now when it has no snapshot, and keep it."""
        if self._options.exact or self._record(document) is not None:
            return
        yield ReadingDocument(document.title, 0, candidate.volume.n_tokens)
        yield from self._read_now(candidate, document)

    def _read_now(self, candidate: Candidate, document: ChosenDocument) -> Iterator[Event]:
        desk = self._desk
        pending = PendingVolume(candidate.hit.document, candidate.volume, candidate.n_volumes)
        record = read_volume(desk.library, pending, desk.profile, desk.reader, cancelled=self._cancelled)
        self._prefilled += record.n_tokens
        yield ReadingDocument(document.title, record.n_tokens, record.n_tokens)

    def _place(
        self, selection: Selection, documents: Sequence[ChosenDocument], facts: PrefixFacts
    ) -> Generator[Event, None, list[Tokens]]:
        """Put prefix and documents into sequence 0; returns their tokens, the prefix first.

        A snapshot that turns out to be damaged is dropped and its document read again.
        """
        if self._options.exact:
            return self._prefill_all(selection)
        for _ in range(len(documents) + 1):
            try:
                return self._attach(documents, facts)
            except SnapshotError as error:
                damaged = [i for i, d in enumerate(documents) if self._path_of(d) == error.subject]
                if not damaged:
                    raise
                record = self._record(documents[damaged[0]])
                if record is not None:
                    self._desk.library.drop_snapshot(record)
                yield from self._read_now(selection.candidates[damaged[0]], documents[damaged[0]])
        raise SnapshotError("snapshots are damaged again and again", remedy="check the disk")

    def _path_of(self, document: ChosenDocument) -> str | None:
        record = self._record(document)
        return None if record is None else str(record.path)

    def _attach(self, documents: Sequence[ChosenDocument], facts: PrefixFacts) -> list[Tokens]:
        desk = self._desk
        records = [record for d in documents if (record := self._record(d)) is not None]
        paths = [desk.library.prefix_path(desk.profile.id), *(record.path for record in records)]
        movable = facts.relocatable or len(records) == 1
        opened: list[Snapshot] = []
        try:
            for path in paths:
                snapshot = Snapshot(path, desk.kernels)
                opened.append(snapshot)
                snapshot.require(
                    profile=desk.profile.id, shape=desk.model.shape, rope=desk.model.rope.describe()
                )
            tokens = [snapshot.tokens for snapshot in opened]
            spans = desk.composer.attach(desk.context, opened if movable else opened[:2])
        finally:
            for snapshot in opened:
                snapshot.close()
        if not movable:  # K of this model cannot be moved: the others are prefilled behind the first
            spans += self._prefill(tokens[2:], spans[-1].stop)
        elif self._options.repair_tokens:
            self._prefilled += repair_heads(desk.context, spans[1:], tokens[1:], self._options.repair_tokens)
        desk.library.note_read(records)
        return tokens

    def _prefill_all(self, selection: Selection) -> list[Tokens]:
        desk = self._desk
        desk.context.clear()
        tokens = [desk.prefix]
        for candidate in selection.candidates:
            document, volume = candidate.hit.document, candidate.volume
            text = desk.library.text(document.id).text[volume.char_start : volume.char_end]
            title = volume_title(document.title, volume.label, candidate.n_volumes)
            tokens.append(desk.reader.volume_tokens(title, text))
        self._prefill(tokens, 0)
        return tokens

    def _prefill(self, parts: Sequence[Tokens], first: int) -> list[Span]:
        spans = []
        for part in parts:
            self._desk.context.decode(part, first, logits="none", cancelled=self._cancelled)
            self._prefilled += len(part)
            spans.append(Span(first, first + len(part)))
            first += len(part)
        return spans

    # --------------------------------------------------------------------- answer

    def _read_document(self, candidate: Candidate, chosen: ChosenDocument) -> ReadDocument:
        text = self._desk.library.text(chosen.id)
        volume = candidate.volume
        part = text if candidate.n_volumes == 1 else text.slice(volume.char_start, volume.char_end)
        return ReadDocument(chosen, part, FoldedText(part.text), volume.char_start)

    def _subjects(self, read: Sequence[ReadDocument]) -> list[str]:
        """What the question names in one document only, when it names something in two or more of them."""
        if len(read) < 2:
            return []
        named = [s for s in subjects(self._question, [d.title_and_text for d in read]) if s]
        return named if len(named) > 1 else []

    def _answer(
        self,
        reply: Reply,
        selection: Selection,
        documents: tuple[ChosenDocument, ...],
        read: Sequence[ReadDocument],
        timings: Timings,
    ) -> Answer:
        supported = reply.supported
        shown = supported or not self._options.check
        return Answer(
            question=self._question,
            answer=reply.answer if shown else "",
            abstained=not shown,
            checked=supported,
            documents=documents,
            sources=reply.sources if shown else (),
            nearest=() if supported else self._nearest(selection),
            left_out=selection.left_out,
            timings=timings,
            prefilled_tokens=self._prefilled,
        )

    def _nearest(self, selection: Selection) -> tuple[Source, ...]:
        """The best passages of the search: what to look at when there is no answer."""
        nearest = []
        for candidate in selection.candidates:
            document = candidate.hit.document
            for passage in candidate.hit.passages[:1]:
                place = (passage.page, passage.text, passage.start, passage.end)
                nearest.append(Source(document.id, document.path, document.title, *place))
        return tuple(nearest)

    def _nothing(self, selection: Selection, timings: Timings) -> Answer:
        return Answer(
            question=self._question,
            answer="",
            abstained=True,
            checked=False,
            documents=(),
            sources=(),
            nearest=(),
            left_out=selection.left_out,
            timings=timings,
            prefilled_tokens=self._prefilled,
        )
