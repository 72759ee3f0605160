"""Greedy generation with prompt-lookup drafting.

Copying a line that stands in the context needs no model of its own to guess it: after two or three
equal tokens the continuation in the documents is proposed and checked by the model in one batch.
The result is the same as without drafting (each token is the model's own argmax); only the time differs.
Method: prompt lookup decoding (A. Saxena, 2023), https://github.com/apoorvumang/prompt-lookup-decoding
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from kvfiles.errors import Cancelled
from kvfiles.runtime.context import F32, Context
from kvfiles.runtime.model import Tokens

DRAFT_TOKENS = 15
MIN_DRAFT_TOKENS = 6
"""On two cores a batch of 16 takes the time of four or five single tokens, one of 4 that of three: long
drafts pay, short ones do not."""
MATCH_TOKENS = (8, 5, 3)
"""Equal tokens after which a draft is made, the longest match first."""


@dataclass(frozen=True, slots=True)
class Step:
    """One accepted token: its id, and whether it was drafted."""

    token: int
    drafted: bool


class Generator:
    """Continues one sequence of a context token by token.

    `lookup` holds the tokens of the documents, from which drafts are taken; empty turns drafting off.
    """

    def __init__(self, context: Context, *, lookup: Tokens, seq: int = 0) -> None:
        self._context = context
        self._seq = seq
        self._lookup = lookup
        self._recent: list[int] = []
        self._logits = np.empty((0, 0), np.float32)
        self.n_generated = 0

    def feed(self, tokens: Tokens, cancelled: Callable[[], bool] | None = None) -> None:
        """Decode given tokens (the question, or a forced continuation)."""
        if len(tokens) == 0:
            return
        self._logits = self._context.decode(
            tokens, self._context.end(self._seq), seq=self._seq, logits="last", cancelled=cancelled
        )
        self._recent += [int(t) for t in tokens]

    def next_logits(self) -> F32:
        """(n_vocab,) logits of the next token."""
        row: F32 = self._logits[-1]
        return row

    def steps(self, max_tokens: int, cancelled: Callable[[], bool] | None = None) -> Iterator[Step]:
        """Yield up to `max_tokens` tokens, the end-of-turn token included if the model gives one.

        When the caller stops early, tokens that were drafted but not yet handed out are dropped again,
        so that `feed` continues exactly after the last token seen.
        """
        model, context = self._context.model, self._context
        yielded = 0
        while yielded < max_tokens:
            if cancelled is not None and cancelled():
                raise Cancelled("stopped")
            token = int(self.next_logits().argmax())
            first = Step(token, drafted=False)
            if model.is_end(token):
                yield first
                return
            draft = self._draft(token)[: max_tokens - yielded - 1]
            start = context.end(self._seq)
            batch = np.array([token, *draft], np.int32)
            logits = context.decode(batch, start, seq=self._seq, logits="all")
            kept = [first, *(Step(t, drafted=True) for t in self._accepted(logits, draft))]
            handed = 0
            try:
                for index, step in enumerate(kept):
                    handed = index + 1
                    yielded += 1
                    self.n_generated += 1
                    yield step
            finally:
                context.remove(self._seq, start + handed)
                self._recent += [step.token for step in kept[:handed]]
                self._logits = logits[handed - 1 : handed]

    def _accepted(self, logits: F32, draft: list[int]) -> list[int]:
        """The beginning of `draft` that the model would have said itself."""
        model = self._context.model
        for index, token in enumerate(draft):
            if int(logits[index].argmax()) != token or model.is_end(token):
                return draft[:index]
        return draft

    def _draft(self, token: int) -> list[int]:
        """What follows the latest tokens in the documents, up to the end of the line."""
        history = [*self._recent[-max(MATCH_TOKENS) :], token]
        for n in MATCH_TOKENS:
            if len(history) < n or len(self._lookup) <= n:
                continue
            hits = np.ones(len(self._lookup) - n, bool)
            for offset, wanted in enumerate(history[-n:]):
                hits &= self._lookup[offset : offset + len(hits)] == wanted
            places = np.flatnonzero(hits)
            if len(places):
                at = int(places[0]) + n
                return self._until_line_end([int(t) for t in self._lookup[at : at + DRAFT_TOKENS]])
        return []

    def _until_line_end(self, draft: list[int]) -> list[int]:
        """`draft` up to a line break, where a copied line ends; nothing when that is too short to pay."""
        for index, token in enumerate(draft):
            if b"\n" in self._context.model.piece(token):
                draft = draft[:index]
                break
        return draft if len(draft) >= MIN_DRAFT_TOKENS else []
