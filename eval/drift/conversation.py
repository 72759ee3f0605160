"""Talking on a cache: the model's own replies, and the same conversation with given ones.

Both leave the context as it was, so that the next conversation starts behind the document again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from beyondrag.generation import Generator
from kvfiles.runtime import Context
from kvfiles.runtime.model import Model, Tokens

_NO_DRAFTS: Tokens = np.empty(0, np.int32)


def replies(context: Context, requests: Sequence[Tokens], max_tokens: int) -> list[Tokens]:
    """The greedy reply to each request, in one conversation that goes on with the model's own replies.

    A reply has at most `max_tokens` tokens; the one that ends the turn is its last if it was said.
    One token is decoded at a time, without drafts, so that every arm computes in the same batches.
    """
    start = context.end()
    generator = Generator(context, lookup=_NO_DRAFTS)
    said = []
    try:
        for request in requests:
            generator.feed(request)
            tokens = [step.token for step in generator.steps(max_tokens)]
            said.append(np.array(tokens, np.int32))
    finally:
        context.remove(0, start)
    return said


def forced(context: Context, requests: Sequence[Tokens], given: Sequence[Tokens]) -> Iterator[Tokens]:
    """Lead the context through a conversation with the replies `given`.

    At each turn it stands just before the last token of the request, and the tokens from there to the end of
    the given reply are yielded, to be scored by `forced_logprobs` or `score_forced`.  Consume it wholly.
    """
    start = context.end()
    try:
        for request, reply in zip(requests, given, strict=True):
            context.decode(request[:-1], context.end(), logits="none")
            yield np.concatenate([request[-1:], reply])
            spoken = np.concatenate([request[-1:], without_end(context.model, reply)])
            context.decode(spoken, context.end(), logits="none")
    finally:
        context.remove(0, start)


def without_end(model: Model, reply: Tokens) -> Tokens:
    """The reply without the token that ends the turn: the next request's frame brings it."""
    return reply[:-1] if len(reply) and model.is_end(int(reply[-1])) else reply


def first_difference(one: Sequence[Tokens], other: Sequence[Tokens]) -> tuple[int, int] | None:
    """Turn and index of the first token that differs, also when one reply ends first; None when all agree."""
    for turn, (a, b) in enumerate(zip(one, other, strict=True)):
        n = min(len(a), len(b))
        different = np.flatnonzero(a[:n] != b[:n])
        if len(different):
            return turn, int(different[0])
        if len(a) != len(b):
            return turn, n
    return None
