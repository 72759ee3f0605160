"""The clock of the machine goes backwards, or stands still: order and safety do not depend on it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from inspection import orphans
from small_kv import PROFILE, read
from steps import add

from library.store import Library
from library.upkeep import Upkeep

TEN_YEARS_S = 10 * 365 * 86_400


class Clock:
    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock()
    monkeypatch.setattr(time, "time", found)
    return found


def test_the_clock_goes_backwards(library: Library, root: Path, clock: Clock, tmp_path: Path) -> None:
    for number, change in enumerate((0, -TEN_YEARS_S, 2 * TEN_YEARS_S, -3 * TEN_YEARS_S, 0)):
        clock.now += change
        with library.writing():
            document = add(library, f"/{number}.txt", f"zebra{number}")
            record = read(library, document)[0]
        assert library.snapshot(document.id, 0, PROFILE.id) == record
        assert [hit.document.id for hit in library.search(f"zebra{number}")] == [document.id]
    assert [document.path for document in library.documents()] == [f"/{n}.txt" for n in range(5)]
    replaced = add(library, "/0.txt", "okapi")
    assert library.search("zebra0") == []
    clock.now -= TEN_YEARS_S
    assert read(library, replaced)[0].path.exists()
    assert Upkeep(library).verify(deep=True).sound
    Upkeep(library).export(tmp_path / "x.tar")
    clock.now += 2 * TEN_YEARS_S
    with Library.create_or_open(tmp_path / "new") as new:
        assert Upkeep(new).import_from(tmp_path / "x.tar").added == 5
    library.close()
    with Library.open(root) as again:
        Upkeep(again).collect_garbage()
        assert Upkeep(again).verify(deep=True).sound
    assert orphans(root) == []


@pytest.mark.parametrize("change", [-TEN_YEARS_S, TEN_YEARS_S])
def test_what_a_living_process_writes_is_never_removed(
    library: Library, root: Path, clock: Clock, change: float
) -> None:
    mine = library.snapshot_scratch()
    mine.write_bytes(b"being written")
    os.utime(mine, (clock.now, clock.now))
    clock.now += change
    with Library.open(root) as other:
        with other.writing():
            add(other, "/a.txt", "zebra")
        Upkeep(other).collect_garbage()
    assert mine.read_bytes() == b"being written"
