"""What a model reads to be calibrated: the texts that are shipped, and parts of the user's own files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from beyondrag.errors import UsageError
from ingest.indexing import only_file
from ingest.sandbox import ParserPool

MAX_FILES = 100
"""More of the user's files add nothing: each gives at most a few pieces."""
_FOLDER = Path(__file__).parent / "texts"


@dataclass(frozen=True, slots=True)
class CalibrationText:
    """A text and the name by which progress speaks of it; of `shipped` ones the beginning is read."""

    name: str
    text: str
    shipped: bool


def shipped_texts() -> tuple[CalibrationText, ...]:
    """The texts that come with the program, by name: prose, tables, lists, code, dialogue, languages."""
    return tuple(
        CalibrationText(path.stem, path.read_text("utf-8"), shipped=True)
        for path in sorted(_FOLDER.glob("*.txt"))
    )


def own_texts(
    files: Sequence[Path], on_file: Callable[[Path], None] = lambda _path: None
) -> tuple[CalibrationText, ...]:
    """The user's files as `ingest` reads them, each parsed in a child process; `on_file` is told before each.

    Raises UsageError for too many, PathProblem, NothingToIngest, ParseFailure.
    """
    if len(files) > MAX_FILES:
        raise UsageError(f"at most {MAX_FILES} files are of use", subject="--text")
    found = []
    with ParserPool() as pool:
        for path in files:
            on_file(path)
            found.append(CalibrationText(path.name, pool.parse(only_file(path)).text.text, shipped=False))
    return tuple(found)


def texts_hash(texts: Sequence[CalibrationText]) -> str:
    """SHA-256 (hex) of the texts in their order."""
    digest = hashlib.sha256()
    for one in texts:
        raw = one.text.encode("utf-8", "surrogatepass")
        digest.update(len(raw).to_bytes(8, "little") + raw)
    return digest.hexdigest()
