"""Rows: their keys, their file form, and what texts give together."""

from __future__ import annotations

import copy
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from compression_rows import CASE, another_text, measured

from beyondrag.errors import UsageError
from eval.compression.rows import Measured, combine
from eval.rowfile import RowFile, read_rows


def same(one: Measured, other: Measured) -> bool:
    scores = (
        np.array_equal(getattr(one.scores, field.name), getattr(other.scores, field.name))
        for field in fields(one.scores)
    )
    others = (field.name for field in fields(one) if field.name != "scores")
    return all(scores) and all(getattr(one, name) == getattr(other, name) for name in others)


def test_a_key_depends_on_everything_but_names() -> None:
    key = CASE.key("codec k4v4")
    changes: dict[str, Any] = {
        "model_sha256": "c" * 64,
        "case_sha256": "c" * 64,
        "mode": "answer",
        "context_tokens": 101,
        "eval_tokens": 17,
        "build": "binding 2",
    }
    keys = {replace(CASE, **{name: value}).key("codec k4v4") for name, value in changes.items()}
    assert len(keys | {key, CASE.key("codec k4v3")}) == len(changes) + 2
    assert replace(CASE, model="renamed", text="renamed").key("codec k4v4") == key


@pytest.mark.parametrize("n", [1, 7, 8, 9, 384])
def test_a_row_survives_its_json(n: int) -> None:
    row = measured(n=n)
    found = Measured.from_json(orjson.loads(orjson.dumps(row.to_json())))
    assert same(found, row)
    assert row.to_json()["kld_mean"] == pytest.approx(row.scores.kld.mean())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("schema", 2),
        ("mode", "song"),
        ("family", "none"),
        ("n_tokens", 15),
        ("n_tokens", 10**12),
        ("n_tokens", -1),
        ("context_tokens", "many"),
        ("bits_per_value", None),
        ("cache", "a\x1b[31m"),
        ("text", "x" * 1000),
        ("key", 7),
        ("scores", {}),
        ("scores", {"kld": "!!", "nll": "", "nll_reference": "", "same_top1": ""}),
    ],
)
def test_rows_that_make_no_sense_are_refused(field: str, value: object) -> None:
    values = copy.deepcopy(measured().to_json())
    values[field] = value
    with pytest.raises((ValueError, KeyError, TypeError)):
        Measured.from_json(values)


@pytest.mark.parametrize("values", [None, 3, [], {}, "row"])
def test_other_json_is_refused(values: object) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        Measured.from_json(values)


def test_rows_are_kept_and_found_again(tmp_path: Path) -> None:
    path, rows = tmp_path / "new" / "rows.jsonl", [measured(name) for name in ("k4v4", "k3v3")]
    with RowFile(path, Measured.from_json) as file:
        file.add(rows[0])
        assert path.read_bytes().endswith(b"\n")  # on the disk while the run goes on
    with RowFile(path, Measured.from_json) as file:
        assert list(file.rows) == [rows[0].key]
        file.add(rows[1])
    found = read_rows(path, Measured.from_json)
    assert all(same(one, other) for one, other in zip(found, rows, strict=True))


@pytest.mark.parametrize("content", [b"my only notes", b"notes\nmore", b"{}\n", b'{"schema": 1}\n', b"\n"])
def test_other_files_are_refused_and_left_as_they_are(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(UsageError) as caught, RowFile(path, Measured.from_json):
        pass
    assert caught.value.remedy
    assert path.read_bytes() == content


def test_texts_come_together_by_cache_length_and_mode() -> None:
    one, two = another_text("one"), another_text("two")
    longer = replace(one, context_tokens=200)
    rows = [
        measured("k4v4", case=one, n=10, seed=1, bits=4.0),
        measured("k3v3", case=one, n=10, seed=2),
        measured("k4v4", case=two, n=10, seed=3, bits=4.5),
        measured("k4v4", case=longer, n=10, seed=4),
        measured("k4v4", case=replace(one, mode="answer"), n=4, seed=5),
    ]
    found = combine(rows)
    assert [(row.name, row.mode, row.context_tokens) for row in found] == [
        ("k4v4", "text", 100),
        ("k3v3", "text", 100),
        ("k4v4", "text", 200),
        ("k4v4", "answer", 100),
    ]
    first = found[0]
    assert first.text_names == ("one", "two")
    assert first.bits_per_value == 4.25
    together = np.concatenate([rows[0].scores.kld, rows[2].scores.kld])
    assert first.summary.kld_mean == pytest.approx(together.mean())
    assert first.summary.n_tokens == 20
    assert first.interval[0] < first.summary.kld_mean < first.interval[1]
    agreement = np.concatenate([rows[0].scores.same_top1, rows[2].scores.same_top1]).mean()
    assert first.same_top1_interval[0] <= agreement <= first.same_top1_interval[1]
    assert [text["name"] for text in orjson.loads(orjson.dumps(first.to_json()))["texts"]] == ["one", "two"]
