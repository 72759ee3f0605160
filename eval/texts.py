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


@dataclass(frozen=True, slots=True)
class TextPool:
    """Whole tokenised texts from which measured ones are cut.

    Of a single `shared` text (the joined examples) up to MAX_EXAMPLE_TEXTS consecutive parts are cut.
    """

    texts: tuple[TokenText, ...]
    shared: bool
    bos: int | None

    def cut(self, n_tokens: int) -> list[TokenText]:
        """Texts of exactly `n_tokens`; raises UsageError when one is too short."""
        if self.shared:
            return self._parts(n_tokens)
        for text in self.texts:
            if len(text.tokens) < n_tokens:
                raise _too_short(text.name, len(text.tokens), n_tokens)
        return [TokenText(text.name, text.tokens[:n_tokens]) for text in self.texts]

    def fitting(self, n_tokens: int) -> tuple[list[TokenText], list[str]]:
        """The same of the texts that are long enough, and the names of the others.

        Raises UsageError when none is.
        """
        long = tuple(text for text in self.texts if len(text.tokens) >= n_tokens)
        if not long:
            longest = max(self.texts, key=lambda text: len(text.tokens))
            raise _too_short(longest.name, len(longest.tokens), n_tokens)
        short = [text.name for text in self.texts if len(text.tokens) < n_tokens]
        return TextPool(long, self.shared, self.bos).cut(n_tokens), short

    def _parts(self, n_tokens: int) -> list[TokenText]:
        name, joined = self.texts[0].name, self.texts[0].tokens
        n_texts = min(MAX_EXAMPLE_TEXTS, (len(joined) - 1) // n_tokens)
        if n_texts == 0:
            raise _too_short(f"the {name}", len(joined), n_tokens)
        parts = [joined[i * n_tokens : (i + 1) * n_tokens].copy() for i in range(n_texts)]
        if self.bos is not None:
            for part in parts:
                part[0] = self.bos
        return [TokenText(f"{name} {i + 1}", part) for i, part in enumerate(parts)]


def text_pool(model: Model, paths: Sequence[Path], *, join: bool = False) -> TextPool:
    """One text for each named file, or the examples joined.

    With `join`, one for each named file or folder: a folder's files joined in the order of their names.
    Raises UsageError, IngestError.
    """
    if not paths:
        joined = "\n\n".join(text.body for text in example_texts())
        return TextPool((TokenText("examples", tokens_of(model, joined)),), True, model.bos)
    texts = [_joined(path) for path in paths] if join else read_texts(paths)
    found = tuple(TokenText(text.title, tokens_of(model, text.body)) for text in texts)
    return TextPool(found, False, model.bos)


def measured_texts(model: Model, paths: Sequence[Path], n_tokens: int) -> list[TokenText]:
    """Texts of exactly `n_tokens` tokens: one for each named file, or up to three from the examples.

    The examples are joined and cut.  Raises UsageError when a file is too short, IngestError.
    """
    return text_pool(model, paths).cut(n_tokens)


def _joined(path: Path) -> Text:
    texts = read_texts([path])
    if len(texts) == 1:
        return texts[0]
    resolved = path.resolve()
    name = resolved.parent.name if resolved.name in ("docs", "documents") else resolved.name
    return Text(one_line(name, _MAX_NAME_CHARS), "\n\n".join(text.body for text in texts))


def tokens_of(model: Model, text: str) -> Tokens:
    """The tokens of plain text, BOS first if the model wants one."""
    tokens = model.tokenize(text)
    return tokens if model.bos is None else np.concatenate([np.array([model.bos], np.int32), tokens])


def _too_short(name: str, found: int, wanted: int) -> UsageError:
    return UsageError(
        f"{found} tokens are too few, {wanted} are needed",
        subject=name,
        remedy="name longer texts, or lower the number of tokens",
    )
