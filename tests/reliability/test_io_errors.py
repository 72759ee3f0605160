"""A device that fails: an error in words, nothing half there, and the same again works afterwards."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from inspection import orphans
from small_kv import PROFILE, read
from steps import add

from kvfiles.errors import StorageError
from kvfiles.regular_file import open_regular
from library.archive.importing import ImportReport
from library.integrity import Harm
from library.store import Library
from library.upkeep import Upkeep

EIO = OSError(errno.EIO, "Input/output error")


class Failing:
    """A binary file that fails once it has read, or written, `room` bytes."""

    def __init__(self, file: BinaryIO, room: int) -> None:
        self._file, self._room = file, room

    def __enter__(self) -> Failing:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def _spend(self, n_bytes: int) -> None:
        self._room -= n_bytes
        if self._room < 0:
            raise EIO

    def read(self, n_bytes: int = -1) -> bytes:
        data = self._file.read(n_bytes)
        self._spend(len(data))
        return data

    def readinto(self, buffer: Any) -> int:
        n_bytes: int = self._file.readinto(buffer)
        self._spend(n_bytes)
        return n_bytes

    def write(self, data: Any) -> int:
        self._spend(memoryview(data).nbytes)
        return self._file.write(data)


@pytest.fixture
def full(library: Library) -> Library:
    for number in range(3):
        read(library, add(library, f"/docs/ä {number}.txt", f"zebra{number} " * 200))
    return library


@pytest.fixture
def archive(full: Library, tmp_path: Path) -> Path:
    Upkeep(full).export(tmp_path / "x.tar")
    return tmp_path / "x.tar"


@pytest.mark.parametrize("share", [0.0, 0.05, 0.2, 0.4, 0.6, 0.8, 0.9])
def test_reading_an_archive(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    room = int(share * archive.stat().st_size)
    root, report = tmp_path / "new", ImportReport()
    with Library.create_or_open(root) as new:
        with monkeypatch.context() as patched:
            patched.setattr(
                "library.archive.importing.open_regular", lambda path: Failing(open_regular(path), room)
            )
            with pytest.raises(StorageError, match="device reports an error") as caught:
                Upkeep(new).import_from(archive, report)
        assert "check the disk" in caught.value.remedy
        assert new.count() == report.added
        assert len(new.snapshots()) == sum(report.snapshots.values())
        assert Upkeep(new).verify(deep=True).sound
        Upkeep(new).import_from(archive)
        assert new.count() == 3
    assert orphans(root) == []


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_writing_an_archive(
    archive: Path, full: Library, monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    before = archive.read_bytes()
    room = int(share * len(before))
    with monkeypatch.context() as patched:
        fdopen = os.fdopen

        def failing(descriptor: int, mode: str, *rest: Any) -> Any:
            file = fdopen(descriptor, mode, *rest)
            return Failing(file, room) if mode == "r+b" else file

        patched.setattr(os, "fdopen", failing)
        with pytest.raises(StorageError, match="device reports an error"):
            Upkeep(full).export(archive, overwrite=True)
    assert archive.read_bytes() == before
    assert [path.name for path in archive.parent.glob("x.tar*")] == ["x.tar"]


def test_reading_a_snapshot_for_an_archive(
    full: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = full.snapshots()[1].path

    def opened(path: Path) -> Any:
        file = open_regular(path)
        return Failing(file, 1000) if path == bad else file

    monkeypatch.setattr("library.archive.exporting.open_regular", opened)
    report = Upkeep(full).export(tmp_path / "y.tar")
    assert (report.n_documents, report.n_snapshots) == (3, 2)
    assert "input/output error" in report.left_out[0]
    with Library.create_or_open(tmp_path / "new") as new:
        Upkeep(new).import_from(tmp_path / "y.tar")
        assert Upkeep(new).verify(deep=True).sound


def test_keeping_a_snapshot(full: Library, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document = add(full, "/docs/new.txt", "okapi")
    with monkeypatch.context() as patched:
        fdopen = os.fdopen
        patched.setattr(os, "fdopen", lambda fd, *rest, **more: Failing(fdopen(fd, *rest, **more), 100))
        with pytest.raises(StorageError):
            read(full, document)
    assert full.snapshot(document.id, 0, PROFILE.id) is None
    assert full.verify() == []
    read(full, document)
    full.close()
    with Library.open(root) as again:
        Upkeep(again).collect_garbage()
        assert Upkeep(again).verify(deep=True).sound
    assert orphans(root) == []


def test_checking_a_snapshot(full: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = full.snapshots()[1]
    with monkeypatch.context() as patched:
        fdopen = os.fdopen

        def failing(descriptor: int, *rest: Any, **more: Any) -> Any:
            file = fdopen(descriptor, *rest, **more)
            same = os.fstat(descriptor).st_ino == bad.path.stat().st_ino
            return Failing(file, 100) if same else file

        patched.setattr(os, "fdopen", failing)
        (finding,) = Upkeep(full).verify(deep=True).findings
    assert (finding.harm, finding.subject) == (Harm.SNAPSHOT, bad.path.stem)
    assert "cannot be read, input/output error" in finding.text
