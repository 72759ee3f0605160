"""Each kind of harm is found, and named; a sound library has no findings."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from shelf import identity, put, put_snapshot

from library.errors import LibraryDamaged
from library.roots import CATALOGUE_NAME
from library.store import Library


@pytest.fixture
def full(library: Library) -> Library:
    with library.writing():
        for number in range(3):
            put_snapshot(
                library, put(library, f"/{number}.txt", f"zebra {number} " * 50), b"state%d" % number
            )
    return library


def sql(*statements: str) -> Callable[[Path], None]:
    def harm(root: Path) -> None:
        connection = sqlite3.connect(root / CATALOGUE_NAME)
        for statement in statements:
            connection.execute(statement)
        connection.commit()
        connection.close()

    return harm


def add_an_orphan(root: Path) -> None:
    (root / "kv" / "ab").mkdir()
    (root / "kv" / "ab" / ("ab" + "0" * 62 + ".kv")).write_bytes(b"x")


def add_a_foreign_file(root: Path) -> None:
    (root / "kv" / "notes.txt").write_text("mine")


HARMS = {
    "text does not inflate": (sql("UPDATE texts SET text_zlib = x'00'"), "cannot be used"),
    "a text bomb": (sql("UPDATE texts SET n_bytes = 3"), "its size does not fit"),
    "other text": (sql("UPDATE texts SET checksum = 'x'"), "its checksum does not fit"),
    "wrong length": (sql("UPDATE documents SET n_chars = 1"), "another length than noted"),
    "no text": (sql("DELETE FROM texts"), "cannot be used"),
    "no file": (sql("DELETE FROM sources"), "belongs to no file"),
    "broken reference": (sql("DELETE FROM profiles"), "does not exist"),
    "removed from the catalogue only": (sql("DELETE FROM documents WHERE key = 2"), "no longer exist"),
    "snapshot of another size": (sql("UPDATE snapshots SET size_bytes = 99"), "instead of 99"),
    "snapshot outside": (sql("UPDATE snapshots SET content = '../../etc/passwd'"), "no valid file name"),
    "an orphan": (add_an_orphan, "belongs to no snapshot"),
    "a foreign file": (add_a_foreign_file, "is not the library's"),
    "no index": (sql("DELETE FROM settings"), "There is no search index"),
}


def test_a_sound_library_has_no_findings(full: Library) -> None:
    assert full.verify() == []


@pytest.mark.parametrize("name", HARMS)
def test_harm_is_found(full: Library, root: Path, name: str) -> None:
    harm, expected = HARMS[name]
    harm(root)
    findings = full.verify()
    assert any(expected in finding for finding in findings), findings
    assert all(finding.endswith(".") and finding.isprintable() for finding in findings)


def test_a_damaged_text_is_never_given_out(full: Library, root: Path) -> None:
    sql("UPDATE texts SET checksum = 'x' WHERE document_id = '" + identity("zebra 1 " * 50) + "'")(root)
    with pytest.raises(LibraryDamaged):
        full.text(identity("zebra 1 " * 50))
    assert full.text(identity("zebra 2 " * 50)).text.startswith("zebra 2")


def test_the_others_are_still_found_when_one_text_is_damaged(full: Library, root: Path) -> None:
    sql("UPDATE texts SET checksum = 'x' WHERE document_id = '" + identity("zebra 1 " * 50) + "'")(root)
    hits = full.search("zebra")
    assert {hit.document.path for hit in hits if hit.passages} == {"/0.txt", "/2.txt"}
    full.rebuild_index()
    assert {hit.document.path for hit in full.search("zebra")} == {"/0.txt", "/2.txt"}


def test_totals(full: Library) -> None:
    totals = full.totals()
    assert (totals.n_documents, totals.n_snapshots, totals.n_failures) == (3, 3, 0)
    assert totals.snapshot_bytes == 18
    assert totals.text_bytes == 3 * 50 * len("zebra 0 ")
    assert totals.index_bytes > 0
