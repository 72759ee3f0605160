"""Calibration tables: what is saved is what is loaded, and nothing that makes no sense gets in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from archive_samples import make_tables

from kvfiles.codecs.archive.tables import (
    ESCAPE,
    KIND,
    ArchiveTables,
    OneTables,
    group_heads,
    load_tables,
    save_tables,
)
from kvfiles.container import Container, write_container
from kvfiles.errors import CalibrationCorrupt, CalibrationMissing
from kvfiles.runtime.model import ModelShape


@pytest.fixture(scope="module")
def tables() -> ArchiveTables:
    return make_tables()


def test_saved_and_loaded(tables: ArchiveTables, tmp_path: Path) -> None:
    path = tmp_path / "model.archive-tables"
    assert save_tables(path, tables) == path.stat().st_size
    again = load_tables(path)
    assert again.id == tables.id
    assert again.groups[0].arrays().keys() == tables.groups[0].arrays().keys()
    for name, array in tables.groups[0].arrays().items():
        np.testing.assert_array_equal(again.groups[0].arrays()[name], array)
    assert (again.shape, again.model, again.shrink) == (tables.shape, tables.model, tables.shrink)


def test_the_id_names_every_number(tables: ArchiveTables) -> None:
    group = tables.groups[0]
    others = [
        replace(tables, shrink=tables.shrink / 2),
        replace(tables, expected=tables.expected // 2),
        replace(tables, delta_class=tables.delta_class + 1),
        replace(tables, fineness_class=tables.fineness_class + 1),
        *(
            replace(tables, groups=(replace(group, **{name: array[::-1].copy()}), *tables.groups[1:]))
            for name, array in group.arrays().items()
            if not name.startswith("base_")
        ),
        replace(tables, groups=(replace(group, base_k=group.base_k[:, :, ::-1].copy()),)),
    ]
    assert len({tables.id, *(other.id for other in others)}) == len(others) + 1


@pytest.mark.parametrize("seed", range(40))
def test_damage_is_noticed(tables: ArchiveTables, tmp_path: Path, seed: int) -> None:
    path = tmp_path / "file"
    save_tables(path, tables)
    raw = bytearray(path.read_bytes())
    rng = np.random.default_rng(seed)
    if seed % 4 == 0:
        raw = raw[: int(rng.integers(0, len(raw)))]
    else:
        raw[int(rng.integers(0, len(raw)))] ^= 1 << int(rng.integers(0, 8))
    path.write_bytes(bytes(raw))
    with pytest.raises(CalibrationCorrupt, match="calibrate"):
        load_tables(path)


def test_not_there_and_not_ours(tables: ArchiveTables, tmp_path: Path, kv: Path) -> None:
    with pytest.raises(CalibrationMissing, match="beyondrag models calibrate"):
        load_tables(tmp_path / "none")
    with pytest.raises(CalibrationCorrupt):
        load_tables(kv)
    with pytest.raises(CalibrationMissing):
        OneTables(tables).find("f" * 64)
    assert OneTables(tables).find(tables.id) is tables
    with pytest.raises(CalibrationCorrupt, match="another model"):
        tables.require(ModelShape(3, 2, 16, 32))


def with_group(tables: ArchiveTables, **changes: Any) -> Any:
    return replace(tables, groups=(replace(tables.groups[0], **changes),))


def changed(array: Any, value: float) -> Any:
    array = array.copy()
    array.reshape(-1)[0] = value
    return array


@pytest.mark.parametrize(
    "forge",
    [
        lambda t: with_group(t, mean_k=changed(t.groups[0].mean_k, np.nan)),
        lambda t: with_group(t, decode_v=changed(t.groups[0].decode_v, np.inf)),
        lambda t: with_group(t, step_k=changed(t.groups[0].step_k, 0.0)),
        lambda t: with_group(t, step_v=changed(t.groups[0].step_v, -1.0)),
        lambda t: with_group(t, predict_k=t.groups[0].predict_k[:, :-1]),
        lambda t: with_group(t, rho_k=changed(t.groups[0].rho_k, 0.91)),
        lambda t: with_group(t, rho_k=changed(t.groups[0].rho_k, -1.0)),
        lambda t: with_group(t, rho_v=changed(t.groups[0].rho_v, np.nan)),
        lambda t: with_group(t, rho_v=changed(t.groups[0].rho_v, np.inf)),
        lambda t: with_group(t, rho_v=t.groups[0].rho_v[:, :-1].copy()),
        lambda t: with_group(t, rho_v=t.groups[0].rho_v.astype(np.float32)),
        lambda t: with_group(t, k_width=16),
        lambda t: with_group(t, k_width=24),
        lambda t: replace(t, groups=t.groups * 2),
        lambda t: replace(t, groups=()),
        lambda t: replace(t, freq=changed(t.freq, 0)),
        lambda t: replace(t, freq=np.where(np.arange(32) == ESCAPE, 0, t.freq).astype(np.uint16)),
        lambda t: replace(t, freq=t.freq.astype(np.int32)),
        lambda t: replace(t, expected=changed(t.expected, 12 * 256 + 1)),
        lambda t: replace(t, levels=t.levels[::-1].copy()),
        lambda t: replace(t, delta_class=64),
        lambda t: replace(t, fineness_class=64),
        lambda t: replace(t, fineness_class=-1),
        lambda t: with_group(t, attend=changed(t.groups[0].attend, np.nan)),
        lambda t: with_group(t, attend=changed(t.groups[0].attend, -np.inf)),
        lambda t: with_group(t, attend=changed(t.groups[0].attend, 10001.0)),
        lambda t: with_group(t, attend=t.groups[0].attend[:, 1:].copy()),
        lambda t: replace(t, shrink=0.6),
        lambda t: replace(t, shrink=float("nan")),
        lambda t: replace(t, shape=ModelShape(0, 2, 16, 16)),
        lambda t: replace(t, shape=ModelShape(1 << 20, 2, 16, 16)),
    ],
)
def test_tables_that_make_no_sense(tables: ArchiveTables, forge: Any) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        forge(tables)


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "other"}, {"version": 2}, {"shape": [3, 2, 16]}, {"shape": [3, 2, "x", 16]}, {"shape": None},
        {"groups": [[32, 32]] * 9}, {"groups": [[1 << 40, 32]]}, {"groups": 7}, {"id": "0" * 64},
        {"shape": [1 << 60, 2, 16, 16]}, {"delta_class": "a"}, {"fineness_class": "a"}, {"fineness_class": 7},
        {"shrink": 9}, {"model": "other"},
    ],
)  # fmt: skip
def test_forged_headers(tables: ArchiveTables, tmp_path: Path, change: dict[str, Any]) -> None:
    """Checksums hold, the numbers do not."""
    path = tmp_path / "file"
    save_tables(path, tables)
    with Container(path) as container:
        meta, arrays = dict(container.meta), container.arrays(list(container.sections))
    assert meta["kind"] == KIND
    write_container(path, meta | change, arrays)
    with pytest.raises(CalibrationCorrupt):
        load_tables(path)


@pytest.mark.parametrize(
    ("shape", "heads"),
    [
        (ModelShape(28, 2, 128, 128), [2]), (ModelShape(30, 3, 64, 64), [3]),
        (ModelShape(32, 8, 128, 128), [2] * 4), (ModelShape(2, 5, 80, 80), [2, 3]),
        (ModelShape(2, 1, 256, 256), [1]), (ModelShape(2, 32, 64, 64), [4] * 8),
        (ModelShape(2, 3, 64, 128), [1, 2]),
    ],
)  # fmt: skip
def test_groups_are_whole_heads(shape: ModelShape, heads: list[int]) -> None:
    assert group_heads(shape) == heads


def test_heads_too_wide() -> None:
    with pytest.raises(ValueError, match="256"):
        group_heads(ModelShape(2, 1, 512, 128))
