from __future__ import annotations

import itertools
import re

from hypothesis import given, settings
from hypothesis import strategies as st
from shelf import pages_of

from library.passages import WORDS_MAX, WORDS_MIN, cut_passages
from library.records import DocumentText, PageSpan

prose = st.lists(
    st.sampled_from(
        ["alpha", "Beta.", "gamma?", "\n", "\n\n", "e.g. x", "ὀξύς", "\f", "x" * 300, "\t", "no."]
    ),
    max_size=700,
).map(" ".join)


@settings(max_examples=60, deadline=None)
@given(prose)
def test_passages_hold_every_word_and_start_and_end_at_words(text: str) -> None:
    windows = list(cut_passages(pages_of(text)))
    covered = bytearray(len(text))
    for window in windows:
        assert 0 <= window.start < window.end <= len(text)
        passage = text[window.start : window.end]
        assert passage == passage.strip()
        covered[window.start : window.end] = b"\1" * len(passage)
    assert all(covered[i] for i, character in enumerate(text) if not character.isspace())
    starts = [window.start for window in windows]
    assert starts == sorted(set(starts))
    assert all(len(text[w.start : w.end].split()) <= WORDS_MAX for w in windows)


def test_passages_of_prose_have_the_intended_length_and_overlap() -> None:
    sentences = " ".join(f"Sentence {i} has exactly seven words here." for i in range(300))
    windows = list(cut_passages(DocumentText(sentences, (PageSpan("1", 0, len(sentences)),))))
    lengths = [len(sentences[w.start : w.end].split()) for w in windows]
    assert all(WORDS_MIN <= n <= WORDS_MAX for n in lengths[:-1])
    assert all(b.start < a.end for a, b in itertools.pairwise(windows))
    assert all(re.match(r"Sentence \d+ has", sentences[w.start :]) for w in windows)
    assert all(sentences[: w.end].endswith(".") for w in windows)


def test_a_passage_does_not_cross_pages_unless_one_is_tiny() -> None:
    long_page = "word " * 130
    text = pages_of("\f".join([long_page, long_page, "tiny page", long_page]))
    crossing = [
        (text.page_at(w.start).label, text.page_at(w.end - 1).label)
        for w in cut_passages(text)
        if text.page_at(w.start) != text.page_at(w.end - 1)
    ]
    assert set(crossing) <= {("3", "4")}
    assert crossing


def test_text_without_spaces_or_sentences_is_cut_too() -> None:
    text = "字" * 20_000
    windows = list(cut_passages(DocumentText(text, ())))
    assert len(windows) > 5
    assert max(w.end - w.start for w in windows) <= 3600
    assert windows[0].start == 0
    assert windows[-1].end == len(text)


def test_an_empty_text_has_no_passages() -> None:
    assert list(cut_passages(DocumentText("", ()))) == []
    assert list(cut_passages(pages_of(" \n\f \n"))) == []
