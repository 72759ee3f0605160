"""What a dry run says would be read is what an ingest reads."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from beyondrag.planning import PlannedReading
from ingest.indexing import index, look
from ingest.scan import scan
from library.records import ReadingProfile, Volume
from library.store import Library

PROFILE = ReadingProfile("p" * 16, "a model", "0" * 64, {"codec": "exact"})
ALPHA, BETA = "alpha report, the longer one of the two", "beta report"


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with Library.create_or_open(tmp_path / "library") as opened:
        opened.put_profile(PROFILE)
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "documents"
    made.mkdir()
    (made / "a.txt").write_text(ALPHA)
    (made / "b.txt").write_text(BETA)
    return made


def planned(library: Library | None, folder: Path, profile_id: str | None = PROFILE.id) -> list[int]:
    reading = PlannedReading(library)
    for seen in look(library, scan([folder]).files, retry_failed=False):
        reading.add(seen)
    return sorted(reading.unread_chars(profile_id))


def ingest(library: Library, folder: Path) -> None:
    with library.writing():
        index(library, [folder])


def read_all(library: Library) -> None:
    for document in library.documents():
        n_chars = len(library.text(document.id).text)
        library.put_volumes(document.id, PROFILE.id, [Volume(document.id, 0, 0, n_chars, 3, "")])
        file = library.snapshot_scratch()
        file.write_bytes(document.id.encode())
        library.put_snapshot(document.id, 0, PROFILE.id, file, n_tokens=3, codec="exact")


def test_everything_is_to_be_read_until_it_is_read(library: Library, folder: Path) -> None:
    everything = sorted([len(ALPHA), len(BETA)])
    assert planned(None, folder) == planned(library, folder) == everything
    ingest(library, folder)
    assert planned(library, folder) == everything, "searchable is not read"
    read_all(library)
    assert planned(library, folder) == []
    assert planned(library, folder, "q" * 16) == everything, "another model reads for itself"
    assert planned(library, folder, None) == everything


def test_what_gets_another_title_is_read_again(library: Library, folder: Path) -> None:
    ingest(library, folder)
    read_all(library)
    alpha = library.find("a.txt")
    with library.parts.catalogue.transaction() as connection:
        connection.execute("UPDATE documents SET title = 'Untitled 1' WHERE id = ?", (alpha.id,))
    for name in ("a.txt", "b.txt"):
        os.utime(folder / name, ns=(5, 5))
    assert planned(library, folder) == [len(ALPHA)]
    assert len(library.snapshots()) == 2, "a look changes nothing"
    ingest(library, folder)
    assert [record.document_id for record in library.snapshots()] == [library.find("b.txt").id]
    assert planned(library, folder) == [len(ALPHA)]


def test_what_a_better_parser_gives_another_text_is_read_again(library: Library, folder: Path) -> None:
    ingest(library, folder)
    beta = library.find("b.txt")
    with library.parts.catalogue.transaction() as connection:
        connection.execute("UPDATE texts SET checksum = 'another' WHERE document_id = ?", (beta.id,))
    read = library.find("a.txt")
    library.put_volumes(read.id, PROFILE.id, [Volume(read.id, 0, 0, read.n_chars, 3, "")])
    for document in (read, beta):
        library.put_volumes(document.id, PROFILE.id, [Volume(document.id, 0, 0, document.n_chars, 3, "")])
        file = library.snapshot_scratch()
        file.write_bytes(document.id.encode())
        library.put_snapshot(document.id, 0, PROFILE.id, file, n_tokens=3, codec="exact")
    os.utime(folder / "b.txt", ns=(5, 5))
    assert planned(library, folder) == [len(BETA)]


def test_a_copy_under_another_name_is_not_read_again(library: Library, folder: Path) -> None:
    (folder / "a.txt").write_text("17")  # says nothing: the title is the file's name
    shutil.copy(folder / "a.txt", folder / "annual plan.txt")
    assert planned(library, folder) == [2, len(BETA)], "once for both"
    ingest(library, folder)
    read_all(library)
    os.utime(folder / "annual plan.txt", ns=(5, 5))
    shutil.copy(folder / "b.txt", folder / "c.txt")
    assert planned(library, folder) == []


def test_the_messages_of_an_unchanged_mailbox_count(library: Library, folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()
    mail = b"From a Thu Mar  4 10:00:00 2021\nSubject: letter %d\n\nbody %d\n\n"
    (folder / "box.mbox").write_bytes(b"".join(mail % (number, number) for number in range(3)))
    before = planned(library, folder)
    assert len(before) == 3
    ingest(library, folder)
    assert planned(library, folder) == before
    read_all(library)
    assert planned(library, folder) == []
