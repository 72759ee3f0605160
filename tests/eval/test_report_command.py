"""`beyondrag eval report` from files of rows."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest
import report_rows as made

from beyondrag import cli


def run(capfd: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = cli.main(["eval", "report", *map(str, arguments)])
    out, err = capfd.readouterr()
    assert "Traceback" not in out + err
    return code, out, err


def test_whatever_rows_are_given_become_one_page(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    one = made.write_rows(tmp_path / "one.jsonl", made.qa_rows())
    two = made.write_rows(tmp_path / "two.jsonl", made.qa_rows("ports"))
    fidelity = made.write_rows(tmp_path / "fidelity.jsonl", made.fidelity_rows())
    recall = made.write_rows(tmp_path / "recall.jsonl", made.recall_rows())
    drift = made.write_rows(tmp_path / "drift.jsonl", made.drift_rows())
    out = tmp_path / "report"
    kinds = ("--fidelity", fidelity, "--recall", recall, "--drift", drift)
    code, said, _ = run(capfd, "--out", out, "--qa", one, two, *kinds)
    assert code == 0
    line = orjson.loads(said.splitlines()[-1])
    assert line["parts"] == ["qa", "fidelity", "recall", "drift"]
    html = (out / "report.html").read_text()
    for heading in (
        "Answers, system by system",
        "Fidelity: verdicts",
        "Recall: keys, 4,096",
        "Behaviour behind",
    ):
        assert heading in html
    assert html.index("On 20 questions of 2 sets") < html.index("Answers, system by system</h2>")
    data = orjson.loads((out / "report.json").read_bytes())["data"]
    assert data["qa"]["sets"] == {"harbours": 10, "ports": 10}
    assert data["drift"]["n_probes"] == 16
    summary = (out / "SUMMARY.md").read_text()
    assert "beyondrag eval drift" in summary
    assert "Question 1?" not in summary


def test_one_kind_of_rows_is_enough(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    drift = made.write_rows(tmp_path / "drift.jsonl", made.drift_rows())
    code, said, _ = run(capfd, "--out", tmp_path / "r", "--drift", drift)
    assert (code, orjson.loads(said)["parts"]) == (0, ["drift"])


def test_what_cannot_be_reported_is_said(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("my notes\nof today\n")
    out = ("--out", tmp_path / "r")
    for arguments, reason in (
        (out, "no rows"),
        ((*out, "--qa", notes), "no row of this suite"),
        ((*out, "--qa", tmp_path / "none.jsonl"), "no answers of eval qa"),
        ((*out, "--drift", notes), "no row of this suite"),
        ((*out, "--recall", tmp_path), "not a file"),
    ):
        code, said, err = run(capfd, *arguments)
        assert code == 2
        assert reason in err
        assert said == ""
    assert not (tmp_path / "r").exists()
    assert run(capfd, "--drift", notes)[0] == 2  # --out is missing
    assert run(capfd, *out, "--fidelity", tmp_path / "none.jsonl")[0] not in (0, 2)
