from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

from beyondrag.errors import DownloadError
from beyondrag.models import disk
from beyondrag.models.disk import pull_lock, require_space
from kvfiles.errors import StorageError


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.EIO])
def test_other_refusals_name_the_folder_setting(tmp_path: Path, code: int) -> None:
    with pytest.raises(StorageError, match="BEYONDRAG_MODELS") as caught, disk.storage_errors(tmp_path):
        raise OSError(code, os.strerror(code))
    assert "--library" not in str(caught.value)


def test_space(tmp_path: Path) -> None:
    require_space(tmp_path, 0)
    with pytest.raises(StorageError, match="are free"):
        require_space(tmp_path, 1 << 62)
    with pytest.raises(StorageError):
        require_space(tmp_path / "missing", 0)


def test_the_lock_is_exclusive_and_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with (
        pull_lock(path, "m"),
        pytest.raises(DownloadError, match=f"process {os.getpid()} is pulling"),
        pull_lock(path, "m"),
    ):
        pass
    assert not path.exists()
    with pull_lock(path, "m"):
        assert path.exists()


def test_a_lock_file_of_a_dead_process_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.write_bytes(b"4242")
    with pull_lock(path, "m"):
        assert path.read_bytes() == str(os.getpid()).encode()


def test_a_lock_that_its_holder_removes_meanwhile_is_not_taken_for_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between opening and locking, the holder leaves (removing the file) and another one comes."""
    path = tmp_path / "lock"
    real = fcntl.flock
    calls = []

    def flock(descriptor: int, operation: int) -> None:
        if not calls:
            path.unlink()
            path.write_bytes(b"")
        calls.append(descriptor)
        real(descriptor, operation)

    monkeypatch.setattr(disk.fcntl, "flock", flock)
    with pull_lock(path, "m"), pytest.raises(DownloadError), pull_lock(path, "m"):
        pass
    assert len(calls) == 3


def test_a_link_in_the_place_of_the_lock_is_refused(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / "lock").symlink_to(victim)
    with pytest.raises(StorageError), pull_lock(tmp_path / "lock", "m"):
        pass
    assert victim.read_bytes() == b"precious"


def test_a_full_disk_does_not_prevent_locking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(disk.os, "pwrite", full)
    with pull_lock(tmp_path / "lock", "m"):
        pass
