"""A small `.kv` file, and a forger whose checksums fit."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import xxhash
from mutations import overwrite

from kvfiles.container import ALIGNMENT, MAGIC, VERSION, Container

PREAMBLE = 24

META: dict[str, Any] = {"schema": 1, "about": {"title": "Ein Bericht"}, "n": 3}
ARRAYS = {
    "tokens": np.arange(3, dtype=np.int32),
    "0/k": np.arange(24, dtype=np.float16).reshape(3, 8),
    "0/empty": np.empty((0, 8), np.float16),
    "0/codes": np.arange(70, dtype=np.uint8),
    "0/reference": np.array([0.5], np.float32),
}


def check(path: Path) -> None:
    """Open and verify everything, as `library verify` does."""
    with Container(path) as container:
        container.verify()


def forge(
    path: Path, header: Any, payload: bytes = b"", *, version: int = VERSION, raw: bytes | None = None
) -> None:
    """A file with a valid header checksum around any header at all."""
    encoded = orjson.dumps(header) if raw is None else raw
    start = struct.pack("<8sII", MAGIC, version, len(encoded))
    checksum = xxhash.xxh3_64_intdigest(start + encoded)
    head = start + struct.pack("<Q", checksum) + encoded
    overwrite(path, head + bytes(-len(head) % ALIGNMENT) + payload)


def header_of(data: bytes) -> dict[str, Any]:
    (length,) = struct.unpack_from("<I", data, 12)
    parsed: dict[str, Any] = orjson.loads(data[PREAMBLE : PREAMBLE + length])
    return parsed
