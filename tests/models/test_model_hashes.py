from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from beyondrag.models import hashes
from beyondrag.models.hashes import HashCache
from kvfiles.errors import Cancelled, ModelFileError

OLD = 1_700_000_000


def aged(path: Path, content: bytes, seconds: int = OLD) -> Path:
    """A file that was last changed long ago."""
    path.write_bytes(content)
    os.utime(path, (seconds, seconds))
    return path


def reads(cache: HashCache, path: Path) -> tuple[str, int]:
    """The sum, and how many bytes had to be read for it."""
    done = [0]
    return cache.sha256(path, progress=done.append), done[-1]


def test_a_file_is_read_once(tmp_path: Path) -> None:
    path = aged(tmp_path / "m.gguf", b"x" * 3_000_000)
    expected = hashlib.sha256(b"x" * 3_000_000).hexdigest()
    assert reads(HashCache(tmp_path / "hashes.json"), path) == (expected, 3_000_000)
    assert reads(HashCache(tmp_path / "hashes.json"), path) == (expected, 0)


@pytest.mark.parametrize("change", ["size", "time", "inode"])
def test_a_changed_file_is_read_again(tmp_path: Path, change: str) -> None:
    cache = HashCache(tmp_path / "hashes.json")
    path = aged(tmp_path / "m.gguf", b"before")
    cache.sha256(path)
    if change == "size":
        aged(path, b"longer than before")
    elif change == "time":
        aged(path, b"behind", OLD + 1)
    else:
        aged(tmp_path / "new", b"behind").replace(path)
    assert cache.entry(path) is None
    assert cache.sha256(path) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_file_changed_just_now_is_not_remembered(tmp_path: Path) -> None:
    cache = HashCache(tmp_path / "hashes.json")
    path = tmp_path / "m.gguf"
    path.write_bytes(b"fresh")
    cache.sha256(path)
    assert cache.entry(path) is None
    cache.record(path, "0" * 64)
    entry = cache.entry(path)
    assert entry is not None
    assert entry.sha256 == "0" * 64


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"version": 1}',
        b'{"version": 2, "files": {}}',
        b'{"version": 1, "files": []}',
        b'{"version": 1, "files": {"PATH": {"size": "x"}}}',
        b'{"version": 1, "files": {"PATH": 3}}',
        b" " * (2 << 20),
    ],
)
def test_damage_costs_a_reading_and_nothing_else(tmp_path: Path, damage: bytes) -> None:
    path = aged(tmp_path / "m.gguf", b"content")
    memory = tmp_path / "hashes.json"
    memory.write_bytes(damage.replace(b"PATH", str(path).encode()))
    expected = hashlib.sha256(b"content").hexdigest()
    assert reads(HashCache(memory), path) == (expected, 7)
    assert reads(HashCache(memory), path) == (expected, 0)


def test_a_forged_sum_that_is_no_sum_is_ignored(tmp_path: Path) -> None:
    path = aged(tmp_path / "m.gguf", b"content")
    cache = HashCache(tmp_path / "hashes.json")
    cache.sha256(path)
    document = json.loads((tmp_path / "hashes.json").read_text())
    document["files"][str(path)]["sha256"] = "\x1b[31m" + "0" * 59
    (tmp_path / "hashes.json").write_text(json.dumps(document))
    assert cache.sha256(path) == hashlib.sha256(b"content").hexdigest()


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    junk=st.recursive(
        st.none() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_any_json_is_survived(tmp_path: Path, junk: object) -> None:
    (tmp_path / "hashes.json").write_text(json.dumps({"version": 1, "files": junk}))
    path = tmp_path / "m.gguf"
    path.write_bytes(b"content")
    assert HashCache(tmp_path / "hashes.json").sha256(path) == hashlib.sha256(b"content").hexdigest()


def test_the_memory_is_bounded_and_keeps_the_newest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashes, "MAX_ENTRIES", 3)
    cache = HashCache(tmp_path / "hashes.json")
    paths = [aged(tmp_path / f"{i}.gguf", str(i).encode()) for i in range(5)]
    for path in paths:
        cache.sha256(path)
    assert [cache.entry(path) is not None for path in paths] == [False, False, True, True, True]


def test_a_memory_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    path = aged(tmp_path / "m.gguf", b"content")
    (tmp_path / "file").write_bytes(b"")
    cache = HashCache(tmp_path / "file" / "hashes.json")
    assert cache.sha256(path) == hashlib.sha256(b"content").hexdigest()


def test_a_file_that_changes_while_it_is_read_has_no_sum(tmp_path: Path) -> None:
    path = aged(tmp_path / "m.gguf", b"x" * 2_500_000)

    def grow(_: int) -> None:
        with path.open("ab") as file:
            file.write(b"y")

    with pytest.raises(ModelFileError, match="changed while it was read"):
        HashCache(tmp_path / "hashes.json").sha256(path, progress=grow)


def test_hashing_can_be_stopped(tmp_path: Path) -> None:
    path = aged(tmp_path / "m.gguf", b"content")
    with pytest.raises(Cancelled):
        HashCache(tmp_path / "hashes.json").sha256(path, cancelled=lambda: True)


def test_what_is_no_file_is_named(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    cache = HashCache(tmp_path / "hashes.json")
    with pytest.raises(ModelFileError, match="not a file"):
        cache.sha256(tmp_path / "pipe")  # must not wait for a writer
    with pytest.raises(ModelFileError, match="not a file"):
        cache.sha256(tmp_path)
    with pytest.raises(ModelFileError, match="no such file"):
        cache.sha256(tmp_path / "missing\x1b[31m")
