"""The word search of chunk-RAG against a naive version."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from beyondrag.chunk_rag.search import Bm25Search, ranking, terms

CORPUS = [
    "Harbour report\nThe keeper at Skerry Point was 48 years old.",
    "Bakery report\nThe oven of Mill Lane was built in 1921; the oven burns beech wood.",
    "Mill report\nThe mill grinds oats.",
]


def naive_bm25_plus(
    corpus: list[str], question: str, k1: float = 1.5, b: float = 0.75, delta: float = 1.0
) -> list[float]:
    """Lv and Zhai 2011, equation 3, over unique question terms."""
    bags = [Counter(terms(text)) for text in corpus]
    average = sum(sum(bag.values()) for bag in bags) / len(bags)
    scores = []
    for bag in bags:
        length, score = sum(bag.values()), 0.0
        for term in dict.fromkeys(terms(question)):
            holders = sum(term in other for other in bags)
            if holders:
                tf = bag[term] * (k1 + 1) / (bag[term] + k1 * (1 - b + b * length / average))
                score += math.log((len(bags) + 1) / holders) * (delta + tf)
        scores.append(score)
    return scores


@pytest.mark.parametrize(
    "question", ["Who built the ovens of Mill Lane?", "How old was the keeper?", "zebra"]
)
def test_bm25_against_a_naive_version(question: str) -> None:
    assert Bm25Search(CORPUS).scores(question) == pytest.approx(naive_bm25_plus(CORPUS, question))


def test_words_are_stemmed_and_titles_are_found() -> None:
    search = Bm25Search(CORPUS)
    assert ranking(search.scores("the BAKERIES"))[0] == 1
    assert ranking(search.scores("harbours"))[0] == 0
    assert terms("What was the oven's age?") == ["oven", "s", "age"]
    assert terms("to be or not to be") == ["to", "be", "or", "not", "to", "be"]  # nothing else is there


def test_a_search_over_nothing() -> None:
    assert len(Bm25Search([]).scores("x")) == 0
    assert list(Bm25Search(["", "..."]).scores("x")) == [0, 0]


def test_equal_scores_keep_the_order_of_the_chunks() -> None:
    assert list(ranking(np.array([1.0, 2.0, 1.0, 2.0]))) == [1, 3, 0, 2]
