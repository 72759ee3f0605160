"""Chunk-RAG: the best chunks of a search are prefilled for each question and read as the product reads.

Everything but the texts is the product's: system prompt, document frame, closing instruction, copied
evidence and its check, answer length, greedy decoding.  The state of the system prompt is not
prefilled again but attached, as a good chunk-RAG would do.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from beyondrag.answering import ReadDocument
from beyondrag.asking import Asking, reply_room
from beyondrag.engine import Engine
from beyondrag.events import AnswerDelta, ChosenDocument, EvidenceChecked, EvidenceDelta
from beyondrag.evidence import FoldedText
from beyondrag.prompt import document_text
from beyondrag.turn import check_question
from eval.qa.chunk_search import ChunkSearch, ranking
from eval.qa.chunks import Chunk
from eval.qa.product import RANKED_DOCUMENTS
from eval.qa.systems import Cancelled, Given, Seconds, asked, excerpt
from eval.sets import Question
from ingest.reader import READ_SLICE_TOKENS
from kvfiles.runtime.model import Tokens
from kvfiles.snapshot import Snapshot

TOP_CHUNKS = 5


@dataclass(frozen=True, slots=True)
class _Placed:
    """A chunk as the model reads it."""

    chunk: Chunk
    tokens: Tokens
    read: ReadDocument


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
        order = ranking(self._search.scores(text))
        question_tokens = desk.frame.question_tokens(model, text)
        taken = len(desk.prefix) + len(question_tokens) + reply_room(self._top, self._max_tokens)
        placed = self._place(order, context.n_ctx - taken)
        retrieved = time.perf_counter()

        with Snapshot(desk.library.prefix_path(desk.profile.id), desk.kernels) as prefix:
            desk.composer.attach(context, [prefix])
        tokens = np.concatenate([desk.prefix, *(part.tokens for part in placed)])
        context.decode(
            tokens[len(desk.prefix) :],
            len(desk.prefix),
            logits="none",
            cancelled=cancelled,
            slice_tokens=READ_SLICE_TOKENS,
        )

        asking = Asking(model, context, desk.frame, text, [part.read for part in placed], tokens, cancelled)
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
                for part in placed
            ),
            context_tokens=len(tokens),
            prefilled_tokens=len(tokens) - len(desk.prefix),
            seconds=Seconds(retrieved - started, first_token or total, total),
            log_odds=reply.again.log_odds if reply.again else None,
        )

    def _place(self, order: NDArray[np.int64], room: int) -> list[_Placed]:
        """The best chunks, best first, as many as fit `room` tokens."""
        desk, model = self._engine.desk, self._engine.model
        placed: list[_Placed] = []
        for index in order[: self._top]:
            chunk = self._chunks[int(index)]
            part = desk.library.text(chunk.document_id).slice(chunk.start, chunk.end)
            tokens = model.tokenize(document_text(chunk.title, part.text))
            if len(tokens) > room:
                break
            room -= len(tokens)
            chosen = ChosenDocument(
                chunk.document_id, "", chunk.title, 0, chunk.page, len(tokens), 0.0, "prefill", ()
            )
            placed.append(
                _Placed(chunk, tokens, ReadDocument(chosen, part, FoldedText(part.text), chunk.start))
            )
        return placed

    def _documents(self, order: NDArray[np.int64]) -> tuple[str, ...]:
        """The documents of the chunks in order, each once."""
        found: dict[str, None] = {}
        for index in order:
            found.setdefault(self._chunks[int(index)].document_id)
            if len(found) == RANKED_DOCUMENTS:
                break
        return tuple(found)
