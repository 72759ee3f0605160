"""Libraries of every earlier format, made by the migrations of their time, open with all they held."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import zlib
from contextlib import closing
from pathlib import Path

import orjson
import pytest
import xxhash
from small_kv import PROFILE, write_kv

from library import schema
from library.errors import LibraryNewer
from library.records import FailureRecord, PageSpan, SourceFile, Volume
from library.roots import CATALOGUE_NAME
from library.store import Library
from library.upkeep import Upkeep

TEXTS = {f"/docs/Straße {number}.txt": f"zebra number{number}\fgiraffe ünïcode" for number in range(3)}
FAILURE = FailureRecord("/docs/broken.pdf", 10, 11, "encrypted", "needs a password", "unlock it", 5.0)

RELEASED = {
    1: "42bc2409",
    2: "b306f8fd",
    3: "34de8f07",
    4: "10093976",
}
"""The beginning of the SHA-256 of the tables after each released migration: they never change."""


def old_catalogue(path: Path, version: int) -> sqlite3.Connection:
    connection = sqlite3.connect(path)
    for migration in schema.MIGRATIONS[:version]:
        migration(connection)
    connection.execute(f"PRAGMA user_version = {version}")
    return connection


def identity(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def add_documents(connection: sqlite3.Connection) -> None:
    """As version 1 wrote them: the layout of a text is spelled out here a second time."""
    for path, text in TEXTS.items():
        raw = text.encode()
        cut = text.index("\f")
        pages = orjson.dumps([["1", 0, cut], ["2", cut + 1, len(text)]])
        digest = xxhash.xxh3_128(len(raw).to_bytes(8, "little") + raw + pages).hexdigest()
        document = identity(text)
        connection.execute(
            "INSERT INTO documents(id, title, media_type, n_chars, n_pages, added_at, warnings) "
            "VALUES (?, 'An old title', 'text/plain', ?, 2, 1.5, '[\"a warning\"]')",
            (document, len(text)),
        )
        connection.execute(
            "INSERT INTO texts VALUES (?, ?, ?, ?, ?, ?)",
            (document, zlib.compress(raw), len(raw), zlib.compress(pages), len(pages), digest),
        )
        connection.execute(
            "INSERT INTO sources(path, document_id, size, mtime_ns) VALUES (?, ?, 7, 8)",
            (os.fsencode(path), document),
        )


def add_failures(connection: sqlite3.Connection) -> None:
    connection.execute(
        "INSERT INTO failures VALUES (?, 10, 11, 'encrypted', 'needs a password', 'unlock it', 5.0)",
        (FAILURE.path.encode(),),
    )


def add_readings(connection: sqlite3.Connection, root: Path) -> None:
    description = orjson.dumps(PROFILE.description).decode()
    profile = (PROFILE.id, PROFILE.model_name, PROFILE.model_sha256, description)
    connection.execute("INSERT INTO profiles VALUES (?, ?, ?, ?)", profile)
    for text in TEXTS.values():
        document = identity(text)
        file = root / "made.kv"
        write_kv(file, document)
        content = hashlib.sha256(file.read_bytes()).hexdigest()
        target = root / "kv" / content[:2] / f"{content}.kv"
        target.parent.mkdir(parents=True, exist_ok=True)
        size = file.stat().st_size
        file.rename(target)
        connection.execute(
            "INSERT INTO volumes VALUES (?, ?, 0, 0, ?, 7, 'whole')", (document, PROFILE.id, len(text))
        )
        connection.execute(
            "INSERT INTO snapshots VALUES (?, 0, ?, ?, ?, 7, 'exact', 2.5, NULL)",
            (document, PROFILE.id, content, size),
        )


def add_queue(connection: sqlite3.Connection) -> None:
    """One document waits for the index; no index of that time is there any more."""
    connection.execute("INSERT INTO index_queue VALUES (2)")
    connection.execute("INSERT INTO settings VALUES ('index', 'f0-7')")


@pytest.fixture(params=range(1, schema.VERSION))
def old(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, int]:
    """A library of an earlier format with everything that this format could hold."""
    root, version = tmp_path / "Alte Bücherei", request.param
    root.mkdir()
    with closing(old_catalogue(root / CATALOGUE_NAME, version)) as connection:
        add_documents(connection)
        if version >= 2:
            add_failures(connection)
        if version >= 3:
            add_readings(connection, root)
        if version >= 4:
            add_queue(connection)
        connection.commit()
    return root, version


def test_all_data_is_there(old: tuple[Path, int]) -> None:
    root, version = old
    with Library.open(root) as library:
        documents = list(library.documents())
        assert [document.path for document in documents] == list(TEXTS)
        for document, text in zip(documents, TEXTS.values(), strict=True):
            assert (document.id, document.title, document.added_at) == (identity(text), "An old title", 1.5)
            assert document.warnings == ("a warning",)
            assert document.language is None, "nothing was known of it then"
            stored = library.text(document.id)
            assert stored.text == text
            assert stored.pages == (PageSpan("1", 0, 13), PageSpan("2", 14, len(text)))
            assert library.source(document.path) == (SourceFile(document.path, 7, 8), document.id)
        assert library.failures() == ([FAILURE] if version >= 2 else [])
        for document in documents if version >= 3 else ():
            (record,) = library.snapshots(document.id)
            assert library.snapshot(document.id, 0, PROFILE.id) == record
            assert (record.size_bytes, record.created_at) == (record.path.stat().st_size, 2.5)
            assert library.volumes(document.id, PROFILE.id) == (
                Volume(document.id, 0, 0, document.n_chars, 7, "whole"),
            )
        assert [hit.document.path for hit in library.search("number1")] == ["/docs/Straße 1.txt"]
        assert Upkeep(library).verify(deep=True).sound
    with closing(sqlite3.connect(root / CATALOGUE_NAME)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (schema.VERSION,)


def test_an_old_library_is_repaired_and_exported_like_any(old: tuple[Path, int], tmp_path: Path) -> None:
    root, version = old
    with Library.open(root) as library:
        assert Upkeep(library).repair(deep=True).left == ()
        Upkeep(library).export(tmp_path / "x.tar")
    with Library.create_or_open(tmp_path / "new") as new:
        report = Upkeep(new).import_from(tmp_path / "x.tar")
        assert (report.added, sum(report.snapshots.values())) == (3, 3 if version >= 3 else 0)


def test_released_migrations_are_never_edited() -> None:
    for version, expected in RELEASED.items():
        with closing(old_catalogue(Path(":memory:"), version)) as connection:
            tables = connection.execute("SELECT sql FROM sqlite_master WHERE sql NOT NULL ORDER BY name")
            told = "\n".join(" ".join(row[0].split()) for row in tables)
        assert hashlib.sha256(told.encode()).hexdigest()[:8] == expected, f"migration {version} has changed"


@pytest.mark.parametrize("version", [schema.VERSION + 1, 999])
def test_a_newer_one_is_refused_by_name_and_left_alone(tmp_path: Path, version: int) -> None:
    with closing(old_catalogue(tmp_path / CATALOGUE_NAME, schema.VERSION)) as connection:
        connection.execute(f"PRAGMA user_version = {version}")
        connection.commit()
    before = (tmp_path / CATALOGUE_NAME).read_bytes()
    with pytest.raises(LibraryNewer, match=f"format {version}, this one knows {schema.VERSION}") as caught:
        Library.open(tmp_path)
    assert "upgrade beyondrag" in caught.value.remedy
    assert (tmp_path / CATALOGUE_NAME).read_bytes()[100:] == before[100:]
