"""By number of documents and by threshold: counted by hand."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
import report_rows as made
from qa_samples import COMPARE, NULL, SINGLE, given, row

from beyondrag import cli
from eval.outcomes import Outcome
from eval.qa.page_blocks import Pool
from eval.qa.page_strata import gold_table, thresholds_table
from eval.qa.strata import at_thresholds, by_gold, pairs_by, withheld_at
from eval.qa.summary import Result, result
from eval.qa.systems import GivenText
from eval.qa.tables import number_of, strata_table
from eval.qa.tables import thresholds_table as thresholds_text
from eval.stats import NOTHING, share

TWO = (GivenText("harbour.txt", "H", "", 0, 0), GivenText("bakery.txt", "B", "", 0, 0))


def results() -> list[Result]:
    """doc: single wrong, compare right with two documents; chunk-bm25: the other way round."""
    rows = [
        row(SINGLE, "doc", "fifty"),
        row(COMPARE, "doc", "the oven", texts=TWO),
        row(NULL, "doc", "Smith", supported=False),
        row(SINGLE, "chunk-bm25", "48"),
        row(COMPARE, "chunk-bm25", "the lamp"),
        row(NULL, "chunk-bm25", "Smith"),
    ]
    return [result(one) for one in rows]


def test_questions_are_counted_by_the_documents_that_they_need() -> None:
    strata = by_gold(results(), ["doc", "chunk-bm25"])
    assert [(s.group, s.system, s.n) for s in strata] == [
        ("1 gold document", "doc", 1),
        ("1 gold document", "chunk-bm25", 1),
        ("2 gold documents", "doc", 1),
        ("2 gold documents", "chunk-bm25", 1),
        ("null", "doc", 1),
        ("null", "chunk-bm25", 1),
    ]
    assert [s.unchecked.accuracy.value for s in strata] == [0, 1, 1, 0, 0, 0]
    assert [s.shown.hallucination.value for s in strata] == [1, 0, 0, 1, 0, 1]
    assert "1 (100 %, 21–100)" in strata_table(strata)
    assert by_gold([r for r in results() if r.row.question.type != "compare"], ["doc"]) == []


def test_pairs_group_by_group() -> None:
    systems = ["doc", "chunk-bm25"]
    by_context = pairs_by(results(), systems, "context", checked=False)
    counted = [(g, p.only_first, p.only_second, p.n) for g, p in by_context if p.measure == "accuracy"]
    assert counted == [("1 document given", 0, 1, 1), ("2 documents given", 1, 0, 1), ("null", 0, 0, 1)]
    names = {
        by: [g for g, _ in pairs_by(results(), systems, by, checked=True)][::2] for by in ("type", "gold")
    }
    assert names == {
        "type": ["compare", "null", "single"],
        "gold": ["1 gold document", "2 gold documents", "null"],
    }


def test_p_is_adjusted_for_all_groups_together() -> None:
    """Six questions of each of two types that only doc gets right: p = 2/64 each, twice that after Holm."""
    rows = []
    for kind in ("a", "b"):
        for i in range(6):
            question = type(SINGLE)(f"{kind}{i}", "?", ("48",), ("harbour.txt",), kind)
            rows += [result(row(question, "doc", "48")), result(row(question, "chunk-bm25", "7"))]
    pairs = [p for _, p in pairs_by(rows, ["doc", "chunk-bm25"], "type", checked=True)]
    assert [p.p for p in pairs] == [pytest.approx(2 / 64)] * 4
    assert [p.p_holm for p in pairs] == [pytest.approx(4 / 64)] * 4


def test_a_threshold_moves_only_answers_with_evidence() -> None:
    odds = {"sure": 1.0, "doubted": -3.0}
    sure, doubted = (result(row(SINGLE, "doc", "48", log_odds=value)) for value in odds.values())
    bare = result(row(SINGLE, "doc", "48", supported=False))
    wrong = result(row(COMPARE, "doc", "the lamp", log_odds=-1.5))
    invented = result(row(NULL, "doc", "Smith", log_odds=-2.5))
    honest = result(row(NULL, "doc", "not stated"))
    assert [withheld_at(sure, t) for t in (None, 0.0, 2.0)] == [False, False, True]
    assert withheld_at(bare, None)
    assert result(doubted.row).shown.outcome is Outcome.ABSTAINED  # today's threshold is -2
    own = [sure, doubted, bare, wrong, invented, honest]
    found = at_thresholds(own, ["doc", "closed-book"], [None, -4.0, -2.0, 0.0])
    counts = [
        tuple(round(e.value * e.n) for e in (one.right_shown, one.wrong_shown, one.null_withheld))
        for one in found
    ]
    assert counts == [(2, 1, 1), (2, 1, 1), (1, 1, 2), (1, 0, 2)]
    assert {(one.right_shown.n, one.null_withheld.n) for one in found} == {(4, 2)}
    assert "2 (50 %, 15–85) of 4" in thresholds_text(found)
    assert at_thresholds([bare, honest], ["doc"]) == []  # nothing was read a second time
    assert given("x").log_odds is None


def test_tables_of_the_report() -> None:
    pool = Pool("a set", tuple(results()), "beyondrag eval qa a")
    table = gold_table(pool, ["doc", "chunk-bm25"])
    assert table is not None
    assert len(table.rows) == 6
    assert thresholds_table(pool, ["doc"]) is None
    one = Pool("a set", (result(row(SINGLE, "doc", "48", log_odds=1.0)),), "beyondrag eval qa a")
    assert gold_table(one, ["doc"]) is None
    found = thresholds_table(one, ["doc"])
    assert found is not None
    assert [line[1] for line in found.rows] == ["none", "−6", "−4", "−3", "−2", "−1", "0"]


def test_numbers_of_cases() -> None:
    assert number_of(share(52, 90)) == "52 (58 %, 47–67)"
    assert number_of(NOTHING) == "–"


def test_kept_answers_become_tables_without_a_model(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    files = [made.write_rows(tmp_path / f"{name}.jsonl", made.qa_rows(name)) for name in ("one", "two")]
    options = ("--systems", "doc,chunk-bm25", "--pairs-by", "type", "--report", str(tmp_path / "report"))
    code = cli.main(["eval", "qa", "--rows", *map(str, files), *options])
    out, err = capfd.readouterr()
    assert code == 0, err
    assert "# All sets together: one, two" in out
    assert "## doc against the others, by type of question, as shown" in out
    assert "closed-book" not in out
    value = orjson.loads(out.splitlines()[-1])
    assert [part["set"] for part in value["sets"]] == ["one", "two"]
    assert len(value["pooled"]["pairs_by_type"]) == 4
    assert (tmp_path / "report" / "report.html").is_file()
    before = files[0].read_bytes()
    assert cli.main(["eval", "qa", "--rows", str(files[0]), "--types", "null", "--json"]) == 0
    assert orjson.loads(capfd.readouterr().out)["sets"][0]["figures"][0]["n"] == 2
    assert files[0].read_bytes() == before


def test_sets_and_rows_exclude_each_other(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    rows = made.write_rows(tmp_path / "one.jsonl", made.qa_rows("one"))
    for arguments in (["qa"], ["qa", str(tmp_path), "--rows", str(rows)]):
        assert cli.main(["eval", *arguments]) == 2
        assert "--rows" in capfd.readouterr().err
    assert cli.main(["eval", "qa", "--rows", str(rows), "--types", "riddle"]) == 4
    assert "types here" in capfd.readouterr().err
