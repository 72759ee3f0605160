from __future__ import annotations

import errno
import itertools
import os
import time
from pathlib import Path
from typing import Any

import pytest
from shelf import OTHER_PROFILE, PROFILE, put, put_snapshot

from kvfiles.errors import StorageError
from library.errors import LibraryError
from library.kvstore import KvStore
from library.records import ReadingProfile, Volume
from library.store import Library


def kv_files(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "kv").rglob("*.kv"))


def test_a_snapshot_is_found_under_its_own_profile_only(library: Library) -> None:
    document = put(library, "/a", "text")
    record = put_snapshot(library, document, b"state")
    library.put_profile(OTHER_PROFILE)
    assert library.snapshot(document.id, 0, PROFILE.id) == record
    assert library.snapshot(document.id, 0, OTHER_PROFILE.id) is None
    assert library.snapshot(document.id, 1, PROFILE.id) is None
    assert library.snapshots() == library.snapshots(document.id) == [record]
    assert record.path.read_bytes() == b"state"
    assert (record.size_bytes, record.n_tokens, record.codec) == (5, 5, "rotated")
    assert library.totals(PROFILE.id).n_stale == 0
    assert library.totals(OTHER_PROFILE.id).n_stale == 1


def test_identical_content_is_stored_once(library: Library, root: Path) -> None:
    one, two = put(library, "/a", "one"), put(library, "/b", "two")
    first, second = put_snapshot(library, one, b"state"), put_snapshot(library, two, b"state")
    assert first.path == second.path
    assert len(kv_files(root)) == 1
    assert library.totals().snapshot_bytes == 5
    library.drop_snapshot(first)
    assert second.path.exists()
    library.drop_snapshot(second)
    assert kv_files(root) == []
    assert library.snapshots() == []


def test_a_new_snapshot_replaces_the_old_one_and_its_file(library: Library, root: Path) -> None:
    document = put(library, "/a", "text")
    put_snapshot(library, document, b"old")
    new = put_snapshot(library, document, b"new!")
    assert kv_files(root) == [new.path.name]
    assert library.snapshots() == [new]


@pytest.mark.parametrize("harm", ["gone", "short", "symlink"])
def test_a_snapshot_whose_file_is_not_there_can_be_made_again(
    library: Library, tmp_path: Path, harm: str
) -> None:
    document = put(library, "/a", "text")
    record = put_snapshot(library, document, b"state")
    record.path.unlink()
    if harm == "short":
        record.path.write_bytes(b"stat")
    if harm == "symlink":
        (tmp_path / "secret").write_bytes(b"state")
        record.path.symlink_to(tmp_path / "secret")
    assert library.snapshot(document.id, 0, PROFILE.id) is None
    assert len(library.verify()) == 1
    put_snapshot(library, document, b"state")
    assert library.verify() == []


def test_unknown_document_or_profile_leaves_the_file_where_it_is(library: Library) -> None:
    document = put(library, "/a", "text")
    file = library.snapshot_scratch()
    file.write_bytes(b"state")
    with pytest.raises(LibraryError, match="reading profile"):
        library.put_snapshot(document.id, 0, "unknown", file, 5, "rotated")
    library.put_profile(PROFILE)
    with pytest.raises(LibraryError, match="no such document"):
        library.put_snapshot("0" * 64, 0, PROFILE.id, file, 5, "rotated")
    assert file.read_bytes() == b"state"
    assert library.snapshots() == []


def test_only_regular_files_are_taken(library: Library, tmp_path: Path) -> None:
    document = put(library, "/a", "text")
    library.put_profile(PROFILE)
    (tmp_path / "target").write_bytes(b"x")
    link, pipe = library.snapshot_scratch(), library.snapshot_scratch()
    link.symlink_to(tmp_path / "target")
    os.mkfifo(pipe)
    for path in (link, pipe, library.snapshot_scratch(), tmp_path):
        with pytest.raises(StorageError):
            library.put_snapshot(document.id, 0, PROFILE.id, path, 1, "rotated")
    assert library.snapshots() == []


def test_a_file_from_another_file_system_is_copied(
    library: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = put(library, "/a", "text")
    library.put_profile(PROFILE)
    far = tmp_path / "far.kv"
    far.write_bytes(b"state")
    replace = Path.replace

    def across(self: Path, target: Path) -> Path:
        if self == far:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", across)
    record = library.put_snapshot(document.id, 0, PROFILE.id, far, 5, "rotated")
    assert record.path.read_bytes() == b"state"
    assert not far.exists()


def test_a_full_disk_leaves_no_row(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    document = put(library, "/a", "text")

    def full(self: Path, target: Path) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(StorageError, match="disk is full") as caught:
        put_snapshot(library, document, b"state")
    assert "free some space" in caught.value.remedy
    assert library.snapshots() == []


def test_a_crash_between_file_and_row_leaves_only_an_orphan_that_is_swept(
    library: Library, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = put(library, "/a", "text")
    keep = KvStore.keep

    def die(self: KvStore, file: Path, content: str) -> Path:
        keep(self, file, content)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(KvStore, "keep", die)
        with pytest.raises(KeyboardInterrupt):
            put_snapshot(library, document, b"state")
    assert library.snapshots() == []
    assert len(kv_files(root)) == 1
    assert "belongs to no snapshot" in library.verify()[0]
    with library.writing():
        pass
    assert kv_files(root) == []
    assert library.verify() == []


def test_scratch_files_of_dead_processes_are_swept_when_old(library: Library, root: Path) -> None:
    scratch = root / "kv" / "scratch"
    mine, foreign = library.snapshot_scratch(), scratch / "notes.txt"
    dead = scratch / f"{2**22 + 5}-{'0' * 32}.kv"  # above the highest process number of Linux
    young = scratch / f"{2**22 + 6}-{'0' * 32}.kv"
    for path in (mine, foreign, dead, young):
        path.write_bytes(b"x")
    old = time.time() - 7200
    for path in (mine, foreign, dead):
        os.utime(path, (old, old))
    with library.writing():
        pass
    assert sorted(p.name for p in scratch.iterdir()) == sorted([mine.name, foreign.name, young.name])


def test_foreign_files_are_reported_and_kept(library: Library, root: Path) -> None:
    (root / "kv" / "notes.txt").write_text("mine")
    with library.writing():
        pass
    assert (root / "kv" / "notes.txt").exists()
    assert any("notes.txt" in finding for finding in library.verify())


def test_note_read(library: Library) -> None:
    document = put(library, "/a", "text")
    record = put_snapshot(library, document, b"state")
    assert record.last_read_at is None
    library.note_read([record])
    again = library.snapshot(document.id, 0, PROFILE.id)
    assert again is not None
    assert again.last_read_at is not None
    assert again.last_read_at >= record.created_at


def test_profiles_keep_their_description(library: Library) -> None:
    library.put_profile(PROFILE)
    library.put_profile(PROFILE)
    library.put_profile(OTHER_PROFILE)
    assert library.profiles() == [PROFILE, OTHER_PROFILE]


def volumes(document_id: str, *cuts: int) -> list[Volume]:
    return [
        Volume(document_id, n, a, b, b - a, f"part {n}") for n, (a, b) in enumerate(itertools.pairwise(cuts))
    ]


def test_volumes_belong_to_one_profile(library: Library) -> None:
    document = put(library, "/a", "0123456789")
    for profile in (PROFILE, OTHER_PROFILE):
        library.put_profile(profile)
    library.put_volumes(document.id, PROFILE.id, volumes(document.id, 0, 4, 10))
    assert library.volumes(document.id, PROFILE.id) == tuple(volumes(document.id, 0, 4, 10))
    assert library.volumes(document.id, OTHER_PROFILE.id) == ()


def test_snapshots_of_volumes_that_changed_are_forgotten(library: Library) -> None:
    document = put(library, "/a", "0123456789")
    library.put_profile(PROFILE)
    library.put_volumes(document.id, PROFILE.id, volumes(document.id, 0, 4, 8, 10))
    kept = put_snapshot(library, document, b"one", ordinal=0)
    for ordinal in (1, 2):
        put_snapshot(library, document, b"other", ordinal=ordinal)
    library.put_volumes(document.id, PROFILE.id, volumes(document.id, 0, 4, 10))
    assert library.snapshots() == [kept]


@pytest.mark.parametrize("cuts", [(4, 0), (0, 4, 2), (0, 11), (-1, 3)])
def test_volumes_that_do_not_fit_are_refused(library: Library, cuts: tuple[int, ...]) -> None:
    document = put(library, "/a", "0123456789")
    library.put_profile(PROFILE)
    with pytest.raises(LibraryError):
        library.put_volumes(document.id, PROFILE.id, volumes(document.id, *cuts))
    assert library.volumes(document.id, PROFILE.id) == ()


@pytest.mark.parametrize("profile_id", ["../../etc/passwd", "", "a/b", ".hidden", "a\x00", "x" * 200])
def test_prefix_paths_stay_in_their_folder(library: Library, profile_id: str) -> None:
    with pytest.raises(LibraryError):
        library.prefix_path(profile_id)


def test_prefix_path(library: Library, root: Path) -> None:
    assert library.prefix_path(PROFILE.id) == root / "kv" / "prefix" / f"{PROFILE.id}.kv"
    library.prefix_path(PROFILE.id).write_bytes(b"prefix")
    assert library.verify() == []


def test_a_description_may_hold_any_json(library: Library) -> None:
    description: dict[str, Any] = {"rope": {"base": 1e6, "scaling": None}, "ids": [1, 2], "ü": "ö"}
    library.put_profile(ReadingProfile("c" * 8, "m", "f" * 64, dict(description)))
    assert library.profiles()[0].description == description
