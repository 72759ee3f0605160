"""What one question gave behind one kind of cache."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, get_args, get_type_hints

SCHEMA = 1
"""Raised whenever rows of before cannot be compared with new ones; it is part of every key."""

MAX_REPLY_CHARS = 4000

_SEVERAL_LINES = ("answer", "reply")


@dataclass(frozen=True, slots=True)
class Row:
    """One question asked of one kind of cache.

    Attributes:
        key: a hash of everything that the outcome depends on.
        model: the model's file name; `model_sha256` its SHA-256 in hex.
        context_tokens: tokens that were asked for; `cached_tokens` those that the cache holds.
        sample, probe: numbers from 0; `stratum` and `depth` as in Probe.
        share: whether `score` is always 0 or 1.
        question, answer: as asked, and the true continuation of the reply's opening words.
        arm: the kind of cache: "exact", "k4v4", "llama.cpp q8_0", "no document".
        bits_per_value: of the stored cache; None for "no document".
        score: 0 to 1, of the true answer read token by token for `verbatim`, of the reply otherwise.
        nll: mean negative log-probability of the true answer's tokens, in nats; `agreement` the share of
            them that were the likeliest, `first_wrong` how many were before the first that was not.
        reply: what was generated; None where nothing was.
        reply_score: the score of `reply`.
    """

    key: str
    model: str
    model_sha256: str
    task: str
    context_tokens: int
    seed: int
    sample: int
    probe: int
    stratum: str
    depth: float
    share: bool
    question: str
    answer: str
    arm: str
    bits_per_value: float | None
    cached_tokens: int
    answer_tokens: int
    score: float
    nll: float
    agreement: float
    first_wrong: int
    reply: str | None
    reply_score: float | None

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def parse_row(values: Any) -> Row:
    """The row of a decoded JSON object; raises ValueError or TypeError when it is none."""
    if not isinstance(values, dict):
        raise TypeError("not an object")
    row = Row(**values)
    for name, kinds in _KINDS.items():
        value = getattr(row, name)
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise TypeError(f"{name} is a {type(value).__name__}")
        if isinstance(value, str) and name not in _SEVERAL_LINES and not value.isprintable():
            raise ValueError(f"{name} is not printable")
    return row


def _accepted(hint: Any) -> tuple[type, ...]:
    kinds = get_args(hint) or (hint,)
    return (*kinds, int) if float in kinds else kinds


_KINDS = {name: _accepted(hint) for name, hint in get_type_hints(Row).items()}
