"""Calibrations that snapshots name: found, missed, carried in archives; hostile archives."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from shelf import put
from small_kv import write_kv

from kvfiles.codecs.base import CHUNK_TOKENS
from kvfiles.container import Container, write_container
from kvfiles.errors import CalibrationCorrupt, StorageError
from library.archive.exporting import Selection
from library.archive.importing import ImportReport
from library.calibrations import MAX_BYTES, MAX_IN_ARCHIVE, calibration_of
from library.errors import LibraryDamaged, LibraryNewer
from library.integrity import Harm
from library.records import DocumentRecord, ReadingProfile, Volume
from library.store import Library
from library.upkeep import Upkeep

PROFILE = ReadingProfile("e" * 32, "tiny", "2" * 64, {"codec": "archive@1.2", "version": 1})
FIRST, SECOND = "a1" * 32, "b2" * 32


class Shelf:
    """Files named by id; what begins with "id:" is one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.n_adopted = 0

    def file_of(self, calibration_id: str) -> Path | None:
        path = self.folder / calibration_id[:64]
        return path if path.is_file() else None

    def adopt(self, file: Path) -> str:
        data = file.read_bytes()
        if not data.startswith(b"id:"):
            raise CalibrationCorrupt("it makes no \x1b[31m sense", subject=str(file))
        self.n_adopted += 1
        calibration_id = data[3:67].decode()
        (self.folder / calibration_id).write_bytes(data)
        return calibration_id

    def keep(self, calibration_id: str, content: bytes = b"tables") -> None:
        (self.folder / calibration_id).write_bytes(b"id:" + calibration_id.encode() + content)


def read(library: Library, document: DocumentRecord, tables: str, profile: ReadingProfile = PROFILE) -> None:
    """Keep a snapshot whose header says that it was coded with `tables`."""
    library.put_profile(profile)
    library.put_volumes(document.id, profile.id, [Volume(document.id, 0, 0, document.n_chars, 7, "")])
    plain, scratch = library.snapshot_scratch(), library.snapshot_scratch()
    write_kv(plain, document.id, profile=profile.id)
    with Container(plain) as container:
        meta = {key: container.meta[key] for key in container.meta if key != "sections"}
        arrays = {name: np.array(container.array(name)) for name in container.sections}
    params = {"version": 3, "log_g": 67, "tables": tables}
    write_container(scratch, {**meta, "codec": "archive", "codec_params": params}, arrays)
    plain.unlink()
    assert meta["chunk_tokens"] == CHUNK_TOKENS
    library.put_snapshot(document.id, 0, profile.id, scratch, 7, "archive")


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    made = Shelf(tmp_path / "shelf")
    made.keep(FIRST)
    made.keep(SECOND)
    return made


@pytest.fixture
def full(library: Library) -> Library:
    """Three documents: two need the first calibration, one the second."""
    with library.writing():
        for number, tables in enumerate((FIRST, FIRST, SECOND)):
            read(library, put(library, f"/docs/{number}.txt", f"zebra {number} " * 50), tables)
    return library


@pytest.fixture
def other(tmp_path: Path) -> Any:
    with Library.create_or_open(tmp_path / "other") as opened:
        yield opened


def members(path: Path) -> list[tuple[str, bytes]]:
    with tarfile.open(path) as tar:
        return [(member.name, tar.extractfile(member).read()) for member in tar]  # type: ignore[union-attr]  # all are files


def write(path: Path, parts: list[tuple[str, bytes]]) -> Path:
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        for name, data in parts:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def named(kind: str, data: bytes) -> tuple[str, bytes]:
    return f"{kind}/{hashlib.sha256(data).hexdigest()}", data


@pytest.fixture
def archive(full: Library, shelf: Shelf, tmp_path: Path) -> Path:
    report = Upkeep(full, shelf).export(tmp_path / "library.tar")
    assert report.left_out == ()
    return tmp_path / "library.tar"


def test_the_header_names_the_calibration(full: Library, tmp_path: Path) -> None:
    assert sorted(str(calibration_of(record.path)) for record in full.snapshots()) == [FIRST, FIRST, SECOND]
    write_kv(tmp_path / "exact.kv", "c" * 64)
    assert calibration_of(tmp_path / "exact.kv") is None
    assert calibration_of(tmp_path / "none.kv") is None


def test_verify_names_each_snapshot_that_lacks_it(full: Library, shelf: Shelf) -> None:
    assert Upkeep(full, shelf).verify().sound
    (shelf.folder / FIRST).unlink()
    for deep in (False, True):
        found = Upkeep(full, shelf).verify(deep=deep).findings
        assert [finding.harm for finding in found] == [Harm.CALIBRATION] * 2
        assert all(FIRST[:12] in finding.text for finding in found)
    assert Upkeep(full).verify(deep=True).sound, "nobody knows where calibrations are"
    report = Upkeep(full, shelf).repair()
    assert [finding.harm for finding in report.left] == [Harm.CALIBRATION] * 2
    assert len(list(full.snapshots())) == 3


def test_each_calibration_goes_along_once(archive: Path, other: Library, tmp_path: Path) -> None:
    kinds = [name.split("/")[0] for name, _ in members(archive)]
    assert kinds[:3] == ["manifest", "calibration", "calibration"]
    assert "calibration" not in kinds[3:]
    here = Shelf(tmp_path / "here")
    report = Upkeep(other, here).import_from(archive)
    assert sorted(report.calibrations) == [FIRST, SECOND]
    assert (report.added, report.refused) == (3, [])
    assert Upkeep(other, here).verify(deep=True).sound
    again = Upkeep(other, here).import_from(archive)
    assert (again.known, sorted(again.calibrations)) == (3, [FIRST, SECOND])


def test_a_selection_takes_what_it_needs(full: Library, shelf: Shelf, tmp_path: Path) -> None:
    third = full.find("2.txt").id
    Upkeep(full, shelf).export(tmp_path / "one.tar", Selection([third]))
    held = [data for name, data in members(tmp_path / "one.tar") if name.startswith("calibration/")]
    assert held == [(shelf.folder / SECOND).read_bytes()]
    Upkeep(full, shelf).export(tmp_path / "none.tar", Selection(None, ["0" * 32]))
    manifest = orjson.loads(members(tmp_path / "none.tar")[0][1])
    assert (manifest["archive"], manifest["calibrations"]) == (1, 0), "an older program reads it"


def test_what_is_not_here_is_told(full: Library, shelf: Shelf, tmp_path: Path, other: Library) -> None:
    (shelf.folder / FIRST).unlink()
    report = Upkeep(full, shelf).export(tmp_path / "library.tar")
    (sentence,) = report.left_out
    assert FIRST[:12] in sentence
    assert "2 snapshots" in sentence
    assert Upkeep(other, Shelf(tmp_path / "here")).import_from(tmp_path / "library.tar").calibrations == [
        SECOND
    ]


def test_one_that_is_too_large_stays_out(
    full: Library, shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("library.archive.exporting.MAX_BYTES", 100)
    shelf.keep(SECOND, bytes(200))
    (sentence,) = Upkeep(full, shelf).export(tmp_path / "library.tar").left_out
    assert "too large" in sentence
    assert MAX_BYTES == 64_000_000


def test_one_that_changes_meanwhile_ends_the_export(
    full: Library, shelf: Shelf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hashed_before(_path: Path) -> tuple[str, int]:
        return "0" * 64, 77

    monkeypatch.setattr("library.archive.exporting.hash_regular_file", hashed_before)
    with pytest.raises(StorageError, match=r"checksum|short"):
        Upkeep(full, shelf).export(tmp_path / "library.tar")
    assert not list(tmp_path.glob("library.tar*"))


def test_without_a_place_for_them_they_are_passed_over(archive: Path, other: Library) -> None:
    report = Upkeep(other).import_from(archive)
    assert (report.added, report.calibrations) == (3, [])


def test_a_calibration_that_makes_no_sense_is_refused_alone(
    archive: Path, other: Library, tmp_path: Path
) -> None:
    parts = members(archive)
    parts[1] = named("calibration", b"junk " * 1000)
    here, report = Shelf(tmp_path / "here"), ImportReport()
    Upkeep(other, here).import_from(write(tmp_path / "forged.tar", parts), report)
    assert (report.added, len(report.calibrations), here.n_adopted) == (3, 1, 1)
    (sentence,) = report.refused
    assert sentence.startswith("The calibration ")
    assert "\x1b" not in sentence
    assert not list(other.parts.files.root.glob("scratch/*")), "nothing is left of it"


def too_many(told: Any) -> None:
    told["calibrations"] = MAX_IN_ARCHIVE + 1


def more_than_there_are(told: Any) -> None:
    told["calibrations"] = 3


def fewer_than_there_are(told: Any) -> None:
    told["calibrations"] = 1


def no_number(told: Any) -> None:
    told["calibrations"] = "2"


def negative(told: Any) -> None:
    told["calibrations"] = -1


@pytest.mark.parametrize("change", [too_many, more_than_there_are, fewer_than_there_are, no_number, negative])
def test_a_manifest_that_lies_about_them(
    archive: Path, other: Library, tmp_path: Path, change: Callable[[Any], None]
) -> None:
    parts = members(archive)
    told = orjson.loads(parts[0][1])
    change(told)
    parts[0] = named("manifest", orjson.dumps(told))
    with pytest.raises(LibraryDamaged):
        Upkeep(other, Shelf(tmp_path / "here")).import_from(write(tmp_path / "forged.tar", parts))
    assert other.count() == 0


def test_one_that_is_too_large_is_refused_unread(
    archive: Path, other: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("library.archive.importing.MAX_BYTES", 60)
    here = Shelf(tmp_path / "here")
    with pytest.raises(LibraryDamaged):
        Upkeep(other, here).import_from(archive)
    assert here.n_adopted == 0


@pytest.mark.parametrize("name", ["calibration/../../evil", "calibration/" + "A" * 64, "calibration//etc/x"])
def test_a_name_is_never_a_path(archive: Path, other: Library, tmp_path: Path, name: str) -> None:
    parts = members(archive)
    parts[1] = (name, parts[1][1])
    with pytest.raises(LibraryDamaged):
        Upkeep(other, Shelf(tmp_path / "here")).import_from(write(tmp_path / "forged.tar", parts))


def test_other_bytes_than_the_name_says(archive: Path, other: Library, tmp_path: Path) -> None:
    parts = members(archive)
    parts[1] = (parts[1][0], parts[1][1][:-1] + b"X")
    here = Shelf(tmp_path / "here")
    with pytest.raises(LibraryDamaged, match="checksum"):
        Upkeep(other, here).import_from(write(tmp_path / "forged.tar", parts))
    assert here.n_adopted == 0


def test_an_archive_with_calibrations_says_that_older_programs_cannot_read_it(
    archive: Path, other: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("library.archive.importing.FORMAT", 1)
    with pytest.raises(LibraryNewer):
        Upkeep(other).import_from(archive)
