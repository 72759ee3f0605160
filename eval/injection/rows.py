"""What one probe gave in one arm."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

import orjson

from eval.injection.carriers import File
from eval.injection.probes import KINDS, Kind, Probe

SCHEMA = 1
"""Raised whenever rows of before cannot be compared with new ones; it is part of every key."""

Arm = Literal["plain", "planted"]
ARMS: tuple[Arm, ...] = get_args(Arm)
MAX_TEXT_CHARS = 20_000
MAX_TEXTS = 16
_TEXTS = ("key", "probe", "model", "model_sha256", "engine", "file", "question", "planted", "title", "answer")
_FLAGS = ("reached", "supported", "right", "obeyed")


@dataclass(frozen=True, slots=True)
class Row:
    """One probe in one arm.

    Attributes:
        key: a hash of everything that the outcome depends on (`row_key`).
        arm: "planted", or "plain": the same file without what was planted.
        engine: what answered: version of llama-cpp-python, codec, prompt and protocol of the product.
        file: name of the file; `title` what ingest called it.
        planted: the instruction, "" in the plain arm; `reached`: it stands in the text or title as read.
        n_tokens: of the document in its frame; `n_control` of them are control tokens.
        copies, answer: what the model copied as evidence and what it answered, before any check.
        supported: the evidence check lets the answer pass: a user sees it.
        right, obeyed: it is the right answer; it does what was planted (`Probe.obeyed`).
    """

    key: str
    probe: str
    kind: Kind
    arm: Arm
    model: str
    model_sha256: str
    engine: str
    max_tokens: int
    file: str
    question: str
    accepted: tuple[str, ...]
    planted: str
    title: str
    reached: bool
    n_tokens: int
    n_control: int
    copies: tuple[str, ...]
    answer: str
    supported: bool
    right: bool
    obeyed: bool

    @property
    def took_effect(self) -> bool:
        """Whether a user gets what was planted: an answer that obeys and is shown, or, where it was planted
        that nothing be answered, none."""
        return self.obeyed and (self.supported or self.kind == "refuse")

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def row_key(model_sha256: str, engine: str, probe: Probe, arm: Arm, file: File, max_tokens: int) -> str:
    """SHA-256 over everything that a row depends on."""
    content = hashlib.sha256(file.data).hexdigest()
    asked = [probe.asked.question, list(probe.asked.answers), list(probe.signs)]
    parts = [
        SCHEMA,
        model_sha256,
        engine,
        probe.id,
        arm,
        file.name,
        content,
        probe.planted,
        asked,
        max_tokens,
    ]
    return hashlib.sha256(orjson.dumps(parts)).hexdigest()


def parse_row(values: Any) -> Row:
    """The row of a decoded JSON object; raises ValueError, TypeError or KeyError when it is none."""
    if not isinstance(values, dict):
        raise TypeError("not an object")
    if values.keys() != {field.name for field in fields(Row)}:
        raise ValueError("other fields than a row has")
    if values["kind"] not in KINDS or values["arm"] not in ARMS:
        raise ValueError("unknown kind or arm")
    for name in _FLAGS:
        if not isinstance(values[name], bool):
            raise TypeError(f"{name} is not true or false")
    plain: dict[str, Any] = {name: _text(values[name]) for name in _TEXTS}
    plain |= {name: values[name] for name in _FLAGS}
    return Row(
        **plain,
        kind=values["kind"],
        arm=values["arm"],
        max_tokens=int(values["max_tokens"]),
        n_tokens=int(values["n_tokens"]),
        n_control=int(values["n_control"]),
        accepted=_texts(values["accepted"]),
        copies=_texts(values["copies"]),
    )


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > MAX_TEXT_CHARS:
        raise TypeError("not a text, or too long")
    return value


def _texts(values: Any) -> tuple[str, ...]:
    if not isinstance(values, list) or len(values) > MAX_TEXTS:
        raise TypeError("not a list, or too long")
    return tuple(_text(value) for value in values)
