"""Two questions about one document, asked of the product and of chunk-RAG with the small model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from beyondrag.engine import Engine
from beyondrag.events import Done
from beyondrag.settings import Settings, default_settings
from beyondrag.turn import AskOptions
from eval.qa.command import main
from eval.qa.rows import Row, parse_row
from eval.rowfile import read_rows
from library.store import Library

pytestmark = [pytest.mark.model, pytest.mark.slow]

TEXT = "Harbour report\n\nThe keeper at Skerry Point was 48 years old.\nThe lamp is lit at dusk.\n"
SYSTEMS = ("doc", "doc-exact", "oracle", "chunk-bm25", "closed-book")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "harbour set"
    (made / "docs").mkdir(parents=True)
    (made / "docs" / "harbour.txt").write_text(TEXT)
    rows: list[dict[str, object]] = [
        {"id": "a", "question": "How old was the keeper at Skerry Point?", "answers": ["48"]},
        {"id": "b", "question": "Who painted the harbour?", "answers": []},
    ]
    for row, kind in zip(rows, ("single", "null"), strict=True):
        row |= {"gold_docs": ["harbour"], "type": kind}
    (made / "questions.jsonl").write_bytes(b"\n".join(map(orjson.dumps, rows)))
    return made


def arguments(
    folder: Path, work: Path, model: Path, *more: str, systems: Sequence[str] = SYSTEMS
) -> list[str]:
    fixed = ["--model", str(model), "--threads", "1", "--context", "2048", "--max-tokens", "16"]
    return [str(folder), "--work", str(work), *fixed, "--systems", ",".join(systems), *more]


def rows_of(work: Path) -> dict[tuple[str, str], Row]:
    rows = read_rows(work / "runs" / "harbour_set.jsonl", parse_row)
    return {(row.system, row.question.id): row for row in rows}


def test_two_questions_from_documents_to_figures(
    folder: Path, tmp_path: Path, small_model_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    work = tmp_path / "work"
    assert main(arguments(folder, work, small_model_path)) == 0
    out = capfd.readouterr().out
    for heading in ("As shown", "Unchecked", "Retrieval", "Effort", "Pair by pair", "What was spent"):
        assert f"## {heading}" in out
    summary = orjson.loads(out.splitlines()[-1])
    assert summary["systems"] == list(SYSTEMS)
    (part,) = summary["sets"]
    assert part["documents"] == 1
    assert part["ingest"]["k4v4"]["tokens"] == part["ingest"]["k4v4"]["all_tokens"] > 0
    assert part["ingest"]["k4v4"]["bytes"] > 0

    rows = rows_of(work)
    assert set(rows) == {(system, question) for system in SYSTEMS for question in "ab"}
    doc, chunk = rows["doc", "a"].given, rows["chunk-bm25", "a"].given
    # One document of one chunk: both read the same tokens after the same prompt.
    assert chunk.texts[0].text == TEXT.strip()
    assert chunk.context_tokens == doc.context_tokens
    assert chunk.ranked == doc.ranked == rows["doc", "a"].gold
    assert (doc.prefilled_tokens, chunk.prefilled_tokens > 0) == (0, True)
    assert rows["doc-exact", "a"].given.answer == chunk.answer
    assert rows["doc-exact", "a"].given.copies == chunk.copies
    assert rows["doc-exact", "a"].given.supported == chunk.supported
    closed = rows["closed-book", "a"].given
    assert (closed.supported, closed.ranked, closed.texts) == (None, None, ())
    for row in rows.values():
        assert 0 <= row.given.seconds.retrieve <= row.given.seconds.first_token <= row.given.seconds.total
        assert "\n" not in row.given.answer

    before = (work / "runs" / "harbour_set.jsonl").read_bytes()
    report = work / "report"
    assert main(arguments(folder, work, small_model_path, "--json", "--report", str(report))) == 0
    html = (report / "report.html").read_text()
    assert "What ingest cost, and when it is earned back" in html
    assert "beyondrag eval qa " in html
    again = capfd.readouterr().out
    assert orjson.loads(again)["sets"][0]["figures"] == part["figures"]
    assert (work / "runs" / "harbour_set.jsonl").read_bytes() == before


def test_the_check_is_that_of_the_product(folder: Path, tmp_path: Path, small_model_path: Path) -> None:
    """Rows are asked unchecked and withheld afterwards: exactly where the product withholds."""
    work = tmp_path / "work"
    assert main(arguments(folder, work, small_model_path, systems=["doc"])) == 0
    rows = rows_of(work)
    (root,) = (work / "sets").glob("*/library")
    settings: Settings = replace(
        default_settings(), library=root, model=str(small_model_path), threads=1, context=2048
    )
    with Library.open(root) as library, Engine(settings, library) as engine:
        for question in "ab":
            row = rows["doc", question]
            options = AskOptions(max_tokens=16, check=True)
            (done,) = [e for e in engine.ask(row.question.question, options) if isinstance(e, Done)]
            assert done.answer.abstained == (not row.given.supported)
            assert done.answer.answer == (row.given.answer if row.given.supported else "")
