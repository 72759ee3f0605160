"""What of a draft is kept, as far as words can tell."""

from __future__ import annotations

import pytest

from eval.make_questions.checks import Draft, Refusal, Stems, covers, is_duplicate, refusal, tidy

STATEMENT = 'Thomas Pell bought Lindow Mill from the abbey for 900\npounds and said "not stated".'
STEMS = Stems()
PASSAGE = STEMS.of(f"Lindow Mill\n{STATEMENT} The wheel was made of oak.")


@pytest.mark.parametrize(
    ("question", "answer", "wanted"),
    [
        ("Who bought Lindow Mill?", "Thomas Pell", Draft("Who bought Lindow Mill?", "Thomas Pell")),
        ('"Who bought Lindow Mill?" And', '"thomas pell."', Draft("Who bought Lindow Mill?", "Thomas Pell")),
        ("What did Lindow Mill cost?", "900 pounds", Draft("What did Lindow Mill cost?", "900 pounds")),
        (
            "Who bought\x1b[31m Lindow\nMill?",
            "Thomas Pell",
            Draft("Who bought [31m Lindow Mill?", "Thomas Pell"),
        ),
        ("Who bought Lindow Mill", "Thomas Pell", Refusal.NO_QUESTION),
        ("Who bought?", "Thomas Pell", Refusal.NO_QUESTION),
        ("Who " + "really " * 40 + "bought it?", "Thomas Pell", Refusal.NO_QUESTION),
        ("Who bought Lindow Mill?", "Tom Pell", Refusal.NO_ANSWER),
        ("Who bought Lindow Mill?", "", Refusal.NO_ANSWER),
        ("Who bought Lindow Mill?", "not stated", Refusal.NO_ANSWER),
        ("Who bought Lindow Mill?", "the", Refusal.NO_ANSWER),
        ("Who bought Lindow Mill?", "omas Pel", Refusal.NO_ANSWER),
        ("What is said of Lindow Mill?", STATEMENT, Refusal.NO_ANSWER),
    ],
)
def test_a_draft_is_tidied_or_refused(question: str, answer: str, wanted: Draft | Refusal) -> None:
    assert tidy(question, answer, STATEMENT) == wanted


def test_long_answers_and_plain_yes_are_none() -> None:
    statement = (
        "No, the wheel of the mill was made of oak and of iron by Hollis and Sons of Leek in Staffordshire."
    )
    assert tidy("Was the wheel old?", "No", statement) is Refusal.NO_ANSWER
    long = "the wheel of the mill was made of oak and of iron"
    assert tidy("What of the mill?", long, statement) is Refusal.NO_ANSWER


@pytest.mark.parametrize(
    ("question", "answer", "wanted"),
    [
        ("Who bought Lindow Mill?", "Thomas Pell", None),
        ("Who did he buy Lindow Mill from?", "the abbey", Refusal.POINTS),
        ("Who bought Lindow Mill in the passage?", "Thomas Pell", Refusal.POINTS),
        ("What does the text say of Lindow Mill?", "Thomas Pell", Refusal.POINTS),
        ("What did Thomas Pell pay for Lindow Mill?", "Thomas Pell", Refusal.GIVEN_AWAY),
        ("Which Pell named Thomas bought Lindow Mill?", "Thomas Pell", Refusal.GIVEN_AWAY),
        ("Who bought what and when?", "Thomas Pell", Refusal.VAGUE),
        ("Who flew the balloon over Paris in winter?", "Thomas Pell", Refusal.VAGUE),
    ],
)
def test_questions_that_cannot_stand_alone(question: str, answer: str, wanted: Refusal | None) -> None:
    assert refusal(Draft(question, answer), PASSAGE, STEMS) is wanted


def test_the_same_question_in_other_words() -> None:
    asked = [STEMS.asked("Who bought Lindow Mill from the abbey?")]
    assert is_duplicate(STEMS.asked("From the abbey, who has bought Lindow Mills?"), asked)
    assert not is_duplicate(STEMS.asked("Who bought Lindow Mill?"), [STEMS.asked("Who sold Lindow Hall?")])
    assert not is_duplicate(STEMS.asked("Who bought Lindow Mill?"), [])


def test_another_passage_fits_when_it_holds_all_that_this_one_does() -> None:
    asked = STEMS.asked("Who bought Lindow Mill?")
    assert covers(asked, PASSAGE, STEMS.of("The mill at Lindow was never bought."))
    assert not covers(asked, PASSAGE, STEMS.of("The mill at Quarry Bank was never bought."))
    assert covers(STEMS.asked("Who purchased Lindow Mill?"), PASSAGE, STEMS.of("Lindow mills"))
