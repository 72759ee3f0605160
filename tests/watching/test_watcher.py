"""Looks at a real folder for a real library; only the rest is shorter than in earnest."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from beyondrag.watching import watcher as watching
from beyondrag.watching.watcher import Look, OnFile, Watcher
from ingest.errors import PathProblem
from ingest.indexing import IndexReport
from kvfiles.errors import Cancelled
from library.errors import LibraryLocked
from library.store import Library

REST_S = 0.05


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with Library.create_or_open(tmp_path / "library") as opened:
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "documents"
    made.mkdir()
    for name in ("a.txt", "b.txt"):
        (made / name).write_text(f"the text of {name}")
        os.utime(made / name, (1, 1))
    return made


@pytest.fixture
def watcher(library: Library, folder: Path) -> Watcher:
    return Watcher(library, [folder], interval_s=0.01, rest_s=REST_S)


def settle(watcher: Watcher) -> Look | None:
    """See the change, let it rest, take it."""
    assert watcher.look() is None
    assert watcher.is_waiting
    time.sleep(REST_S + 0.02)
    return watcher.look()


def states(found: Look | None) -> dict[str, str]:
    assert found is not None
    return {outcome.path.name: outcome.state.value for outcome in found.report.outcomes}


def names(library: Library) -> dict[str, bool]:
    """Name -> missing."""
    return {document.name: document.missing for document in library.documents()}


def test_what_is_there_is_taken_once(watcher: Watcher, library: Library) -> None:
    assert states(watcher.look()) == {"a.txt": "new", "b.txt": "new"}
    assert watcher.look() is None
    assert not watcher.is_waiting
    assert library.search("text of a.txt")


def test_only_what_changed_is_looked_into(watcher: Watcher, folder: Path, library: Library) -> None:
    watcher.look()
    (folder / "a.txt").write_text("another text altogether")
    (folder / "c.txt").write_text("a third text")
    assert states(settle(watcher)) == {"a.txt": "changed", "c.txt": "new"}
    assert names(library) == {"b.txt": False, "a.txt": False, "c.txt": False}


def test_a_renamed_file_is_the_same_document_under_its_new_name(
    watcher: Watcher, folder: Path, library: Library
) -> None:
    watcher.look()
    before = library.find("a.txt").id
    (folder / "below").mkdir()
    (folder / "a.txt").rename(folder / "below" / "z.txt")
    found = settle(watcher)
    assert found is not None
    assert found.renamed == {str(folder / "a.txt"): str(folder / "below" / "z.txt")}
    assert library.find("z.txt").id == before
    assert library.find("z.txt").paths == (str(folder / "below" / "z.txt"),)
    assert library.count() == 2


def test_a_deleted_file_is_marked_and_comes_back(watcher: Watcher, folder: Path, library: Library) -> None:
    watcher.look()
    (folder / "a.txt").rename(folder.parent / "a.txt")
    found = settle(watcher)
    assert found is not None
    assert found.gone == (str(folder / "a.txt"),)
    assert found.renamed == {}
    assert names(library) == {"a.txt": True, "b.txt": False}
    (folder / "b.txt").unlink()
    found = settle(watcher)
    assert found is not None
    assert found.gone == (str(folder / "b.txt"),), "told once"
    (folder / "b.txt").write_text("the text of b.txt")
    (folder.parent / "a.txt").rename(folder / "a.txt")
    settle(watcher)
    assert names(library) == {"a.txt": False, "b.txt": False}


def test_what_went_away_while_nobody_watched_is_marked(library: Library, folder: Path) -> None:
    Watcher(library, [folder], interval_s=1.0, rest_s=REST_S).look()
    (folder / "a.txt").unlink()
    (folder / "b.txt").rename(folder / "c.txt")
    found = Watcher(library, [folder], interval_s=1.0, rest_s=REST_S).look()
    assert found is not None
    assert found.gone == (str(folder / "a.txt"),)
    assert found.renamed == {str(folder / "b.txt"): str(folder / "c.txt")}
    (folder / "c.txt").unlink()
    found = Watcher(library, [folder], interval_s=1.0, rest_s=REST_S).look()
    assert found is not None
    assert found.gone == (str(folder / "a.txt"), str(folder / "c.txt"))
    assert names(library) == {"a.txt": True, "c.txt": True}


def test_one_of_two_copies_goes_and_nothing_is_missing(
    watcher: Watcher, folder: Path, library: Library
) -> None:
    (folder / "c.txt").write_bytes((folder / "a.txt").read_bytes())
    os.utime(folder / "c.txt", (1, 1))
    watcher.look()
    (folder / "a.txt").unlink()
    found = settle(watcher)
    assert found is not None
    assert found.renamed == {}, "the other one was there all the time"
    assert library.find("c.txt").paths == (str(folder / "c.txt"),)


def test_letting_go_waits_for_files_that_still_change_but_not_for_ever(
    watcher: Watcher, folder: Path, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher.look()
    (folder / "a.txt").unlink()
    (folder / "log.txt").write_text("1")
    assert watcher.look() is None
    time.sleep(REST_S + 0.02)
    (folder / "log.txt").write_text("22")
    assert watcher.look() is None
    assert watcher.is_waiting
    assert names(library)["a.txt"] is False
    monkeypatch.setattr(watching, "MAX_GONE_S", 0.0)
    (folder / "log.txt").write_text("333")
    assert watcher.look() is not None
    assert names(library)["a.txt"] is True


def test_a_file_that_vanishes_between_scan_and_reading_stops_nothing(
    watcher: Watcher, folder: Path, library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    watcher.look()
    (folder / "brief.txt").write_text("gone in a moment")
    (folder / "c.txt").write_text("stays")
    report = Watcher._report

    def late(self: Watcher, paths: Sequence[Path], on_file: OnFile | None) -> IndexReport:
        (folder / "brief.txt").unlink(missing_ok=True)
        return report(self, paths, on_file)

    monkeypatch.setattr(Watcher, "_report", late)
    settle(watcher)
    assert names(library) == {"a.txt": False, "b.txt": False, "c.txt": False}


def test_an_empty_folder_and_files_that_nobody_can_read(library: Library, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    watcher = Watcher(library, [empty], interval_s=1.0, rest_s=0.0)
    assert watcher.look() is None
    (empty / "film.mp4").write_text("")
    assert watcher.look() is None
    (empty / "broken.pdf").write_text("no PDF")
    found = watcher.look()
    assert states(found) == {"broken.pdf": "failed"}
    assert len(library.failures()) == 1
    (empty / "broken.pdf").unlink()
    watcher.look()
    assert watcher.look() is None
    assert library.count() == 0


def test_a_folder_that_goes_away_takes_nothing_with_it(
    watcher: Watcher, folder: Path, library: Library
) -> None:
    watcher.look()
    folder.rename(folder.parent / "away")
    with pytest.raises(PathProblem):
        watcher.look()
    assert names(library) == {"a.txt": False, "b.txt": False}
    (folder.parent / "away").rename(folder)
    assert watcher.look() is None


def test_another_writer_is_no_loss(watcher: Watcher, library: Library) -> None:
    with Library.open(library.root) as other, other.writing(), pytest.raises(LibraryLocked):
        watcher.look()
    assert states(watcher.look()) == {"a.txt": "new", "b.txt": "new"}


def test_the_lock_is_free_between_looks(watcher: Watcher, library: Library) -> None:
    watcher.look()
    with Library.open(library.root) as other, other.writing():
        assert watcher.look() is None


def test_what_is_ignored_from_now_on_counts_as_gone(watcher: Watcher, folder: Path, library: Library) -> None:
    watcher.look()
    (folder / ".beyondragignore").write_text("b.txt\n")
    settle(watcher)
    assert names(library) == {"a.txt": False, "b.txt": True}


def test_a_stop_in_the_middle_keeps_what_was_done_and_goes_on(library: Library, folder: Path) -> None:
    stopped = [True]
    watcher = Watcher(library, [folder], interval_s=1.0, rest_s=REST_S, cancelled=lambda: stopped[0])
    with pytest.raises(Cancelled):
        watcher.look()
    stopped[0] = False
    watcher.look()
    assert library.count() == 2


def test_the_pause_keeps_scanning_cheap(watcher: Watcher, monkeypatch: pytest.MonkeyPatch) -> None:
    watcher.look()
    monkeypatch.setattr(watcher, "_scan_s", 0.2)
    assert watcher.pause_s == pytest.approx(20.0), "one hundredth of the time"
    monkeypatch.setattr(watcher, "_scan_s", 0.0)
    assert watcher.pause_s == 0.01
    monkeypatch.setattr(watcher, "_n_waiting", 1)
    assert watcher.pause_s == pytest.approx(REST_S / 2)
