"""Chunks: nothing is lost, none is too long, neighbours overlap, cuts are at sentence ends if they can be."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beyondrag.chunk_rag.chunks import cut_chunks, document_chunks
from library.records import DocumentText, PageSpan

WORDS = re.compile(r"\S+")


def one_each(_word: str) -> int:
    return 1


def by_length(word: str) -> int:
    """About as a byte-pair tokenizer counts."""
    return 1 + len(word.strip()) // 4


texts = st.text(st.sampled_from("ab. \n!?\u00e9\u4e2d"), max_size=600) | st.lists(
    st.sampled_from(["alpha", "be", "gamma.", "delta\n", "epsilon?", "x" * 70]), max_size=120
).map(" ".join)


@given(texts, st.integers(4, 40), st.data())
def test_chunks_cover_the_text_and_keep_to_the_size(text: str, size: int, data: st.DataObject) -> None:
    overlap = data.draw(st.integers(0, (size - 1) // 2))
    chunks = list(cut_chunks(text, by_length, size=size, overlap=overlap))
    covered = set()
    for start, end, n_tokens in chunks:
        assert 0 <= start < end <= len(text)
        assert not text[start].isspace()
        assert not text[end - 1].isspace()
        parts = re.findall(r"\s*\S{1,48}", text[start:end])
        assert n_tokens <= size or len(parts) == 1
        covered |= set(range(start, end))
    assert all(char.isspace() or i in covered for i, char in enumerate(text))
    for (start, end, _), (next_start, next_end, _) in pairwise(chunks):
        assert start < next_start
        assert end < next_end
        assert sum(by_length(w) for w in WORDS.findall(text[next_start:end])) <= overlap or overlap == 0
    if overlap == 0:
        assert all(end <= next_start for (_, end, _), (next_start, _, _) in pairwise(chunks))


def test_sizes_and_overlap_of_text_without_sentences() -> None:
    text = " ".join(f"w{i}" for i in range(1000))
    chunks = list(cut_chunks(text, one_each, size=100, overlap=20))
    assert [n for _, _, n in chunks[:-1]] == [100] * (len(chunks) - 1)
    assert text[chunks[1][0] :].startswith("w80 ")
    assert text[chunks[2][0] :].startswith("w160 ")
    assert chunks[-1][1] == len(text)


def test_a_chunk_ends_at_a_sentence_of_its_last_quarter_and_the_next_starts_at_one() -> None:
    sentence = "one two three four five six seven eight nine ten."
    text = " ".join([sentence] * 30)
    chunks = list(cut_chunks(text, one_each, size=96, overlap=12))
    for start, end, n_tokens in chunks:
        assert text[start:end].startswith("one")
        assert text[start:end].endswith("ten.")
        assert n_tokens == 90 or end == len(text)
    assert chunks[1][0] == text.index(sentence, 0) + 8 * (len(sentence) + 1)  # ten words overlap


def test_a_line_end_is_as_good_as_a_sentence_end() -> None:
    line = "Engine Manufacturer: Lycoming\n"
    text = line * 40
    for start, end, _ in cut_chunks(text, one_each, size=32, overlap=6):
        assert text[start:end].startswith("Engine")
        assert text[start:end].endswith("Lycoming")


def test_text_that_fits_is_one_chunk() -> None:
    assert list(cut_chunks("  A short text. ", one_each, size=512, overlap=64)) == [(2, 15, 3)]
    assert list(cut_chunks(" \n ", one_each)) == []
    assert list(cut_chunks("", one_each)) == []


def test_an_overlap_that_leaves_no_room_is_refused() -> None:
    with pytest.raises(ValueError, match="overlap"):
        list(cut_chunks("a b", one_each, size=10, overlap=5))


def test_chunks_know_document_and_page() -> None:
    text = DocumentText("first page\x0csecond page here", (PageSpan("1", 0, 10), PageSpan("2", 11, 27)))
    chunks = list(document_chunks("id", "Title", text, one_each, size=3, overlap=0))
    assert [(c.document_id, c.title) for c in chunks] == [("id", "Title")] * len(chunks)
    assert [(c.page, text.text[c.start : c.end]) for c in chunks] == [
        ("1", "first page"),
        ("2", "second page here"),
    ]
