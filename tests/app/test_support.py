"""An answer is found where it stands among the question's words, or nowhere."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from guards import assert_linear, hang_guard
from hypothesis import given
from hypothesis import strategies as st

from beyondrag.content import content_words
from beyondrag.support import MIN_COVERAGE, WORDS_AFTER, WORDS_BEFORE, _coverages, find_support, wording

QUESTION = "How old was the keeper at Skerry Point?"
FILLER = "Gulls cried over grey water. " * 20
TEXT = "\n".join(
    [
        "The road has 48 bends.",
        FILLER,
        "The keeper of Skerry Point was then 48 years old.",
        FILLER + "48 boats came.",
    ]
)


def around(question: str, answer: str, *texts: str) -> tuple[int, str] | None:
    support = find_support(question, answer, texts)
    if support is None:
        return None
    text = texts[support.index]
    assert MIN_COVERAGE <= support.coverage <= 1
    assert [w.folded for w in content_words(text[support.place.start : support.place.end])] == [
        w.folded for w in content_words(answer)
    ]
    return support.index, text[support.place.start - 5 : support.place.end + 6]


def test_the_place_among_the_questions_words() -> None:
    assert around(QUESTION, "48", TEXT) == (0, "then 48 years")


def test_all_of_the_question_is_a_coverage_of_one() -> None:
    support = find_support(QUESTION, "48", ["An old keeper (Skerry Point), 48."])
    assert support is not None
    assert support.coverage == pytest.approx(1.0)


def test_stems_count_as_words() -> None:
    assert (
        around("When did the ferry stop sailing?", "1921", "Ferries stopped to sail in 1921 again.")
        is not None
    )


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        ("48", "The keeper of Skerry Point was 84 years old."),
        ("48", "The road has 48 bends."),
        ("48", "The keeper at Skerry Point was old. " + FILLER + "There were 48 boats."),
        ("48 years", "The keeper at Skerry Point was 48 and had 3 years left."),
        ("8", "The keeper at Skerry Point was 48 years old."),
        ("", TEXT),
        ("...", TEXT),
        ("the", TEXT),
        ("no", "No keeper at Skerry Point was old."),
        ("Yes, 48", "Yes, 48: the keeper at Skerry Point was old."),
        ("48", ""),
    ],
)
def test_no_support(answer: str, text: str) -> None:
    assert around(QUESTION, answer, text) is None


def test_a_question_of_nothing_but_question_words_supports_nothing() -> None:
    assert around("Who was it?", "Ingrid Vell", "Ingrid Vell was it. Who? What?") is None


def test_the_answers_own_words_in_the_question_do_not_count() -> None:
    assert around("Skerry Point or the harbour?", "Skerry Point", "Skerry Point is far away.") is None


def test_the_document_that_covers_more() -> None:
    other = "The keeper of Mill Lane was 48 years old."
    assert around(QUESTION, "48", other, TEXT) == (1, "then 48 years")
    assert around(QUESTION, "48", TEXT, other) == (0, "then 48 years")
    same = "The keeper at Skerry Point was old: 48 indeed"
    support = find_support(QUESTION, "48", [same, same])
    assert support is not None
    assert support.index == 0


def test_numbers_in_words_are_found() -> None:
    assert around(QUESTION, "48", "keeper at Skerry Point: forty-eight years old") == (
        0,
        "int: forty-eight years",
    )


def test_the_window_ends_where_it_says() -> None:
    question = "the zebra?"
    for n, before, expected in [
        (WORDS_BEFORE - 1, True, True),
        (WORDS_BEFORE, True, False),
        (WORDS_AFTER - 1, False, True),
        (WORDS_AFTER, False, False),
    ]:
        gap = " ".join(["gull"] * n)
        text = f"zebra {gap} 48" if before else f"48 {gap} zebra"
        assert (find_support(question, "48", [text]) is not None) == expected


LETTERS = st.lists(st.sampled_from("abcde"), min_size=1, max_size=60)


@given(LETTERS, st.integers(1, 3), st.sets(st.sampled_from("abcx")), st.data())
def test_the_moving_window_agrees_with_looking_at_each_place(
    body: list[str], n: int, asked: set[str], data: st.DataObject
) -> None:
    places = sorted(data.draw(st.sets(st.integers(0, max(0, len(body) - n)), max_size=10)))
    weight = {stem: 1 / math.log(2 + body.count(stem)) for stem in asked}
    expected = []
    for at in places:
        near = set(body[max(0, at - WORDS_BEFORE) : at + n + WORDS_AFTER])
        expected.append(sum(weight[s] for s in asked & near) / sum(weight.values()) if asked else 0.0)
    assert list(_coverages(body, places, n, asked)) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    "hostile",
    [
        lambda n: "48 " * n,
        lambda n: "keeper 48 old " * (n // 3),
        lambda n: " ".join(f"w{number}" for number in range(n)) + " 48",
    ],
    ids=["answers", "answers and words", "words of all kinds"],
)
def test_a_hostile_text_costs_no_more_than_its_length(hostile: Callable[[int], str]) -> None:
    """The guard is for the expressions: the square of a megabyte is 10^12 steps."""

    def search(n: int) -> Callable[[], object]:
        text = hostile(n)
        return lambda: find_support(QUESTION, "48", [text])

    assert_linear(search, 1_000)
    with hang_guard():
        search(330_000)()


@pytest.mark.parametrize(
    ("answer", "text", "expected"),
    [
        ("9 months", "For Nine Months the lamp was out.", "Nine Months"),
        ("skerry point", "at Skerry Point.", "Skerry Point"),
        ("built 1921", "It was built in 1921.", "built in 1921"),
        ("1364 lbs", "Weight: 1,364 lbs", "1,364 lbs"),
        ("48", "no number here", "48"),
        ("Yes", "It was.", "Yes"),
        ("...", "text", "..."),
        ("48", "", "48"),
    ],
)
def test_the_wording_of_the_text(answer: str, text: str, expected: str) -> None:
    assert wording(answer, text) == expected
