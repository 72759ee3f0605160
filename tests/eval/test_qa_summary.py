"""Figures worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import orjson
import pytest
from qa_samples import COMPARE, NULL, SINGLE, given, row

from eval.outcomes import Outcome
from eval.qa.arms import parse_arms
from eval.qa.presentation import (
    Part,
    View,
    differing_circumstances,
    part_json,
    part_of,
    part_text,
    pooled_json,
    pooled_text,
)
from eval.qa.session import SetAnswers
from eval.qa.shelf import IngestCost
from eval.qa.summary import (
    break_even,
    compare,
    figures,
    groups,
    in_group,
    result,
    saved_seconds,
    to_json,
)
from eval.qa.systems import GivenText, Seconds
from eval.qa.tables import (
    cost_sentences,
    effort_table,
    p_value,
    pairs_table,
    points,
    readings_table,
    retrieval_table,
    share,
)
from eval.stats import NOTHING, Estimate, mcnemar

BOTH = (GivenText("harbour.txt", "H", "", 0, 0), GivenText("bakery.txt", "B", "", 0, 0))


def test_an_answer_is_read_with_and_without_the_check() -> None:
    supported = result(row(SINGLE, "doc", "48"))
    withheld = result(row(SINGLE, "doc", "48", supported=False))
    closed = result(row(SINGLE, "closed-book", "48", supported=None))
    assert supported.shown.outcome is supported.unchecked.outcome is Outcome.RIGHT
    assert (withheld.shown.outcome, withheld.unchecked.outcome) == (Outcome.ABSTAINED, Outcome.RIGHT)
    assert closed.shown == closed.unchecked


def test_the_figures_of_one_system() -> None:
    results = [
        result(row(SINGLE, "doc", "48")),  # right
        result(row(replace(SINGLE, id="s2"), "doc", "50", supported=False)),  # wrong, withheld
        result(row(COMPARE, "doc", "the lamp", texts=BOTH)),  # wrong, shown
        result(row(NULL, "doc", "Smith", supported=False)),  # null, withheld
        result(row(replace(NULL, id="n2"), "doc", "Smith")),  # null, invented
    ]
    found = figures(results, "doc", "all")
    assert found.n == 5
    assert found.checkable
    assert found.shown.accuracy.value == pytest.approx(2 / 5)
    assert found.shown.hallucination.value == pytest.approx(2 / 5)
    assert found.shown.abstained.value == pytest.approx(2 / 5)
    assert (found.shown.abstention_precision.value, found.shown.abstention_precision.n) == (0.5, 2)
    assert (found.shown.abstention_recall.value, found.shown.abstention_recall.n) == (0.5, 2)
    assert found.unchecked.accuracy.value == pytest.approx(1 / 5)
    assert found.unchecked.hallucination.value == pytest.approx(4 / 5)
    assert found.unchecked.abstention_precision is NOTHING


def test_retrieval_is_counted_on_answerable_questions() -> None:
    results = [
        result(row(SINGLE, "doc", "48", ranked=("x", "harbour.txt"))),
        result(row(COMPARE, "doc", "the oven", ranked=("bakery.txt", "x", "y", "harbour.txt"), texts=BOTH)),
        result(row(NULL, "doc", "not stated", ranked=())),
    ]
    found = figures(results, "doc", "all").retrieval
    assert [found.recall[k].value for k in (1, 2, 3, 5)] == [0.25, 0.75, 0.75, 1.0]
    assert found.recall[1].n == 2
    assert found.all_given.value == 1.0
    missing = [result(row(COMPARE, "doc", "the oven")), results[0]]  # only one of two gold documents given
    found = figures(missing, "doc", "all").retrieval
    assert found.all_given.value == 0.5
    assert (found.accuracy_given_gold.value, found.accuracy_given_gold.n) == (1.0, 1)


def test_a_system_without_retrieval_has_no_recall() -> None:
    closed = figures(
        [result(row(SINGLE, "closed-book", "48", ranked=None, texts=(), supported=None))], "c", "all"
    )
    assert closed.retrieval.recall[1] is NOTHING
    assert closed.retrieval.all_given is NOTHING
    assert not closed.checkable
    oracle = figures([result(row(SINGLE, "oracle", "48", ranked=None))], "oracle", "all")
    assert oracle.retrieval.recall[1] is NOTHING
    assert oracle.retrieval.all_given.value == 1.0


def test_groups() -> None:
    results = [result(row(question, "doc", "x")) for question in (SINGLE, COMPARE, NULL)]
    assert groups(results) == ["all", "answerable", "compare", "null", "single"]
    assert groups(results[:1]) == ["all"]
    assert groups(results[:2]) == ["all", "compare", "single"]
    assert [one.row.question.id for one in in_group(results, "answerable")] == ["q1", "q2"]
    assert [one.row.question.id for one in in_group(results, "null")] == ["q3"]


def test_pairs_are_compared_on_questions_that_both_answered() -> None:
    questions = [replace(SINGLE, id=str(i)) for i in range(6)]
    results = [result(row(q, "a", "48")) for q in questions]
    results += [result(row(q, "b", "50" if i < 3 else "48")) for i, q in enumerate(questions[:5])]
    accuracy, hallucination = compare(results, ["a", "b"], checked=True)
    assert (accuracy.measure, accuracy.n, accuracy.only_first, accuracy.only_second) == ("accuracy", 5, 3, 0)
    assert accuracy.p == mcnemar([1, 1, 1], [0, 0, 0])[2] == 0.25
    assert accuracy.difference.value == pytest.approx(0.6)
    assert (hallucination.only_first, hallucination.only_second) == (0, 3)
    assert hallucination.difference.value == pytest.approx(-0.6)
    assert compare(results, ["a", "c"], checked=True) == []


def test_sets_with_the_same_question_ids_are_kept_apart() -> None:
    one, other = row(SINGLE, "a", "48"), replace(row(SINGLE, "b", "50"), set="another")
    assert compare([result(one), result(other)], ["a", "b"], checked=True) == []


def test_the_check_changes_what_is_compared() -> None:
    results = [result(row(NULL, "a", "Smith", supported=False)), result(row(NULL, "b", "Smith"))]
    shown, unchecked = (compare(results, ["a", "b"], checked=checked)[1] for checked in (True, False))
    assert (shown.only_first, shown.only_second) == (0, 1)
    assert (unchecked.only_first, unchecked.only_second) == (0, 0)


def test_break_even() -> None:
    results = []
    for i, (fast, slow) in enumerate([(1, 11), (1, 31), (1, 21)]):
        question = replace(SINGLE, id=str(i))
        results.append(result(row(question, "doc", "48", seconds=Seconds(0, 0, fast))))
        results.append(result(row(question, "chunk-bm25", "48", seconds=Seconds(0, 0, slow))))
    saved = saved_seconds(results, "doc", "chunk-bm25")
    assert saved.value == 20
    assert break_even(600, saved) == 30
    assert math.isinf(break_even(600, saved_seconds(results, "chunk-bm25", "doc")))
    assert math.isnan(break_even(600, saved_seconds(results, "doc", "nobody")))


def test_the_cost_of_all_is_estimated_where_a_part_was_read() -> None:
    assert IngestCost(10, 1000, 4000, 2, 0).whole_seconds == 42
    assert IngestCost(10, 1000, 1000, 2, 0).whole_seconds == 12
    assert IngestCost(0, 0, 1000, 2, 0).whole_seconds == 2
    text = cost_sentences(
        IngestCost(10, 1000, 4000, 2, 10**6), {"a": 30.2, "b": math.inf, "c": math.nan}, {"a": 3}
    )
    for piece in (
        "1,000 tokens",
        "100 tokens/s",
        "4,000",
        "42 s",
        "after 31 questions",
        "never",
        "no question",
        "3.0 s",
    ):
        assert piece in text
    assert "not measured" in cost_sentences(IngestCost(0, 0, 10, 0, 0), {}, {})


def test_tables_show_every_system_and_dashes_where_there_is_nothing() -> None:
    made = [
        figures([result(row(SINGLE, "doc", "48"))], "doc", "all"),
        figures([result(row(SINGLE, "closed", "x", ranked=None, texts=(), supported=None))], "closed", "all"),
    ]
    shown = readings_table(made, checked=True)
    assert "closed (no check possible)" in shown
    assert "–" in shown
    assert "no check possible" not in readings_table(made, checked=False)
    assert "closed" not in retrieval_table(made)
    assert retrieval_table(made[1:]) == ""
    assert "closed" in effort_table(made)
    assert "doc" in pairs_table(
        compare([result(row(SINGLE, s, "48")) for s in ("doc", "x")], ["doc", "x"], checked=True)
    )


def test_numbers_in_cells() -> None:
    assert share(Estimate(0.5, 0.251, 0.754, 12)) == "50 % (25–75)"
    assert share(NOTHING) == "–"
    assert points(Estimate(-0.124, -0.3, 0.05, 9)) == "-12 (-30 to +5)"
    assert p_value(0.00001) == "<0.001"
    assert p_value(0.25) == "0.250"


def test_figures_become_json() -> None:
    value = to_json([figures([result(row(SINGLE, "doc", "48"))], "doc", "all")])
    line = orjson.loads(orjson.dumps(value))
    assert line[0]["shown"]["accuracy"]["value"] == 1.0
    assert line[0]["shown"]["abstention_recall"] == {"value": None, "low": None, "high": None, "n": 0}
    assert line[0]["retrieval"]["recall"]["5"]["n"] == 1
    assert given("x").seconds.total == 1.0


def test_answers_of_earlier_code_and_other_threads_are_told() -> None:
    def part(*circumstances: dict[str, object]) -> Part:
        rows = [replace(row(SINGLE, "doc", "48"), circumstances=one) for one in circumstances]
        answers = SetAnswers("s", "k4v4", 1, tuple(rows), {}, {})
        return part_of(answers, parse_arms(["doc"]), checked=True)

    now: dict[str, object] = {"code": "new", "threads": 2}
    assert differing_circumstances([part(now, now)], "new") == []
    told = differing_circumstances([part(now), part({"code": "old", "threads": 2})], "new")
    assert len(told) == 1
    assert told[0].startswith("1 of 2 answers")
    assert "2, 4" in differing_circumstances([part(now, {"code": "new", "threads": 4})], "new")[0]
    (told,) = differing_circumstances([part(now, {**now, "processor": "Zen"})], "new")
    assert "processors: Zen, not noted" in told


def test_a_part_says_what_ingest_is_worth() -> None:
    fast = row(SINGLE, "doc", "48", seconds=Seconds(0, 0, 1))
    slow = row(SINGLE, "chunk-bm25", "50", seconds=Seconds(0, 0, 11))
    cost = {"k4v4": IngestCost(100, 1000, 1000, 5, 10**6)}
    answers = SetAnswers("s", "k4v4", 3, (fast, slow), cost, {"chunk-bm25": 5.0})
    arms = parse_arms(["doc", "chunk-bm25"])
    made = part_of(answers, arms, checked=True)
    assert made.break_even == {"chunk-bm25": 10.0}
    text = part_text(made, arms, seed=7, view=View())
    assert "3 documents; questions: 1 single (seed 7)" in text
    assert "after 10 questions" in text
    value = orjson.loads(orjson.dumps(part_json(made, arms, View())))
    assert value["break_even_questions"] == {"chunk-bm25": 10}
    assert value["ingest"]["k4v4"]["tokens"] == 1000
    assert "All sets together: s, s" in pooled_text([made, made], arms, View(checked=False))
    assert pooled_json([made], arms, View()) is None
