"""The cases that a text gives: its own continuation, and the f16 cache's answer to a question about it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.metadata import version
from typing import Protocol

import numpy as np

from beyondrag.errors import UsageError
from beyondrag.generation import Generator
from beyondrag.prompt import document_text, make_frame
from eval.compression.caches import MOVED_BY, Case
from eval.compression.plan import Plan
from eval.compression.rows import CaseId, Mode
from eval.rig import Rig
from eval.texts import TokenText
from kvfiles.runtime import Context
from kvfiles.runtime.model import Tokens
from library.wording import one_line

QUESTION = "Summarise this document in about ten sentences. Keep every name, date and number that matters."
"""What the answers are generated to."""

_HERE = "\x02"


class Source(Protocol):
    """A case that still has to be read."""

    @property
    def id(self) -> CaseId: ...

    @property
    def body(self) -> Tokens:
        """The tokens to read."""

    @property
    def n_cells(self) -> int:
        """Cells that a context needs for it."""

    def case(self, context: Context) -> Case:
        """The case; `context` has just read `body` and holds nothing else afterwards."""


@dataclass(frozen=True, slots=True)
class TextSource:
    """A text and its own next tokens."""

    id: CaseId
    body: Tokens
    tail: Tokens

    @property
    def n_cells(self) -> int:
        return len(self.body) + len(self.tail) + MOVED_BY

    def case(self, context: Context) -> Case:
        return Case(self.body, self.tail)


@dataclass(frozen=True, slots=True)
class AnswerSource:
    """A text as the document of a prompt, a question, and room for the greedy answer."""

    id: CaseId
    body: Tokens
    question: Tokens
    max_tokens: int

    @property
    def n_cells(self) -> int:
        return len(self.body) + len(self.question) + self.max_tokens

    def case(self, context: Context) -> Case:
        """The answer ends where the model ends its turn, that token included, or after `max_tokens`."""
        generator = Generator(context, lookup=np.empty(0, np.int32))
        generator.feed(self.question)
        answer = [step.token for step in generator.steps(self.max_tokens)]
        context.remove(0, len(self.body))
        tail = np.concatenate([self.question, np.array(answer, np.int32)])
        return Case(self.body, tail, n_given=len(self.question))


def text_source(rig: Rig, model_sha256: str, text: TokenText, plan: Plan) -> TextSource:
    """The first tokens of `text` to read, those after them to score."""
    tokens = text.tokens[: plan.text_tokens]
    body, tail = tokens[: plan.context_tokens], tokens[plan.context_tokens :]
    return TextSource(
        _id(rig, model_sha256, text.name, "text", plan.context_tokens, plan.eval_tokens, tokens), body, tail
    )


def answer_source(rig: Rig, model_sha256: str, text: TokenText, plan: Plan) -> AnswerSource:
    """The product's prompt around as much of `text` as makes `plan.context_tokens` in all.

    Raises UsageError when there is no room for any of the text.
    """
    model = rig.model
    frame = make_frame(model, closing="")
    opening, closing = document_text(text.name, _HERE).split(_HERE)
    before = np.concatenate([frame.prefix_tokens(model), model.tokenize(opening)])
    after = model.tokenize(closing)
    n = plan.context_tokens - len(before) - len(after)
    if n <= 0:
        raise UsageError(
            f"{plan.context_tokens} tokens of context hold nothing but the prompt",
            remedy="use a larger --context-tokens, or --generated 0",
        )
    start = int(model.bos is not None and text.tokens[0] == model.bos)
    body = np.concatenate([before, text.tokens[start : start + n], after])
    question = frame.question_tokens(model, QUESTION)
    everything = np.concatenate([body, question])
    case_id = _id(rig, model_sha256, text.name, "answer", len(body), plan.generated, everything)
    return AnswerSource(case_id, body, question, plan.generated)


def _id(
    rig: Rig, model_sha256: str, text: str, mode: Mode, n_context: int, n_eval: int, tokens: Tokens
) -> CaseId:
    return CaseId(
        one_line(rig.model.path.stem, 100),
        model_sha256,
        text,
        hashlib.sha256(tokens.astype("<i4").tobytes()).hexdigest(),
        mode,
        n_context,
        n_eval,
        f"llama-cpp-python {version('llama-cpp-python')}, kernels {rig.kernels.name}",
    )
