"""Rows on the disk: nothing lost, nothing foreign believed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beyondrag.errors import UsageError
from eval.drift.checks import mentions
from eval.drift.probes import Document, Probe, Turn
from eval.drift.rows import Row, case_key, parse_row, row_key
from eval.rowfile import RowFile, read_rows

ROW = Row(
    key="k",
    case="c",
    model="m",
    model_sha256="0" * 64,
    library="1",
    max_tokens=48,
    arm="k4v4",
    bits_per_value=4.2,
    rotated=None,
    document="d",
    probe="d/p",
    kind="turns",
    n_document_tokens=7,
    requests=("a", "b"),
    replies=("x", "y\u202e\n"),
    tokens=((1, 2, 3), (4,)),
    kept=(None, True),
    divergence=(1, 0),
    kld=(0.1, 0.0, 0.2, 0.3),
    n_same_top1=3,
)
TURN = Turn("When?", mentions("noon"))
DOCUMENT = Document("d", "D", "At noon.")
PROBE = Probe("d/p", "d", "fact", (TURN,), ("noon",))


def test_a_row_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "rows.jsonl"
    base = replace(ROW, key="b", arm="f16", kld=(), divergence=None)
    with RowFile(path, parse_row) as file:
        file.add(ROW)
        assert read_rows(path, parse_row) == [ROW]  # already on the disk
        file.add(base)
    with RowFile(path, parse_row) as file:
        assert file.rows == {"k": ROW, "b": base}
        file.add(replace(ROW, n_same_top1=4))
    assert read_rows(path, parse_row) == [replace(ROW, n_same_top1=4), base]


def test_all_kept_ignores_turns_without_a_check() -> None:
    assert ROW.all_kept
    assert not replace(ROW, kept=(None, False)).all_kept


def test_tokens_before_the_divergence_are_counted_over_turns() -> None:
    assert ROW.tokens_before_divergence == 3
    assert replace(ROW, divergence=(0, 2)).tokens_before_divergence == 2
    assert replace(ROW, divergence=None).tokens_before_divergence is None


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "mood"},
        {"arm": "k4\x1b[31m"},
        {"replies": ["x"]},
        {"replies": ["x", 3]},
        {"requests": [], "replies": [], "tokens": [], "kept": []},
        {"kept": [None, "yes"]},
        {"kld": []},
        {"divergence": [1]},
        {"divergence": 1},
        {"tokens": 5},
        {"bits_per_value": None},
        {"more": 1},
    ],
)
def test_what_is_no_row_is_refused_by_line(tmp_path: Path, changes: dict[str, Any]) -> None:
    path = tmp_path / "rows.jsonl"
    good = orjson.dumps(ROW.to_json()) + b"\n"
    content = good + orjson.dumps({**ROW.to_json(), **changes}) + b"\n"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="line 2 is no row"), RowFile(path, parse_row):
        pass
    assert path.read_bytes() == content


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda x: st.lists(x) | st.dictionaries(st.text(), x),
    )
)
def test_any_json_is_a_row_or_is_refused(value: Any) -> None:
    with pytest.raises((ValueError, TypeError, KeyError)):
        parse_row(value)


@given(
    st.sampled_from(list(ROW.to_json())), st.recursive(st.none() | st.integers(-9, 9) | st.text(), st.lists)
)
def test_any_field_may_be_damaged(name: str, value: Any) -> None:
    try:
        row = parse_row({**orjson.loads(orjson.dumps(ROW.to_json())), name: value})
    except (ValueError, TypeError, KeyError):
        return
    assert isinstance(row.all_kept, bool)
    assert row.arm.isprintable()


def test_the_key_changes_with_everything_that_the_outcome_depends_on() -> None:
    def key(
        sha: str = "a",
        arm: str = "f16",
        document: Document = DOCUMENT,
        probe: Probe = PROBE,
        n: int = 48,
        library: str = "1",
    ) -> str:
        return row_key(case_key(sha, document, probe, n, library), arm)

    others = [
        key(sha="b"),
        key(arm="k4v4"),
        key(document=replace(DOCUMENT, text="At nine.")),
        key(document=replace(DOCUMENT, title="E")),
        key(probe=replace(PROBE, turns=(replace(TURN, user="When"),))),
        key(probe=replace(PROBE, turns=(replace(TURN, check=mentions("nine")),))),
        key(probe=replace(PROBE, turns=(replace(TURN, check=None),))),
        key(probe=replace(PROBE, turns=(TURN, TURN))),
        key(n=47),
        key(library="2"),
    ]
    assert key() == key()
    assert len({key(), *others}) == len(others) + 1
