"""Question sets: what is accepted, what is refused and where, and how they are sampled."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.sets import Question, SetError, read_set, sample

GOOD = {"id": "1", "question": "How  old?", "answers": ["48"], "gold_docs": ["a.txt"], "type": "single"}


def make_set(folder: Path, *rows: object, docs: str = "docs") -> Path:
    (folder / docs).mkdir(parents=True)
    lines = [row if isinstance(row, bytes) else orjson.dumps(row) for row in rows]
    (folder / "questions.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    return folder


def test_a_set_is_read(tmp_path: Path) -> None:
    folder = make_set(
        tmp_path / "sé t", GOOD, b"", {**GOOD, "id": "2", "type": "null", "answers": [], "note": 1}
    )
    (folder / "questions_more.jsonl").write_bytes(
        orjson.dumps(
            {**GOOD, "id": "3", "answers": ["B"], "options": {"A": "x", "B": "y"}, "plausible": ["x"]}
        )
    )
    found = read_set(folder)
    assert found.name == "sé t"
    assert found.documents == folder / "docs"
    first, second, third = found.questions
    assert first == Question("1", "How old?", ("48",), ("a.txt",), "single")
    assert second.is_null
    assert third.options == ("x", "y")
    assert third.plausible == ("x",)


def test_documents_may_have_the_longer_name(tmp_path: Path) -> None:
    assert read_set(make_set(tmp_path / "s", GOOD, docs="documents")).documents.name == "documents"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b"{", "JSON"),
        (b"[]", "object"),
        (b"\xff", "JSON"),
        ({**GOOD, "id": ""}, "id"),
        ({**GOOD, "id": 7}, "id"),
        ({**GOOD, "question": "x" * 4001}, "question"),
        ({**GOOD, "answers": "48"}, "answers"),
        ({**GOOD, "answers": []}, "answers"),
        ({**GOOD, "answers": [48]}, "answers"),
        ({**GOOD, "gold_docs": ["x"] * 1001}, "gold_docs"),
        ({k: v for k, v in GOOD.items() if k != "type"}, "type"),
        ({**GOOD, "options": ["only"]}, "options"),
        ({**GOOD, "options": ["x", ""]}, "options"),
        ({**GOOD, "options": {"A": "x", "C": "y"}}, "options"),
        ({**GOOD, "options": ["x", "y"]}, "options"),  # "48" is none of them
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, row: object, reason: str) -> None:
    folder = make_set(tmp_path / "s", {**GOOD, "id": "0"}, row)
    with pytest.raises(SetError) as caught:
        read_set(folder)
    assert caught.value.subject.endswith("questions.jsonl, line 2")
    assert reason in caught.value.message


def test_the_same_id_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SetError, match="twice"):
        read_set(make_set(tmp_path / "s", GOOD, GOOD))


def test_folders_that_are_no_sets(tmp_path: Path) -> None:
    with pytest.raises(SetError, match="no such folder"):
        read_set(tmp_path / "nowhere")
    with pytest.raises(SetError, match="no questions") as caught:
        read_set(tmp_path)
    assert "make-questions" in caught.value.remedy


def test_documents_may_lie_beside_their_questions(tmp_path: Path) -> None:
    folder = make_set(tmp_path / "s", GOOD)
    (folder / "docs").rmdir()
    assert read_set(folder).documents == folder


def test_other_questions_can_be_put_to_a_set(tmp_path: Path) -> None:
    folder = make_set(tmp_path / "s", GOOD)
    other = tmp_path / "other.jsonl"
    other.write_bytes(orjson.dumps({**GOOD, "id": "mine"}))
    assert [question.id for question in read_set(folder, [other]).questions] == ["mine"]


def test_what_questions_hide_is_hidden_from_the_whole_set(tmp_path: Path) -> None:
    null = {**GOOD, "type": "null", "answers": [], "gold_docs": []}
    rows = ({**null, "id": "2", "hidden": ["b.txt"]}, {**null, "id": "3", "hidden": ["b.txt", "c.txt"]})
    assert read_set(make_set(tmp_path / "s", GOOD, *rows)).hidden == ("b.txt", "c.txt")


def some(counts: dict[str, int]) -> list[Question]:
    return [Question(f"{kind}{i}", "?", ("x",), (), kind) for kind, n in counts.items() for i in range(n)]


def test_a_sample_keeps_the_shares_of_the_types() -> None:
    questions = some({"single": 60, "compare": 30, "null": 10})
    found = sample(questions, limit=20, seed=3)
    assert Counter(q.type for q in found) == {"single": 12, "compare": 6, "null": 2}
    assert found == sorted(found, key=questions.index)
    assert found == sample(questions, limit=20, seed=3)
    assert found != sample(questions, limit=20, seed=4)
    assert set(found) < set(sample(questions, limit=40, seed=3))


def test_types_are_chosen_by_name() -> None:
    questions = some({"single": 3, "null": 2})
    assert {q.type for q in sample(questions, types=["null"])} == {"null"}
    with pytest.raises(SetError, match="'bridge'"):
        sample(questions, types=["bridge"])
    assert sample(questions) == questions


def test_a_rare_type_keeps_its_one_place() -> None:
    found = sample(some({"a": 1, "b": 1, "c": 4}), limit=3)
    assert sorted(question.type for question in found) == ["a", "b", "c"]


@given(
    st.dictionaries(st.sampled_from("abcdef"), st.integers(1, 30), min_size=1),
    st.integers(1, 80),
    st.integers(0, 5),
)
def test_a_sample_has_the_size_that_was_asked_for(counts: dict[str, int], limit: int, seed: int) -> None:
    questions = some(counts)
    found = sample(questions, limit=limit, seed=seed)
    assert len(found) == min(limit, len(questions))
    assert len(set(found)) == len(found)
    if limit >= len(counts):
        assert {q.type for q in found} == set(counts)


@pytest.mark.data
@pytest.mark.parametrize("name", ["ntsb_qa", "squad_articles", "peps_qa", "lihua", "hotpot_train100"])
def test_the_public_sets_are_sets(data_dir: Path, name: str) -> None:
    assert len(read_set(data_dir / name).questions) >= 90


def test_the_examples_are_a_set() -> None:
    found = read_set(Path(__file__).resolve().parents[2] / "examples")
    assert {"single", "null"} <= {q.type for q in found.questions}
