"""Rows on the disk: nothing lost, nothing foreign believed or overwritten, one writer at a time."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

import eval.rowfile
from beyondrag.errors import UsageError
from eval.rowfile import RowFile, read_rows
from kvfiles.errors import StorageError


@dataclass(frozen=True, slots=True)
class Row:
    key: str
    value: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def parse(values: Any) -> Row:
    return Row(str(values["key"]), int(values["value"]))


A, B = Row("a", 1), Row("b", 2)


def test_rows_are_on_the_disk_at_once_and_found_again(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "rows.jsonl"
    with RowFile(path, parse) as file:
        file.add(A)
        assert read_rows(path, parse) == [A]
    with RowFile(path, parse) as file:
        assert file.rows == {"a": A}
        file.add(B)
        file.add(Row("a", 3))
    assert read_rows(path, parse) == [Row("a", 3), B]  # the later of two with one key


def test_without_a_path_rows_are_kept_in_memory_only() -> None:
    with RowFile(None, parse) as file:
        file.add(A)
    assert file.rows == {"a": A}


def test_a_line_that_was_cut_off_is_dropped_and_the_rest_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"key":"a","value":1}\n{"key":"b","val')
    assert read_rows(path, parse) == [A]
    with RowFile(path, parse) as file:
        file.add(B)
    assert path.read_bytes() == b'{"key":"a","value":1}\n{"key":"b","value":2}\n'


@pytest.mark.parametrize("content", [b"my only notes", b"notes\nmore", b"{}\n", b"[]\nx", b"\n", b"\xff\n"])
def test_other_files_are_refused_and_left_as_they_are(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(UsageError) as caught, RowFile(path, parse):
        pass
    assert caught.value.remedy
    assert path.read_bytes() == content


def test_the_line_that_is_no_row_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"key":"a","value":1}\n{"key":"b"}\n')
    for attempt in (lambda: RowFile(path, parse).__enter__(), lambda: read_rows(path, parse)):
        with pytest.raises(UsageError, match="line 2 is no row"):
            attempt()


def test_one_run_writes_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    with RowFile(path, parse), pytest.raises(UsageError, match="another run"), RowFile(path, parse):
        pass
    with RowFile(path, parse) as file:
        file.add(A)  # the lock is gone with its holder


def test_a_folder_a_missing_file_and_a_place_below_a_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a file"), RowFile(tmp_path, parse):
        pass
    with pytest.raises(UsageError, match="not a file"):
        read_rows(tmp_path, parse)
    with pytest.raises(StorageError):
        read_rows(tmp_path / "none.jsonl", parse)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError), RowFile(tmp_path / "file" / "rows.jsonl", parse):
        pass


def test_a_file_beyond_the_limit_is_not_read_in_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(eval.rowfile, "MAX_FILE_BYTES", 30)
    path = tmp_path / "rows.jsonl"
    path.write_bytes(2 * b'{"key":"a","value":1}\n')
    for attempt in (lambda: RowFile(path, parse).__enter__(), lambda: read_rows(path, parse)):
        with pytest.raises(UsageError, match="more than"):
            attempt()
