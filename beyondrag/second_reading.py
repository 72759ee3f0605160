"""A second opinion on an answer: how likely is it when the model is asked directly and may decline?

The copied line leads a small model to some answer, whether the documents hold one or not.  Asked again
without it, and with leave to write "not stated", the model gives a right answer a high probability and an
invented one a low one.  No text is generated: the answer's own tokens are scored.
"""

from __future__ import annotations

from dataclasses import dataclass

from kvfiles.runtime import Context, Model
from kvfiles.runtime.context import log_softmax
from kvfiles.runtime.model import Tokens

DIRECT_CLOSING = '\nAnswer in a few words. If the document does not say, write "not stated".'
REFUSAL = "not stated"
MAX_SCORED_TOKENS = 24


@dataclass(frozen=True, slots=True)
class SecondReading:
    """Log-probabilities (nats): of each token of the answer, and of the first token of "not stated"."""

    answer: tuple[float, ...]
    refusal: float

    @property
    def log_odds(self) -> float:
        """Of the answer against declining."""
        return sum(self.answer) - self.refusal


def read_again(model: Model, context: Context, *, at: int, suffix: Tokens, answer: str) -> SecondReading:
    """Score `answer` behind `suffix` (n,) tokens, which are put at position `at` of sequence 0.

    What stood from `at` on is dropped.  Raises ContextOverflow, DecodeError.
    """
    context.remove(0, at)
    tokens = model.tokenize(answer)[:MAX_SCORED_TOKENS]
    first = log_softmax(context.decode(suffix, at, logits="last"))[0]
    rest = log_softmax(context.decode(tokens, at + len(suffix), logits="all"))
    scores = [float(first[tokens[0]])]
    scores += [float(row[token]) for row, token in zip(rest, tokens[1:], strict=False)]
    return SecondReading(tuple(scores), float(first[model.tokenize(REFUSAL)[0]]))
