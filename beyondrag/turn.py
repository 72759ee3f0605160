"""One question from retrieval to the answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from beyondrag.answering import ReadDocument
from beyondrag.asking import Asking, reply_room
from beyondrag.errors import UsageError
from beyondrag.events import (
    Answer,
    AnswerDelta,
    Attached,
    Chosen,
    ChosenDocument,
    Done,
    Event,
    EvidenceDelta,
    ReadingDocument,
    Source,
    Timings,
)
from beyondrag.evidence import FoldedText
from beyondrag.prompt import PromptFrame
from beyondrag.retrieval import Candidate, Selection, find_hits, narrow, select
from beyondrag.verdict import Circumstances, Reply, conclude
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
    """Answers one question; the context is left dirty and cleared by the engine."""

    def __init__(
        self, desk: Desk, question: str, options: AskOptions, cancelled: Callable[[], bool] | None
    ) -> None:
        self._desk, self._question, self._options, self._cancelled = desk, question, options, cancelled
        self._prefilled = 0
        self._attach_s = 0.0
        self._reread: list[ChosenDocument] = []
        self._documents: tuple[ChosenDocument, ...] = ()

    def run(self, facts: PrefixFacts, *, started: float, open_s: float) -> Iterator[Event]:
        """Yield events; the last one is `Done`.  `started` is when the question was asked."""
        desk, options = self._desk, self._options
        timings = Timings(open_s=open_s)
        began = time.perf_counter()
        pinned = [desk.library.find(name) for name in options.documents]
        question_tokens = desk.frame.question_tokens(desk.model, self._question)
        hits = find_hits(desk.library, self._question, pinned, options.top_k)
        taken = len(desk.prefix) + len(question_tokens) + reply_room(len(hits), options.max_tokens)
        dropped: tuple[str, ...] = ()
        if not pinned:
            narrowed = narrow(self._question, hits, lambda d: desk.library.text(d.id).text)
            hits, dropped = list(narrowed.hits), narrowed.dropped
        selection = select(hits, self._volumes, desk.context.n_ctx - taken)
        documents = tuple(
            self._describe(candidate, attachable=not options.exact and (index == 0 or facts.relocatable))
            for index, candidate in enumerate(selection.candidates)
        )
        timings = replace(timings, retrieve_s=time.perf_counter() - began)
        aside = [f"{name}: it holds less of what the question names" for name in dropped]
        yield Chosen(documents, (*aside, *selection.left_out))
        if not documents:
            yield Done(self._answer(None, selection, replace(timings, total_s=time.perf_counter() - started)))
            return
        tokens = yield from self._place(selection, documents, facts)
        documents = tuple(replace(d, read_from="prefill") if d in self._reread else d for d in documents)
        self._documents = documents
        yield Attached(sum(len(part) for part in tokens), self._attach_s)

        read = [self._read_document(c, d) for c, d in zip(selection.candidates, documents, strict=True)]
        asking = Asking(
            desk.model,
            desk.context,
            desk.frame,
            self._question,
            read,
            np.concatenate(tokens),
            self._cancelled,
        )
        ttft_s = 0.0
        for event in asking.run(options.max_tokens):
            if ttft_s == 0.0 and isinstance(event, EvidenceDelta | AnswerDelta):
                ttft_s = time.perf_counter() - started
            yield event
        now = time.perf_counter()
        timings = replace(
            timings,
            attach_s=self._attach_s,
            ttft_s=ttft_s or now - started,
            total_s=now - started,
            decode_tokens_per_s=asking.tokens_per_s,
        )
        yield Done(self._answer(asking.reply, selection, timings))

    # ------------------------------------------------------------------ documents

    def _volumes(self, document: DocumentRecord) -> Sequence[Volume]:
        return volumes_of(self._desk.library, document, self._desk.profile, self._desk.reader)

    def _record(self, document: ChosenDocument) -> SnapshotRecord | None:
        return self._desk.library.snapshot(document.id, document.volume, self._desk.profile.id)

    def _describe(self, candidate: Candidate, *, attachable: bool) -> ChosenDocument:
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
            read_from="snapshot" if known and attachable else "prefill",
            passages=candidate.hit.passages,
        )

    def _place(
        self, selection: Selection, documents: Sequence[ChosenDocument], facts: PrefixFacts
    ) -> Generator[Event, None, list[Tokens]]:
        """Put prefix and documents into sequence 0; returns their tokens, the prefix first.

        A document without a snapshot is read now and kept; a snapshot that turns out to be damaged is
        dropped and made again.
        """
        if self._options.exact:
            began = time.perf_counter()
            tokens = self._prefill_all(selection)
            self._attach_s = time.perf_counter() - began
            return tokens
        for _ in range(len(documents) + 2):  # each of them and the prefix may be damaged
            records = []
            for candidate, document in zip(selection.candidates, documents, strict=True):
                record = self._record(document)
                records.append(record or (yield from self._read_now(candidate, document)))
            began = time.perf_counter()
            try:
                tokens = self._attach(records, facts)
            except SnapshotError as error:
                if not self._drop_damaged(records, error):
                    raise
                continue
            self._attach_s = time.perf_counter() - began
            return tokens
        raise SnapshotError(
            "snapshots are damaged again and again", remedy="check the disk, then `beyondrag library verify`"
        )

    def _read_now(
        self, candidate: Candidate, document: ChosenDocument
    ) -> Generator[Event, None, SnapshotRecord]:
        """Read the volume and keep its snapshot."""
        desk = self._desk
        yield ReadingDocument(document.title, 0, candidate.volume.n_tokens)
        pending = PendingVolume(candidate.hit.document, candidate.volume, candidate.n_volumes)
        record = read_volume(desk.library, pending, desk.profile, desk.reader, cancelled=self._cancelled)
        self._reread.append(document)
        self._prefilled += record.n_tokens
        yield ReadingDocument(document.title, record.n_tokens, record.n_tokens)
        return record

    def _drop_damaged(self, records: Sequence[SnapshotRecord], error: SnapshotError) -> bool:
        """Whether `error` was about one of our files, which is then dropped (the prefix: made again)."""
        desk = self._desk
        prefix = desk.library.prefix_path(desk.profile.id)
        if error.subject == str(prefix):
            desk.reader.ensure_prefix(prefix)
            return True
        damaged = [record for record in records if str(record.path) == error.subject]
        for record in damaged:
            desk.library.drop_snapshot(record)
        return bool(damaged)

    def _attach(self, records: Sequence[SnapshotRecord], facts: PrefixFacts) -> list[Tokens]:
        desk = self._desk
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

    def _answer(self, reply: Reply | None, selection: Selection, timings: Timings) -> Answer:
        circumstances = Circumstances(
            self._documents, self._nearest(selection), selection.left_out, timings, self._prefilled
        )
        return conclude(self._question, reply, circumstances, check=self._options.check)

    def _nearest(self, selection: Selection) -> tuple[Source, ...]:
        """The best passages of the search: what to look at when there is no answer."""
        nearest = []
        for candidate in selection.candidates:
            document = candidate.hit.document
            for passage in candidate.hit.passages[:1]:
                place = (passage.page, passage.text, passage.start, passage.end)
                nearest.append(Source(document.id, document.path, document.title, *place))
        return tuple(nearest)
