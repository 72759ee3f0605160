from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import threading
from pathlib import Path

import pytest
from guards import PATIENCE_S
from shelf import put, put_snapshot

from kvfiles.errors import StorageError
from library import schema
from library.errors import LibraryDamaged, LibraryError, LibraryNewer
from library.paths import data_root, default_root
from library.roots import CATALOGUE_NAME
from library.store import Library


def test_opening_where_there_is_no_library_says_what_to_do(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    for place in (empty, empty / "nowhere"):
        with pytest.raises(LibraryError) as caught:
            Library.open(place)
        assert "beyondrag ingest" in caught.value.remedy
        assert caught.value.exit_code == 6
    assert list(empty.iterdir()) == []


def test_a_library_is_private(library: Library, root: Path) -> None:
    put_snapshot(library, put(library, "/a", "text"), b"state")
    for path in [root, *root.rglob("*")]:
        if path.is_dir():
            assert stat.S_IMODE(path.stat().st_mode) == 0o700, path


def test_a_folder_with_something_else_in_it_is_not_used(tmp_path: Path) -> None:
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "thesis.txt").write_text("words")
    with pytest.raises(LibraryError, match="not empty"):
        Library.create_or_open(folder)
    with pytest.raises(LibraryError, match="file"):
        Library.create_or_open(folder / "thesis.txt")
    assert [path.name for path in folder.iterdir()] == ["thesis.txt"]


def test_a_library_of_a_newer_program_is_left_alone(library: Library, root: Path) -> None:
    library.close()
    with sqlite3.connect(root / CATALOGUE_NAME) as connection:
        connection.execute("PRAGMA user_version = 999")
    connection.close()
    for way in (Library.open, Library.create_or_open):
        with pytest.raises(LibraryNewer, match="999") as caught:
            way(root)
        assert "upgrade" in caught.value.remedy


@pytest.mark.parametrize("version", range(schema.VERSION))
def test_every_older_version_is_migrated(tmp_path: Path, version: int) -> None:
    connection = sqlite3.connect(tmp_path / CATALOGUE_NAME)
    for migration in schema.MIGRATIONS[:version]:
        migration(connection)
    connection.execute(f"PRAGMA user_version = {version}")
    connection.commit()
    connection.close()
    with Library.open(tmp_path) as library:
        put_snapshot(library, put(library, "/a", "zebra"), b"state")
        assert len(library.search("zebra")) == 1
        assert library.verify() == []


def test_a_failing_migration_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(connection: sqlite3.Connection) -> None:
        connection.execute("CREATE TABLE half (x)")
        raise sqlite3.OperationalError("no")

    root = tmp_path / "library"
    with Library.create_or_open(root) as library:
        put(library, "/a", "text")
    with monkeypatch.context() as patched:
        patched.setattr("library.catalogue.MIGRATIONS", (*schema.MIGRATIONS, broken))
        patched.setattr("library.catalogue.VERSION", schema.VERSION + 1)
        with pytest.raises(LibraryError):
            Library.open(root)
    with Library.open(root) as library:
        assert library.count() == 1
        assert library._catalogue.read("SELECT 1 FROM sqlite_master WHERE name = 'half'") == []


def test_the_catalogue_is_set_up_to_keep_what_it_was_told(library: Library) -> None:
    pragmas = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}
    for name, value in pragmas.items():
        assert library._catalogue.read(f"PRAGMA {name}") == [(value,)]


@pytest.mark.parametrize("junk", [b"this is not a database" * 100, b"SQLite format 3\x00" + b"\xff" * 5000])
def test_a_catalogue_that_is_none(tmp_path: Path, junk: bytes) -> None:
    (tmp_path / CATALOGUE_NAME).write_bytes(junk)
    with pytest.raises(LibraryDamaged) as caught:
        Library.open(tmp_path)
    assert "ingest again" in caught.value.remedy


def test_a_damaged_page_is_reported_not_raised_as_sqlite(library: Library, root: Path) -> None:
    with library.writing():
        for number in range(200):
            put(library, f"/{number}", f"word{number} " * 200)
    library.close()
    path = root / CATALOGUE_NAME
    data = bytearray(path.read_bytes())
    for offset in range(8 * 4096, len(data), 3 * 4096):
        data[offset : offset + 200] = os.urandom(200)
    path.write_bytes(data)
    with Library.open(root) as again, contextlib.suppress(LibraryDamaged):
        assert again.verify()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_no_permission(library: Library, root: Path) -> None:
    library.close()
    root.chmod(0o500)
    try:
        with pytest.raises(StorageError), Library.open(root) as again:
            put(again, "/a", "text")
    finally:
        root.chmod(0o700)


def test_a_full_disk_is_said_and_nothing_is_lost(library: Library) -> None:
    put(library, "/a", "zebra")
    library._catalogue.read(f"PRAGMA max_page_count = {library._catalogue.read('PRAGMA page_count')[0][0]}")
    noise = os.urandom(200_000).hex()
    with pytest.raises(StorageError, match="full") as caught:
        put(library, "/b", noise)
    assert caught.value.exit_code == 7
    assert library.count() == 1
    assert library.verify() == []


def test_the_closed_library_says_so(library: Library) -> None:
    library.close()
    library.close()
    with pytest.raises(LibraryError, match="closed"):
        library.count()


def test_threads_share_one_library(library: Library) -> None:
    errors = []

    def work(number: int) -> None:
        try:
            with library.writing(wait_s=PATIENCE_S):
                put(library, f"/{number}", f"zebra {number}")
            library.search("zebra")
            list(library.documents())
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert library.count() == 6
    assert library.verify() == []


def test_where_the_library_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("BEYONDRAG_LIBRARY", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))
    assert default_root() == data_root() / "library"
    if os.name == "posix" and os.uname().sysname == "Linux":
        assert data_root() == tmp_path / "xdg" / "beyondrag"
    monkeypatch.setenv("BEYONDRAG_LIBRARY", "~/mine")
    assert default_root() == tmp_path / "me" / "mine"
    assert not (tmp_path / "xdg").exists()
