"""Only an answer that evidence carries is shown; the second reading may still withhold it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from beyondrag.events import ChosenDocument, Source, Timings
from beyondrag.second_reading import SecondReading
from beyondrag.verdict import (
    MIN_LOG_ODDS,
    Circumstances,
    Reply,
    conclude,
    follows_from,
    is_evidence,
    says_not_stated,
)

QUESTION = "How old was the keeper?"
LINE = "The keeper was 48 years old."
COPIED = Source("d", "/docs/d.txt", "d", "1", LINE, 0, len(LINE))
FOUND = replace(COPIED, quote="48 years", start=15, end=23)
NEAREST = replace(COPIED, quote="nearest")
CHOSEN = ChosenDocument("d", "/docs/d.txt", "d", 0, "", 20, 1.0, "snapshot", ())
CIRCUMSTANCES = Circumstances((CHOSEN,), (NEAREST,), ("e.txt: it has no text",), Timings(total_s=2.0), 7)

GOOD = Reply(QUESTION, (LINE,), (COPIED,), (), "48")
INVENTED = Reply(QUESTION, (), (), ("The keeper was 47.",), "47")
AWAY = Reply(
    QUESTION, ("The lamp is lit.",), (replace(COPIED, quote="The lamp is lit."),), (), "48", found=FOUND
)
REFUSED = replace(GOOD, answer="not stated", found=FOUND)
DOUBTED = replace(GOOD, again=SecondReading((MIN_LOG_ODDS - 0.01,), 0.0))


@pytest.mark.parametrize(
    ("reply", "supported", "evidence"),
    [
        (GOOD, True, (COPIED,)),
        (INVENTED, False, ()),
        (AWAY, True, (FOUND,)),
        (replace(AWAY, found=None), False, ()),
        (replace(INVENTED, found=FOUND), True, (FOUND,)),
        (replace(GOOD, unverified=("invented",)), False, ()),
        (REFUSED, False, (FOUND,)),
        (replace(GOOD, answer=""), False, ()),
        (DOUBTED, False, (COPIED,)),
        (replace(GOOD, again=SecondReading((MIN_LOG_ODDS,), 0.0)), True, (COPIED,)),
        (replace(INVENTED, again=SecondReading((5.0,), 0.0)), False, ()),
    ],
)
def test_what_supports_an_answer(reply: Reply, supported: bool, evidence: tuple[Source, ...]) -> None:
    assert reply.supported == supported
    assert reply.evidence == evidence


def test_the_odds_are_those_of_the_whole_answer() -> None:
    assert SecondReading((-1.0, -0.5), -3.0).log_odds == 1.5


def test_a_supported_answer_is_shown_with_its_evidence() -> None:
    for check in (True, False):
        answer = conclude(QUESTION, AWAY, CIRCUMSTANCES, check=check)
        assert (answer.answer, answer.abstained, answer.checked) == ("48", False, True)
        assert (answer.sources, answer.nearest) == ((FOUND,), ())
        assert answer.log_odds is None
        assert (answer.documents, answer.left_out) == ((CHOSEN,), CIRCUMSTANCES.left_out)
        assert (answer.timings.total_s, answer.prefilled_tokens) == (2.0, 7)


@pytest.mark.parametrize("reply", [INVENTED, DOUBTED, REFUSED, replace(AWAY, found=None)])
def test_an_unsupported_answer_is_withheld(reply: Reply) -> None:
    answer = conclude(QUESTION, reply, CIRCUMSTANCES, check=True)
    assert (answer.answer, answer.abstained, answer.checked) == ("", True, False)
    assert (answer.sources, answer.nearest) == ((), (NEAREST,))


def test_without_the_check_it_is_shown_and_marked() -> None:
    answer = conclude(QUESTION, INVENTED, CIRCUMSTANCES, check=False)
    assert (answer.answer, answer.abstained, answer.checked) == ("47", False, False)
    assert (answer.sources, answer.nearest) == ((), (NEAREST,))
    doubted = conclude(QUESTION, DOUBTED, CIRCUMSTANCES, check=False)
    assert (doubted.answer, doubted.checked, doubted.sources) == ("48", False, (COPIED,))
    assert doubted.log_odds == pytest.approx(MIN_LOG_ODDS - 0.01)


@pytest.mark.parametrize("check", [True, False])
def test_nothing_to_read_is_an_abstention(check: bool) -> None:
    answer = conclude(QUESTION, None, CIRCUMSTANCES, check=check)
    assert (answer.answer, answer.abstained, answer.checked, answer.sources) == ("", True, False, ())
    assert answer.log_odds is None


@pytest.mark.parametrize(
    ("answer", "copies", "expected"),
    [
        ("48", (LINE,), True),
        ("forty-eight", (LINE,), True),
        ("48 years old", (LINE,), True),
        ("47", (LINE,), False),
        ("48 or 49", (LINE,), False),
        ("8", (LINE,), False),
        ("Yes", (LINE,), True),
        ("no", (LINE,), True),
        ("the keeper", ("The lamp is lit.",), False),
        ("the keeper", ("The lamp is lit.", "It burns oil."), True),
        ("Ingrid", ("The lamp is lit.", "It burns oil."), False),
        ("A", ("Blood type A was found.",), True),
        ("it", ("Blood type A was found.",), False),
        ("...", (LINE,), False),
        ("—", (LINE,), False),
        ("", (LINE,), False),
    ],
)
def test_what_follows_from_copied_lines(answer: str, copies: tuple[str, ...], expected: bool) -> None:
    assert follows_from(answer, copies, QUESTION) == expected


@pytest.mark.parametrize(
    "copied", ["", "48", "a-b", "...", "not stated", "Not mentioned in the report", "Engine:"]
)
def test_too_little_to_be_evidence(copied: str) -> None:
    assert not is_evidence(copied)


@pytest.mark.parametrize("copied", ["Engine: Lycoming", "48 h, no"])
def test_enough_to_be_evidence(copied: str) -> None:
    assert is_evidence(copied)


@pytest.mark.parametrize(
    "answer",
    [
        *("", " ", "not stated", "Not stated.", '"not mentioned"', "n/a", "None", "unknown", "unknowns"),
        *("The document does not say", "The documents don't say", "the text doesn’t mention it"),
        *("I don't know", "I do not know", "No information", "Unanswerable", "Insufficient information"),
    ],
)
def test_refusals(answer: str) -> None:
    assert says_not_stated(answer)


@pytest.mark.parametrize(
    "answer", ["48", "Notre Dame", "Northern", "Nonetheless Ltd", "Nota bene", "no", "No. 5"]
)
def test_answers_that_only_look_like_refusals(answer: str) -> None:
    assert not says_not_stated(answer)
