"""`beyondrag watch` as it is called."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from beyondrag.watching.queue import ReadingQueue
from ingest.pipeline import PendingVolume
from library.records import ReadingProfile, Volume
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


def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
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
        out, err = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert b"Traceback" not in err
    assert b"finished work is kept" in err
    told = orjson.loads(out)
    assert told["stopped"] is True
    assert (told["files"]["new"], told["files"]["renamed"], told["files"]["gone"]) == (3, 1, 1)


class ScriptedEngine:
    """Opens no model."""

    warnings = ("a warning",)

    def __init__(self, _settings: object, _library: Library) -> None:
        pass

    def prepare(self) -> None:
        pass

    def close(self) -> None:
        pass


def test_folders_are_looked_at_between_the_slices_of_a_long_volume(
    beyondrag, folder: Path, isolated_user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reading is acted: in its midst a file comes, and the library must know it before the next slice."""
    known: list[set[str]] = []
    profile = ReadingProfile("p" * 16, "a model", "0" * 64, {})

    def read_one(self: ReadingQueue, _engine: object, *, on_start, on_tokens, cancelled) -> None:
        while self.put_aside() is not None:
            pass
        if known:
            return
        with Library.open(isolated_user / "library") as library:
            document = library.find("belen.txt")
            on_start(PendingVolume(document, Volume(document.id, 0, 0, 1, 1_000, ""), 1))
            known.append({one.name for one in library.documents()})
            write(folder / "bees.txt", "Bees came while a long volume was read.")
            time.sleep(0.15)
            on_tokens(500)  # it is seen here, and rests
            time.sleep(2.2)
            on_tokens(1_000)
            known.append({one.name for one in library.documents()})

    monkeypatch.setattr("beyondrag.engine.Engine", ScriptedEngine)
    monkeypatch.setattr("beyondrag.reading.profile_for", lambda _settings: (Path("model.gguf"), profile))
    monkeypatch.setattr(ReadingQueue, "read_one", read_one)
    shown = beyondrag("watch", folder, "--once", "--interval", "0.1")
    assert shown.code == 0
    assert known[0] == {"belen.txt", "lease.md"}
    assert known[1] == {"belen.txt", "lease.md", "bees.txt"}
    assert f"new      {folder / 'bees.txt'}" in shown.out
    assert shown.err.count("a warning") == 1
