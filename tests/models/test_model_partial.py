from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest
import xxhash
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from beyondrag.models import partial as partial_module
from beyondrag.models.partial import Partial, partial_files
from kvfiles.errors import StorageError

HEAD = b'{"version": 1, "source": "source", "validator": "", "segments": '
PIECES = [b"GGUF one", b"two" * 1000, b"three"]


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "m.gguf"


def filled(target: Path, source: str = "source") -> Path:
    """A closed partial file with three segments; returns its path."""
    partial = Partial(target, source)
    partial.reset('"v1"')
    for i, piece in enumerate(PIECES):
        partial.append(piece)
        partial.seal(f"part{i}")
    partial.close()
    return partial.path


def reopened(target: Path, source: str = "source") -> tuple[list[str], int, str]:
    """Names of the segments, bytes and validator that a later run finds."""
    partial = Partial(target, source)
    found = [segment.name for segment in partial.segments], partial.size, partial.validator
    partial.close()
    return found


def test_sealed_pieces_survive_and_the_rest_does_not(target: Path) -> None:
    partial = Partial(target, "source")
    partial.append(PIECES[0])
    partial.append(PIECES[1])
    partial.seal("first two")
    partial.append(b"lost")
    assert partial.size == len(PIECES[0] + PIECES[1]) + 4
    partial.close()
    assert partial.path.read_bytes() == PIECES[0] + PIECES[1]
    journal = json.loads(partial.path.with_name(partial.path.name + ".json").read_text())
    assert journal["segments"] == [
        {
            "name": "first two",
            "bytes": len(PIECES[0] + PIECES[1]),
            "xxh3": xxhash.xxh3_64(PIECES[0] + PIECES[1]).hexdigest(),
        }
    ]
    assert reopened(target) == (["first two"], len(PIECES[0] + PIECES[1]), "")


def test_install_leaves_the_model_alone_in_the_folder(target: Path) -> None:
    filled(target, "another source")
    filled(target)
    partial = Partial(target, "source")
    partial.install()
    partial.close()
    assert target.read_bytes() == b"".join(PIECES)
    assert [path.name for path in target.parent.iterdir() if path.is_file()] == ["m.gguf"]


def test_two_sources_never_share_a_file(target: Path) -> None:
    filled(target, "one")
    assert reopened(target, "two") == ([], 0, "")
    assert reopened(target, "one")[0] == ["part0", "part1", "part2"]


def test_an_empty_download_leaves_nothing(target: Path) -> None:
    partial = Partial(target, "source")
    partial.reset('"v1"')
    partial.append(b"unsealed")
    partial.close()
    partial.close()
    assert partial_files(target) == []


@pytest.mark.parametrize(
    "journal",
    [
        b"",
        b"{",
        b"null",
        b"[1]",
        b'{"version": 1}',
        b'{"version": 9, "source": "source", "validator": "", "segments": []}',
        b'{"version": 1, "source": "other", "validator": "", "segments": []}',
        HEAD + b'[{"name": "x", "bytes": -5, "xxh3": ""}]}',
        HEAD + b'[{"name": "x", "bytes": 1e99, "xxh3": ""}]}',
        HEAD + b"7}",
    ],
)
def test_a_journal_that_makes_no_sense_counts_as_absent(target: Path, journal: bytes) -> None:
    path = filled(target)
    path.with_name(path.name + ".json").write_bytes(journal)
    assert reopened(target) == ([], 0, "")


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(place=st.integers(0, len(b"".join(PIECES)) - 1), bit=st.integers(0, 7))
def test_a_flipped_bit_costs_its_segment_and_what_follows(target: Path, place: int, bit: int) -> None:
    path = filled(target)
    content = bytearray(path.read_bytes())
    content[place] ^= 1 << bit
    path.write_bytes(content)
    ends = [sum(map(len, PIECES[: n + 1])) for n in range(3)]
    good = sum(end <= place for end in ends)
    assert reopened(target) == (
        [f"part{i}" for i in range(good)],
        ends[good - 1] if good else 0,
        '"v1"' if good else "",
    )


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(size=st.integers(0, 5000))
def test_a_file_of_another_length_is_cut_to_what_is_whole(target: Path, size: int) -> None:
    path = filled(target)
    whole = b"".join(PIECES)
    os.truncate(path, size)
    names, kept, _ = reopened(target)
    assert kept == max(end for end in (0, 8, 3008, 3013) if end <= size)
    assert len(names) == {0: 0, 8: 1, 3008: 2, 3013: 3}[kept]
    assert not kept or path.read_bytes() == whole[:kept]


def test_a_link_in_the_place_of_the_partial_file_is_refused(target: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    partial_module.partial_path(target, "source").symlink_to(victim)
    with pytest.raises(StorageError):
        Partial(target, "source")
    assert victim.read_bytes() == b"precious"


class _FullDisk:
    """A raw file on a disk with room for a few more bytes."""

    def __init__(self, file: object, room: int) -> None:
        self._file = file
        self._room = room

    def write(self, data: memoryview) -> int:
        if not self._room:
            raise OSError(errno.ENOSPC, "No space left on device")
        data = data[: self._room]
        self._room -= len(data)
        return self._file.write(data)  # type: ignore[attr-defined,no-any-return]

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)


def test_a_full_disk_keeps_what_was_sealed(target: Path) -> None:
    partial = Partial(target, "source")
    partial.append(PIECES[0])
    partial.seal("part0")
    partial._file = _FullDisk(partial._file, room=5)  # type: ignore[assignment]
    with pytest.raises(StorageError, match="disk is full") as caught:
        partial.append(PIECES[1])
    assert caught.value.exit_code == 7
    partial.close()
    assert partial.path.read_bytes() == PIECES[0]
    assert reopened(target) == (["part0"], 8, "")


def test_a_short_write_is_finished(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    partial = Partial(target, "source")
    raw = partial._file
    monkeypatch.setattr(partial, "_file", _OneByteAtATime(raw))
    partial.append(b"GGUF rest")
    partial.seal("all")
    partial.install()
    assert target.read_bytes() == b"GGUF rest"


class _OneByteAtATime(_FullDisk):
    def __init__(self, file: object) -> None:
        super().__init__(file, 0)

    def write(self, data: memoryview) -> int:
        return self._file.write(data[:1])  # type: ignore[attr-defined,no-any-return]
