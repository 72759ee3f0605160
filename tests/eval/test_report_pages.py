"""The pages of the suites: the right numbers in the right places, from hand-made rows."""

from __future__ import annotations

from dataclasses import replace

import pytest
import report_rows as made
from qa_samples import given

from beyondrag.errors import UsageError
from eval.compression import page as fidelity_page
from eval.drift import page as drift_page
from eval.page import (
    Chapter,
    Dots,
    Estimate,
    Examples,
    HeatMap,
    Section,
    Summary,
    Table,
    page_of,
    shown,
)
from eval.page.html import page_html
from eval.page.model import Block
from eval.qa import page as qa_page
from eval.qa.answered import Answered, command_of, facts_of, of_rows, ordered
from eval.qa.page_blocks import break_even_table
from eval.qa.shelf import IngestCost
from eval.qa.systems import GivenText
from eval.recall import page as recall_page
from eval.stats import NOTHING, mcnemar, paired_difference, wilson
from eval.stats import Estimate as Measured


def blocks(chapter: Chapter) -> list[Block]:
    return [block for section in chapter.sections for block in section.blocks]


def table(chapter: Chapter, caption: str) -> dict[str, dict[str, object]]:
    """The rows of the one table whose caption starts so, by their first cell, then by column."""
    (found,) = [b for b in blocks(chapter) if isinstance(b, Table) and b.caption.startswith(caption)]
    names = [column if isinstance(column, str) else column.label for column in found.columns]
    return {str(row[0]): dict(zip(names, row, strict=True)) for row in found.rows}


def value(cell: object) -> float:
    assert isinstance(cell, Estimate)
    return cell.value


def test_estimates_without_a_value_or_an_interval() -> None:
    assert shown(None) is None
    assert shown(NOTHING) is None
    assert shown(Measured(0.5, float("nan"), float("nan"), 3)) == Estimate(0.5, n=3)
    assert shown(Measured(0.5, 0.1, 0.9, 3)) == Estimate(0.5, 0.1, 0.9, 3)


def test_several_chapters_make_one_page() -> None:
    summary = Summary("One.", (), ("same",))
    one = Chapter("a", summary, (Section("A"),), (), (("Model", "m"), ("Threads", "2")), ("x", "y"))
    two = Chapter(
        "b", replace(summary, answer="Two."), (Section("B"),), (), (("Model", "m"), ("Threads", "3"))
    )
    page = page_of("Both", [one, replace(two, names=("y", "z"))])
    assert page.summary.answer == "One.\n\nTwo."
    assert page.summary.limits == ("same",)
    assert [section.heading for section in page.sections] == ["A", "B", "To measure again"]
    assert page.names == ("x", "y", "z")
    machine = page.sections[-1].blocks[-1]
    assert getattr(machine, "facts", None) == (("Model", "m"), ("Threads (a)", "2"), ("Threads (b)", "3"))
    assert page_html(page).count('<p class="answer">') == 2


def test_the_answer_about_answers_comes_first_and_is_that_of_the_rows() -> None:
    found = qa_page.chapter(of_rows(made.qa_rows()))
    assert "On 10 questions of the set harbours the product (`doc`) was right on 90" in found.summary.answer
    assert "hallucinated on 10" in found.summary.answer
    assert "Against `chunk-bm25`: right answers +60.0" in found.summary.answer
    assert "Against `closed-book`: right answers +90.0" in found.summary.answer
    cards = {(one.subject, one.quantity.label): value(one.estimate) for one in found.summary.findings}
    assert cards["doc", "Right"] == pytest.approx(0.9)
    assert cards["doc", "Hallucinated"] == pytest.approx(0.1)
    assert cards["chunk-bm25", "Hallucinated"] == pytest.approx(0.7)
    assert cards["closed-book", "Right"] == 0.0


def test_the_tables_of_answers_hold_the_numbers_of_the_rows() -> None:
    found = qa_page.chapter(of_rows(made.qa_rows()))
    systems = table(found, "harbours: every system, as shown")
    assert value(systems["doc"]["Answerable, withheld"]) == 0.0
    assert value(systems["doc"]["Abstention recall"]) == 1.0
    assert systems["closed-book"]["Right"] == Estimate(0.0, *wilson(0, 10), 10)
    right = table(found, "harbours: right answers by type")
    assert (value(right["chunk-bm25"]["single"]), value(right["chunk-bm25"]["null"])) == (3 / 8, 0.0)
    (pairs,) = [b for b in blocks(found) if isinstance(b, Table) and "question by question" in b.caption]
    names = ("measure", "against", "difference", "ours", "theirs", "p", "p_holm")
    first = dict(zip(names, pairs.rows[0], strict=True))
    ours, theirs = [1] * 7 + [0] + [1] * 2, [1] * 3 + [0] * 7
    assert (first["measure"], first["against"]) == ("right", "chunk-bm25")
    assert (first["ours"], first["theirs"], first["p"]) == mcnemar(ours, theirs)
    assert first["difference"] == shown(paired_difference(ours, theirs))
    assert first["p_holm"] == pytest.approx(mcnemar(ours, theirs)[2])  # the larger of two


def test_every_block_says_its_sample_and_its_command() -> None:
    found = qa_page.chapter(of_rows([*made.qa_rows(), *made.qa_rows("ports")]))
    figures = [block for block in blocks(found) if isinstance(block, Table | Dots)]
    assert {block.basis.n for block in figures} == {10, 20}
    every = "beyondrag eval qa harbours ports --systems doc,chunk-bm25,closed-book"
    one = "beyondrag eval qa ports --systems doc,chunk-bm25,closed-book"
    assert {every, one} < {block.basis.command for block in figures}
    assert [command.line for command in found.commands] == [every]
    given_line = blocks(qa_page.chapter(of_rows(made.qa_rows()), command="x"))
    assert {block.basis.command for block in given_line if isinstance(block, Dots)} == {"x"}


def test_examples_are_drawn_by_seed_and_show_what_was_given() -> None:
    found = qa_page.chapter(of_rows(made.qa_rows()))
    examples = {block.title: block for block in blocks(found) if isinstance(block, Examples)}
    ours = examples["doc right, chunk-bm25 hallucinates"]
    assert (len(ours.examples), ours.total, ours.out_of) == (2, 6, 10)
    again = [
        block for block in blocks(qa_page.chapter(of_rows(made.qa_rows()))) if isinstance(block, Examples)
    ]
    assert ours in again
    for example in ours.examples:
        assert [(reply.system, reply.outcome) for reply in example.replies][1] == ("chunk-bm25", "wrong")
        assert example.replies[0].given[0].text == "The keeper was 48."
    assert examples["chunk-bm25 right, doc hallucinates"].total == 0
    nulls = made.of_nulls("doc", "chunk-bm25")
    withheld = next(b for b in blocks(qa_page.chapter(of_rows(nulls))) if isinstance(b, Examples))
    example = withheld.examples[0]
    assert example.expected == ()
    assert example.replies[0].outcome == "abstained"


def test_a_part_of_a_text_says_what_part_it_is() -> None:
    text = GivenText("harbour.txt", "Harbour", "48", 10, 5000)
    nulls = made.of_nulls("doc", "chunk-bm25")
    rows = [replace(row, given=given(row.given.answer, texts=(text,))) for row in nulls]
    html = page_html(page_of("t", [qa_page.chapter(of_rows(rows))]))
    assert "Harbour (characters 11 to 12 of the 5,000 given)" in html
    assert "1 text, 5,000 characters" in html


def test_the_settings_of_the_last_row_count() -> None:
    earlier = {**made.COMMON, "top_k": 1}
    old = [replace(row, key=f"old {row.key}", parameters=earlier) for row in made.qa_rows()]
    (found,) = of_rows([*old, *made.qa_rows()])
    assert (len(found.results), found.n_left_out) == (30, 30)
    limits = qa_page.chapter([found]).summary.limits
    assert "30 answers made under earlier settings are left out." in limits
    other = replace(made.qa_rows("ports")[0], parameters={"model_sha256": "b"})
    with pytest.raises(UsageError, match="2 models"):
        of_rows([*made.qa_rows(), other])


def test_facts_are_those_of_the_rows_and_not_of_this_machine() -> None:
    parts = of_rows(made.qa_rows())
    assert dict(facts_of(parts)) == {
        "Model": "tiny",
        "Processor": "Zen",
        "Threads": "2",
        "Code of the answers": "c0de",
        "Model SHA-256": "a" * 64,
        "Computed on": "CPU",
        "Python": "3.11.9",
    }
    assert command_of(parts) == "beyondrag eval qa harbours --systems doc,chunk-bm25,closed-book"
    assert ordered(["closed-book", "other", "doc@k8v8", "doc"]) == ("doc", "doc@k8v8", "closed-book", "other")


def test_what_ingest_cost_and_when_it_is_earned_back() -> None:
    (part,) = of_rows(made.qa_rows())
    assert break_even_table([part], "x") is None
    cost = IngestCost(seconds=50.0, tokens=500, all_tokens=1000, parse_seconds=2.0, bytes=9)
    known = replace(part, ingest={"k4v4": cost}, break_even={"chunk-bm25": 12.1, "chunk-dense": float("inf")})
    found = break_even_table([known], "x")
    assert found is not None
    assert found.rows[0] == ("harbours", "chunk-bm25", 102.0, 1000, 13, "")
    assert found.rows[1][4:] == (None, "never")


def test_a_set_without_the_product_has_tables_only() -> None:
    rows = [row for row in made.qa_rows() if row.system != "doc"]
    found = qa_page.chapter(of_rows(rows))
    assert "the product itself was not asked" in found.summary.answer
    assert not [block for block in blocks(found) if isinstance(block, Examples)]
    assert isinstance(of_rows(rows)[0], Answered)


def test_recall_says_where_each_task_starts_to_fail() -> None:
    found = recall_page.chapter(made.recall_rows(("keys", "hops")))
    assert "keys, 4,096 tokens: first at `k2v8`" in found.summary.answer
    maps = [block for block in blocks(found) if isinstance(block, HeatMap)]
    assert [one.title.partition(":")[0] for one in maps] == ["keys, 4,096 tokens", "hops, 4,096 tokens"]
    rows = dict(maps[0].rows)
    assert list(rows) == ["K 8", "K 4", "K 2"]
    assert [cell.flagged for cell in rows["K 4"]] == [False] * 3
    assert [cell.flagged for cell in rows["K 2"]] == [True] * 3
    assert value(rows["K 4"][0].estimate) == pytest.approx(10 / 12)
    failing = next(b for b in blocks(found) if isinstance(b, Table) and b.caption.startswith("The first"))
    assert ("keys, 4,096 tokens", "K", "k2v8") in {row[:3] for row in failing.rows}
    assert ("keys, 4,096 tokens", "V", "none down to k8v2") in {row[:3] for row in failing.rows}
    assert found.commands[0].line == "beyondrag eval recall --tasks keys,hops --context-tokens 4096 --seed 0"


def test_recall_that_cannot_be_told_is_said() -> None:
    few = [row for row in made.recall_rows() if row.sample < 2]
    answer = recall_page.chapter(few).summary.answer
    assert answer.startswith("**Recall, tiny.** No answer for keys")
    assert "first at" not in answer


def test_drift_says_behind_which_caches_behaviour_differs() -> None:
    found = drift_page.chapter(made.drift_rows())
    assert "Of 16 probes about 3 documents 100" in found.summary.answer
    assert "differs significantly behind `q4_0`" in found.summary.answer
    assert "No significant difference is seen behind `k4v4`" in found.summary.answer
    rows = table(found, "Every cache against f16")
    assert (rows["k4v4"]["Lost"], rows["q4_0"]["Lost"], rows["f16"]["Lost"]) == (1, 11, None)
    assert rows["q4_0"]["Probes kept"] == Estimate(5 / 16, *wilson(5, 16), 16)
    kinds = table(found, "Probes kept by kind")
    assert value(kinds["k4v4"]["fact"]) == 7 / 8
    examples = {block.title: block for block in blocks(found) if isinstance(block, Examples)}
    assert examples["f16 and k4v4 differ"].examples[0].replies[1].answer == "k4v4 says 3"
    assert (len(examples["f16 and q4_0 differ"].examples), examples["f16 and q4_0 differ"].total) == (3, 11)


def test_fidelity_of_kept_rows() -> None:
    rows = made.fidelity_rows()
    found = fidelity_page.chapter(rows)
    assert table(found, "Every cache after 100 tokens")["k8v8"]["Bits a value"] == 8.3
    assert dict(found.facts)["Model"] == "model"
    other = replace(rows[0], case=replace(rows[0].case, model_sha256="f" * 64))
    for wrong in ([], [*rows, other]):
        with pytest.raises(UsageError, match=r"models|no rows"):
            fidelity_page.chapter(wrong)
