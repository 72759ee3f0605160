"""One question answered from the best chunks, with everything else as the product does it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from beyondrag.answering import MAX_QUOTE_CHARS
from beyondrag.asking import Asking, reply_room
from beyondrag.chunk_rag.candidates import ChunkFinder
from beyondrag.chunk_rag.placing import TOP_CHUNKS, FramedChunk, context_tokens, frame_chunks, prefill_chunks
from beyondrag.desk import Desk
from beyondrag.events import (
    Attached,
    ChunkRead,
    ChunksRead,
    Done,
    Event,
    PlacedPart,
    ReadingDocument,
    Source,
    Timings,
)
from beyondrag.placing import cache_bits
from beyondrag.turn import AskOptions, timed
from beyondrag.verdict import Circumstances, conclude


class ChunkTurn:
    """Answers one question; the context is left dirty and cleared by the engine.

    Chunk-RAG cuts and indexes its chunks before anybody asks, so the time for that is not counted.
    """

    def __init__(
        self, desk: Desk, finder: ChunkFinder, options: AskOptions, cancelled: Callable[[], bool] | None
    ) -> None:
        self._desk, self._finder, self._options, self._cancelled = desk, finder, options, cancelled

    def run(self, question: str, *, open_s: float) -> Iterator[Event]:
        """Yield events; the last one is `Done`.  Raises DocumentNotFound for an unknown pinned document."""
        desk, options = self._desk, self._options
        pinned = [desk.library.find(name) for name in options.documents]
        ranked = self._finder.ranked(question, pinned, self._cancelled)
        started = time.perf_counter()
        n_question = len(desk.frame.question_tokens(desk.model, question))
        taken = len(desk.prefix) + n_question + reply_room(TOP_CHUNKS, options.max_tokens)
        framed = frame_chunks(desk, islice(ranked, TOP_CHUNKS), desk.context.n_ctx - taken)
        n_tokens = sum(len(part.tokens) for part in framed)
        timings = Timings(open_s=open_s, retrieve_s=time.perf_counter() - started)
        yield ChunksRead(tuple(_shown(part) for part in framed), n_tokens)
        left_out = _left_out(len(framed), len(ranked))
        nearest = tuple(_beginning(part) for part in framed)
        documents = tuple(part.read.chosen for part in framed)
        if not framed:
            nothing = Circumstances((), (), left_out, timings, 0)
            yield Done(conclude(question, None, nothing, check=options.check))
            return
        began = time.perf_counter()
        what = f"{len(framed)} chunks"
        yield ReadingDocument(what, 0, n_tokens)
        for done in prefill_chunks(desk, framed, self._cancelled):
            yield ReadingDocument(what, done, n_tokens)
        read_s = time.perf_counter() - began
        tokens = context_tokens(desk, framed)
        yield Attached(len(tokens), read_s, self._parts(framed))
        reads = [part.read for part in framed]
        asking = Asking(desk.model, desk.context, desk.frame, question, reads, tokens, self._cancelled)
        timings = yield from timed(asking, options.max_tokens, started, timings)
        circumstances = Circumstances(documents, nearest, left_out, timings, n_tokens)
        yield Done(conclude(question, asking.reply, circumstances, check=options.check))

    def _parts(self, framed: Sequence[FramedChunk]) -> tuple[PlacedPart, ...]:
        parts, first = [], len(self._desk.prefix)
        cache = self._desk.context.cache_type
        for part in framed:
            stop = first + len(part.tokens)
            parts.append(PlacedPart(part.read.chosen, first, stop, "prefill", cache, cache_bits(cache)))
            first = stop
        return tuple(parts)


def _shown(part: FramedChunk) -> ChunkRead:
    chunk, chosen = part.chunk, part.read.chosen
    place = (chunk.page, chunk.start, chunk.end)
    return ChunkRead(chunk.document_id, chosen.path, chunk.title, *place, part.read.text.text, chosen.score)


def _beginning(part: FramedChunk) -> Source:
    """The first words of a chunk, to look at when there is no answer."""
    chunk, chosen = part.chunk, part.read.chosen
    end = min(chunk.end, chunk.start + MAX_QUOTE_CHARS)
    quote = part.read.text.text[: end - chunk.start]
    return Source(chunk.document_id, chosen.path, chunk.title, chunk.page, quote, chunk.start, end)


def _left_out(n_read: int, n_found: int) -> tuple[str, ...]:
    wanted = min(TOP_CHUNKS, n_found)
    return () if n_read == wanted else (f"{wanted - n_read} of the best {wanted} chunks do not fit",)
