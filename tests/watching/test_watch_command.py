"""`beyondrag watch` as it is called."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import orjson
import pytest
from guards import PATIENCE_S
from pretend_reading import PretendModel

from beyondrag.console import Console
from beyondrag.settings import Settings
from beyondrag.watching.session import Session
from beyondrag.watching.watcher import Watcher
from ingest.outcomes import FileOutcome
from ingest.pipeline import PendingVolume
from kvfiles.errors import StorageError
from library.store import Library


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "documents"
    made.mkdir()
    write(made / "belen.txt", "The pilot in the accident at Belen was 41 years old.")
    write(made / "lease.md", "# Lease\n\nThe notice period is three months.")
    return made


def write(path: Path, text: str) -> None:
    """A file that has rested since 1970."""
    path.write_text(text)
    os.utime(path, (1, 1))


def test_once_without_a_model(beyondrag, folder: Path, isolated_user: Path) -> None:
    shown = beyondrag("watch", folder, "--once", "--index-only", "--json")
    assert shown.code == 0
    assert shown.json["files"] == {
        "new": 2,
        "changed": 0,
        "copy": 0,
        "renamed": 0,
        "failed": 0,
        "gone": 0,
    }
    assert shown.json["read"] == {"volumes": 0, "tokens": 0}
    with Library.open(isolated_user / "library") as library:
        assert library.count() == 2
    again = beyondrag("watch", folder, "--once", "--index-only", "--json")
    assert not any(again.json["files"].values())


def test_it_says_what_came(beyondrag, folder: Path) -> None:
    write(folder / "bad\x1b.pdf", "no PDF")
    shown = beyondrag("watch", folder, "--once", "--index-only")
    assert shown.out.count("new      ") == 2
    assert "\\x1b.pdf" in shown.err
    assert "\x1b" not in shown.out + shown.err


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["watch"], 2),
        (["watch", "/no/such/folder", "--once"], 4),
        (["watch", ".", "--interval", "0"], 2),
        (["watch", ".", "--interval", "nan"], 2),
        (["watch", ".", "--once"], 5),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_made(
    beyondrag, isolated_user: Path, arguments: list[str], code: int
) -> None:
    shown = beyondrag(*arguments)
    assert shown.code == code
    assert not (isolated_user / "library").exists()


def test_with_once_trouble_ends_it(beyondrag, folder: Path, isolated_user: Path) -> None:
    with Library.create_or_open(isolated_user / "library") as library, library.writing():
        assert beyondrag("watch", folder, "--once", "--index-only").code == 6


@pytest.mark.model
@pytest.mark.slow
def test_a_renamed_file_keeps_its_snapshot(
    beyondrag, folder: Path, isolated_user: Path, small_model_path: Path
) -> None:
    options = ("--once", "--json", "--model", small_model_path, "--context", "2048", "--threads", "1")
    first = beyondrag("watch", folder, *options).json
    assert first["read"]["volumes"] == 2
    assert first["read"]["tokens"] > 20
    with Library.open(isolated_user / "library") as library:
        before = {record.path for record in library.snapshots()}
    (folder / "belen.txt").rename(folder / "renamed.txt")
    write(folder / "new.txt", "A third document, about bees.")
    second = beyondrag("watch", folder, *options).json
    assert second["read"]["volumes"] == 1
    with Library.open(isolated_user / "library") as library:
        after = {record.path for record in library.snapshots()}
        assert before < after
        assert library.snapshots(library.find("renamed.txt").id)


def until(condition: Callable[[], bool], seconds: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


@pytest.mark.slow
def test_changes_are_taken_while_it_runs_and_ctrl_c_ends_it(folder: Path, isolated_user: Path) -> None:
    root = isolated_user / "library"
    command = [sys.executable, "-P", "-m", "beyondrag", "watch", str(folder), "--index-only", "--json"]
    process = subprocess.Popen(
        [*command, "--interval", "0.1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:

        def names() -> dict[str, bool]:
            if not (root / "catalogue.sqlite3").exists():
                return {}
            with Library.open(root) as library:
                return {document.name: document.missing for document in library.documents()}

        until(lambda: set(names()) == {"belen.txt", "lease.md"})
        (folder / "later.txt").write_text("what came later")
        (folder / "lease.md").unlink()
        until(lambda: names() == {"belen.txt": False, "lease.md": True, "later.txt": False})
        (folder / "later.txt").rename(folder / "last.txt")
        until(lambda: names() == {"belen.txt": False, "lease.md": True, "last.txt": False})
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE_S)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert b"Traceback" not in err
    assert b"finished work is kept" in err
    told = orjson.loads(out)
    assert told["stopped"] is True
    assert (told["files"]["new"], told["files"]["renamed"], told["files"]["gone"]) == (3, 1, 1)


def test_what_comes_while_a_long_volume_is_read_is_parsed_beside_it(
    beyondrag, folder: Path, isolated_user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reading is acted: it does not go on before the library knows the file that came in its midst."""
    model = PretendModel()
    model.install(monkeypatch.setattr)

    def names() -> set[str]:
        with Library.open(isolated_user / "library") as library:
            return {document.name for document in library.documents()}

    def gate(_pending: PendingVolume) -> None:
        if not model.read:
            until(lambda: names() == {"belen.txt", "lease.md"}, PATIENCE_S)
            write(folder / "bees.txt", "Bees came while a long volume was read.")
            until(lambda: "bees.txt" in names(), PATIENCE_S)

    model.gate = gate
    shown = beyondrag("watch", folder, "--once", "--interval", "0.1")
    assert shown.code == 0
    assert len(model.read) == 6, "the new one too"
    assert model.n_open == 0
    for name in ("belen.txt", "lease.md", "bees.txt"):
        assert f"new      {folder / name}" in shown.out
        assert shown.out.count(f"read {name}") == 2
    assert shown.err.count("it is only pretended") == 1


def test_the_first_document_is_read_before_the_last_file_is_parsed(
    beyondrag, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = PretendModel()
    model.install(monkeypatch.setattr)
    read_at_files: list[int] = []
    take = Session._take

    def take_slowly(self: Session, outcome: FileOutcome, done: int, total: int) -> None:
        take(self, outcome, done, total)
        until(lambda: len(model.read) >= 2, PATIENCE_S)
        read_at_files.append(len(model.read))

    monkeypatch.setattr(Session, "_take", take_slowly)
    assert beyondrag("watch", folder, "--once").code == 0
    assert read_at_files[0] == 2, "both volumes of the first file, and none of the second"
    assert len(model.read) == 4


def test_a_disk_that_was_full_is_tried_again_and_nothing_is_left_out(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = PretendModel()
    model.install(monkeypatch.setattr)
    monkeypatch.setattr("beyondrag.watching.session._RETRY_S", 0.1)
    full, told = [StorageError("the disk is full")], StringIO()

    def gate(_pending: PendingVolume) -> None:
        if len(model.read) == 1 and full:
            raise full.pop()

    model.gate = gate
    settings = Settings(tmp_path / "library", tmp_path / "models", "pretended", 4096, 1, "k4v4", "f16")
    with Library.create_or_open(settings.library) as library:
        watcher = Watcher(library, [folder], interval_s=0.1)
        console = Console(stdout=told, stderr=told)
        code = Session(settings, watcher, console, lambda: len(model.read) == 4, once=False).run()
        assert len(library.snapshots()) == 4
    assert (code, model.n_opened, model.n_open) == (130, 2, 0)
    assert told.getvalue().count("the disk is full; it will be tried again") == 1


def test_with_once_a_full_disk_ends_it(beyondrag, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = PretendModel()
    model.install(monkeypatch.setattr)

    def gate(_pending: PendingVolume) -> None:
        raise StorageError("the disk is full")

    model.gate = gate
    shown = beyondrag("watch", folder, "--once")
    assert shown.code == StorageError.exit_code
    assert "the disk is full" in shown.err
    assert model.n_open == 0
