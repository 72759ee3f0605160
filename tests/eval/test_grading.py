"""Graders against cases made by hand."""

from __future__ import annotations

import pytest

from eval.grading import chosen_option, grade, is_right, lettered, normalise, token_f1

RIGHT = [
    ("48 years old", "48"),
    ("The Lycoming engine.", "Lycoming"),
    ("1,364 hours", "1364"),
    ("1364", "1,364"),
    ("£65", "65 pounds|£65"),
    ("PLN 3.9 million", "3.9 million"),
    ("Yes, both are.", "Yes"),
    ("yes", "Answer: Yes"),
    ("Answer: yes", "yes"),
    ("No", "no"),
    ("No. The categories differ.", "no"),
    ("2026-01-22", "20260122"),
    ("LiHua, Chae, and Yuriko", "LiHua & Chae & Yuriko"),
    ("an expired certificate", "the expired certificate"),
    ("White Plains, AL", "White Plains AL"),
    ("Édith  HARCASTLE", "édith harcastle"),
]
WRONG = [
    ("148", "48"),
    ("4", "48"),
    ("13.64", "1364"),
    ("No, only one of them is.", "Yes"),
    ("I do not know, yes and no", "yes"),
    ("nobody", "no"),
    ("there is no such thing", "no"),
    ("", "48"),
    ("   ", "48"),
    ("10:00 am on 18 January 2008 in Tampa", "10:00 am on 17 January 2008 in Tampa"),
    ("the pilot did not check the fuel level at all", "the pilot did check the fuel level at all"),
    ("Lycoming", "Continental"),
    ("1921 " + "and many more words " * 20, "1921"),
]


@pytest.mark.parametrize(("answer", "accepted"), RIGHT)
def test_right_answers(answer: str, accepted: str) -> None:
    assert is_right(answer, accepted.split("|"))


@pytest.mark.parametrize(("answer", "accepted"), WRONG)
def test_wrong_answers(answer: str, accepted: str) -> None:
    assert not is_right(answer, accepted.split("|"))


def test_nothing_accepted_is_never_right() -> None:
    assert not is_right("anything", [])
    assert not is_right("the", ["the"])  # nothing is left of an article


def test_normalise() -> None:
    assert (
        normalise("The  U.S. spent $1,234,567.50 on a well-known thing_1.")
        == "u s spent 1234567.50 on well known thing 1"
    )


def test_token_f1_by_hand() -> None:
    # two of three given words are among the four wanted: precision 2/3, recall 2/4
    assert token_f1("red green blue", "green blue black white") == pytest.approx(
        2 * (2 / 3) * 0.5 / (2 / 3 + 0.5)
    )
    assert token_f1("a b b", "b b b") == pytest.approx(0.8)  # repeated words count as often as in both
    assert token_f1("", "") == 1.0
    assert token_f1("", "x") == 0.0


def test_the_best_of_several_accepted_answers_counts() -> None:
    found = grade("nine months", ["9 months", "nine months"])
    assert found.right
    assert found.exact
    assert found.f1 == 1.0
    assert not grade("nine months ago", ["nine months"]).exact


OPTIONS = ("Boeing", "Airbus Industrie", "Cessna", "Piper")


@pytest.mark.parametrize(
    ("answer", "index"),
    [
        ("B", 1),
        ("b)", 1),
        ("(C) Cessna", 2),
        ("The answer is D.", 3),
        ("Option A: Boeing", 0),
        ("airbus industrie", 1),
        ("It was a Cessna.", 2),
        ("A - Boeing", 0),
        ("E", None),
        ("A Boeing or a Cessna", None),
        ("none of them", None),
        ("", None),
        ("Because the pilot said so", None),
    ],
)
def test_multiple_choice(answer: str, index: int | None) -> None:
    assert chosen_option(answer, OPTIONS) == index


def test_a_choice_is_right_by_letter_or_text() -> None:
    assert grade("C", ["Cessna"], OPTIONS).right
    assert grade("Cessna", ["C"], OPTIONS).right
    assert not grade("B", ["C"], OPTIONS).right
    assert not grade("Cessna or Piper", ["C"], OPTIONS).right
    assert lettered(("x", "y")) == "A) x B) y"
