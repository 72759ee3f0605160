"""Seeded damage for bytes and for JSON values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np


def overwrite(path: Path, data: bytes) -> None:
    """Replace the contents in place: emptying a file first makes some file systems wait for the disk."""
    if not path.exists():
        path.touch()
    with path.open("r+b") as file:
        file.write(data)
        file.truncate()


def mutate_bytes(rng: np.random.Generator, data: bytes) -> bytes:
    """Flips, runs of junk, cuts, insertions, swapped pieces."""
    out = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        kind, at = rng.integers(5), int(rng.integers(max(1, len(out))))
        n = int(rng.integers(1, 40))
        if kind == 0 and out:
            out[at] ^= int(rng.integers(1, 256))
        elif kind == 1:
            out[at : at + n] = rng.bytes(n)
        elif kind == 2:
            del out[at : at + n]
        elif kind == 3:
            out[at:at] = rng.bytes(n)
        else:
            other = int(rng.integers(max(1, len(out))))
            out[at : at + n], out[other : other + n] = out[other : other + n], out[at : at + n]
    return bytes(out)


WEIRD: list[Any] = [
    None, True, 0, -1, 1, 3, 63, 64, 65, 2**31, 2**53, 2**63, 2**64 - 1, 0.5, 1e308,
    "", "u8", "f16", "\x00", "0" * 16, [], {}, [0], [1] * 9, [2**40, 2**40], ["a"],
]  # fmt: skip


def mutate_json(rng: np.random.Generator, value: Any) -> Any:
    """One node of a JSON value replaced, dropped, doubled or nudged."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = list(value)[int(rng.integers(len(value)))]
        if rng.random() < 0.1:
            return {k: v for k, v in value.items() if k != key}
        return {k: mutate_json(rng, v) if k == key else v for k, v in value.items()}
    if isinstance(value, list) and value and rng.random() < 0.9:
        at = int(rng.integers(len(value)))
        fates = [
            value[:at] + value[at + 1 :],
            [*value[: at + 1], *value[at:]],
            [mutate_json(rng, v) if i == at else v for i, v in enumerate(value)],
        ]
        return fates[int(rng.choice(3, p=[0.1, 0.1, 0.8]))]
    if type(value) is int and rng.random() < 0.5:
        return value + int(rng.integers(-70, 70))
    return WEIRD[int(rng.integers(len(WEIRD)))]
