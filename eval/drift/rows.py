"""What one probe gave behind one kind of cache."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, fields
from typing import Any

import orjson

from eval.drift.arms import BASE
from eval.drift.chat import SYSTEM
from eval.drift.probes import KINDS, Document, Probe

SCHEMA = 1
"""Raised whenever rows of before cannot be compared with new ones; it is part of every key."""

_WORDS = ("key", "case", "model", "model_sha256", "library", "arm", "document", "probe")
MAX_TURNS = 8
MAX_REPLY_CHARS = 20_000


@dataclass(frozen=True, slots=True)
class Row:
    """One probe behind one arm.

    Attributes:
        key: a hash of everything that the outcome depends on (`row_key`).
        case: the same without the arm (`case_key`): rows of one case can be compared.
        model: the model's file name; `model_sha256` its SHA-256 in hex.
        library: the version of llama-cpp-python.
        max_tokens: the longest reply that was allowed.
        arm: the kind of cache, as in `arms`; `bits_per_value` of its copy of the document.
        rotated: whether llama.cpp rotated its quantised cache; None for the other arms.
        n_document_tokens: of the document, without the prompt's prefix.
        requests, replies: what was said, one a turn; `tokens` are the replies' tokens with the one that ends
            the turn, if it was said.
        kept: for each turn whether its check holds, None where it has none.
        divergence: turn and token index at which the reply first differs from that behind f16; None when the
            whole conversation is the same.
        kld: the divergence of the next-token distribution from that behind f16 for each token of f16's own
            replies, read with f16's own history; nats.
        n_same_top1: for how many of these the likeliest token is the same.
    """

    key: str
    case: str
    model: str
    model_sha256: str
    library: str
    max_tokens: int
    arm: str
    bits_per_value: float
    rotated: bool | None
    document: str
    probe: str
    kind: str
    n_document_tokens: int
    requests: tuple[str, ...]
    replies: tuple[str, ...]
    tokens: tuple[tuple[int, ...], ...]
    kept: tuple[bool | None, ...]
    divergence: tuple[int, int] | None
    kld: tuple[float, ...]
    n_same_top1: int

    @property
    def all_kept(self) -> bool:
        """Whether every check of the conversation holds."""
        return all(kept is not False for kept in self.kept)

    @property
    def tokens_before_divergence(self) -> int | None:
        """Tokens of reply that are the same as behind f16 before the first that is not; None: all are."""
        if self.divergence is None:
            return None
        turn, index = self.divergence
        return sum(len(reply) for reply in self.tokens[:turn]) + index

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def case_key(model_sha256: str, document: Document, probe: Probe, max_tokens: int, library: str) -> str:
    """SHA-256 over everything but the arm that a row depends on; `library`: of llama-cpp-python."""
    turns = [(turn.user, turn.check.describe() if turn.check else None) for turn in probe.turns]
    read = [SYSTEM, document.title, document.text]
    parts = [SCHEMA, model_sha256, library, *read, probe.id, probe.kind, turns, max_tokens]
    return hashlib.sha256(orjson.dumps(parts)).hexdigest()


def row_key(case: str, arm: str) -> str:
    """SHA-256 over a case and an arm."""
    return hashlib.sha256(orjson.dumps([case, arm])).hexdigest()


def parse_row(values: Any) -> Row:
    """The row of a decoded JSON object; raises ValueError, TypeError or KeyError when it is none."""
    if not isinstance(values, dict):
        raise TypeError("not an object")
    if values.keys() != {field.name for field in fields(Row)}:
        raise ValueError("other fields than a row has")
    n_turns = len(values["requests"])
    if not 0 < n_turns <= MAX_TURNS or any(len(values[f]) != n_turns for f in ("replies", "tokens", "kept")):
        raise ValueError("turns do not fit together")
    texts = {name: _word(values[name]) for name in _WORDS}
    if values["kind"] not in KINDS:
        raise ValueError("unknown kind")
    if not values["kld"] and values["arm"] != BASE:
        raise ValueError("nothing was compared with f16")
    return Row(
        **texts,
        kind=values["kind"],
        max_tokens=int(values["max_tokens"]),
        bits_per_value=float(values["bits_per_value"]),
        rotated=_flag(values["rotated"]),
        n_document_tokens=int(values["n_document_tokens"]),
        requests=tuple(_text(text) for text in values["requests"]),
        replies=tuple(_text(text) for text in values["replies"]),
        tokens=tuple(tuple(int(token) for token in reply) for reply in values["tokens"]),
        kept=tuple(_flag(kept) for kept in values["kept"]),
        divergence=_place(values["divergence"]),
        kld=tuple(float(value) for value in values["kld"]),
        n_same_top1=int(values["n_same_top1"]),
    )


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > MAX_REPLY_CHARS:
        raise TypeError("not a text, or too long")
    return value


def _word(value: Any) -> str:
    if not _text(value).isprintable():
        raise ValueError("a name is not printable")
    return str(value)


def _place(value: Any) -> tuple[int, int] | None:
    if value is None:
        return None
    turn, index = value
    return int(turn), int(index)


def _flag(value: Any) -> bool | None:
    if value is not None and not isinstance(value, bool):
        raise TypeError("not true, false or null")
    return value
