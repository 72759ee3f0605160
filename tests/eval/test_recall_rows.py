"""The file of rows: kept, found again, and refused when it is something else."""

from __future__ import annotations

import math
from dataclasses import asdict, replace
from pathlib import Path

import orjson
import pytest

from beyondrag.errors import UsageError
from eval.recall.rows import Row, parse_row
from eval.rowfile import RowFile, read_rows

ROW = Row(
    key="a1",
    model="tiny",
    model_sha256="00",
    task="keys",
    context_tokens=400,
    seed=0,
    sample=0,
    probe=0,
    stratum="depth 0-20 %",
    depth=0.1,
    share=True,
    question="What is the code of vault abcdef?",
    answer=" 12345",
    arm="k4v4",
    bits_per_value=4.1,
    cached_tokens=390,
    answer_tokens=6,
    score=1.0,
    nll=0.5,
    agreement=1.0,
    first_wrong=6,
    reply=" 12345.\n",
    reply_score=1.0,
)


def test_rows_come_back_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "new" / "rows.jsonl"
    rows = [ROW, replace(ROW, key="b2", bits_per_value=None, reply=None, reply_score=None, score=0.1 + 0.2)]
    with RowFile(path, parse_row) as file:
        for row in rows:
            file.add(row)
    with RowFile(path, parse_row) as file:
        assert list(file.rows.values()) == rows
    assert read_rows(path, parse_row) == rows


@pytest.mark.parametrize(
    "line",
    [
        b"not json",
        b"[]",
        b"{}",
        orjson.dumps(asdict(ROW) | {"more": 1}),
        orjson.dumps(asdict(ROW) | {"score": "1"}),
        orjson.dumps(asdict(ROW) | {"score": True}),
        orjson.dumps(asdict(ROW) | {"nll": math.nan}),
        orjson.dumps(asdict(ROW) | {"sample": 1.5}),
        orjson.dumps(asdict(ROW) | {"arm": "k4v4\x1b[31m"}),
    ],
)
def test_other_files_are_refused_and_left_alone(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "rows.jsonl"
    content = orjson.dumps(asdict(ROW)) + b"\n" + line + b"\nunfinished"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="line 2 is no row"), RowFile(path, parse_row):
        pass
    assert path.read_bytes() == content
