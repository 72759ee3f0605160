"""Dense and fused searches of chunk-RAG against naive versions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beyondrag.chunk_rag.search import ranking
from eval.qa.chunk_search import DenseSearch, FusedSearch, fuse
from eval.qa.embedder import Embedder, EmbedderMissing, _data


def test_reciprocal_rank_fusion_by_hand() -> None:
    first, second = np.array([2, 0, 1]), np.array([0, 1, 2])
    found = fuse([first, second])
    assert found == pytest.approx([1 / 62 + 1 / 61, 1 / 63 + 1 / 62, 1 / 61 + 1 / 63])


@given(st.permutations(range(6)))
def test_fusing_a_ranking_with_itself_changes_nothing(order: list[int]) -> None:
    ranked = np.array(order)
    assert list(ranking(fuse([ranked, ranked]))) == order


def test_fused_search_puts_its_searches_together() -> None:
    class Fixed:
        def __init__(self, *scores: float) -> None:
            self._scores = np.array(scores)

        def scores(self, _question: str) -> np.ndarray:
            return self._scores

    found = FusedSearch([Fixed(3, 2, 1), Fixed(0, 9, 1)]).scores("?")
    assert found == pytest.approx([1 / 61 + 1 / 63, 1 / 62 + 1 / 61, 1 / 63 + 1 / 62])


def test_dense_search_takes_the_best_window_of_each_chunk() -> None:
    vectors = np.array([[1, 0], [0, 1], [0.6, 0.8]], np.float32)
    search = DenseSearch(vectors, np.array([0, 0, 1]), 3, lambda _: np.array([0, 1], np.float32))
    assert search.scores("?") == pytest.approx([1.0, 0.8, -np.inf])


def test_missing_packages_are_told_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib

    def none(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", none)
    with pytest.raises(EmbedderMissing) as caught:
        Embedder(1)
    assert "pip install" in caught.value.remedy


def test_a_data_file_with_another_sum_is_refused() -> None:
    with pytest.raises(EmbedderMissing, match="expected"):
        _data("eval", "sets.py", "0" * 64)
    with pytest.raises(EmbedderMissing, match="not installed"):
        _data("no_such_package_here", "x", "0" * 64)
    source = Path(__file__).resolve().parents[2] / "eval" / "__init__.py"
    import hashlib

    assert (
        _data("eval", "__init__.py", hashlib.sha256(source.read_bytes()).hexdigest()) == source.read_bytes()
    )


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    try:
        return Embedder(1)
    except EmbedderMissing as error:
        pytest.skip(f"{error}")


def test_embeddings_are_unit_vectors_that_tell_meanings_apart(embedder: Embedder) -> None:
    texts = ["The cat sleeps on the sofa.", "A kitten naps on the couch.", "Bond yields rose again."]
    windows = [embedder.windows("", text)[0] for text in texts]
    vectors = embedder.embed(windows)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1, 1], abs=1e-5)
    assert vectors[0] @ vectors[1] > 0.5 > vectors[0] @ vectors[2]
    alone = embedder.embed([windows[0]])  # padding beside longer texts changes nothing
    assert alone[0] == pytest.approx(vectors[0], abs=1e-4)


def test_windows_overlap_and_repeat_the_title(embedder: Embedder) -> None:
    body = " ".join(f"word{i % 10}" for i in range(400))
    windows = embedder.windows("Harbour report", body)
    assert len(windows) > 1
    head = embedder.windows("Harbour report", "")[0][:-1]
    inner = [window[len(head) : -1] for window in windows]
    assert all(window[: len(head)] == head and len(window) <= 256 for window in windows)
    step = (256 - 2 - (len(head) - 1)) * 3 // 4
    pieces = embedder.windows("", body)
    assert inner[0][step + 1 :][:20] == inner[1][:20] or inner[0][step:][:20] == inner[1][:20]
    assert pieces[0][1:50] == inner[0][:49]
    assert embedder.windows("", "") == [[101, 102]]
