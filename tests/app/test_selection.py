"""Which documents are read, in which order, and what is said about those that are not."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from beyondrag.retrieval import Found, find, pinned_hits, select, subjects
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
    assert len(find(library, "lamp", 2).hits) == 2
    assert len(find(library, "lamp", 8).hits) == 3
    assert find(library, "zeppelin", 3) == Found((), ())


def test_pinned_documents_and_no_others_each_once(library: Library) -> None:
    oven, harbour = library.find("bakery oven"), library.find("harbour lamp")
    hits = pinned_hits(library, "the lamp of the harbour", [oven, harbour, oven])
    assert [h.document.id for h in hits] == [oven.id, harbour.id]
    assert hits[1].passages, "the passages of a pinned document are still found"
    assert pinned_hits(library, "zeppelin", [oven]) == [Hit(oven, 0.0, ())]


def shelf(path: Path, **texts: str) -> Library:
    """A library of documents by title."""
    library = Library.create_or_open(path)
    with library.writing():
        for title, text in texts.items():
            library.add(
                hashlib.sha256(title.encode()).hexdigest(),
                SourceFile(f"/docs/{title}.txt", len(text), 1),
                title.replace("_", " "),
                "text/plain",
                DocumentText(text, (PageSpan("1", 0, len(text)),)),
            )
    return library


FILLER = {f"Letter_{n}": f"A letter about the mill and the river, number {n}." for n in range(12)}


def titles(found: Found) -> list[str]:
    return [hit.document.title for hit in found.hits]


def test_documents_that_hold_fewer_names_are_left_out_and_named(tmp_path: Path) -> None:
    reports = {
        "First": "The accident at Belen. The pilot was 48.",
        "Second": "The accident. The pilot was 30.",
    }
    with shelf(tmp_path / "library", **reports, **FILLER) as library:
        found = find(library, "How old was the pilot in the accident at Belen?", 2)
    assert titles(found) == ["First"]
    assert found.dropped == ("Second.txt",)


def test_a_name_that_stands_nearly_everywhere_drops_nothing(tmp_path: Path) -> None:
    letters = {f"Letter_{n}": f"Kestrel wrote about the mill, {n}." for n in range(12)}
    minutes = {"Minutes": "Kestrel met. The pension was raised.", "Memo": "The pension and its cost."}
    with shelf(tmp_path / "library", **minutes, **letters) as library:
        found = find(library, "What did the pension of Kestrel cost?", 2)
    assert sorted(titles(found)) == ["Memo", "Minutes"]
    assert found.dropped == ()


def test_a_document_that_a_better_one_names_takes_a_free_place(tmp_path: Path) -> None:
    films = {
        "Silent_Harbour": "Silent Harbour is a film that Ada Quill directed. It was shot in winter.",
        "Ada_Quill_(director)": "She was born in Trondheim. Her father built ships.",
        "Noise": "Another film had a director who was ill and stayed in Lund for a year with his sister.",
    }
    with shelf(tmp_path / "library", **films, **FILLER) as library:
        found = find(library, "Where was the director of Silent Harbour born?", 3)
    assert titles(found)[0] == "Silent Harbour"
    assert "Ada Quill (director)" in titles(found)
    assert "Noise" not in titles(found)
    assert found.dropped in (("Noise.txt",), ())


def test_a_title_that_several_documents_share_links_nothing(tmp_path: Path) -> None:
    text = "Safety Board. The accident at {}. The pilot was {}."
    with Library.create_or_open(tmp_path / "library") as library:
        with library.writing():
            for place, age in (("Belen", 48), ("Boquete", 30), ("Oslo", 61), ("Lund", 25), ("Bergen", 33)):
                body = text.format(place, age)
                library.add(
                    hashlib.sha256(body.encode()).hexdigest(),
                    SourceFile(f"/docs/{place}.txt", len(body), 1),
                    "Safety Board",
                    "text/plain",
                    DocumentText(body, (PageSpan("1", 0, len(body)),)),
                )
        found = find(library, "How old was the pilot in the accident at Belen?", 3)
    assert [hit.document.name for hit in found.hits] == ["Belen.txt"]
    assert len(found.dropped) == 2


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
