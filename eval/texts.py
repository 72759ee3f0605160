"""What is measured on: the files a person names, or the example documents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from beyondrag.errors import UsageError
from ingest.sandbox import ParserPool
from ingest.scan import scan
from kvfiles.runtime.model import Model, Tokens
from library.wording import one_line

EXAMPLES = Path(__file__).resolve().parent.parent / "examples" / "documents"
MAX_EXAMPLE_TEXTS = 3
_MAX_NAME_CHARS = 40
"""Names are the heads of table columns."""


@dataclass(frozen=True, slots=True)
class Text:
    """A title in one printable line, and a whole text."""

    title: str
    body: str


@dataclass(frozen=True, slots=True)
class TokenText:
    """A name for tables and (n,) i32 tokens, BOS first if the model wants one."""

    name: str
    tokens: Tokens


def read_texts(paths: Sequence[Path]) -> list[Text]:
    """The texts of files and folders, by name; raises IngestError for one that cannot be read."""
    found = scan(paths)
    found.require_files()
    with ParserPool() as pool:
        parsed = [pool.parse(file) for file in sorted(found.files, key=lambda file: file.path)]
    return [Text(one_line(file.title, _MAX_NAME_CHARS), file.text.text) for file in parsed]


def example_texts() -> list[Text]:
    """The example documents; raises UsageError where they are not installed."""
    if not EXAMPLES.is_dir():
        raise UsageError("the example documents are not installed", remedy="name text files to measure on")
    return read_texts([EXAMPLES])


def measured_texts(model: Model, paths: Sequence[Path], n_tokens: int) -> list[TokenText]:
    """Texts of exactly `n_tokens` tokens: one for each named file, or up to three from the examples.

    The examples are joined and cut.  Raises UsageError when a file is too short, IngestError.
    """
    if paths:
        return [_cut(model, text, n_tokens) for text in read_texts(paths)]
    joined = tokens_of(model, "\n\n".join(text.body for text in example_texts()))
    n_texts = min(MAX_EXAMPLE_TEXTS, (len(joined) - 1) // n_tokens)
    if n_texts == 0:
        raise _too_short("the examples", len(joined), n_tokens)
    return [_example(model, joined, i, n_tokens) for i in range(n_texts)]


def tokens_of(model: Model, text: str) -> Tokens:
    """The tokens of plain text, BOS first if the model wants one."""
    tokens = model.tokenize(text)
    return tokens if model.bos is None else np.concatenate([np.array([model.bos], np.int32), tokens])


def _cut(model: Model, text: Text, n_tokens: int) -> TokenText:
    tokens = tokens_of(model, text.body)
    if len(tokens) < n_tokens:
        raise _too_short(text.title, len(tokens), n_tokens)
    return TokenText(text.title, tokens[:n_tokens])


def _example(model: Model, joined: Tokens, index: int, n_tokens: int) -> TokenText:
    part = joined[index * n_tokens : (index + 1) * n_tokens].copy()
    if model.bos is not None:
        part[0] = model.bos
    return TokenText(f"examples {index + 1}", part)


def _too_short(name: str, found: int, wanted: int) -> UsageError:
    return UsageError(
        f"{found} tokens are too few, {wanted} are needed",
        subject=name,
        remedy="name longer texts, or lower the number of tokens",
    )
