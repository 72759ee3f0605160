"""Chunk-RAG: the best chunks of a search are prefilled for each question and read as the product reads.

Everything but the texts is the product's: system prompt, document frame, closing instruction, copied
evidence and its check, answer length, greedy decoding.  The state of the system prompt is not
prefilled again but attached, as a good chunk-RAG would do.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from beyondrag.asking import Asking, reply_room
from beyondrag.chunk_rag.chunks import Chunk
from beyondrag.chunk_rag.placing import TOP_CHUNKS, context_tokens, frame_chunks, prefill_chunks
from beyondrag.chunk_rag.search import ChunkSearch, ranking
from beyondrag.engine import Engine
from beyondrag.events import AnswerDelta, EvidenceChecked, EvidenceDelta
from beyondrag.turn import check_question
from eval.qa.product import RANKED_DOCUMENTS
from eval.qa.systems import Cancelled, Given, Seconds, asked, excerpt
from eval.sets import Question


class ChunkSystem:
    """The `top` best chunks by `search`; `parameters` describe chunks and search."""

    def __init__(
        self,
        name: str,
        engine: Engine,
        chunks: Sequence[Chunk],
        search: ChunkSearch,
        parameters: Mapping[str, object],
        *,
        max_tokens: int,
        top: int = TOP_CHUNKS,
    ) -> None:
        self._name, self._engine, self._chunks, self._search = name, engine, chunks, search
        self._parameters = {"kind": "chunks", "top": top, **parameters}
        self._max_tokens, self._top = max_tokens, top

    @property
    def name(self) -> str:
        return self._name

    @property
    def parameters(self) -> Mapping[str, object]:
        return self._parameters

    def applies(self, question: Question) -> bool:
        return True

    def answer(self, question: Question, cancelled: Cancelled) -> Given:
        self._engine.prepare()
        try:
            return self._answer(check_question(asked(question)), cancelled)
        finally:
            self._engine.context.clear()

    def _answer(self, text: str, cancelled: Cancelled) -> Given:
        started = time.perf_counter()
        desk, model, context = self._engine.desk, self._engine.model, self._engine.context
        scores = self._search.scores(text)
        order = ranking(scores)
        question_tokens = desk.frame.question_tokens(model, text)
        taken = len(desk.prefix) + len(question_tokens) + reply_room(self._top, self._max_tokens)
        best = [(self._chunks[int(index)], float(scores[index])) for index in order[: self._top]]
        framed = frame_chunks(desk, best, context.n_ctx - taken)
        retrieved = time.perf_counter()

        for _ in prefill_chunks(desk, framed, cancelled):
            pass
        tokens = context_tokens(desk, framed)
        asking = Asking(model, context, desk.frame, text, [part.read for part in framed], tokens, cancelled)
        copies: list[str] = []
        first_token = 0.0
        for event in asking.run(self._max_tokens):
            if not first_token and isinstance(event, EvidenceDelta | AnswerDelta):
                first_token = time.perf_counter() - started
            if isinstance(event, EvidenceChecked):
                copies.append(event.text)
        total = time.perf_counter() - started
        reply = asking.reply
        return Given(
            answer=reply.answer,
            supported=reply.supported,
            copies=tuple(copies),
            ranked=self._documents(order),
            texts=tuple(
                excerpt(part.chunk.document_id, part.chunk.title, part.read.text, 0, len(part.read.text.text))
                for part in framed
            ),
            context_tokens=len(tokens),
            prefilled_tokens=len(tokens) - len(desk.prefix),
            seconds=Seconds(retrieved - started, first_token or total, total),
            log_odds=reply.again.log_odds if reply.again else None,
        )

    def _documents(self, order: NDArray[np.int64]) -> tuple[str, ...]:
        """The documents of the chunks in order, each once."""
        found: dict[str, None] = {}
        for index in order:
            found.setdefault(self._chunks[int(index)].document_id)
            if len(found) == RANKED_DOCUMENTS:
                break
        return tuple(found)
