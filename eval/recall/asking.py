"""Asking an attached context: a greedy reply, and how likely each token of the true answer is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from beyondrag.generation import Generator
from eval.recall.scoring import Bools
from eval.rig import F32
from kvfiles.errors import DecodeError
from kvfiles.runtime import Context, Model
from kvfiles.runtime.context import log_softmax
from kvfiles.runtime.model import Tokens

_TOGETHER = 64
"""Tokens of an answer read at one time; the logits of 64 positions take 39 MB at a vocabulary of 152k."""


@dataclass(frozen=True, slots=True)
class Forced:
    """The true answer of n tokens, each read after the true ones before it.

    Attributes:
        right: (n,) bool, whether the token was the likeliest.
        logprobs: (n,) f32 log-probabilities of the tokens, in nats.
    """

    right: Bools
    logprobs: F32


@dataclass(frozen=True, slots=True)
class ReplyLimits:
    """When a reply ends, if the turn does not: after `tokens` tokens or `lines` lines that say something."""

    tokens: int
    lines: int


def ask(
    context: Context, prompt: Tokens, answer: Tokens, limits: ReplyLimits | None, lookup: Tokens
) -> tuple[Forced, str | None]:
    """Read `prompt` after what sequence 0 holds, reply greedily, then read the true `answer` instead.

    Everything is removed again.  Without `limits` there is no reply.  Tokens that `lookup` suggests are
    drafted, which changes the time of a reply and not its words.  Raises ContextOverflow, DecodeError
    (also for logits that are not finite).
    """
    first = context.end()
    try:
        generator = Generator(context, lookup=lookup)
        generator.feed(prompt)
        next_logits = generator.next_logits()[None]
        reply = None
        if limits is not None:
            reply = _reply(generator, context.model, limits)
            context.remove(0, first + len(prompt))
        return _forced(context, next_logits, answer), reply
    finally:
        context.remove(0, first)


def _reply(generator: Generator, model: Model, limits: ReplyLimits) -> str:
    said = b""
    for step in generator.steps(limits.tokens):
        if model.is_end(step.token):
            break
        said += model.piece(step.token)
        if _n_lines(said) >= limits.lines:
            break
    return said.decode("utf-8", "replace")


def _n_lines(said: bytes) -> int:
    """Finished lines with a letter or digit in them: a reply may begin with `:` and an empty line."""
    return sum(any(chr(c).isalnum() for c in line) for line in said.split(b"\n")[:-1])


def _forced(context: Context, next_logits: F32, answer: Tokens) -> Forced:
    """Read `answer`, whose first token `next_logits` (1, n_vocab) predict, at the end of sequence 0."""
    parts = [_score(next_logits, answer[:1])]
    for i in range(0, len(answer) - 1, _TOGETHER):
        read = answer[i : min(i + _TOGETHER, len(answer) - 1)]
        logits = context.decode(read, context.end(), logits="all")
        parts.append(_score(logits, answer[i + 1 : i + 1 + len(read)]))
    return Forced(
        np.concatenate([part.right for part in parts]), np.concatenate([part.logprobs for part in parts])
    )


def _score(logits: F32, targets: Tokens) -> Forced:
    logprobs = log_softmax(logits)[np.arange(len(targets)), targets]
    if not np.isfinite(logprobs).all():
        raise DecodeError("the model's logits are not finite", remedy="measure another kind of cache")
    return Forced(logits.argmax(-1) == targets, logprobs)
