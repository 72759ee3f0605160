"""Closed book: the same model and chat template without any text, answering from what it has learnt."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from beyondrag.engine import Engine
from beyondrag.generation import Generator
from beyondrag.prompt import SYSTEM, PromptFrame, make_frame
from beyondrag.streaming import TextStream
from beyondrag.turn import check_question
from eval.qa.systems import Cancelled, Given, Seconds, asked
from eval.sets import Question
from kvfiles.runtime.model import Model, Tokens

CLOSED_SYSTEM = (
    "You answer questions from what you know. You give the answer, as short as possible. "
    "When you do not know the answer, you say so instead of guessing."
)
CLOSED_CLOSING = '\nAnswer in a few words. If you do not know, write "not stated".'
_START = "Answer:"


def closed_frame(model: Model) -> PromptFrame:
    """The model's own frame with instructions that speak of no documents."""
    frame = make_frame(model, closing=CLOSED_CLOSING)
    return replace(frame, before=frame.before.replace(SYSTEM, CLOSED_SYSTEM))


class ClosedBook:
    """There is nothing to copy from, so that the product's check cannot be applied."""

    def __init__(self, engine: Engine, max_tokens: int) -> None:
        self._engine, self._max_tokens = engine, max_tokens
        self._frame = closed_frame(engine.model)

    @property
    def name(self) -> str:
        return "closed-book"

    @property
    def parameters(self) -> Mapping[str, object]:
        return {"kind": "closed-book", "system": CLOSED_SYSTEM, "closing": CLOSED_CLOSING}

    def applies(self, question: Question) -> bool:
        return True

    def answer(self, question: Question, cancelled: Cancelled) -> Given:
        context = self._engine.context
        context.clear()
        try:
            return self._answer(check_question(asked(question)), cancelled)
        finally:
            context.clear()

    def _answer(self, text: str, cancelled: Cancelled) -> Given:
        started = time.perf_counter()
        model = self._engine.model
        prefix = self._frame.prefix_tokens(model)
        tokens: Tokens = np.concatenate(
            [prefix, self._frame.question_tokens(model, text), model.tokenize(_START)]
        )
        generator = Generator(self._engine.context, lookup=np.empty(0, np.int32))
        generator.feed(tokens, cancelled)
        stream, answer, first_token = TextStream(model), "", 0.0
        for step in generator.steps(self._max_tokens, cancelled):
            first_token = first_token or time.perf_counter() - started
            if model.is_end(step.token):
                break
            answer += stream.push(step.token)
            if "\n" in answer.lstrip():
                break
        total = time.perf_counter() - started
        return Given(
            answer=answer.strip().split("\n", 1)[0].strip().strip('"'),
            supported=None,
            copies=(),
            ranked=None,
            texts=(),
            context_tokens=len(tokens),
            prefilled_tokens=0,
            seconds=Seconds(0.0, first_token or total, total),
        )
