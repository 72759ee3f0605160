"""The model is examined: does it answer a drafted question from one passage alone?"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from beyondrag.answering import ReadDocument
from beyondrag.asking import Asking
from beyondrag.engine import Engine
from beyondrag.events import ChosenDocument
from beyondrag.evidence import FoldedText
from beyondrag.prompt import document_text
from library.records import DocumentText

MAX_ANSWER_TOKENS = 64


class Examiner:
    """Asks as the product asks: copied evidence, its check, a second reading."""

    def __init__(self, engine: Engine, cancelled: Callable[[], bool]) -> None:
        self._engine, self._cancelled = engine, cancelled

    def answer(self, question: str, title: str, passage: str) -> str | None:
        """The answer that the passage supports, or None when the check withholds it.

        Raises Cancelled, ContextOverflow, DecodeError.
        """
        engine = self._engine
        engine.prepare()
        engine.context.clear()
        try:
            return self._answer(question, title, passage)
        finally:
            engine.context.clear()

    def _answer(self, question: str, title: str, passage: str) -> str | None:
        desk, model, context = self._engine.desk, self._engine.model, self._engine.context
        with desk.open(desk.library.prefix_path(desk.profile.id)) as prefix:
            desk.composer.attach(context, [prefix])
        tokens = model.tokenize(document_text(title, passage))
        context.decode(tokens, len(desk.prefix), logits="none", cancelled=self._cancelled)
        chosen = ChosenDocument("", "", title, 0, "", len(tokens), 0.0, "prefill", ())
        document = ReadDocument(chosen, DocumentText(passage, ()), FoldedText(passage), 0)
        read = np.concatenate([desk.prefix, tokens])
        asking = Asking(model, context, desk.frame, question, [document], read, self._cancelled)
        for _ in asking.run(MAX_ANSWER_TOKENS):
            pass
        return asking.reply.answer if asking.reply.supported else None
