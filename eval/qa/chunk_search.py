"""Which chunks a question finds by sentence embeddings, or by several searches fused.

The searches are meant to be strong: the document's title is part of each chunk's text, and every chunk
gets a score, so that rankings are complete.  BM25 is in `beyondrag.chunk_rag.search`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from beyondrag.chunk_rag.search import F64, ChunkSearch, ranking
from eval.qa.embedder import F32, Embedder

RRF_K = 60


class DenseSearch:
    """Cosine of the question with the best window of each chunk.

    `vectors` are (n_windows, d) unit vectors, `owners` (n_windows,) the chunk of each.
    """

    def __init__(
        self, vectors: F32, owners: NDArray[np.int64], n_chunks: int, embed: Callable[[str], F32]
    ) -> None:
        self._vectors, self._owners, self._n, self._embed = vectors, owners, n_chunks, embed

    def scores(self, question: str) -> F64:
        best = np.full(self._n, -np.inf)
        np.maximum.at(best, self._owners, (self._vectors @ self._embed(question)).astype(np.float64))
        return best


class FusedSearch:
    """Reciprocal rank fusion: sum of 1 / (60 + rank) over the searches (Cormack et al. 2009)."""

    def __init__(self, searches: Sequence[ChunkSearch]) -> None:
        self._searches = searches

    def scores(self, question: str) -> F64:
        return fuse([ranking(search.scores(question)) for search in self._searches])


def fuse(rankings: Sequence[NDArray[np.int64]]) -> F64:
    """(n,) fused scores of complete rankings of the same n chunks; ranks count from 1."""
    scores = np.zeros(len(rankings[0]))
    for order in rankings:
        scores[order] += 1.0 / (RRF_K + np.arange(1, len(order) + 1))
    return scores


def question_vector(embedder: Embedder, question: str) -> F32:
    """(d,) unit vector of a question (its first window)."""
    vector: F32 = embedder.embed(embedder.windows("", question)[:1])[0]
    return vector
