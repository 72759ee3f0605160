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
from kvfiles.runtime.context import F32, Context, log_softmax
from kvfiles.runtime.model import Tokens

DRAFT_TOKENS = 15
"""A batch of 16 takes the time of 4-5 single tokens on two cores: long drafts pay, short ones do not."""
MATCH_TOKENS = (4, 3, 2)


@dataclass(frozen=True, slots=True)
class Step:
    """One accepted token: its id, its log-probability, and whether it was drafted."""

    token: int
    logprob: float
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

    def next_logprobs(self) -> F32:
        """(n_vocab,) log-probabilities of the next token."""
        row: F32 = log_softmax(self._logits)[-1]
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
            logprobs = self.next_logprobs()
            token = int(logprobs.argmax())
            first = Step(token, float(logprobs[token]), drafted=False)
            if model.is_end(token):
                yield first
                return
            draft = self._draft(token)[: max_tokens - yielded - 1]
            start = context.end(self._seq)
            batch = np.array([token, *draft], np.int32)
            logits = context.decode(batch, start, seq=self._seq, logits="all")
            accepted = self._accepted(logits, draft)
            kept = [first, *(Step(t, lp, drafted=True) for t, lp in accepted)]
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

    def _accepted(
        self, logits: np.ndarray[tuple[int, int], np.dtype[np.float32]], draft: list[int]
    ) -> list[tuple[int, float]]:
        accepted: list[tuple[int, float]] = []
        for index, token in enumerate(draft):
            if int(logits[index].argmax()) != token or self._context.model.is_end(token):
                break
            accepted.append((token, float(log_softmax(logits[index : index + 1])[0, token])))
        return accepted

    def _draft(self, token: int) -> list[int]:
        """What follows the first occurrence of the latest tokens in the documents."""
        history = [*self._recent[-max(MATCH_TOKENS) :], token]
        for n in MATCH_TOKENS:
            if len(history) < n or len(self._lookup) <= n:
                continue
            tail = history[-n:]
            hits = np.ones(len(self._lookup) - n, bool)
            for offset, wanted in enumerate(tail):
                hits &= self._lookup[offset : offset + len(hits)] == wanted
            places = np.flatnonzero(hits)
            if len(places):
                at = int(places[0]) + n
                return [int(t) for t in self._lookup[at : at + DRAFT_TOKENS]]
        return []
