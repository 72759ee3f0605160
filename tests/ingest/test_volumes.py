"""Cutting long documents: everything kept, nothing too long, parts alike, cuts at good places."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.volumes import CutVolume, cut
from library.records import DocumentText, PageSpan


def per_byte(text: str) -> int:
    """A counter as uneven as a tokenizer: ASCII counts half, other letters by their bytes."""
    return ceil(sum(0.5 if char < "\x80" else len(char.encode()) for char in text))


def per_word(text: str) -> int:
    return len(text.split())


def document(pages: Sequence[str]) -> DocumentText:
    spans, start = [], 0
    for number, page in enumerate(pages, start=1):
        spans.append(PageSpan(str(number), start, start + len(page)))
        start += len(page)
    return DocumentText("".join(pages), tuple(spans))


def check(text: DocumentText, n_tokens: Callable[[str], int], max_tokens: int) -> tuple[CutVolume, ...]:
    volumes = cut(text, n_tokens, max_tokens)
    position = 0
    for volume in volumes:
        assert volume.char_start == position < volume.char_end
        assert volume.n_tokens == n_tokens(text.text[position : volume.char_end]) <= max_tokens
        position = volume.char_end
    assert position == len(text.text)
    return volumes


def prose(seed: int, n_words: int) -> str:
    chance = random.Random(seed)
    words: list[str] = []
    while len(words) < n_words:
        words += ["word" * chance.randint(1, 3) for _ in range(chance.randint(5, 20))]
        words[-1] += chance.choice([". ", ".\n", ".\n\n"])
    return " ".join(words).replace("\n ", "\n")


PAGES = st.lists(st.text(alphabet=st.sampled_from("ab.é語 \n"), max_size=300), max_size=8)


@given(PAGES, st.integers(3, 400), st.sampled_from([per_byte, per_word, len]))
def test_volumes_are_the_text_and_none_is_too_long(
    pages: list[str], max_tokens: int, n_tokens: Callable[[str], int]
) -> None:
    text = document(pages)
    assert check(text, n_tokens, max_tokens) == cut(text, n_tokens, max_tokens)


@given(st.integers(0, 10_000), st.integers(2, 200))
def test_a_counter_that_does_not_add_up_is_borne(seed: int, max_tokens: int) -> None:
    def capricious(text: str) -> int:
        return 1 + len(text) // 3 + random.Random(f"{seed}{len(text)}").randint(0, max(1, len(text) // 10))

    check(document([prose(seed, 200)]), capricious, max(max_tokens, 4))


def test_what_fits_is_one_volume() -> None:
    text = document(["one two ", "three"])
    assert cut(text, per_word, 3) == (CutVolume(0, 13, 3, "whole document"),)
    assert cut(document([]), per_word, 3) == ()


@pytest.mark.parametrize("n_words", [1_001, 1_999, 2_100, 5_000, 20_000])
def test_parts_are_about_equal(n_words: int) -> None:
    volumes = check(document([prose(3, n_words)]), per_word, 1_000)
    counts = [volume.n_tokens for volume in volumes]
    assert len(volumes) <= ceil(n_words / 900) + 1
    assert min(counts) > 0.55 * max(counts)


def test_cuts_are_made_between_pages_when_there_are_some_near() -> None:
    text = document([prose(seed, 90) for seed in range(40)])
    volumes = check(text, per_word, 1_000)
    starts = {page.start for page in text.pages}
    assert all(volume.char_start in starts for volume in volumes)
    assert volumes[0].label == f"1 to {text.page_at(volumes[0].char_end - 1).label}"
    assert volumes[-1].label.endswith("to 40")


@pytest.mark.parametrize(
    ("separator", "worse"),
    [("\n\n", "a line.\nA sentence. "), ("\n", "a sentence. And "), (". ", "word ")],
)
def test_the_best_separator_near_is_taken(separator: str, worse: str) -> None:
    whole = ((worse * 20).strip(". \n") + separator) * 30
    for volume in check(document([whole]), per_byte, per_byte(whole) // 3)[:-1]:
        assert whole[: volume.char_end].endswith(separator)


def test_a_single_long_word_is_cut_all_the_same() -> None:
    assert len(check(document(["x" * 10_000]), len, 999)) == 11


def test_the_tokenizer_is_asked_sparingly() -> None:
    seen: list[int] = []

    def counting(text: str) -> int:
        seen.append(len(text))
        return per_word(text)

    whole = prose(1, 50_000)
    volumes = cut(document([whole]), counting, 4_000)
    assert sum(seen) < 4 * len(whole)
    assert sum(n_chars > len(whole) / 2 for n_chars in seen) == 1
    assert len(seen) < 60 * len(volumes)


def test_impossible_limits_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one token"):
        cut(document(["text"]), len, 0)
    with pytest.raises(ValueError, match="one character takes 9 tokens"):
        cut(document(["text"]), lambda text: 9 * len(text), 8)
