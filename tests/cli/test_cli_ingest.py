"""`beyondrag ingest`: what is left out is said, what failed is listed and tried again."""

from __future__ import annotations

import os
from pathlib import Path

import orjson
import pytest
from command_line import Run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "documents"
    made.mkdir()
    (made / "good.txt").write_text("The lamp is lit at dusk.")
    return made


BAD = bytes(3000)
MAIL = b"From a Thu Mar  4 10:00:00 2021\nFrom: Ann <a@example.org>\nSubject: Letter %d\n\nbody %d\n\n"


def test_what_rules_leave_out_is_counted(beyondrag: Run, folder: Path) -> None:
    for name in (".hidden.txt", "a.log", "node_modules/x.txt", "own.txt"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(name)
    (folder / ".gitignore").write_text("*.log\n")
    (folder / ".beyondragignore").write_text("own.txt\n")
    expected = {".beyondragignore": 1, ".gitignore": 1, "default": 1, "hidden": 3}
    for options in ([], ["--dry-run"]):
        shown = beyondrag("ingest", folder, "--index-only", "--json", *options)
        assert orjson.loads(shown.out)["ignored"] == expected
        shown = beyondrag("ingest", folder, "--index-only", *options)
        assert "1 by .beyondragignore, 1 by .gitignore, 1 by default, 3 hidden" in shown.err
    shown = beyondrag("ingest", folder, "--index-only", "--no-ignore", "--json")
    assert orjson.loads(shown.out)["ignored"] == {}
    assert orjson.loads(shown.out)["files"]["new"] >= 3
    shown = beyondrag("ingest", folder, "--index-only")
    assert "known files that a rule leaves out now" in shown.err


def test_rules_that_leave_everything_out(beyondrag: Run, tmp_path: Path) -> None:
    (tmp_path / "only").mkdir()
    (tmp_path / "only" / ".a.txt").write_text("x")
    shown = beyondrag("ingest", tmp_path / "only", "--index-only")
    assert shown.code == 4
    assert "--no-ignore" in shown.err


def test_a_size_limit(beyondrag: Run, folder: Path) -> None:
    (folder / "large.txt").write_text("word " * 300_000)
    shown = beyondrag("ingest", folder, "--index-only", "--max-size", "1")
    assert "1 new" in shown.out
    assert "larger than the limit (2 MB, the limit is 1 MB)" in shown.err
    assert beyondrag("ingest", folder, "--max-size", "0").code == 2
    assert beyondrag("ingest", folder, "--max-size", "x").code == 2


def test_failures_are_listed_and_tried_again(beyondrag: Run, folder: Path) -> None:
    assert beyondrag("ingest", "--failed").code == 6, "there is no library yet"
    assert beyondrag("ingest").code == 2
    (folder / "b\x1b[31mad.txt").write_bytes(BAD)
    (folder / "inner").mkdir()
    (folder / "inner" / "empty.txt").write_text("")
    assert beyondrag("ingest", folder, "--index-only").code == 0
    shown = beyondrag("ingest", "--failed")
    assert shown.code == 0
    assert "\x1b" not in shown.out
    assert shown.out.count("try: ") == 2
    assert "2 failed" in shown.out
    rows = orjson.loads(beyondrag("ingest", "--failed", "--json").out)["failed"]
    assert [(Path(row["path"]).name, row["code"]) for row in rows] == [
        ("b\x1b[31mad.txt", "binary"),
        ("empty.txt", "empty"),
    ]
    assert all(row["reason"] and row["remedy"] and row["at"] > 1e9 for row in rows)
    rows = orjson.loads(beyondrag("ingest", "--failed", "--json", folder / "inner").out)["failed"]
    assert len(rows) == 1
    (folder / "inner" / "empty.txt").write_text("no longer")
    shown = beyondrag("ingest", "--retry-failed", "--index-only", "--json")
    assert orjson.loads(shown.out)["files"] == {
        "new": 1,
        "changed": 0,
        "unchanged": 0,
        "copy": 0,
        "failed": 1,
    }
    (folder / "b\x1b[31mad.txt").unlink()
    assert beyondrag("ingest", folder, "--index-only").code == 0
    assert "no file failed" in beyondrag("ingest", "--failed").out
    assert beyondrag("ingest", "--retry-failed", "--index-only").code == 4


def test_what_cannot_be_a_document_is_listed_like_a_damaged_one(beyondrag: Run, folder: Path) -> None:
    os.mkfifo(folder / "pipe.txt")
    with (folder / "sparse.txt").open("wb") as file:
        file.truncate(10_000_000_000)
    shown = beyondrag("ingest", folder, "--index-only", "--json")
    assert shown.code == 0
    told = {Path(row["path"]).name: row["code"] for row in orjson.loads(shown.out)["left_out"]}
    assert told == {"pipe.txt": "special", "sparse.txt": "too-large"}
    shown = beyondrag("ingest", "--failed")
    assert "pipe.txt: a pipe, socket or device" in shown.out
    assert "sparse.txt: it is larger than the limit (10,000 MB, the limit is 200 MB)" in shown.out
    assert "2 failed" in shown.out
    (folder / "sparse.txt").unlink()
    shown = beyondrag("ingest", "--retry-failed", "--index-only")
    assert shown.code == 4
    assert "nothing is there that could be read" in shown.err
    assert beyondrag("ingest", folder, "--index-only").code == 0
    assert "1 failed" in beyondrag("ingest", "--failed").out


def test_a_dry_run_counts_what_is_searchable_and_not_yet_read(beyondrag: Run, folder: Path) -> None:
    before = orjson.loads(beyondrag("ingest", folder, "--dry-run", "--json").out)["estimated_tokens"]
    assert beyondrag("ingest", folder, "--index-only").code == 0
    after = orjson.loads(beyondrag("ingest", folder, "--dry-run", "--json").out)["estimated_tokens"]
    assert before == after > 0


def test_messages_are_counted_by_themselves(beyondrag: Run, folder: Path) -> None:
    box = folder / "box.mbox"
    box.write_bytes(b"".join(MAIL % (number, number) for number in range(3)) + b"From x\nX: y\n\n\n")
    shown = beyondrag("ingest", folder, "--index-only", "--dry-run")
    assert "files: 2 new; messages: 3 new, 1 failed" in shown.out
    shown = beyondrag("ingest", folder, "--index-only")
    assert "files: 2 new; messages: 3 new, 1 failed" in shown.out
    assert "1 failed" in beyondrag("ingest", "--failed").out
    retried = orjson.loads(beyondrag("ingest", "--retry-failed", "--index-only", "--json").out)
    assert retried["messages"] == {"new": 0, "changed": 0, "unchanged": 3, "copy": 0, "failed": 1}
    box.write_bytes(MAIL % (1, 1))
    shown = beyondrag("ingest", folder, "--index-only")
    assert "messages no longer in their mailbox: 2" in shown.err
    assert "no file failed" in beyondrag("ingest", "--failed").out
    listed = orjson.loads(beyondrag("library", "list", "--json").out)
    assert "Letter 1 (Ann)" in str(listed)
