"""`verify --deep` sees into snapshots; `repair` mends what can be rebuilt and says what it dropped."""

from __future__ import annotations

import errno
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from shelf import identity, pages_of, put
from small_kv import HEAD_DIM, HEADS, LAYERS, PROFILE, VALUES_PER_TOKEN, read, write_kv

from kvfiles.errors import StorageError
from kvfiles.kernels import best
from kvfiles.snapshot import Snapshot
from library.errors import LibraryLocked
from library.integrity import Harm
from library.records import ReadingProfile, SourceFile
from library.roots import CATALOGUE_NAME
from library.store import Library
from library.upkeep import Upkeep

OTHER = ReadingProfile("d" * 32, "other", "3" * 64, {"codec": "exact"})


@pytest.fixture
def full(library: Library) -> Library:
    """Three documents of two volumes each."""
    with library.writing():
        for number in range(3):
            read(library, put(library, f"/{number}.txt", f"zebra {number} " * 50), n_volumes=2)
    return library


def kv_files(root: Path) -> list[Path]:
    return sorted((root / "kv").glob("??/*.kv"))


def change(root: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(root / CATALOGUE_NAME)) as connection:
        connection.execute(statement, values)
        connection.commit()


def flip_a_byte(root: Path) -> None:
    path = kv_files(root)[0]
    data = bytearray(path.read_bytes())
    data[-70] ^= 1
    path.write_bytes(data)


def exchange(root: Path, **options: object) -> None:
    """Put a sound file of another kind in the place of a snapshot, with a row that fits its bytes."""
    with Library.open(root) as library:
        record = library.snapshots()[0]
        scratch = library.snapshot_scratch()
        write_kv(scratch, **{"document_id": record.document_id, "ordinal": record.ordinal} | options)
        library.put_snapshot(record.document_id, record.ordinal, PROFILE.id, scratch, 7, "exact")


DEEP_HARMS: dict[str, tuple[Callable[[Path], None], str]] = {
    "a flipped byte": (flip_a_byte, "is damaged, its checksum does not fit"),
    "another profile": (lambda root: exchange(root, profile="e" * 32), "another profile"),
    "other tokens": (lambda root: exchange(root, n_tokens=9), "of another text than noted"),
    "another volume": (lambda root: exchange(root, ordinal=5), "is that of another volume"),
    "another codec": (lambda root: change(root, "UPDATE snapshots SET codec = 'k4v4'"), "instead of k4v4"),
}


def test_the_fakes_are_real_snapshots(full: Library) -> None:
    record = full.snapshots()[0]
    with Snapshot(record.path, best()) as snapshot:
        snapshot.container.verify()
        snapshot.decoder()
        assert (snapshot.n_tokens, snapshot.header.profile) == (7, PROFILE.id)


def test_a_sound_library_is_sound_deep_down(full: Library) -> None:
    seen: dict[str, int] = {}
    verdict = Upkeep(full).verify(
        deep=True,
        on_document=lambda n: seen.update(documents=n),
        on_snapshot=lambda n: seen.update(snapshots=n),
    )
    assert verdict.sound
    assert (verdict.n_documents, verdict.n_snapshots) == (3, 6)
    assert seen == {"documents": 3, "snapshots": 6}


@pytest.mark.parametrize("name", DEEP_HARMS)
def test_what_only_reading_shows(full: Library, root: Path, name: str) -> None:
    harm, expected = DEEP_HARMS[name]
    harm(root)
    assert full.verify() == []
    findings = Upkeep(full).verify(deep=True).findings
    assert {finding.harm for finding in findings} == {Harm.SNAPSHOT}
    assert all(expected in finding.text and finding.text.endswith(".") for finding in findings)


def test_a_section_that_was_damaged_before_it_was_stored(full: Library) -> None:
    record = full.snapshots()[0]
    scratch = full.snapshot_scratch()
    data = bytearray(record.path.read_bytes())
    data[-70] ^= 1
    scratch.write_bytes(data)
    full.put_snapshot(record.document_id, record.ordinal, PROFILE.id, scratch, 7, "exact")
    (finding,) = Upkeep(full).verify(deep=True).findings
    assert "is damaged, section" in finding.text


def test_damaged_snapshots_are_dropped_and_nothing_else(full: Library, root: Path) -> None:
    flip_a_byte(root)
    bad = kv_files(root)[0]
    kv_files(root)[1].unlink()
    before = full.snapshots()
    report = Upkeep(full).repair(deep=True)
    assert len(report.found) == 2
    assert len([line for line in report.done if "was dropped; the document is read again" in line]) == 2
    assert report.left == ()
    assert not bad.exists()
    assert len(full.snapshots()) == 4
    assert set(full.snapshots()) < set(before)
    assert full.count() == 3
    assert Upkeep(full).repair(deep=True).done == ()


@pytest.mark.parametrize(
    "harm",
    [
        lambda root: shutil.rmtree(root / "index"),
        lambda root: next((root / "index").glob("*/passages/*.term")).write_bytes(b""),
        lambda root: (root / "index").rename(root / "aside"),
        lambda root: change(root, "DELETE FROM settings"),
        lambda root: change(root, "DELETE FROM documents WHERE key = 2"),
    ],
)
def test_the_index_is_rebuilt(full: Library, root: Path, harm: Callable[[Path], object]) -> None:
    full.close()
    harm(root)
    with Library.open(root) as again:
        report = Upkeep(again).repair()
        assert "The search index was built again from the catalogue." in report.done
        assert report.left == ()
        assert {hit.document.path for hit in again.search("zebra")} == {d.path for d in again.documents()}


def test_lengths_are_noted_from_the_text(full: Library, root: Path) -> None:
    change(root, "UPDATE documents SET n_chars = 1, n_pages = 9 WHERE key = 1")
    assert Upkeep(full).repair().left == ()
    assert full.page(1)[0].n_chars == len("zebra 0 " * 50)


def test_a_damaged_text_whose_file_is_there_is_dropped_to_be_ingested_again(
    library: Library, root: Path, tmp_path: Path
) -> None:
    file = tmp_path / "a file.txt"
    file.write_text("words on disk")
    other = tmp_path / "other.txt"
    other.write_text("not these bytes any more")
    for path, text in ((file, "words on disk"), (other, "as it was")):
        source = SourceFile(str(path), 1, 1)
        library.add(identity(text), source, path.stem, "text/plain", pages_of(text))
    library.commit_index()
    change(root, "UPDATE texts SET text_zlib = x'00'")
    report = Upkeep(library).repair()
    assert report.again == (str(file),)
    assert "whose text is damaged, was dropped; ingest its file again" in report.done[0]
    assert [finding.subject for finding in report.left] == [identity("as it was")]
    assert [document.id for document in library.documents()] == [identity("as it was")]


def test_adding_a_document_again_heals_its_text(library: Library, root: Path) -> None:
    document = put(library, "/a", "some words")
    read(library, document)
    change(root, "UPDATE texts SET text_zlib = x'00'")
    put(library, "/a", "some words")
    assert library.text(document.id).text == "some words"
    assert len(library.snapshots()) == 1
    assert library.verify() == []


def test_rows_that_refer_to_nothing_are_dropped_and_told(full: Library, root: Path) -> None:
    change(root, "DELETE FROM documents WHERE key = 1")
    report = Upkeep(full).repair(deep=True)
    assert report.again == ("/0.txt",)
    assert any("1 rows of the table texts" in line for line in report.done)
    assert any("2 files that nothing refers to were removed" in line for line in report.done)
    assert report.left == ()
    assert full.count() == 2


def test_a_damaged_prefix_is_removed(full: Library) -> None:
    write_kv(full.prefix_path(PROFILE.id), "0" * 64)
    assert Upkeep(full).verify(deep=True).sound
    full.prefix_path(PROFILE.id).write_bytes(b"junk")
    report = Upkeep(full).repair(deep=True)
    assert [finding.harm for finding in report.found] == [Harm.PREFIX]
    assert not full.prefix_path(PROFILE.id).exists()


def test_foreign_files_stay_and_are_told(full: Library, root: Path) -> None:
    (root / "kv" / "notes.txt").write_text("mine")
    report = Upkeep(full).repair()
    assert [finding.harm for finding in report.left] == [Harm.FOREIGN]
    assert (root / "kv" / "notes.txt").read_text() == "mine"


def test_a_file_that_may_not_be_read_is_no_damage(full: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(path: Path) -> tuple[str, int]:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr("library.kvcheck.hash_regular_file", forbidden)
    with pytest.raises(StorageError, match="no permission"):
        Upkeep(full).repair(deep=True)
    assert len(full.snapshots()) == 6


def test_repair_and_gc_wait_for_nobody(full: Library, root: Path) -> None:
    with Library.open(root) as other, full.writing():
        with pytest.raises(LibraryLocked):
            Upkeep(other).repair()
        with pytest.raises(LibraryLocked):
            Upkeep(other).collect_garbage()
        assert Upkeep(other).verify(deep=True).sound


# ------------------------------------------------------------------------------------ gc


def test_gc_removes_what_nothing_refers_to(full: Library, root: Path) -> None:
    scratch = root / "kv" / "scratch"
    left_over = [
        scratch / f"1234-{'0' * 32}.kv",
        scratch / f".1234-{'0' * 20}.abc_.tmp",
        root / "kv" / "prefix" / f".{'c' * 32}.kv.x1.tmp",
        root / "kv" / "prefix" / f"{'f' * 32}.kv",
        root / "kv" / "ab" / f"ab{'0' * 62}.kv",
        root / "index" / "f1-99" / "documents" / "meta.json",
        root / "index" / "f1-1" / "passages" / ".tmpAb3dEf",
    ]
    foreign = [scratch / "notes.txt", root / "kv" / "ab" / "thesis.kv"]
    for path in (*left_over, *foreign):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"12345")
    full.close()  # whoever made snapshots may be writing another one
    with Library.open(root) as again:
        upkeep = Upkeep(again)
        shown = upkeep.collect_garbage(keep=True)
        assert all(path.exists() for path in left_over)
        report = upkeep.collect_garbage()
        assert report == shown
        assert report.size_bytes == 30  # a half-written index file is not counted
        assert not any(path.exists() for path in left_over)
        assert all(path.exists() for path in foreign)
        assert upkeep.collect_garbage().files == ()
        assert len(again.snapshots()) == 6
        assert len(again.search("zebra")) == 3


def test_gc_leaves_what_another_program_may_be_writing(full: Library, root: Path) -> None:
    being_written = full.snapshot_scratch()
    half = being_written.with_name(f".{being_written.name}.x.tmp")
    for path in (being_written, half):
        path.write_bytes(b"x")
    with Library.open(root) as other:
        Upkeep(other).collect_garbage()
        assert being_written.exists()
        assert half.exists()
        full.close()
        assert {left.path for left in Upkeep(other).collect_garbage().files} == {being_written, half}


# --------------------------------------------------------------------------------- stats


def test_statistics(full: Library, root: Path) -> None:
    full.put_profile(OTHER)
    read(full, full.page(1)[0], profile=OTHER)
    full.mark_missing("/2.txt")
    found = Upkeep(full).statistics(PROFILE.id)
    sizes = [path.stat().st_size for path in kv_files(root)]
    assert (found.n_documents, found.n_missing, found.n_pages, found.n_failures) == (3, 1, 3, 0)
    assert found.n_chars == found.text_bytes == 3 * 50 * len("zebra 0 ")
    assert 0 < found.stored_text_bytes < found.text_bytes
    assert found.snapshot_bytes == sum(sizes)
    assert found.catalogue_bytes >= (root / CATALOGUE_NAME).stat().st_size
    assert found.total_bytes == sum(
        path.stat().st_size for path in root.rglob("*") if path.is_file() and path.suffix != ".lock"
    ) + sum(path.stat().st_size for path in (root / "index").rglob("*.lock"))
    current, stale = found.profiles
    assert (current.current, current.codec, current.n_snapshots, current.n_tokens) == (True, "exact", 6, 42)
    assert current.f16_bytes == 42 * VALUES_PER_TOKEN * 2 == 42 * LAYERS * HEADS * 2 * HEAD_DIM * 2
    assert current.compression == current.f16_bytes / current.size_bytes
    assert current.bits_per_value == pytest.approx(16 / current.compression)
    assert (stale.model_name, stale.current, stale.n_snapshots) == ("other", False, 1)


def test_statistics_of_snapshots_that_cannot_be_read(full: Library, root: Path) -> None:
    for path in kv_files(root):
        path.write_bytes(b"junk")
    (profile,) = Upkeep(full).statistics().profiles
    assert (profile.f16_bytes, profile.compression, profile.bits_per_value) == (None, None, None)
