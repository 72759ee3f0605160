"""A large library and a folder of many files, made of words that follow Zipf's law; seeded."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from library.records import DocumentText, PageSpan, ReadingProfile, SourceFile, Volume
from library.store import Library

N_WORDS = 50_000
_EXPONENT = 1.1
_WORDS_OF_A_PAGE = 60
_AT_ONCE = 1000
_READ = 64
"""Documents that get a snapshot: enough for lists to show some, too few to matter."""

PROFILE = ReadingProfile("5" * 32, "no model", "5" * 64, {"codec": "exact"})


@dataclass(frozen=True, slots=True)
class SyntheticText:
    """A made-up document: `words` of the vocabulary; `rare` are the few that hardly another one has."""

    title: str
    words: list[str]
    rare: list[str]


def texts(n_documents: int, n_words: int, seed: int) -> Iterator[SyntheticText]:
    """`n_documents` different documents of about `n_words` words (half to one and a half times)."""
    rng = np.random.default_rng(seed)
    vocabulary = np.array([_word(number) for number in range(N_WORDS)])
    weights = 1.0 / np.arange(1, N_WORDS + 1) ** _EXPONENT
    cumulated = np.cumsum(weights / weights.sum())
    for number in range(n_documents):
        n = int(rng.integers(n_words // 2, n_words * 3 // 2 + 1))
        drawn = np.minimum(np.searchsorted(cumulated, rng.random(n)), N_WORDS - 1)
        words = [str(word) for word in vocabulary[drawn]]
        rare = [str(word) for word in vocabulary[np.sort(drawn)[-4:]]]
        yield SyntheticText(f"{words[0]} {words[1]} {number}", words, rare)


def questions(n_questions: int, n_documents: int, n_words: int, seed: int) -> list[str]:
    """Questions of 5 to 9 words that each some document of `texts` with the same seed was made for."""
    rng = np.random.default_rng(seed + 1)
    wanted = set(rng.choice(n_documents, min(n_questions, n_documents), replace=False).tolist())
    asked = []
    for number, text in enumerate(texts(n_documents, n_words, seed)):
        if number in wanted:
            common = rng.choice(text.words, int(rng.integers(3, 6)))
            asked.append(" ".join(["which", *common, *text.rare[-int(rng.integers(1, 4)) :]]))
        if len(asked) == len(wanted):
            break
    return asked


def fill(
    root: Path, n_documents: int, n_words: int, seed: int, progress: Callable[[str], None]
) -> tuple[float, float]:
    """Make the library; returns the seconds for the catalogue and for the search index."""
    started = time.perf_counter()
    with Library.create_or_open(root) as library, library.parts.lock.hold():
        library.put_profile(PROFILE)
        made = enumerate(texts(n_documents, n_words, seed))
        done = False
        while not done:
            with library.parts.catalogue.transaction():  # one flush for many documents
                for number, text in made:
                    _add(library, number, text)
                    if number % _AT_ONCE == _AT_ONCE - 1:
                        progress(f"made {number + 1:,} documents")
                        break
                else:
                    done = True
        between = time.perf_counter()
        library.rebuild_index()
    return between - started, time.perf_counter() - between


def _add(library: Library, number: int, text: SyntheticText) -> None:
    pages = [text.words[i : i + _WORDS_OF_A_PAGE] for i in range(0, len(text.words), _WORDS_OF_A_PAGE)]
    joined, spans, at = [], [], 0
    for page_number, words in enumerate(pages, start=1):
        page = " ".join(words) + "\n"
        joined.append(page)
        spans.append(PageSpan(str(page_number), at, at + len(page)))
        at += len(page)
    document_id = hashlib.sha256(f"{number} {text.title}".encode()).hexdigest()
    source = SourceFile(f"/synthetic/{number % 1000:03}/{number}.txt", at, number)
    library.parts.documents.add(
        document_id,
        source,
        DocumentText("".join(joined), tuple(spans)),
        title=text.title,
        media_type="text/plain",
        warnings=(),
    )
    library.put_volumes(document_id, PROFILE.id, [Volume(document_id, 0, 0, at, len(text.words), "")])
    if number < _READ:
        file = library.snapshot_scratch()
        file.write_bytes(document_id.encode())
        library.put_snapshot(document_id, 0, PROFILE.id, file, len(text.words), "exact")


def write_files(folder: Path, n_files: int, n_words: int, seed: int) -> None:
    """`n_files` small text files in folders of a hundred."""
    for number, text in enumerate(texts(n_files, n_words, seed)):
        place = folder / f"{number // 100:03}"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{number}.txt").write_text(f"{text.title}\n\n{' '.join(text.words)}\n")


def _word(number: int) -> str:
    """Pronounceable, different for every number, short for small ones."""
    syllables = []
    number += 30
    while number:
        number, rest = divmod(number, 100)
        syllables.append("bcdfghjklmnprstvwxyz"[rest // 5] + "aeiou"[rest % 5])
    return "".join(syllables)
