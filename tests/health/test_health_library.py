"""The library, its disk, its locks and what was left behind: looked at, never changed."""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest
from headers import write_header

from beyondrag.failures import log_path
from beyondrag.health import catalogue_file, disk
from beyondrag.health.catalogue_file import check_catalogue
from beyondrag.health.check import Check
from beyondrag.health.disk import check_library_disk, check_models_disk
from beyondrag.health.facts import Facts
from beyondrag.health.leftovers import check_error_log, check_partial_models, check_temporary_files
from beyondrag.health.library_state import check_contents
from beyondrag.health.locks import check_library_lock, check_pulls
from beyondrag.settings import Settings
from library.records import DocumentText, FailureRecord, PageSpan, ReadingProfile, SourceFile
from library.roots import CATALOGUE_NAME
from library.schema import MIGRATIONS, VERSION
from library.store import Library


def only(checks: Iterable[Check]) -> Check:
    (found,) = checks
    return found


def named(checks: Iterable[Check], name: str) -> Check:
    return only(check for check in checks if check.name == name)


@pytest.fixture
def library(settings: Settings) -> Path:
    """The user's library, with one document and one snapshot of a model that is not there."""
    document_id = "a" * 64
    profile = ReadingProfile("p" * 32, "a model", "0" * 64, {"codec": "k4v4"})
    with Library.create_or_open(settings.library) as opened, opened.writing():
        opened.add(
            document_id,
            SourceFile("/documents/a.txt", 5, 1),
            "A title",
            "text/plain",
            DocumentText("words", (PageSpan("1", 0, 5),)),
        )
        opened.put_profile(profile)
        file = opened.snapshot_scratch()
        file.write_bytes(b"a snapshot")
        opened.put_snapshot(document_id, 0, profile.id, file, n_tokens=3, codec="k4v4")
    return settings.library


def everything_in(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file() and not path.name.endswith(("-shm", "-wal"))  # SQLite's own, empty
    }


# --------------------------------------------------------------------------------- catalogue


def test_no_library_yet_is_no_failure(facts: Facts) -> None:
    found = only(check_catalogue(facts))
    assert found.status == "warn"
    assert "beyondrag ingest" in found.remedy
    assert list(check_contents(facts)) == []
    assert list(check_library_lock(facts)) == []
    assert not facts.settings.library.exists()


def test_what_stands_in_the_way_of_a_library(facts: Facts) -> None:
    folder = facts.settings.library
    folder.mkdir()
    (folder / "photo.jpg").write_text("")
    assert only(check_catalogue(facts)).status == "bad"
    (folder / "photo.jpg").unlink()
    folder.rmdir()
    folder.write_text("")
    assert "is a file" in only(check_catalogue(facts)).line


def test_a_sound_library_is_left_as_it_is(facts: Facts, library: Path) -> None:
    before = everything_in(library)
    found = only(check_catalogue(facts))
    assert found.status == "ok"
    assert f"format {VERSION}" in found.line
    assert everything_in(library) == before


def test_a_newer_and_an_older_format(facts: Facts, library: Path) -> None:
    with sqlite3.connect(library / CATALOGUE_NAME) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    connection.close()
    assert only(check_catalogue(facts)).status == "bad"
    assert list(check_contents(facts)) == []


def test_an_older_library_is_not_migrated_by_looking_at_it(facts: Facts) -> None:
    facts.settings.library.mkdir()
    path = facts.settings.library / CATALOGUE_NAME
    with sqlite3.connect(path) as connection:
        MIGRATIONS[0](connection)
        connection.execute("PRAGMA user_version = 1")
    connection.close()
    before = path.read_bytes()
    found = only(check_catalogue(facts))
    assert found.status == "warn"
    assert f"format {VERSION}" in found.line
    assert list(check_contents(facts)) == []
    assert path.read_bytes() == before


@pytest.mark.parametrize("damage", ["not sqlite", "flipped", "short"])
def test_a_damaged_catalogue_is_told(facts: Facts, library: Path, damage: str) -> None:
    path = library / CATALOGUE_NAME
    raw = bytearray(path.read_bytes())
    if damage == "not sqlite":
        raw[:16] = b"no database here"
    elif damage == "flipped":
        raw[4096 : len(raw)] = bytes(255 - byte for byte in raw[4096:])
    else:
        del raw[len(raw) // 2 :]
    path.write_bytes(raw)
    found = only(check_catalogue(facts))
    assert found.status == "bad"
    assert "damaged" in found.line
    assert found.remedy


def test_a_long_check_ends_in_time_and_says_so(
    facts: Facts, library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue_file, "_QUICK_S", -1.0)
    monkeypatch.setattr(catalogue_file, "_STEPS", 1)
    assert "--deep checks all" in only(check_catalogue(facts)).line
    assert only(check_catalogue(Facts(facts.settings, deep=True))).line.endswith("sound")


# ---------------------------------------------------------------------------------- contents


def test_without_a_model_nothing_counts_as_stale(facts: Facts, library: Path) -> None:
    found = named(check_contents(facts), "snapshots")
    assert found.status == "ok"
    assert "1 documents, 1 snapshots of 10 bytes" in found.line


def test_snapshots_of_another_model_are_stale(facts: Facts, library: Path) -> None:
    write_header(facts.settings.models / "mine.gguf")
    found = named(check_contents(facts), "snapshots")
    assert found.status == "warn"
    assert "1 (10 bytes) are of another model" in found.line


def test_a_lost_snapshot_is_bad(facts: Facts, library: Path) -> None:
    (file,) = (path for path in library.rglob("*.kv") if path.stem != "prefix")
    file.write_bytes(b"short")
    assert named(check_contents(facts), "snapshots").status == "bad"
    file.unlink()
    assert named(check_contents(facts), "snapshots").status == "bad"


def test_failed_files_are_counted(facts: Facts, library: Path) -> None:
    assert named(check_contents(facts), "failed files").status == "ok"
    with Library.open(library) as opened:
        opened.record_failure(FailureRecord("/d/x\x1b.pdf", 1, 1, "broken", "it is broken", "mend it", 1.0))
    found = named(check_contents(facts), "failed files")
    assert found.status == "warn"
    assert "1 files" in found.line
    assert found.line.isprintable()


def test_left_over_files_are_named(facts: Facts, library: Path) -> None:
    assert named(check_contents(facts), "left-over files").status == "ok"
    orphan = library / "kv" / "bb" / ("b" * 64 + ".kv")
    orphan.parent.mkdir()
    orphan.write_bytes(b"12345")
    found = named(check_contents(facts), "left-over files")
    assert found.status == "warn"
    assert "5 bytes" in found.line
    assert orphan.exists()


def test_deep_reads_everything(facts: Facts, library: Path) -> None:
    deep = Facts(facts.settings, deep=True)
    assert not [check for check in check_contents(facts) if check.name == "whole library"]
    found = named(check_contents(deep), "whole library")  # "a snapshot" is no `.kv` file
    assert found.status == "bad"
    assert "1 snapshots read" in found.line


# -------------------------------------------------------------------------------------- disk


@pytest.mark.parametrize(("free", "status"), [(10**12, "ok"), (5 * 10**8, "warn"), (10**6, "bad")])
def test_room_for_the_library(facts: Facts, monkeypatch: pytest.MonkeyPatch, free: int, status: str) -> None:
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: disk.shutil._ntuple_diskusage(10**12, 0, free))
    assert only(check_library_disk(facts)).status == status
    assert only(check_models_disk(facts)).status == status


def test_a_model_that_is_not_there_needs_room(facts: Facts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda _: disk.shutil._ntuple_diskusage(10**12, 0, 10**9))
    found = only(check_models_disk(Facts(replace(facts.settings, model="qwen2.5-coder-1.5b"))))
    assert found.status == "bad"
    assert "1.12 GB" in found.line


def test_a_folder_that_may_not_be_written(facts: Facts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk.os, "access", lambda *_: False)
    assert "may not be written" in only(check_library_disk(facts)).line
    write_header(facts.settings.models / "mine.gguf")
    assert only(check_models_disk(Facts(facts.settings))).status == "ok", (
        "models are only read once they are there"
    )


# ------------------------------------------------------------------------------------- locks


def test_the_writer_is_named(facts: Facts, library: Path) -> None:
    assert only(check_library_lock(facts)).status == "ok"
    with Library.open(library) as writer, writer.writing():
        found = only(check_library_lock(facts))
        left = [check for check in check_contents(facts) if check.name == "left-over files"]
    assert found.status == "warn"
    assert f"process {os.getpid()} on" in found.line
    assert left == []
    assert only(check_library_lock(facts)).status == "ok"


def test_a_pull_is_named_and_a_dead_lock_file_is_not(facts: Facts) -> None:
    facts.settings.models.mkdir()
    lock = facts.settings.models / "big.gguf.lock"
    lock.write_text("4711")
    assert list(check_pulls(facts)) == []
    with lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert only(check_pulls(facts)).line == "process 4711 is pulling big"
        lock.write_text("\x1b[1m")
        assert only(check_pulls(facts)).line == "another process is pulling big"


# ---------------------------------------------------------------------------------- leftovers


def test_unfinished_pulls_and_temporary_files(facts: Facts) -> None:
    models = facts.settings.models
    assert list(check_partial_models(facts)) == list(check_temporary_files(facts)) == []
    models.mkdir()
    (models / "big.gguf.0123abcd.part").write_bytes(b"x" * 700)
    (models / "big.gguf.0123abcd.part.json").write_bytes(b"x" * 50)
    (models / ".big.gguf.pull").mkdir()
    (models / ".big.gguf.pull" / "wheel").write_bytes(b"x" * 250)
    found = only(check_partial_models(facts))
    assert "big: 1.00 kB" in found.line
    assert "beyondrag models pull big" in found.remedy
    (models / f".hashes.json.{os.getpid()}.tmp").write_text("alive")
    (models / ".hashes.json.999999999.tmp").write_text("dead")
    assert "999999999" in only(check_temporary_files(facts)).line


def test_a_recent_traceback_is_pointed_to() -> None:
    assert list(check_error_log()) == []
    log_path().parent.mkdir(parents=True)
    log_path().write_text("--- a traceback")
    assert only(check_error_log()).status == "warn"
    os.utime(log_path(), (0, 0))
    assert list(check_error_log()) == []
