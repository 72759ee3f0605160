"""Which documents are read, in which order, and what is said about those that are not."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from beyondrag.retrieval import find_hits, select, subjects
from library.records import DocumentRecord, DocumentText, Hit, PageSpan, Passage, SourceFile, Volume
from library.store import Library


def record(name: str) -> DocumentRecord:
    return DocumentRecord(name, name.title(), "text/plain", 10, 1, 0.0, (f"/docs/{name}.txt",), False, ())


def hit(name: str, at: int | None = None) -> Hit:
    passages = () if at is None else (Passage(at, at + 5, "1", "....", 1.0),)
    return Hit(record(name), 1.0, passages)


def volume(name: str, ordinal: int, start: int, end: int, n_tokens: int) -> Volume:
    return Volume(name, ordinal, start, end, n_tokens, f"part {ordinal + 1}")


VOLUMES = {
    "short": [volume("short", 0, 0, 100, 50)],
    "middle": [volume("middle", 0, 0, 300, 150)],
    "long": [volume("long", 0, 0, 400, 200), volume("long", 1, 400, 900, 250)],
    "empty": [],
}


def read(hits: list[Hit], budget: int) -> tuple[list[tuple[str, int]], tuple[str, ...]]:
    selection = select(hits, lambda document: VOLUMES[document.id], budget)
    return [(c.hit.document.id, c.volume.ordinal) for c in selection.candidates], selection.left_out


def test_as_many_of_the_best_as_fit() -> None:
    chosen, left_out = read([hit("middle"), hit("long"), hit("short")], 200)
    assert chosen == [("middle", 0), ("short", 0)]
    (words,) = left_out
    assert "long.txt" in words
    assert "200 tokens" in words
    assert "50 left" in words


def test_exactly_full_and_one_less() -> None:
    assert read([hit("short"), hit("middle")], 200)[0] == [("short", 0), ("middle", 0)]
    assert read([hit("short"), hit("middle")], 199)[0] == [("short", 0)]


def test_of_a_long_document_the_volume_with_the_best_passage() -> None:
    assert read([hit("long", 450)], 1000)[0] == [("long", 1)]
    assert read([hit("long", 400)], 1000)[0] == [("long", 1)]
    assert read([hit("long", 399)], 1000)[0] == [("long", 0)]
    chosen, left_out = read([hit("long")], 1000)
    assert chosen == [("long", 0)]
    assert left_out == ("long.txt: 1 of its 2 volumes (part 1 is read)",)


def test_nothing_fits_and_no_text() -> None:
    chosen, left_out = read([hit("short"), hit("empty")], -40)
    assert chosen == []
    assert left_out == ("short.txt: its 50 tokens do not fit into the 0 left", "empty.txt: it has no text")


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with Library.create_or_open(tmp_path / "library") as opened:
        with opened.writing():
            for name in ("harbour lamp", "bakery oven", "school lamp lamp", "lamp factory"):
                text = f"{name}. A report about the {name}."
                opened.add(
                    hashlib.sha256(text.encode()).hexdigest(),
                    SourceFile(f"/docs/{name}.txt", len(text), 1),
                    name,
                    "text/plain",
                    DocumentText(text, (PageSpan("1", 0, len(text)),)),
                )
        yield opened


def test_no_more_than_the_best_of_the_search(library: Library) -> None:
    assert len(find_hits(library, "lamp", [], 2)) == 2
    assert len(find_hits(library, "lamp", [], 8)) == 3
    assert find_hits(library, "zeppelin", [], 3) == []


def test_pinned_documents_and_no_others_each_once(library: Library) -> None:
    oven, harbour = library.find("bakery oven"), library.find("harbour lamp")
    hits = find_hits(library, "the lamp of the harbour", [oven, harbour, oven], 1)
    assert [h.document.id for h in hits] == [oven.id, harbour.id]
    assert hits[1].passages, "the passages of a pinned document are still found"
    assert find_hits(library, "zeppelin", [oven], 3) == [Hit(oven, 0.0, ())]


BOQUETE = "Accident at Boquete, Panama. The pilot was 30."
WHITE_PLAINS = "Accident at White Plains, AL. The pilot was 60."


@pytest.mark.parametrize(
    ("question", "texts", "expected"),
    [
        (
            "Which happened first, the accident at Boquete, Panama or the one at White Plains, AL?",
            [BOQUETE, WHITE_PLAINS],
            ["Boquete, Panama", "White Plains, AL"],
        ),
        ("How old was the pilot at Boquete?", [BOQUETE, WHITE_PLAINS], ["Boquete", ""]),
        ("how old were the pilots?", [BOQUETE, WHITE_PLAINS], ["", ""]),
        ("Is PEP 484 older than PEP 526?", ["PEP 484", "PEP 526"], ["484", "526"]),
        ("Was the Accident at sea?", [BOQUETE, WHITE_PLAINS], ["", ""]),
    ],
)
def test_what_names_one_document_only(question: str, texts: list[str], expected: list[str]) -> None:
    assert subjects(question, texts) == expected


def test_a_very_long_name_is_cut() -> None:
    question = "is " + " ".join(f"Name{n}" for n in range(900))
    (subject, _) = subjects(question, [question, "other"])
    assert 1 <= len(subject.split()) <= 12
