"""Calibrations that came from elsewhere, and tables that are held in memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tiny_calibration import short_texts, tiny_model

from beyondrag.calibration.running import calibrate_model
from beyondrag.calibration.store import MAX_HELD, SUFFIX, CalibrationStore, HeldTables
from beyondrag.health.disk import _largest_snapshot
from beyondrag.health.facts import Facts
from beyondrag.settings import Settings
from kvfiles.codecs.archive.tables import ArchiveTables, save_tables
from kvfiles.errors import CalibrationCorrupt, CalibrationMissing
from kvfiles.runtime.model import Model


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("model") / "tiny.gguf")


@pytest.fixture(scope="module")
def tables(path: Path, tmp_path_factory: pytest.TempPathFactory) -> ArchiveTables:
    model = Model(path)
    try:
        store = CalibrationStore(tmp_path_factory.mktemp("first"))
        return calibrate_model(model, "f" * 64, short_texts(), store, n_threads=1).tables
    finally:
        model.close()


@pytest.fixture
def carried(tables: ArchiveTables, tmp_path: Path) -> Path:
    save_tables(tmp_path / "carried", tables)
    return tmp_path / "carried"


@pytest.fixture
def store(tmp_path: Path) -> CalibrationStore:
    return CalibrationStore(tmp_path / "models")


def damage(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[-100] ^= 1
    path.write_bytes(raw)


def test_what_came_from_elsewhere_is_read_with_but_not_written_with(
    store: CalibrationStore, carried: Path, tables: ArchiveTables, path: Path
) -> None:
    assert store.file_of(tables.id) is None
    assert not store.root.exists(), "looking creates nothing"
    assert [store.adopt(carried) for _ in range(2)] == [tables.id] * 2
    (file,) = store.root.iterdir()
    assert file.name == f"imported.{tables.id[:16]}{SUFFIX}"
    assert store.file_of(tables.id) == file
    assert store.find(tables.id).id == tables.id
    with pytest.raises(CalibrationMissing):
        store.of_model(path, "f" * 64)
    assert store.remove(path) == ()


def test_what_is_here_is_not_kept_twice(
    store: CalibrationStore, carried: Path, tables: ArchiveTables, path: Path
) -> None:
    store.save(path, tables)
    assert store.adopt(carried) == tables.id
    assert [file.name for file in store.root.iterdir()] == [f"tiny{SUFFIX}"]


def test_a_sound_copy_stands_in_for_a_damaged_one(
    store: CalibrationStore, carried: Path, tables: ArchiveTables, path: Path
) -> None:
    store.save(path, tables)
    damage(store.path(path))
    with pytest.raises(CalibrationCorrupt):
        store.find(tables.id)
    store.adopt(carried)
    assert store.find(tables.id).id == tables.id
    (store.root / f"zz{SUFFIX}").write_bytes(store.path(path).read_bytes())
    assert store.find(tables.id).id == tables.id


@pytest.mark.parametrize("how", ["byte", "cut", "junk", "id"])
def test_a_file_that_is_not_what_it_says_is_refused(
    store: CalibrationStore, carried: Path, tables: ArchiveTables, how: str
) -> None:
    if how == "byte":
        damage(carried)
    elif how == "cut":
        carried.write_bytes(carried.read_bytes()[:-200])
    elif how == "junk":
        carried.write_bytes(b"junk " * 500)
    else:  # other numbers under the same id
        other = replace(tables, shrink=0.25)
        object.__setattr__(other, "id", tables.id)
        save_tables(carried, other)
    with pytest.raises(CalibrationCorrupt):
        store.adopt(carried)
    assert not store.root.exists()


def test_tables_are_held_and_errors_are_not(
    store: CalibrationStore, tables: ArchiveTables, path: Path
) -> None:
    held = HeldTables(store)
    with pytest.raises(CalibrationMissing):
        held.find(tables.id)
    store.save(path, tables)
    first = held.find(tables.id)
    store.path(path).unlink()
    assert held.find(tables.id) is first
    for number in range(MAX_HELD):
        other = replace(tables, texts=str(number))
        store.save(path.with_name(f"{number}.gguf"), other)
        held.find(other.id)
    with pytest.raises(CalibrationMissing):
        held.find(tables.id)


def test_the_doctor_needs_room_for_what_is_really_written(
    store: CalibrationStore, tables: ArchiveTables, path: Path
) -> None:
    def need(codec: str) -> int:
        settings = Settings(store.root / "library", store.root, str(path), 2048, 1, codec, "f16")
        facts = Facts(settings)
        facts.__dict__["model_sha256"] = tables.model
        return _largest_snapshot(facts)

    before = need("archive")
    assert 0 < before < need("k4v4")
    assert need("archive@4") < before < need("archive@0.25")
    store.save(path, tables)
    assert 0 < need("archive") != before
    damage(store.path(path))
    assert need("archive") == need("k4v4")
