"""Which code made an answer: noted with each row, so that mixed runs can be told."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
_DECIDING = (
    "library/*.py",
    "ingest/**/*.py",
    "kvfiles/**/*.py",
    *(
        f"beyondrag/{name}.py"
        for name in (
            "answering",
            "asking",
            "choosing",
            "content",
            "evidence",
            "generation",
            "placing",
            "prompt",
            "query",
            "retrieval",
            "second_reading",
            "support",
            "turn",
            "verdict",
        )
    ),
    "beyondrag/chunk_rag/*.py",
    "eval/qa/chunk*.py",
    *(f"eval/qa/{name}.py" for name in ("arms", "closed_book", "embedder", "product", "systems")),
)


@functools.cache
def code_fingerprint() -> str:
    """12 hex digits over the sources that can affect an answer."""
    digest = hashlib.sha256()
    for pattern in _DECIDING:
        for path in sorted(_ROOT.glob(pattern)):
            digest.update(path.relative_to(_ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]
