"""What is asked about, and in which order."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.make_questions.facts import (
    MAX_CHARS,
    Fact,
    drawn_documents,
    facts_of,
    in_turn,
    is_worth_asking,
)
from library.passages import Window
from library.records import DocumentText

REPORT = """Accident report

The airplane, N1234, was flown by Dr. Ada Brandt. She had 1,250 hours. The weather was fine and nothing else
was said about it.

Engine Manufacturer: LYCOMING
Amateur Built: No
- The propeller was made by Hartzell in Piqua

Who was responsible? Nobody said it was Smith!
"""


def statements(text: str) -> list[str]:
    return [text[f.start : f.end] for f in facts_of("d", DocumentText(text, ()))]


def test_statements_end_with_sentences_fields_and_items() -> None:
    assert statements(REPORT) == [
        "The airplane, N1234, was flown by Dr. Ada Brandt.",
        "Engine Manufacturer: LYCOMING",
        "Amateur Built: No",
        "- The propeller was made by Hartzell in Piqua",
    ]


@pytest.mark.parametrize(
    ("statement", "worth"),
    [
        ("The lamp was lit by Ines Aldous.", True),
        ("the oven was heated to 240 degrees", True),
        ("Notice period: six weeks", True),
        ("LiHua: Hey!", False),
        ("Perfect, see you there then, bye!", False),
        ("Who lit the lamp in the year 1871?", False),
        ("It was fine and nothing else was said.", False),
        ("# Lindow Mill and its 2 wheels", False),
        ("| a | 1 | b | 2 | c | 3 |", False),
        ("1 2 3 --- 4 ... 5 === 6 ;;; 7 ,,, 8 +++", False),
        ("Year 7", False),
        ("word " * 46 + "7", False),
        ("7" + "x" * MAX_CHARS + " a b c d e", False),
    ],
)
def test_what_is_worth_asking_about(statement: str, worth: bool) -> None:
    assert is_worth_asking(statement) == worth


@given(
    st.lists(st.sampled_from(["Ada flew 7 planes. ", "word ", "\n\n", "\f", "Made by: ACME\n", "-", "é. "]))
)
def test_every_fact_lies_in_its_passage_and_none_overlaps(parts: list[str]) -> None:
    text = "".join(parts)
    found = list(facts_of("d", DocumentText(text, ())))
    position = 0
    for fact in found:
        assert position <= fact.start < fact.end
        assert fact.window.start <= fact.start
        assert fact.end <= fact.window.end
        assert text[fact.start : fact.end] == text[fact.start : fact.end].strip()
        position = fact.end
    assert len({fact.key for fact in found}) == len(found)


def some(document: str, n: int) -> list[Fact]:
    return [Fact(document, i, i + 1, Window(0, n), f"{document}{i}") for i in range(n)]


def test_documents_take_turns_in_drawn_order() -> None:
    order = list(in_turn([some("a", 5), some("b", 1), some("c", 3)], seed=1))
    assert [fact.document_id for fact in order] == list("abcacacaa")
    assert order == list(in_turn([some("a", 5), some("b", 1), some("c", 3)], seed=1))
    other = list(in_turn([some("a", 5)], seed=2))
    assert other != list(in_turn([some("a", 5)], seed=1))
    assert sorted(other, key=lambda fact: fact.start) == some("a", 5)
    more = [f for f in in_turn([some("a", 5), some("d", 9)], seed=1) if f.document_id == "a"]
    assert more == [f for f in order if f.document_id == "a"]  # a new document moves no other


def test_what_is_said_twice_is_left_out() -> None:
    page = (
        "Notice of 2026\n\nThe Office makes public its 3 decisions.\n\n{} was flown by Ada\nBrandt in 1931.\n"
    )
    texts = {name: DocumentText(page.format(name), ()) for name in ("N1234", "N5678")}
    found = list(in_turn((facts_of(name, text) for name, text in texts.items()), seed=0))
    assert [fact.said for fact in found] == [f"{name} was flown by Ada Brandt in 1931." for name in texts]


def test_documents_are_drawn_for_each_purpose_anew() -> None:
    ids = [f"{i:064x}" for i in range(20)]
    drawn = {purpose: drawn_documents(ids, 1, purpose) for purpose in ("hidden", "single")}
    assert sorted(drawn["hidden"]) == sorted(drawn["single"]) == ids
    assert drawn["hidden"] != drawn["single"]
    assert drawn["hidden"] == drawn_documents(reversed(ids), 1, "hidden")


def test_the_examples_hold_enough_to_ask_about() -> None:
    folder = Path(__file__).resolve().parents[2] / "examples" / "documents"
    text = (folder / "employee-handbook.md").read_text()
    assert len(statements(text)) > 20
