"""One question over documents that stand in the context: evidence, answer, second reading."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from beyondrag.answering import MAX_LINE_TOKENS, Answerer, ReadDocument, line_start
from beyondrag.events import AnswerDelta, EvidenceChecked, EvidenceDelta
from beyondrag.generation import Generator
from beyondrag.prompt import PromptFrame
from beyondrag.retrieval import subjects
from beyondrag.second_reading import DIRECT_CLOSING, MAX_SCORED_TOKENS, read_again
from beyondrag.support import wording
from beyondrag.verdict import Reply
from kvfiles.runtime import Context, Model
from kvfiles.runtime.model import Tokens

PROTOCOL_VERSION = 2
"""Raised whenever the code changes what the model reads behind the documents."""

LINE_TOKENS = MAX_LINE_TOKENS + 48
"""Room for a copied line and the forced piece before it; there is at most one line a document."""
FORCED_TOKENS = 80 + MAX_SCORED_TOKENS
"""Room for the forced pieces around lines and answer, a draft that runs over the end, the second reading."""


def reply_room(n_documents: int, max_tokens: int) -> int:
    """Tokens to keep free in the context, behind the question, for a reply over `n_documents`."""
    return n_documents * LINE_TOKENS + FORCED_TOKENS + max_tokens


class Asking:
    """Asks `question` over `documents`, whose `tokens` stand in sequence 0 of `context`.

    `before` is plain text in front of the question, in the same turn.  `about` is what the answer is
    checked against where the question alone does not say what it is about.
    After `run` is exhausted `reply` is complete; the context then holds leftovers behind the documents.
    """

    def __init__(
        self,
        model: Model,
        context: Context,
        frame: PromptFrame,
        question: str,
        documents: Sequence[ReadDocument],
        tokens: Tokens,
        cancelled: Callable[[], bool] | None = None,
        *,
        before: str = "",
        about: str | None = None,
    ) -> None:
        self._model, self._context, self._frame = model, context, frame
        self._question, self._documents, self._cancelled = question, documents, cancelled
        self._before, self._about = before, about or question
        self._generator = Generator(context, lookup=tokens)
        self._generating_s = 0.0
        self.reply = Reply(self._about, (), (), (), "")

    @property
    def tokens_per_s(self) -> float:
        """How fast the reply was generated, without the reading of the question and the second reading."""
        return self._generator.n_generated / max(self._generating_s, 1e-9)

    def run(self, max_tokens: int) -> Iterator[EvidenceDelta | EvidenceChecked | AnswerDelta]:
        """Yield the reply as it is made.  Raises Cancelled, ContextOverflow, DecodeError."""
        model, frame = self._model, self._frame
        about = self._subjects()
        asked = np.concatenate([model.tokenize(self._before), frame.asked_tokens(model, self._question)])
        behind_question = self._context.end(0) + len(asked)
        start = model.tokenize(line_start(about[0] if about else ""))
        self._generator.feed(np.concatenate([asked, frame.reply_tokens(model), start]), self._cancelled)
        answerer = Answerer(model, self._generator, self._about, self._documents, self._cancelled)
        began = time.perf_counter()
        yield from answerer.run(about, max_tokens)
        self._generating_s = time.perf_counter() - began
        self.reply = answerer.reply()
        if self.reply.supported:  # without evidence nothing could save the answer
            written = wording(self.reply.answer, "\n".join(source.quote for source in self.reply.evidence))
            suffix = np.concatenate([model.tokenize(DIRECT_CLOSING), frame.reply_tokens(model)])
            again = read_again(model, self._context, at=behind_question, suffix=suffix, answer=written)
            self.reply = replace(self.reply, again=again)

    def _subjects(self) -> list[str]:
        """What is asked about in one document only, when that is so for two or more of them."""
        texts: dict[str, str] = {}
        for document in self._documents:
            before = texts.get(document.chosen.id, document.chosen.title)
            texts[document.chosen.id] = f"{before}\n{document.text.text}"
        if len(texts) < 2:
            return []
        named = [subject for subject in subjects(self._about, list(texts.values())) if subject]
        return named if len(named) > 1 else []
