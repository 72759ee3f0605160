"""Walking folders: what is taken, what is left out and why."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from ingest.errors import NothingToIngest, PathProblem
from ingest.parsers.base import Limits
from ingest.scan import ScanResult, scan


def put(path: Path, text: str = "text") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def names(result: ScanResult, root: Path) -> list[str]:
    return [file.path.relative_to(root).as_posix() for file in result.files]


def skipped(result: ScanResult) -> dict[str, str]:
    return {file.path.name: file.code for file in result.skipped}


def test_a_folder_is_walked_in_order_and_hidden_things_are_passed_over(tmp_path: Path) -> None:
    for name in ("b.txt", "a.md", "sub/z.pdf", "sub/deep/y.log", ".hidden.txt", ".git/x.txt", "c.TXT"):
        put(tmp_path / name)
    result = scan([tmp_path])
    assert names(result, tmp_path) == ["a.md", "b.txt", "c.TXT", "sub/z.pdf", "sub/deep/y.log"]
    assert [file.parser for file in result.files] == ["markdown", "text", "text", "pdf", "text"]
    assert result.skipped == ()
    assert result == scan([tmp_path])


def test_size_and_time_are_those_of_the_file(tmp_path: Path) -> None:
    path = put(tmp_path / "a.txt", "12345")
    os.utime(path, ns=(1, 1_700_000_000_123_456_789))
    (file,) = scan([path]).files
    assert (file.size, file.mtime_ns) == (5, path.stat().st_mtime_ns)


def test_paths_are_absolute_and_listed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "sub/a.txt")
    monkeypatch.chdir(tmp_path)
    result = scan([Path("sub/a.txt"), Path("sub"), Path("sub/../sub/a.txt")])
    assert [file.path for file in result.files] == [tmp_path / "sub/a.txt"]


def test_unsupported_kinds_are_named(tmp_path: Path) -> None:
    for name in ("a.doc", "b.doc", "c.png", "README"):
        put(tmp_path / name)
    result = scan([tmp_path, put(tmp_path / "d.xls")])
    assert set(skipped(result).values()) == {"unsupported"}
    with pytest.raises(NothingToIngest) as caught:
        result.require_files()
    assert ".doc (2), no suffix (1), .png (1), .xls (1)" in caught.value.message.replace(
        ".png (1), no suffix (1)", "no suffix (1), .png (1)"
    )
    assert ".md" in caught.value.remedy


def test_an_empty_folder_has_nothing_to_ingest(tmp_path: Path) -> None:
    with pytest.raises(NothingToIngest):
        scan([tmp_path]).require_files()
    put(tmp_path / "a.txt")
    scan([tmp_path]).require_files()


def test_missing_and_impossible_paths(tmp_path: Path) -> None:
    for path in (
        tmp_path / "none.txt",
        put(tmp_path / "file.txt") / "below",
        Path("a\0b"),
        tmp_path / ("x" * 300),
    ):
        with pytest.raises(PathProblem) as caught:
            scan([path])
        assert caught.value.remedy
        assert caught.value.exit_code == 4


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_paths(tmp_path: Path) -> None:
    folder = put(tmp_path / "locked/a.txt").parent
    folder.chmod(0)
    try:
        assert skipped(scan([tmp_path])) == {"locked": "no-permission"}
        with pytest.raises(PathProblem):
            scan([folder])
    finally:
        folder.chmod(0o700)


def test_an_unreadable_path_is_a_path_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path / "a.txt")
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(PathProblem, match="may not be read"):
        scan([path])


def test_a_folder_that_cannot_be_listed_does_not_stop_the_walk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "a.txt")
    put(tmp_path / "locked/b.txt")
    listed = os.scandir

    def scandir(path: str) -> object:
        if path.endswith("locked"):
            raise PermissionError(13, "Permission denied")
        return listed(path)

    monkeypatch.setattr(os, "scandir", scandir)
    result = scan([tmp_path])
    assert names(result, tmp_path) == ["a.txt"]
    assert skipped(result) == {"locked": "no-permission"}


def test_pipes_and_sockets_are_never_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    with socket.socket(socket.AF_UNIX) as listener:
        monkeypatch.chdir(tmp_path)  # socket addresses are short
        listener.bind("socket.txt")
        result = scan([tmp_path, tmp_path / "pipe.txt", Path("/dev/null")])
    assert result.files == ()
    assert skipped(result) == {"pipe.txt": "special", "socket.txt": "special", "null": "special"}


def test_links_out_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    outside = put(tmp_path / "outside/secret.txt")
    root = put(tmp_path / "root/own.txt").parent
    (root / "file.txt").symlink_to(outside)
    (root / "folder").symlink_to(outside.parent)
    (root / "up.txt").symlink_to("../outside/secret.txt")
    (root / "nothing.txt").symlink_to("gone.txt")
    (root / "loop.txt").symlink_to("loop.txt")
    result = scan([root])
    assert names(result, root) == ["own.txt"]
    assert skipped(result) == dict.fromkeys(
        ("file.txt", "folder", "up.txt", "nothing.txt", "loop.txt"), "link"
    )


def test_a_neighbour_with_a_longer_name_is_outside(tmp_path: Path) -> None:
    root = put(tmp_path / "root/own.txt").parent
    (root / "x.txt").symlink_to(put(tmp_path / "root2/x.txt"))
    assert skipped(scan([root])) == {"x.txt": "link"}


def test_links_inside_the_folder_count_once(tmp_path: Path) -> None:
    own = put(tmp_path / "own.txt")
    (tmp_path / "again.txt").symlink_to(own)
    (tmp_path / "annexed.txt").symlink_to(put(tmp_path / ".objects/1234"))
    (tmp_path / "circle").symlink_to(tmp_path)
    assert names(scan([tmp_path]), tmp_path) == ["own.txt", "annexed.txt"]


def test_a_link_that_the_user_names_is_followed(tmp_path: Path) -> None:
    (tmp_path / "link.txt").symlink_to(put(tmp_path / "elsewhere/a.txt"))
    (tmp_path / "folder").symlink_to(tmp_path / "elsewhere")
    result = scan([tmp_path / "link.txt", tmp_path / "folder"])
    assert names(result, tmp_path) == ["link.txt", "folder/a.txt"]


def test_large_files_are_left_out(tmp_path: Path) -> None:
    with (tmp_path / "sparse.txt").open("wb") as file:
        file.truncate(1 << 40)
    put(tmp_path / "fits.txt", "x" * 100)
    put(tmp_path / "over.txt", "x" * 101)
    assert skipped(scan([tmp_path / "sparse.txt"])) == {"sparse.txt": "too-large"}
    result = scan([tmp_path], Limits(max_file_bytes=100))
    assert names(result, tmp_path) == ["fits.txt"]


def test_names_with_anything_in_them(tmp_path: Path) -> None:
    odd = [b"[red]\x1b[31m.txt", b"new\nline.txt", b"\xff\xfe.txt", "ü😀.txt".encode(), b"-rf.txt"]
    for name in odd:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_text("x")
    result = scan([tmp_path])
    assert sorted(os.fsencode(file.path.name) for file in result.files) == sorted(odd)


def test_deep_folders(tmp_path: Path) -> None:
    put(tmp_path.joinpath(*["d"] * 400) / "a.txt")
    assert len(scan([tmp_path]).files) == 1


def test_a_path_longer_than_the_system_allows_is_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "a.txt")
    monkeypatch.chdir(tmp_path)
    for _ in range(25):  # 25 x 200 characters: more than PATH_MAX, reachable step by step only
        Path("d" * 200).mkdir()
        os.chdir("d" * 200)
    result = scan([tmp_path])
    assert names(result, tmp_path) == ["a.txt"]
    assert [file.code for file in result.skipped] == ["broken"]
