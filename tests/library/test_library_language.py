"""What a document states about its language is kept, replaced, carried to another library, and bounded."""

from __future__ import annotations

import hashlib
from pathlib import Path

from library.documents import MAX_LANGUAGE_CHARS
from library.records import DocumentRecord, DocumentText, PageSpan, SourceFile
from library.store import Library
from library.upkeep import Upkeep


def add(library: Library, name: str, language: str | None) -> DocumentRecord:
    text = DocumentText(name, (PageSpan("1", 0, len(name)),))
    source = SourceFile(f"/docs/{name}.html", 5, 6)
    document_id = hashlib.sha256(name.encode()).hexdigest()
    return library.add(document_id, source, name, "text/html", text, (), language)


def test_it_is_kept_and_replaced(tmp_path: Path) -> None:
    with Library.create_or_open(tmp_path / "library") as library:
        assert add(library, "harbour", "pt-BR").language == "pt-BR"
        assert add(library, "bakery", None).language is None
        assert add(library, "harbour", None).language is None
        assert add(library, "harbour", "pt").language == "pt"
        assert {record.title: record.language for record in library.documents()} == {
            "harbour": "pt",
            "bakery": None,
        }


def test_another_language_costs_no_snapshot(tmp_path: Path) -> None:
    """The model does not read it."""
    with Library.create_or_open(tmp_path / "library") as library:
        record = add(library, "harbour", "pt")
        assert not library.differs(record.id, record.title, library.text(record.id))


def test_it_is_carried_to_another_library(tmp_path: Path) -> None:
    with Library.create_or_open(tmp_path / "library") as library:
        add(library, "harbour", "pt-BR")
        add(library, "bakery", None)
        Upkeep(library).export(tmp_path / "carried.tar")
    with Library.create_or_open(tmp_path / "other") as other:
        Upkeep(other).import_from(tmp_path / "carried.tar")
        assert {record.title: record.language for record in other.documents()} == {
            "harbour": "pt-BR",
            "bakery": None,
        }


def test_whatever_is_given_is_one_short_line(tmp_path: Path) -> None:
    with Library.create_or_open(tmp_path / "library") as library:
        kept = add(library, "harbour", "\x1b[31m\n" + "x" * 10_000).language
    assert kept is not None
    assert len(kept) <= MAX_LANGUAGE_CHARS
    assert kept.isprintable()
