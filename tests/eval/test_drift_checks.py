"""Every check against replies that keep and that break what was asked for."""

from __future__ import annotations

import pytest

from eval.drift.checks import (
    BeginsWith,
    Check,
    EndsWith,
    InOrder,
    JsonObject,
    Lines,
    LowerCase,
    Numbered,
    OnlyNumber,
    UpperCase,
    Words,
    avoids,
    both,
    figure,
    mentions,
    occurrence,
)

PRICES = JsonObject((("adult", "6"), ("child", "2")))

KEPT: list[tuple[Check, str]] = [
    (mentions("Ilse Brandvold"), "The head warden is Ilse  Brandvold."),
    (mentions("18,236"), "There were 18236 visitors."),
    (mentions("18236"), "There were 18,236 visitors."),
    (mentions("door", "stand"), "into the STAND"),
    (mentions("Needle's Eye"), "at the Needle’s Eye"),
    (figure(3), "On three days"),
    (figure(3), "3"),
    (figure(21), "21 pieces"),
    (avoids("door"), "They go into the stand outdoors."),
    (Words(3, 3), "a broken leg"),
    (Words(3, 3), "Broken left-hand leg."),
    (Words(2, 3), "Nine o'clock sharp"),
    (Words(1, 1), "1,240"),
    (EndsWith("as recorded"), "Bram Hollis, as recorded."),
    (EndsWith("as recorded"), 'He said "As recorded"'),
    (EndsWith("as recorded"), "as recorded"),
    (BeginsWith("Clause"), "Clause 8."),
    (BeginsWith("Please ask the curator"), '"Please ask the curator."'),
    (UpperCase(), "KASTANJE 2!"),
    (LowerCase(), "morning tern"),
    (InOrder(("mill", "boulder")), "1. Mill\n2. the Boulder"),
    (Lines(2), "a\n\nb\n"),
    (Lines(2, "-"), "- a\n - b"),
    (Numbered(2), "1. date\n2) cone"),
    (OnlyNumber("1240"), "1,240."),
    (OnlyNumber("1240"), " 1240 "),
    (OnlyNumber("12.5"), "12.50"),
    (PRICES, '{"adult": 6, "child": 2}'),
    (PRICES, '```json\n{"child": "2 crowns", "adult": 6}\n```'),
    (both(mentions("48"), EndsWith("review")), "48 florins, subject to review."),
]

BROKEN: list[tuple[Check, str]] = [
    (mentions("Ilse Brandvold"), "Ilse"),
    (mentions("12"), "120"),
    (mentions("12"), "3.12"),
    (mentions("12"), "12.5"),
    (mentions("417"), "key A417"),
    (mentions("236"), "18,236"),
    (figure(3), "thirteen"),
    (figure(21), "twenty"),
    (avoids("door"), "into the stand by the Door."),
    (avoids("Brekke"), "Brekke's quarry"),
    (Words(3, 3), "a leg"),
    (Words(3, 3), "he has a broken leg"),
    (EndsWith("as recorded"), "as recorded by the clerk"),
    (EndsWith("as recorded"), "recorded"),
    (EndsWith("recorded"), "unrecorded"),
    (BeginsWith("Clause"), "It is clause 8"),
    (BeginsWith("Clause"), "Clauses 8 and 9"),
    (UpperCase(), "KASTANJe"),
    (UpperCase(), "417"),
    (LowerCase(), "Morning tern"),
    (InOrder(("mill", "boulder")), "boulder, mill"),
    (InOrder(("mill", "boulder")), "mill, pass"),
    (Lines(2), "a\nb\nc"),
    (Lines(2, "-"), "- a\nb"),
    (Numbered(2), "1. date\n3. cone"),
    (Numbered(2), "Here it is:\n1. date\n2. cone"),
    (OnlyNumber("1240"), "1240 degrees"),
    (OnlyNumber("1240"), "1241"),
    (OnlyNumber("1240"), "12,40"),
    (PRICES, '{"adult": 6}'),
    (PRICES, '{"adult": 6, "child": 2, "class": 40}'),
    (PRICES, '{"adult": 6, "child": 3}'),
    (PRICES, 'Here: {"adult": 6, "child": 2}'),
    (PRICES, "[6, 2]"),
    (PRICES, '{"adult": 6, "child": 2'),
    (both(mentions("48"), EndsWith("review")), "48 florins"),
    (both(mentions("48"), EndsWith("review")), "subject to review"),
]


@pytest.mark.parametrize(("check", "reply"), KEPT)
def test_a_reply_that_does_what_was_asked_for_keeps_the_check(check: Check, reply: str) -> None:
    assert check.holds(reply)


@pytest.mark.parametrize(("check", "reply"), BROKEN)
def test_a_reply_that_does_not_breaks_it(check: Check, reply: str) -> None:
    assert not check.holds(reply)


@pytest.mark.parametrize("reply", ["", " \n\t", "."])
@pytest.mark.parametrize("check", {id(check): check for check, _ in KEPT}.values())
def test_saying_nothing_keeps_nothing(check: Check, reply: str) -> None:
    assert not check.holds(reply) or (reply == "." and check == avoids("door"))


@pytest.mark.parametrize("check", [check for check, _ in KEPT])
def test_every_check_can_be_told_to_a_person(check: Check) -> None:
    assert check.describe().isprintable()
    assert len(check.describe()) > 5


@pytest.mark.parametrize(
    ("phrase", "text", "place"),
    [("b", "a b", 2), ("b", "ab", -1), ("1,000", "in 1000 ways", 3), ("x", "", -1)],
)
def test_a_phrase_is_found_as_whole_words(phrase: str, text: str, place: int) -> None:
    assert occurrence(phrase, text) == place
