"""Which chunks a question finds by its words: BM25.

The search is meant to be strong.  Words are analysed as the product does (library.analysis), the
document's title is part of each chunk's text, and every chunk gets a score, so that rankings are complete.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from rank_bm25 import BM25Plus

from library.analysis import stem_analyzer

F64 = NDArray[np.float64]

_STOP_WORDS = (
    "a an and are as at be been but by did do does for from had has have he her him his how i in into "
    "is it its many me much my no not of on or she so that the their them then there these they this to was "
    "we were what when where which who whom whose why will with would you your"
)


@functools.cache
def stop_words() -> frozenset[str]:
    """Stems of frequent words.

    Leaving them out, k1 = 1.5 and b = 0.75 found the most answers and gold documents in the top five chunks
    of seven settings tried on six sets (stop words kept, pairs of words as terms, other k1 and b); the
    settings differed by one point on average.
    """
    return frozenset(stem_analyzer().analyze(_STOP_WORDS))


class ChunkSearch(Protocol):
    """Scores all chunks for a question: (n_chunks,) f64, higher is better."""

    def scores(self, question: str) -> F64: ...


def ranking(scores: F64) -> NDArray[np.int64]:
    """(n,) indices, best first; of equal scores the earlier chunk comes first."""
    return np.argsort(-scores, kind="stable")


def terms(text: str) -> list[str]:
    """The stems of a text that are no stop words; all of them when there is nothing else."""
    words: list[str] = stem_analyzer().analyze(text.encode("utf-8", "replace").decode())
    return [word for word in words if word not in stop_words()] or words


class Bm25Search:
    """BM25+ (Lv and Zhai 2011), whose weights never go negative as those of plain Okapi BM25 do."""

    def __init__(self, texts: Sequence[str]) -> None:
        # rank_bm25 divides by the number of words: a chunk without any gets one that nothing asks for.
        corpus = [terms(text) or ["\0"] for text in texts]
        self._index: Any = BM25Plus(corpus) if corpus else None

    def scores(self, question: str) -> F64:
        if self._index is None:
            return np.zeros(0)
        return np.asarray(self._index.get_scores(list(dict.fromkeys(terms(question)))), np.float64)
