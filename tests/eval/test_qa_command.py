"""The command line of the suites, and the systems by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from beyondrag import cli
from beyondrag.errors import UsageError
from eval.cli import SUITES, available
from eval.qa.arms import ARMS, parse_arms
from eval.qa.command import main
from eval.qa.systems import MAX_EXCERPT_CHARS, asked, excerpt
from eval.sets import Question
from library.records import DocumentText


def run(capfd: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    code = cli.main(["eval", *map(str, arguments)])
    out, err = capfd.readouterr()
    assert "Traceback" not in out + err
    return code, out, err


def test_the_help_lists_the_suites_that_are_there(capfd: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capfd, "--help")
    assert (code, err) == (0, "")
    for suite in available():
        assert f"  {suite.name} " in out
    assert {"qa", "fidelity"} <= {suite.name for suite in available()}
    assert [suite.name for suite in SUITES] == [
        "qa",
        "fidelity",
        "recall",
        "drift",
        "injection",
        "make-questions",
        "report",
    ]
    assert run(capfd)[0] == 2


def test_every_suite_explains_itself(capfd: pytest.CaptureFixture[str]) -> None:
    for suite in available():
        code, out, _ = run(capfd, suite.name, "--help")
        assert code == 0
        assert "usage:" in out


def test_options_reach_the_suite(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, _, err = run(capfd, "qa", tmp_path / "none")
    assert code == 4
    assert "no such folder" in err


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (["qa"], 2, "--rows"),
        (["qa", "x", "y", "--questions", "z"], 2, "one set at a time"),
        (["qa", "x", "--limit", "0"], 2, "above 0"),
        (["qa", "x", "--systems", "magic"], 2, "unknown system"),
        (["qa", "x", "--systems", ","], 2, "no system"),
        (["qa", "x", "--overlap", "256"], 2, "--overlap"),
        (["qa", "x", "--repair", "-1"], 2, "--repair"),
        (["dance"], 2, "no suite"),
    ],
)
def test_wrong_usage(capfd: pytest.CaptureFixture[str], arguments: list[str], code: int, reason: str) -> None:
    found, out, err = run(capfd, *arguments)
    assert found == code
    assert reason in err
    assert out == ""


def test_a_codec_that_is_none(capfd: pytest.CaptureFixture[str]) -> None:
    examples = Path(__file__).resolve().parents[2] / "examples"
    code, _, err = run(capfd, "qa", examples, "--codec", "zip")
    assert code == 2
    assert "unknown codec" in err


def test_options_before_eval_are_refused_in_words(capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--threads", "2", "eval", "qa"]) == 2
    assert "after it" in capfd.readouterr().err


def test_a_type_that_no_question_has(capfd: pytest.CaptureFixture[str]) -> None:
    code = main([str(Path(__file__).resolve().parents[2] / "examples"), "--types", "riddle"])
    assert code == 4
    assert "types here: " in capfd.readouterr().err


def test_systems_by_name() -> None:
    assert [arm.name for arm in parse_arms(ARMS)] == list(ARMS)
    doc, other, twice = parse_arms(["doc", "doc@k8v8", "oracle@exact", "doc"])
    assert (doc.base, doc.codec, doc.needs_snapshots) == ("doc", None, True)
    assert (other.base, other.codec) == ("doc", "k8v8")
    assert twice.name == "oracle@exact"
    assert not parse_arms(["chunk-bm25"])[0].needs_snapshots


@pytest.mark.parametrize("name", ["doc@", "doc@zip", "doc-exact@k8v8", "chunk-bm25@k4v4", "Doc", ""])
def test_systems_that_cannot_be_had(name: str) -> None:
    with pytest.raises(UsageError):
        parse_arms([name])


def test_options_are_put_into_the_question() -> None:
    plain = Question("1", "Who?", ("A",), (), "single")
    choice = Question("1", "Who?", ("A",), (), "single", ("Ann", "Bob"))
    assert asked(plain) == "Who?"
    assert asked(choice) == "Who? Options: A) Ann B) Bob. Answer with one of the options."


def test_long_texts_are_kept_around_what_matters() -> None:
    text = DocumentText("a" * 5000 + "QUOTE" + "b" * 5000, ())
    found = excerpt("id", "t", text, 0, 10_005, around=5000)
    assert "QUOTE" in found.text
    assert len(found.text) == MAX_EXCERPT_CHARS
    assert found.n_chars == 10_005
    assert text.text[found.start : found.start + len(found.text)] == found.text
    at_end = excerpt("id", "t", text, 5000, 10_005, around=10_005)
    assert text.text[5000:][at_end.start :] == at_end.text
    assert excerpt("id", "t", text, 5000, 5005).text == "QUOTE"
    assert excerpt("id", "t", text, 0, 10_005).start == 0
