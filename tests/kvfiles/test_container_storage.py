"""The `.kv` container and the file system: no file, no permission, no space, no half-written file."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from container_samples import ARRAYS, META, check
from storage_faults import fill_disk, unprivileged

from kvfiles import container as module
from kvfiles.container import Container, write_container
from kvfiles.errors import StorageError

# ----------------------------------------------------------- things that are no file


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="No such file"):
        Container(tmp_path / "none.kv")


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        Container(tmp_path)


def test_a_named_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.kv")
    with pytest.raises(StorageError, match="not a regular file"):
        Container(tmp_path / "pipe.kv")


def test_an_endless_device_is_not_read() -> None:
    with pytest.raises(StorageError, match="not a regular file"):
        Container(Path("/dev/zero"))


def test_no_permission(kv: Path) -> None:
    kv.parent.chmod(0)
    try:
        with unprivileged():
            with pytest.raises(StorageError) as reading:
                Container(kv)
            with pytest.raises(StorageError) as writing:
                write_container(kv.parent / "new.kv", META, ARRAYS)
    finally:
        kv.parent.chmod(0o700)
    assert "permission" in reading.value.remedy
    assert "permission" in writing.value.remedy


# ------------------------------------------------------------------------ atomicity


def failing(error: OSError) -> Callable[..., Any]:
    def fail(*_args: object, **_kwargs: object) -> None:
        raise error

    return fail


NO_SPACE = OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("existed", [True, False])
def test_a_failing_call_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, existed: bool
) -> None:
    folder = tmp_path / "kv"
    folder.mkdir()
    path = folder / "doc.kv"
    if existed:
        write_container(path, {"old": True}, ARRAYS)
    before = path.read_bytes() if existed else None
    monkeypatch.setattr(os, call, failing(NO_SPACE))
    with pytest.raises(StorageError, match="No space left") as caught:
        write_container(path, META, ARRAYS)
    assert "free disk space" in caught.value.remedy
    assert list(folder.iterdir()) == ([path] if existed else [])
    assert (path.read_bytes() if existed else None) == before


@pytest.mark.parametrize("room", [0, 10, 300, 700])
def test_a_disk_that_fills_up_while_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    folder = tmp_path / "kv"
    folder.mkdir()
    write_container(folder / "doc.kv", {"old": True}, ARRAYS)
    before = (folder / "doc.kv").read_bytes()
    with monkeypatch.context() as patch:
        fill_disk(patch, room, NO_SPACE)
        with pytest.raises(StorageError, match="No space left"):
            write_container(folder / "doc.kv", META, ARRAYS)
    assert list(folder.iterdir()) == [folder / "doc.kv"]
    assert (folder / "doc.kv").read_bytes() == before
    check(folder / "doc.kv")


def test_ctrl_c_while_writing_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_fd: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module.os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_container(tmp_path / "doc.kv", META, ARRAYS)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("code", [errno.EIO, errno.EROFS, errno.EDQUOT, errno.EACCES])
def test_every_failure_has_a_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    monkeypatch.setattr(os, "replace", failing(OSError(code, os.strerror(code))))
    with pytest.raises(StorageError) as caught:
        write_container(tmp_path / "doc.kv", META, ARRAYS)
    assert caught.value.remedy
    assert caught.value.subject.endswith("doc.kv")


def test_a_missing_folder_is_typed(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="No such file"):
        write_container(tmp_path / "no" / "doc.kv", META, ARRAYS)


def test_a_reader_keeps_what_it_opened(kv: Path) -> None:
    with Container(kv) as old:
        write_container(kv, {"new": 1}, {"tokens": np.zeros(9, np.int32)})
        np.testing.assert_array_equal(old.array("tokens"), ARRAYS["tokens"])
        old.verify()
    with Container(kv) as new:
        assert new.meta == {"new": 1}


def test_arrays_outlive_the_container(kv: Path) -> None:
    with Container(kv) as container:
        tokens = container.array("tokens")
    np.testing.assert_array_equal(tokens, ARRAYS["tokens"])  # no crash after close
