"""The list of failures: everything that a person may miss has one row, and it goes when it holds no more."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from ingest import indexing
from ingest.errors import NothingToIngest
from ingest.indexing import IndexReport, index
from ingest.parsers.base import Limits
from library.records import NEVER_TRIED
from library.store import Library


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with Library.create_or_open(tmp_path / "library") as opened:
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "documents"
    made.mkdir()
    return made


def run(library: Library, *paths: Path, limits: Limits | None = None, prune: bool = False) -> IndexReport:
    with library.writing():
        return index(library, list(paths), limits=limits, prune=prune)


def rows(library: Library) -> dict[str, str]:
    return {Path(failure.path).name: failure.code for failure in library.failures()}


def letter(number: int) -> bytes:
    head = b"From a Thu Mar  4 10:00:00 2021\nSubject: letter %d\n\n" % number
    return head + b"This is letter number %d.\n\n" % number


def empty_letter(number: int) -> bytes:
    return b"From a Thu Mar  4 10:00:00 2021\nX-Number: %d\n\n \n\n" % number


def test_what_the_scan_leaves_out_is_listed_and_the_rest_is_read(library: Library, folder: Path) -> None:
    os.mkfifo(folder / "pipe.txt")
    with (folder / "sparse.txt").open("wb") as file:
        file.truncate(10_000_000_000)
    (folder / "dangling.txt").symlink_to("nothing")
    (folder / "picture.png").write_bytes(b"\x89PNG")
    (folder / "z.txt").write_text("after them")
    run(library, folder)
    assert rows(library) == {"pipe.txt": "special", "sparse.txt": "too-large"}, "no rules, links, other kinds"
    assert library.count() == 1
    (pipe, sparse) = library.failures()
    assert "10,000 MB" in sparse.reason
    assert "--max-size" in sparse.remedy
    assert pipe.remedy
    run(library, folder)
    assert library.failures() == [pipe, sparse], "with the day on which it was first noted"


@pytest.mark.parametrize("end", ["gone", "file", "ignored", "other kind"])
def test_a_row_of_the_scan_goes_when_it_holds_no_more(library: Library, folder: Path, end: str) -> None:
    pipe = folder / "pipe.txt"
    os.mkfifo(pipe)
    (folder / "a.txt").write_text("text")
    run(library, folder)
    assert rows(library) == {"pipe.txt": "special"}
    if end == "ignored":
        (folder / ".beyondragignore").write_text("pipe.txt\n")
    else:
        pipe.unlink()
    if end == "file":
        pipe.write_text("now it is a file")
    if end == "other kind":
        pipe.symlink_to("/dev/null")
    run(library, folder)
    assert rows(library) == {}
    assert library.count() == (2 if end == "file" else 1)


def test_a_file_over_the_limit_is_read_as_soon_as_the_limit_allows(library: Library, folder: Path) -> None:
    (folder / "long.txt").write_text("word " * 1_000)
    (folder / "a.txt").write_text("text")
    small = replace(Limits(), max_file_bytes=1_000)
    run(library, folder, limits=small)
    (row,) = library.failures()
    assert (row.code, row.size) == ("too-large", NEVER_TRIED)
    run(library, folder)
    assert (rows(library), library.count()) == ({}, 2)
    run(library, folder, limits=small, prune=True)
    assert (rows(library), library.count()) == ({"long.txt": "too-large"}, 2), "what was read of it stays"
    run(library, folder)
    assert (rows(library), library.count()) == ({}, 2)


def test_a_folder_of_nothing_but_a_pipe(library: Library, folder: Path) -> None:
    os.mkfifo(folder / "pipe.txt")
    with pytest.raises(NothingToIngest):
        run(library, folder)
    assert rows(library) == {"pipe.txt": "special"}


def test_rows_of_other_folders_stay(library: Library, folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for place in (folder, other):
        os.mkfifo(place / f"{place.name}.txt")
        (place / "a.txt").write_text(str(place))
        run(library, place)
    assert set(rows(library)) == {"documents.txt", "other.txt"}


def test_of_very_many_damaged_messages_only_some_are_listed(
    library: Library, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "MAX_MEMBER_FAILURES", 5)
    box = folder / "box.mbox"
    box.write_bytes(letter(1) + b"".join(map(empty_letter, range(40))) + letter(2))
    (folder / "z.txt").write_text("after it")
    report = run(library, folder)
    assert {state.value: n for state, n in report.members.items()} == {"new": 2, "failed": 40}
    assert library.count() == 3
    (whole, *single) = library.failures()
    assert (Path(whole.path).name, whole.code) == ("box.mbox", "members")
    assert "40" in whole.reason
    assert [failure.code for failure in single] == ["empty"] * 5
    assert run(library, folder).members == {}, "nothing is tried again"
    assert library.failures() == [whole, *single]
    library.remove(library.find("letter 1").id)
    run(library, folder)
    assert library.count() == 3, "the row of the mailbox does not keep its messages out"
    box.write_bytes(letter(1))
    run(library, folder)
    assert rows(library) == {}


def test_a_mailbox_over_the_limit_of_messages_is_read_up_to_it(library: Library, folder: Path) -> None:
    (folder / "box.mbox").write_bytes(b"".join(map(letter, range(20))))
    (folder / "z.txt").write_text("after it")
    limits = replace(Limits(), max_members=12)
    report = run(library, folder, limits=limits)
    states = [(outcome.state.value, outcome.failure and outcome.failure.code) for outcome in report.outcomes]
    assert states == [("failed", "too-large"), ("new", None)]
    assert {document.title[:9].strip() for document in library.documents() if "letter" in document.title} == {
        f"letter {number}" for number in range(12)
    }
    (row,) = library.failures()
    assert (Path(row.path).name, row.code) == ("box.mbox", "too-large")
    assert "more than 12 messages" in row.reason
    assert "split" in row.remedy
    assert len(report.document_ids) == library.count() == 13, "they are documents like any other"
    again = run(library, folder, limits=limits)
    assert again.members == {}, "it is not gone through again"
    assert set(again.document_ids) == set(report.document_ids)
    assert library.failures() == [row]
