"""What became of every statement that was tried, so that a stopped run goes on where it was."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import orjson

from beyondrag.asking import PROTOCOL_VERSION
from beyondrag.verdict import MIN_LOG_ODDS
from eval.make_questions.checks import Refusal
from eval.make_questions.facts import Fact
from eval.make_questions.writer import PROMPT_VERSION
from library.wording import without_lone_surrogates

SCHEMA = 1
"""Raised when the checks change: what was refused before is then tried again."""

Role = Literal["single", "null"]
"""Asked with its document there, or with it hidden."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One statement: what the model wrote, and why it was refused (None: it was kept)."""

    key: str
    role: Role
    written: str
    refused: Refusal | None

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"written": without_lone_surrogates(self.written)}


def attempt_key(model_sha256: str, fact: Fact, role: Role) -> str:
    """SHA-256 over everything that the outcome depends on but the other documents."""
    parts = [SCHEMA, PROMPT_VERSION, PROTOCOL_VERSION, MIN_LOG_ODDS, model_sha256, fact.key, role]
    return hashlib.sha256(orjson.dumps(parts)).hexdigest()


def parse_attempt(value: Any) -> Attempt:
    """The attempt of a decoded JSON object; raises ValueError, TypeError or KeyError when it is none."""
    if not isinstance(value, dict) or value["role"] not in get_args(Role):
        raise ValueError("not an attempt")
    refused = value["refused"]
    return Attempt(
        str(value["key"]), value["role"], str(value["written"]), None if refused is None else Refusal(refused)
    )
