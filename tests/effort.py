"""How often a random test is repeated, and from which seed.

BEYONDRAG_LONG=1 asks for the long forms (`make test-slow`), BEYONDRAG_ROUNDS for a number of rounds,
BEYONDRAG_SEED for the seed of an earlier run.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson


@dataclass(frozen=True)
class Effort:
    """`tell` prints one line of JSON, seed included, whatever pytest captures."""

    name: str
    seed: int
    long: bool
    write: Callable[[str], None]

    def rounds(self, *, short: int, long: int) -> int:
        """The number of rounds to run."""
        return int(os.environ.get("BEYONDRAG_ROUNDS", long if self.long else short))

    def tell(self, **figures: Any) -> None:
        self.write(orjson.dumps({"test": self.name, "seed": self.seed, **figures}).decode())


def effort_of(name: str, write: Callable[[str], None]) -> Effort:
    """As the environment asks."""
    seed = int(os.environ.get("BEYONDRAG_SEED", secrets.randbelow(1 << 31)))
    return Effort(name, seed, os.environ.get("BEYONDRAG_LONG", "") not in ("", "0"), write)
