from __future__ import annotations

import errno
from pathlib import Path

import pytest

from kvfiles.errors import StorageError
from library import files
from library.files import replace_file, storage_errors, tree_size
from library.paths import private_directory
from library.store import Library


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EACCES, "no permission"),
        (errno.EROFS, "read-only"),
        (errno.EIO, "device reports an error"),
        (errno.ENOLCK, "no locks"),
        (errno.ENAMETOOLONG, "file name too long"),
    ],
)
def test_file_system_errors_are_said_in_words(tmp_path: Path, number: int, words: str) -> None:
    with pytest.raises(StorageError, match=words) as caught, storage_errors(tmp_path):
        raise OSError(number, "File name too long")
    assert caught.value.subject == str(tmp_path)
    assert caught.value.remedy
    assert caught.value.exit_code == 7


def test_a_folder_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, *args: object, **kwargs: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    for make in (private_directory, Library.create_or_open):
        with pytest.raises(StorageError, match="no permission"):
            make(tmp_path / "new")


def test_tree_size_follows_no_links(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").write_bytes(b"12345")
    (tmp_path / "big").write_bytes(b"x" * 1000)
    (tmp_path / "a" / "link").symlink_to(tmp_path / "big")
    assert tree_size(tmp_path / "a") == 5
    assert tree_size(tmp_path / "nowhere") == 0


def test_replace_file_is_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    replace_file(path, b"one")
    replace_file(path, b"two")
    assert path.read_bytes() == b"two"

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        replace_file(path, b"three")
    assert path.read_bytes() == b"two"
    assert list(tmp_path.glob(".file*")) == []
