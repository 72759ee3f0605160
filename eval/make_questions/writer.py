"""The model drafts: one statement and its passage in, one question and its short answer out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from beyondrag.engine import Engine
from beyondrag.generation import Generator
from beyondrag.prompt import SYSTEM, document_text, make_frame
from beyondrag.streaming import TextStream
from kvfiles.runtime.context import U8
from kvfiles.runtime.model import Tokens

PROMPT_VERSION = 1
"""Raised whenever what the model reads here changes: drafts of before are then not taken up again."""

MAX_QUESTION_TOKENS, MAX_ANSWER_TOKENS = 64, 40

WRITER = (
    "You write quiz questions. The user gives a passage of a document and one fact from it. You write one "
    "question that this fact answers, then the answer. The question says by name what it is about, so that "
    "a reader who has not seen the passage understands it. The answer is a few words, copied from the fact "
    "word for word, and the question does not contain them.\n"
    "\n"
    'Fact: "The boiler of Lindow Mill was replaced in March 1911 by Hollis & Sons, who charged 340 pounds."\n'
    "Question: Who replaced the boiler of Lindow Mill?\n"
    "Answer: Hollis & Sons\n"
    "\n"
    'Fact: "Notice period: six weeks" (document: Rental agreement, 4 Quay Street)\n'
    "Question: What is the notice period in the rental agreement for 4 Quay Street?\n"
    "Answer: six weeks"
)
_CLOSING = "\nWrite the question and the answer."


class Writer:
    """Drafts with the engine's model; greedy, so that the same statement gives the same draft."""

    def __init__(self, engine: Engine, cancelled: Callable[[], bool]) -> None:
        self._model, self._context, self._cancelled = engine.model, engine.context, cancelled
        frame = make_frame(engine.model, closing=_CLOSING)
        self._frame = replace(frame, before=frame.before.replace(SYSTEM, WRITER))
        self._between = frame.between.replace("Question:", "Fact:")
        self._prefix: Tokens = self._frame.prefix_tokens(engine.model)
        self._read: U8 | None = None

    def draft(self, title: str, passage: str, statement: str) -> tuple[str, str]:
        """The question and the answer as the model wrote them, unchecked.

        Raises Cancelled, ContextOverflow, DecodeError.
        """
        self._context.clear()
        try:
            return self._draft(title, passage, statement)
        finally:
            self._context.clear()

    def _draft(self, title: str, passage: str, statement: str) -> tuple[str, str]:
        model, frame = self._model, self._frame
        fact = f'"{" ".join(statement.split())}" (document: {" ".join(title.split())})'
        self._read_prefix()
        generator = Generator(self._context, lookup=np.empty(0, np.int32))
        generator.feed(
            np.concatenate(
                [
                    model.tokenize(document_text(title, passage)),
                    model.tokenize(self._between, special=True),
                    model.tokenize(fact),
                    frame.reply_tokens(model),
                    model.tokenize("Question:"),
                ]
            ),
            self._cancelled,
        )
        question = self._line(generator, MAX_QUESTION_TOKENS)
        generator.feed(model.tokenize("\nAnswer:"), self._cancelled)
        return question, self._line(generator, MAX_ANSWER_TOKENS)

    def _read_prefix(self) -> None:
        """Put the instructions into the empty context: read once, then from their kept state."""
        if self._read is None:
            self._context.decode(self._prefix, 0, logits="none", cancelled=self._cancelled)
            self._read = self._context.state()
        else:
            self._context.set_state(self._read)

    def _line(self, generator: Generator, max_tokens: int) -> str:
        """What the model writes up to the end of the line or of its turn, which is not fed."""
        stream, line = TextStream(self._model), ""
        for step in generator.steps(max_tokens, self._cancelled):
            if self._model.is_end(step.token):
                break
            line += stream.push(step.token)
            if "\n" in line.lstrip():
                break
        return line.strip().split("\n", 1)[0].strip()
