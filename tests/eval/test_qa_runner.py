"""Runs are kept, resumed, and asked again only where something changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from qa_samples import NULL, SINGLE, Scripted, given, row, task

from eval.qa.rows import RowFile, append_line, read_lines, row_key
from eval.qa.runner import run
from kvfiles.errors import Cancelled, StorageError

ANSWERS = {"q1": "48", "q2": "the oven", "q3": "not stated"}


def test_a_row_comes_back_as_it_was(tmp_path: Path) -> None:
    file = RowFile(tmp_path / "runs" / "set.jsonl")
    one = row(SINGLE, "doc", "48", ranked=None, supported=None)
    other = replace(row(NULL, "doc", 'a "quoted"\nline \u2028'), parameters={"top_k": 3})
    file.append(one)
    file.append(other)
    assert file.load() == {one.key: one, other.key: other}
    assert len(file.path.read_bytes().splitlines()) == 2


def test_text_that_is_not_valid_unicode_is_kept_readable(tmp_path: Path) -> None:
    file = RowFile(tmp_path / "set.jsonl")
    file.append(row(SINGLE, "doc", "4\ud8008"))
    (found,) = file.load().values()
    assert found.given.answer == "4\ufffd8"


@pytest.mark.parametrize("torn", [b'{"key": "x", "sys', b"\xff\xfe", b'{"key": 1}', b"[]", b"null"])
def test_a_torn_line_costs_only_itself(tmp_path: Path, torn: bytes) -> None:
    file = RowFile(tmp_path / "set.jsonl")
    file.append(row(SINGLE, "doc", "48"))
    with file.path.open("ab") as stream:
        stream.write(torn)
    assert len(file.load()) == 1
    file.append(row(NULL, "doc", "not stated"))
    assert len(file.load()) == 2


def test_missing_and_unwritable_files(tmp_path: Path) -> None:
    assert RowFile(tmp_path / "none.jsonl").load() == {}
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        append_line(tmp_path / "file" / "x.jsonl", b"{}")
    with pytest.raises(StorageError):
        list(read_lines(tmp_path))


def test_the_key_holds_everything_that_affects_an_answer_and_nothing_else() -> None:
    base = row_key(SINGLE, "docs", "doc", {"codec": "k4v4"})
    assert base == row_key(
        replace(SINGLE, answers=("49",), plausible=("7",)), "docs", "doc", {"codec": "k4v4"}
    )
    two = row_key(SINGLE, "docs", "doc", {"a": 1, "b": 2})
    assert two == row_key(SINGLE, "docs", "doc", {"b": 2, "a": 1})
    others = [
        row_key(replace(SINGLE, question="?"), "docs", "doc", {"codec": "k4v4"}),
        row_key(replace(SINGLE, options=("a", "b")), "docs", "doc", {"codec": "k4v4"}),
        row_key(replace(SINGLE, gold_docs=()), "docs", "doc", {"codec": "k4v4"}),
        row_key(SINGLE, "other", "doc", {"codec": "k4v4"}),
        row_key(SINGLE, "docs", "oracle", {"codec": "k4v4"}),
        row_key(SINGLE, "docs", "doc", {"codec": "k8v8"}),
    ]
    assert len({base, *others}) == 7


def test_every_system_is_asked_every_question_that_applies(tmp_path: Path) -> None:
    doc, oracle = Scripted("doc", ANSWERS), Scripted("oracle", {"q1": "48"})
    seen: list[tuple[int, int]] = []
    rows = run(
        task(),
        [doc, oracle],
        RowFile(tmp_path / "r"),
        progress=lambda made, missing, _: seen.append((made, missing)),
    )
    assert [(one.question.id, one.system) for one in rows] == [
        ("q1", "doc"),
        ("q1", "oracle"),
        ("q2", "doc"),
        ("q3", "doc"),
    ]
    assert seen[0] == (0, 4)
    assert seen[-1] == (4, 4)
    assert rows[0].parameters == {"model_sha256": "m"}


def test_a_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    file, first = RowFile(tmp_path / "r"), Scripted("doc", ANSWERS)
    first.fails_at = "q3"
    with pytest.raises(KeyboardInterrupt):
        run(task(), [first], file)
    second = Scripted("doc", ANSWERS)
    told = []
    rows = run(task(), [second], file, on_row=told.append)
    assert first.asked == ["q1", "q2"]
    assert second.asked == ["q3"]
    assert [one.question.id for one in rows] == ["q1", "q2", "q3"]
    assert [one.question.id for one in told] == ["q3"]
    third = Scripted("doc", ANSWERS)
    assert run(task(), [third], file) == rows
    assert third.asked == []


@pytest.mark.parametrize(
    "changes",
    [
        {"documents": "others"},
        {"common": {"model_sha256": "n"}},
        {"questions": [replace(SINGLE, question="?")]},
    ],
)
def test_what_changed_is_asked_again(tmp_path: Path, changes: dict[str, object]) -> None:
    file = RowFile(tmp_path / "r")
    run(task(questions=[SINGLE]), [Scripted("doc", ANSWERS)], file)
    again = Scripted("doc", ANSWERS)
    run(task(**({"questions": [SINGLE]} | changes)), [again], file)
    assert again.asked == ["q1"]


def test_mended_answers_are_graded_anew_without_asking(tmp_path: Path) -> None:
    file = RowFile(tmp_path / "r")
    run(task(questions=[SINGLE]), [Scripted("doc", ANSWERS)], file)
    mended = replace(SINGLE, answers=("49",))
    again = Scripted("doc", ANSWERS)
    (found,) = run(task(questions=[mended]), [again], file)
    assert again.asked == []
    assert found.question == mended


def test_what_is_not_kept_is_asked_again_and_the_latest_answer_counts(tmp_path: Path) -> None:
    file = RowFile(tmp_path / "r")
    run(task(), [Scripted("doc", ANSWERS)], file)
    again = Scripted("doc", ANSWERS | {"q1": "50"})
    run(task(), [again], file, keep=lambda row: row.question.id == "q3")
    assert again.asked == ["q1", "q2"]
    assert {one.given.answer for one in file.load().values()} == {"50", "the oven", "not stated"}


def test_cancelling_keeps_what_is_done(tmp_path: Path) -> None:
    file, system = RowFile(tmp_path / "r"), Scripted("doc", ANSWERS)
    with pytest.raises(Cancelled):
        run(task(), [system], file, cancelled=lambda: len(system.asked) == 2)
    assert len(file.load()) == 2


def test_every_answer_is_on_the_disk_before_the_next_question(tmp_path: Path) -> None:
    file = RowFile(tmp_path / "r")

    class Watching(Scripted):
        def answer(self, question, cancelled):  # type: ignore[no-untyped-def]  # as the base class
            assert len(file.load()) == len(self.asked)
            return super().answer(question, cancelled)

    run(task(), [Watching("doc", ANSWERS)], file)
    lines = [orjson.loads(line) for line in file.path.read_bytes().splitlines()]
    assert [line["given"]["answer"] for line in lines] == list(ANSWERS.values())
    assert given("x").prefilled_tokens == lines[0]["given"]["prefilled_tokens"]
