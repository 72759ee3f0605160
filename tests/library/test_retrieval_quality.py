"""Do the documents that hold the answer come first?  Measured on the public question sets.

Run with ``-s`` to see the table; the last line is JSON.  The floors are the project's targets for
the development questions.  Documents get what a plain text file gets at ingest: the first line as
title, pages of 60 lines.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
from shelf import identity

from library.records import DocumentText, PageSpan, SourceFile
from library.store import Library

DATA = Path(__file__).parents[3] / "shared" / "data"
RANKS = (1, 3, 5)

pytestmark = [
    pytest.mark.data,
    pytest.mark.slow,
    pytest.mark.skipif(not DATA.is_dir(), reason="the public question sets are not next to the checkout"),
]


def text_of(path: Path) -> tuple[str, DocumentText]:
    text = path.read_text("utf-8", errors="replace")
    lines = text.splitlines(keepends=True)
    pages, start = [], 0
    for first in range(0, len(lines), 60):
        page = "".join(lines[first : first + 60])
        pages.append(PageSpan(f"lines {first + 1}-{first + 60}", start, start + len(page)))
        start += len(page)
    title = next((line.strip() for line in lines if line.strip()), path.stem)[:200]
    return title, DocumentText(text, tuple(pages))


def fill(library: Library, folder: Path) -> dict[str, str]:
    """Adds all documents of a set; file names, with and without `.txt`, to document ids."""
    ids = {}
    with library.writing():
        for path in sorted(folder.iterdir()):
            title, text = text_of(path)
            document_id = identity(path.name + text.text)
            source = SourceFile(str(path), len(text.text), 1)
            library.add(document_id, source, title, "text/plain", text)
            ids[path.name] = ids[path.name.removesuffix(".txt")] = document_id
    return ids


def answerable(folder: Path) -> Iterator[dict[str, object]]:
    with (folder / "questions_dev.jsonl").open(encoding="utf-8") as file:
        yield from (question for question in map(json.loads, file) if question["type"] != "null")


def measure(library: Library, name: str) -> dict[str, dict[str, float]]:
    """Type of question to: number, recall of all gold documents at each rank."""
    ids = fill(library, DATA / name / "docs")
    found: dict[str, list[list[bool]]] = defaultdict(list)
    for question in answerable(DATA / name):
        gold = {ids[document] for document in question["gold_docs"]}
        hits = library.search(question["question"], limit=max(RANKS))
        order = [hit.document.id for hit in hits]
        for kind in (question["type"], "all"):
            found[kind].append([gold <= set(order[:rank]) for rank in RANKS])
    return {
        kind: {
            "n": len(rows),
            **{f"recall@{rank}": sum(row[i] for row in rows) / len(rows) for i, rank in enumerate(RANKS)},
        }
        for kind, rows in sorted(found.items())
    }


@pytest.mark.parametrize(
    ("name", "floors"),
    [
        ("ntsb_qa", {"all": 0.95, "single": 0.95, "compare": 0.95}),
        ("squad_articles", {"all": 0.95}),
        ("peps_qa", {"single": 0.90, "compare": 0.90}),
        ("hotpot_train100", {"comparison": 0.85}),
        ("lihua", {"single": 0.80}),
    ],
)
def test_gold_documents_come_first(library: Library, name: str, floors: dict[str, float]) -> None:
    table = measure(library, name)
    print(f"\n{name}: {library.count()} documents")
    for kind, row in table.items():
        print(f"  {kind:12} " + "  ".join(f"{key} {value:7.3f}" for key, value in row.items()))
    print(json.dumps({"set": name, **table}))
    below = {
        kind: table[kind]["recall@3"] for kind, floor in floors.items() if table[kind]["recall@3"] < floor
    }
    assert not below
