"""One read gives bytes and identity; a file that moves under the reader is noticed."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ingest.errors import ParseFailure
from ingest.reading import OpenFile, read_whole


def code_of(path: Path, max_bytes: int = 1000) -> str:
    with pytest.raises(ParseFailure) as caught:
        read_whole(path, max_bytes)
    assert caught.value.remedy
    return caught.value.code


@pytest.mark.parametrize("size", [0, 1, 1000])
def test_all_bytes_and_their_hash(tmp_path: Path, size: int) -> None:
    path = tmp_path / "a"
    path.write_bytes(data := os.urandom(size))
    source = read_whole(path, 1000)
    assert source.data == data
    assert source.document_id == hashlib.sha256(data).hexdigest()
    assert (source.size, source.mtime_ns) == (size, path.stat().st_mtime_ns)


def test_short_reads_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    path.write_bytes(bytes(range(256)))
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda fd, n, at: pread(fd, min(n, 7), at))
    assert read_whole(path, 1000).data == bytes(range(256))


def test_what_cannot_be_read(tmp_path: Path) -> None:
    assert code_of(tmp_path / "gone") == "vanished"
    assert code_of(tmp_path) in ("unsupported", "broken")
    os.mkfifo(tmp_path / "pipe")
    assert code_of(tmp_path / "pipe") == "unsupported"
    (tmp_path / "large").write_bytes(bytes(1001))
    assert code_of(tmp_path / "large") == "too-large"


@pytest.mark.parametrize(
    ("number", "code"),
    [(errno.EACCES, "no-permission"), (errno.EIO, "broken"), (errno.ESTALE, "vanished")],
)
def test_refusals_of_the_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: str
) -> None:
    path = tmp_path / "a"
    path.write_text("x")

    def refuse(fd: int, n_bytes: int, offset: int) -> bytes:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "pread", refuse)
    assert code_of(path) == code


def touch(path: Path) -> None:
    os.utime(path, ns=(5, 5))


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def shrink(path: Path) -> None:
    os.truncate(path, 3)


@pytest.mark.parametrize("change", [touch, grow, shrink])
@pytest.mark.parametrize("when", ["before the read", "after the read"])
def test_a_change_while_reading_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None], when: str
) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"0123456789")
    read_at = OpenFile.read_at

    def meddle(self: OpenFile, offset: int, n_bytes: int) -> bytes:
        if when == "before the read":
            change(path)
        data = read_at(self, offset, n_bytes)
        if when == "after the read":
            change(path)
        return data

    monkeypatch.setattr(OpenFile, "read_at", meddle)
    assert code_of(path) == "changed"


def test_a_range_has_the_hash_of_its_bytes(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"0123456789")
    with OpenFile(path, 1000) as file:
        part = file.read_range(2, 6, 4)
        assert (part.data, part.size) == (b"2345", 10)
        assert part.document_id == hashlib.sha256(b"2345").hexdigest()
        file.require_stamp(10, path.stat().st_mtime_ns)
        for start, stop, max_bytes, code in ((2, 7, 4, "too-large"), (8, 12, 100, "changed")):
            with pytest.raises(ParseFailure) as caught:
                file.read_range(start, stop, max_bytes)
            assert caught.value.code == code
        with pytest.raises(ParseFailure):
            file.require_stamp(9, path.stat().st_mtime_ns)
