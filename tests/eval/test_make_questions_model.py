"""From a folder to asked questions with the small model: its drafts are poor, what is kept must hold."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from eval.make_questions.command import main
from eval.qa.command import main as ask
from eval.sets import read_set

DOCUMENTS = {
    "mill.md": "# Lindow Mill\n\nThomas Pell bought Lindow Mill from the abbey for 900 pounds.\n",
    "bakery.txt": "Bakery\n\nThe oven of the Corner Bakery was heated to 240 degrees by Mara Quist.\n",
    "station.html": "<title>Station</title><p>The clock of Ardmore station stopped at 10:42 on 3 May.</p>",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "own"
    made.mkdir()
    for name, text in DOCUMENTS.items():
        (made / name).write_text(text)
    return made


@pytest.mark.model
@pytest.mark.slow
def test_a_folder_of_one_s_own(
    folder: Path, tmp_path: Path, small_model_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    fixed = ["--model", str(small_model_path), "--threads", "1", "--work", str(tmp_path / "work")]
    assert main([str(folder), "-n", "3", "--null-share", "0", "--verbose", *fixed]) == 0
    out, err = capfd.readouterr()
    made = orjson.loads(out.splitlines()[-1])
    assert made["wanted"] == {"single": 3, "null": 0}
    refused = sum(made["refused"]["single"].values())
    assert made["in_file"]["single"] == made["kept"].get("single", 0) == 3 - refused
    assert err.count("single · ") == 3
    assert "| single |" in out
    assert main([str(folder), "-n", "3", "--null-share", "0", "--json", *fixed]) == 0
    again = orjson.loads(capfd.readouterr().out)
    assert {**again, "seconds": 0} == {**made, "seconds": 0}  # nothing is drafted twice

    assert made["in_file"]["single"] >= 1
    for question in read_set(folder).questions:
        (answer,), (name,) = question.answers, question.gold_docs
        assert answer in DOCUMENTS[name]
        assert answer.casefold() not in question.question.casefold()
    assert ask([str(folder), "--systems", "oracle", "--context", "2048", "--max-tokens", "16", *fixed]) == 0
    assert orjson.loads(capfd.readouterr().out.splitlines()[-1])["sets"][0]["documents"] == 3


@pytest.mark.model
@pytest.mark.slow
def test_few_documents_hide_none(
    folder: Path, tmp_path: Path, small_model_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (folder / "mill.md").unlink()
    fixed = ["--model", str(small_model_path), "--threads", "1", "--work", str(tmp_path / "work")]
    assert main([str(folder), "-n", "2", "--null-share", "0.5", "--tries", "1", "--json", *fixed]) == 0
    out, err = capfd.readouterr()
    assert "none is hidden" in err
    assert orjson.loads(out)["wanted"] == {"single": 2, "null": 0}


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (["{folder}/none"], 4, "no such folder"),
        (["{folder}", "-n", "0"], None, "above 0"),
        (["{folder}", "--null-share", "0.9"], None, "0 to 0.5"),
        (["{folder}", "--out", "{folder}/mill.md"], 4, "not valid JSON"),
    ],
)
def test_wrong_usage(
    folder: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int | None,
    reason: str,
) -> None:
    given = [one.format(folder=folder) for one in arguments] + ["--work", str(tmp_path / "work")]
    if code is None:
        with pytest.raises(SystemExit):
            main(given)
    else:
        assert main(given) == code
    assert reason in capfd.readouterr().err
    assert (folder / "mill.md").read_text() == DOCUMENTS["mill.md"]
