"""English numbers in words, against an independent speller."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beyondrag.evidence import words
from beyondrag.spelled_numbers import with_digits

ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
).split()
TENS = "? ? twenty thirty forty fifty sixty seventy eighty ninety".split()


def spell(number: int, hyphen: str, conjunction: str) -> str:
    """The oracle: as it is taught at school."""
    if number < 20:
        return ONES[number]
    if number < 100:
        tens, ones = divmod(number, 10)
        return TENS[tens] + (hyphen + ONES[ones] if ones else "")
    for scale, name in ((1_000_000, "million"), (1000, "thousand"), (100, "hundred")):
        if number >= scale:
            many, rest = divmod(number, scale)
            joint = conjunction if rest < 100 or name == "hundred" else " "
            tail = joint + spell(rest, hyphen, conjunction) if rest else ""
            return f"{spell(many, hyphen, conjunction)} {name}{tail}"
    raise AssertionError


def read(text: str) -> list[str]:
    return [word.folded for word in with_digits(words(text))]


@given(st.integers(0, 999_999_999), st.sampled_from("- "), st.sampled_from((" ", " and ")))
def test_what_is_spelled_is_read(number: int, hyphen: str, conjunction: str) -> None:
    assert read(f"It took {spell(number, hyphen, conjunction)} years.") == [
        "it",
        "took",
        str(number),
        "years",
    ]


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("twenty, three and four", "20 3 and 4"),
        ("one hundred. Twenty people came", "100 20 people came"),
        ("a hundred and one dogs", "101 dogs"),
        ("hundred of them", "hundred of them"),
        ("two and three", "2 and 3"),
        ("one hundred and Bob", "100 and bob"),
        ("thirty forty", "30 40"),
        ("twenty zero", "20 0"),
        ("two thousand three million", "2003 million"),
        ("no one", "no 1"),
        ("", ""),
    ],
)
def test_what_ends_a_number(text: str, want: str) -> None:
    assert read(text) == want.split()


def test_the_words_keep_their_places() -> None:
    text = "They paid one hundred and twenty-four pounds."
    number = next(word for word in with_digits(words(text)) if word.folded == "124")
    assert text[number.start : number.end] == "one hundred and twenty-four"
