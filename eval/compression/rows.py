"""What one measurement gives, as it is kept in a file, and what all texts together give."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self, get_args

import numpy as np
import orjson
from numpy.typing import NDArray

from eval.scores import Summary, TokenScores, bootstrap_interval, join, summarise
from eval.stats import wilson

SCHEMA = 1
"""Raised whenever rows of before cannot be compared with new ones; it is part of every key."""

Mode = Literal["text", "answer"]
"""Scored along the text itself, or along the answer that the f16 cache gave to a question about it."""

Family = Literal["codec", "one side", "noise floor", "llama.cpp", "literature"]

MAX_TOKENS = 1 << 20
_MAX_NAME_CHARS = 200
_NUMBERS = ("kld", "nll_reference", "nll")


@dataclass(frozen=True, slots=True)
class CaseId:
    """Which model read which text how.

    Attributes:
        model, text: names for people.
        model_sha256: of the GGUF file, hex.
        case_sha256: of every token that is read and of the question, hex.
        context_tokens: tokens in the cache; `eval_tokens` those scored, for answers at most.
        build: llama.cpp binding and kernels; rounding depends on them.
    """

    model: str
    model_sha256: str
    text: str
    case_sha256: str
    mode: Mode
    context_tokens: int
    eval_tokens: int
    build: str

    def key(self, cache: str) -> str:
        """A hash of everything that the scores of `cache` (its identity) depend on."""
        parts = asdict(self)
        del parts["model"], parts["text"]
        canonical = orjson.dumps({**parts, "cache": cache, "schema": SCHEMA}, option=orjson.OPT_SORT_KEYS)
        return hashlib.sha256(canonical).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Measured:
    """The scores of one kind of cache on one case."""

    key: str
    case: CaseId
    cache: str
    family: Family
    bits_per_value: float
    scores: TokenScores

    def to_json(self) -> dict[str, Any]:
        """A flat object: key, case, cache, summary, and the scores of every token (base64 of f32 or bits)."""
        numbers = {name: _pack(getattr(self.scores, name)) for name in _NUMBERS}
        return {
            "schema": SCHEMA,
            "key": self.key,
            **asdict(self.case),
            "cache": self.cache,
            "family": self.family,
            "bits_per_value": self.bits_per_value,
            **asdict(summarise(self.scores)),
            "scores": {**numbers, "same_top1": _base64(np.packbits(self.scores.same_top1).tobytes())},
        }

    @classmethod
    def from_json(cls, values: Any) -> Self:
        """The row again; raises ValueError, KeyError or TypeError when it makes no sense."""
        if not isinstance(values, Mapping) or values["schema"] != SCHEMA:
            raise ValueError("not a row of this version")
        bits, n = values["bits_per_value"], values["n_tokens"]
        if not isinstance(bits, int | float) or not isinstance(n, int) or not 0 < n <= MAX_TOKENS:
            raise ValueError("numbers that make no sense")
        case = CaseId(
            model=_text(values, "model"),
            model_sha256=_text(values, "model_sha256"),
            text=_text(values, "text"),
            case_sha256=_text(values, "case_sha256"),
            mode=_one_of(values, "mode", get_args(Mode)),
            context_tokens=_count(values, "context_tokens"),
            eval_tokens=_count(values, "eval_tokens"),
            build=_text(values, "build"),
        )
        kld, nll_reference, nll = (_unpack(values["scores"][name], n) for name in _NUMBERS)
        same = np.unpackbits(np.frombuffer(_bytes(values["scores"]["same_top1"], -(-n // 8)), np.uint8))
        return cls(
            _text(values, "key"),
            case,
            _text(values, "cache"),
            _one_of(values, "family", get_args(Family)),
            float(bits),
            TokenScores(kld, same[:n].astype(np.bool_), nll_reference, nll),
        )


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of cache over all texts of one mode and length.

    `summary` is of all tokens together; `interval` (95 %, bootstrap) that of its mean divergence,
    `same_top1_interval` (95 %, Wilson) that of the agreement; `texts` each text's own summary.
    """

    name: str
    bits_per_value: float
    summary: Summary
    interval: tuple[float, float]
    texts: tuple[Summary, ...]
    same_top1_interval: tuple[float, float] = (0.0, 1.0)
    text_names: tuple[str, ...] = ()
    family: Family = "codec"
    mode: Mode = "text"
    context_tokens: int = 0

    def to_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "family": self.family,
            "mode": self.mode,
            "context_tokens": self.context_tokens,
            "bits_per_value": self.bits_per_value,
            **asdict(self.summary),
            "kld_interval": list(self.interval),
            "same_top1_interval": list(self.same_top1_interval),
            "texts": [
                {"name": name, **asdict(text)} for name, text in zip(self.text_names, self.texts, strict=True)
            ],
        }


def combine(measured: Iterable[Measured]) -> list[Row]:
    """Rows by mode, length and cache, in the order in which they first come."""
    groups: dict[tuple[Mode, int, str], list[Measured]] = {}
    for one in measured:
        groups.setdefault((one.case.mode, one.case.context_tokens, one.cache), []).append(one)
    rows = []
    for (mode, context_tokens, name), group in groups.items():
        together = join([one.scores for one in group])
        rows.append(
            Row(
                name,
                float(np.mean([one.bits_per_value for one in group])),
                summarise(together),
                bootstrap_interval([one.scores.kld for one in group]),
                tuple(summarise(one.scores) for one in group),
                wilson(int(together.same_top1.sum()), len(together.same_top1)),
                tuple(one.case.text for one in group),
                group[0].family,
                mode,
                context_tokens,
            )
        )
    return rows


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")


def _pack(values: NDArray[np.float64]) -> str:
    return _base64(values.astype("<f4").tobytes())


def _bytes(text: Any, n: int) -> bytes:
    if not isinstance(text, str) or len(text) > 8 * MAX_TOKENS:
        raise TypeError("scores are no text")
    raw = base64.b64decode(text, validate=True)
    if len(raw) != n:
        raise ValueError(f"{len(raw)} bytes of scores instead of {n}")
    return raw


def _unpack(text: Any, n: int) -> NDArray[np.float64]:
    return np.frombuffer(_bytes(text, 4 * n), "<f4").astype(np.float64)


def _text(values: Mapping[str, Any], name: str) -> str:
    value = values[name]
    if not isinstance(value, str) or len(value) > _MAX_NAME_CHARS or not value.isprintable():
        raise ValueError(f"{name} is no name")
    return value


def _count(values: Mapping[str, Any], name: str) -> int:
    value = values[name]
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise ValueError(f"{name} is no number of tokens")
    return value


def _one_of(values: Mapping[str, Any], name: str, choices: tuple[Any, ...]) -> Any:
    value = values[name]
    if value not in choices:
        raise ValueError(f"{name} is none of {', '.join(choices)}")
    return value
