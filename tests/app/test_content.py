"""Words of one spelling: numbers in words are digits, and every word knows its place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beyondrag.content import content_words, with_digits
from beyondrag.evidence import words

ONES = "one two three four five six seven eight nine".split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()


def spelled(text: str) -> list[str]:
    return [word.folded for word in content_words(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("twenty-four hours", ["24", "hours"]),
        ("Twenty four hours", ["24", "hours"]),
        ("twenty, four", ["20", "4"]),
        ("nine months", ["9", "months"]),
        ("a one-off payment", ["1", "off", "payment"]),
        ("nineteen", ["19"]),
        ("ninety", ["90"]),
        ("thirty twenty-one", ["30", "21"]),
        ("twenty zero", ["20", "0"]),
        ("twenty eleven", ["20", "11"]),
        ("twenty twenty", ["20", "20"]),
        ("the keeper of the lamp", ["keeper", "lamp"]),
        ("someone tenfold sevens", ["someone", "tenfold", "sevens"]),
        ("1,364 lbs", ["1364", "lbs"]),
        ("", []),
    ],
)
def test_what_is_left_of_a_text(text: str, expected: list[str]) -> None:
    assert spelled(text) == expected


@given(st.integers(2, 9), st.integers(1, 9), st.sampled_from(["-", " "]))
def test_every_compound_below_a_hundred(tens: int, ones: int, mark: str) -> None:
    text = f"was {TENS[tens - 2].title()}{mark}{ONES[ones - 1]} years"
    (number, years) = content_words(text)
    assert number.folded == str(10 * tens + ones)
    assert text[number.start : number.end] == f"{TENS[tens - 2].title()}{mark}{ONES[ones - 1]}"
    assert years.folded == "years"


@given(st.integers(0, 10**9))
def test_plain_digits_stay_as_they_are(number: int) -> None:
    assert spelled(f"{number}") == spelled(f"{number:,}") == [str(number)]


@given(
    st.lists(
        st.one_of(st.sampled_from([*ONES, *TENS, "zero", "twelve", "the"]), st.text(max_size=6)), max_size=25
    ),
    st.sampled_from([" ", "-", "\n", ", ", ""]),
)
def test_every_word_is_kept_in_its_place(parts: list[str], gap: str) -> None:
    """The words of a text are those of `words`, at most two of which became one number."""
    text = gap.join(parts)
    plain = list(words(text))
    for word in with_digits(words(text)):
        merged = [plain.pop(0)]
        if word.end != merged[0].end:
            merged.append(plain.pop(0))
        assert (word.start, word.end) == (merged[0].start, merged[-1].end)
        assert word.folded == merged[0].folded or word.folded == str(int(word.folded))
        if len(merged) == 2:
            assert (merged[0].folded in TENS, merged[1].folded in ONES) == (True, True)
    assert plain == []
