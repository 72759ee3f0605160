"""Runs are kept, resumed, and asked again only where something changed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from qa_samples import NULL, SINGLE, Scripted, row, task

from beyondrag.errors import UsageError
from eval.qa.rows import Row, parse_row, row_key
from eval.qa.runner import run
from eval.rowfile import RowFile, read_rows
from kvfiles.errors import Cancelled

ANSWERS = {"q1": "48", "q2": "the oven", "q3": "not stated"}


@pytest.fixture
def file(tmp_path: Path) -> Iterator[RowFile[Row]]:
    with RowFile(tmp_path / "runs" / "set.jsonl", parse_row) as opened:
        yield opened


def kept(file: RowFile[Row]) -> list[Row]:
    """What stands on the disk now."""
    assert file.path is not None
    return read_rows(file.path, parse_row)


def test_a_row_comes_back_as_it_was(file: RowFile[Row]) -> None:
    one = row(SINGLE, "doc", "48", ranked=None, supported=None)
    question = replace(NULL, hidden=("harbour.txt",))
    other = replace(row(question, "doc", 'a "quoted"\nline \u2028'), parameters={"top_k": 3})
    file.add(one)
    file.add(other)
    assert kept(file) == [one, other]


def test_rows_from_before_there_were_hidden_documents_and_log_odds_are_read(tmp_path: Path) -> None:
    value = row(SINGLE, "doc", "48").to_json()
    del value["question"]["hidden"], value["given"]["log_odds"]
    assert parse_row(value) == row(SINGLE, "doc", "48")


def test_text_that_is_not_valid_unicode_is_kept_readable(file: RowFile[Row]) -> None:
    file.add(row(SINGLE, "doc", "4\ud8008"))
    (found,) = kept(file)
    assert found.given.answer == "4\ufffd8"


@pytest.mark.parametrize(
    "line",
    [
        b"[]",
        b"null",
        b'{"key": 1}',
        orjson.dumps({**row(SINGLE, "doc", "48").to_json(), "question": "?"}),
        orjson.dumps({**row(SINGLE, "doc", "48").to_json(), "given": None}),
        orjson.dumps({**row(SINGLE, "doc", "48").to_json(), "parameters": 7}),
    ],
)
def test_what_is_no_answer_is_refused_and_stays(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "set.jsonl"
    path.write_bytes(line + b"\n")
    with pytest.raises(UsageError, match="line 1 is no row"), RowFile(path, parse_row):
        pass
    assert path.read_bytes() == line + b"\n"


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


def test_every_system_is_asked_every_question_that_applies(file: RowFile[Row]) -> None:
    doc, oracle = Scripted("doc", ANSWERS), Scripted("oracle", {"q1": "48"})
    seen: list[tuple[int, int]] = []
    rows = run(
        task(),
        [doc, oracle],
        file,
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


def test_a_run_goes_on_where_it_stopped(file: RowFile[Row]) -> None:
    first = Scripted("doc", ANSWERS)
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
def test_what_changed_is_asked_again(file: RowFile[Row], changes: dict[str, object]) -> None:
    run(task(questions=[SINGLE]), [Scripted("doc", ANSWERS)], file)
    again = Scripted("doc", ANSWERS)
    run(task(**({"questions": [SINGLE]} | changes)), [again], file)
    assert again.asked == ["q1"]


def test_mended_answers_are_graded_anew_without_asking(file: RowFile[Row]) -> None:
    run(task(questions=[SINGLE]), [Scripted("doc", ANSWERS)], file)
    mended = replace(SINGLE, answers=("49",))
    again = Scripted("doc", ANSWERS)
    (found,) = run(task(questions=[mended]), [again], file)
    assert again.asked == []
    assert found.question == mended


def test_what_is_not_kept_is_asked_again_and_the_latest_answer_counts(file: RowFile[Row]) -> None:
    run(task(), [Scripted("doc", ANSWERS)], file)
    again = Scripted("doc", ANSWERS | {"q1": "50"})
    run(task(), [again], file, keep=lambda row: row.question.id == "q3")
    assert again.asked == ["q1", "q2"]
    assert {one.given.answer for one in kept(file)} == {"50", "the oven", "not stated"}


def test_cancelling_keeps_what_is_done(file: RowFile[Row]) -> None:
    system = Scripted("doc", ANSWERS)
    with pytest.raises(Cancelled):
        run(task(), [system], file, cancelled=lambda: len(system.asked) == 2)
    assert len(kept(file)) == 2


def test_every_answer_is_on_the_disk_before_the_next_question(file: RowFile[Row]) -> None:

    class Watching(Scripted):
        def answer(self, question, cancelled):  # type: ignore[no-untyped-def]  # as the base class
            assert len(kept(file)) == len(self.asked)
            return super().answer(question, cancelled)

    run(task(), [Watching("doc", ANSWERS)], file)
    assert [one.given.answer for one in kept(file)] == list(ANSWERS.values())
