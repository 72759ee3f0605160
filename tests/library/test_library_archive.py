"""Archives: what goes out comes in; nothing else does."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shelf import pages_of, put
from small_kv import PROFILE, read, write_kv

from kvfiles.errors import BeyondragError, Cancelled, StorageError
from library.archive.exporting import Selection
from library.archive.importing import ImportReport, read_manifest
from library.errors import LibraryDamaged, LibraryError, LibraryNewer
from library.records import ReadingProfile, SourceFile
from library.store import Library
from library.upkeep import Upkeep

OTHER = ReadingProfile("d" * 32, "other", "3" * 64, {"codec": "exact"})
ODD_NAME = os.fsdecode(b"/docs/Ordner \xff/#100% a b.txt")


@pytest.fixture
def full(library: Library) -> Library:
    """Three documents: two volumes each, one read under another profile too, one without snapshots."""
    with library.writing():
        for number, path in enumerate(("/docs/a.txt", ODD_NAME)):
            read(library, put(library, path, f"zebra {number} " * 50, title="Ein Titel …"), n_volumes=2)
        read(library, library.page(1)[0], profile=OTHER)
        library.add_path(library.page(1)[0].id, SourceFile("/docs/copy.txt", 4, 5))
        put(library, "/docs/plain.txt", "okapi\fgiraffe")
        library.mark_missing("/docs/plain.txt")
    return library


@pytest.fixture
def archive(full: Library, tmp_path: Path) -> Path:
    Upkeep(full).export(tmp_path / "library.tar")
    return tmp_path / "library.tar"


@pytest.fixture
def other(tmp_path: Path) -> Any:
    with Library.create_or_open(tmp_path / "other") as opened:
        yield opened


def held(library: Library) -> dict[str, Any]:
    """All that an archive carries, in a form that can be compared."""
    return {
        document.id: (
            document.title,
            document.media_type,
            document.paths,
            document.missing,
            document.warnings,
            library.text(document.id),
            [library.volumes(document.id, profile.id) for profile in (PROFILE, OTHER)],
            [
                (r.ordinal, r.profile_id, r.n_tokens, r.codec, r.created_at, r.path.read_bytes())
                for r in library.snapshots(document.id)
            ],
        )
        for document in library.documents()
    }


def members(path: Path) -> list[tuple[str, bytes]]:
    with tarfile.open(path) as tar:
        found = []
        for member in tar:
            file = tar.extractfile(member)
            assert file is not None
            found.append((member.name, file.read()))
        return found


def write(path: Path, parts: list[tuple[str, bytes]]) -> Path:
    """An archive of these members, whatever they are."""
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as tar:
        for name, data in parts:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def forged(path: Path, kind: str, change: Callable[[Any], None]) -> Path:
    """The archive with one of its JSON members changed, its hash made to fit."""
    parts = members(path)
    at = next(i for i, (name, _) in enumerate(parts) if name.startswith(kind + "/"))
    told = orjson.loads(parts[at][1])
    change(told)
    data = orjson.dumps(told)
    parts[at] = (f"{kind}/{hashlib.sha256(data).hexdigest()}", data)
    return write(path.with_name("forged.tar"), parts)


def test_what_goes_out_comes_in(full: Library, archive: Path, other: Library) -> None:
    report = Upkeep(other).import_from(archive)
    assert held(other) == held(full)
    assert (report.added, report.completed, report.known) == (3, 0, 0)
    assert report.snapshots == {PROFILE.id: 4, OTHER.id: 1}
    assert report.profiles == (PROFILE, OTHER)
    assert Upkeep(other).verify(deep=True).sound
    assert [hit.document.path for hit in other.search("okapi")] == ["/docs/plain.txt"]
    assert other.source("/docs/a.txt") == (SourceFile("/docs/a.txt", 400, -1), full.page(1)[0].id)


def test_an_archive_is_a_tar_of_hashes(full: Library, archive: Path) -> None:
    parts = members(archive)
    assert all(name.split("/")[1] == hashlib.sha256(data).hexdigest() for name, data in parts)
    kinds = [name.split("/")[0] for name, _ in parts]
    document = ["document", "text", "pages"]
    assert kinds == ["manifest", *document, *["snapshot"] * 3, *document, *["snapshot"] * 2, *document, "end"]
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    manifest = read_manifest(archive)
    assert (manifest.n_documents, manifest.n_snapshots) == (3, 5)
    assert not list(archive.parent.glob("*.partial"))


def test_importing_twice_changes_nothing(archive: Path, other: Library) -> None:
    Upkeep(other).import_from(archive)
    before = held(other)
    report = Upkeep(other).import_from(archive)
    assert (report.added, report.completed, report.known) == (0, 0, 3)
    assert sum(report.snapshots.values()) == 0
    assert held(other) == before


def test_a_selection(full: Library, tmp_path: Path, other: Library) -> None:
    chosen = full.page(1)[0]
    target = tmp_path / "one.tar"
    exported = Upkeep(full).export(target, Selection([chosen.id, chosen.id], {OTHER.id}))
    assert (exported.n_documents, exported.n_snapshots, exported.left_out) == (1, 1, ())
    Upkeep(other).import_from(target)
    assert [r.profile_id for r in other.snapshots()] == [OTHER.id]
    assert other.profiles() == [OTHER]
    assert other.volumes(chosen.id, PROFILE.id) == ()


def test_a_known_document_gets_the_snapshots_it_lacks(full: Library, archive: Path, other: Library) -> None:
    document = put(other, "/mine/a.txt", "zebra 0 " * 50)
    kept = read(other, document, n_volumes=2)[0]
    other.drop_snapshot(other.snapshots()[1])
    report = Upkeep(other).import_from(archive)
    assert (report.added, report.completed) == (2, 1)
    assert other.document(document.id).paths == ("/mine/a.txt", "/docs/a.txt", "/docs/copy.txt")
    assert report.snapshots == {PROFILE.id: 3, OTHER.id: 1}
    assert other.snapshot(document.id, 0, PROFILE.id) == kept
    assert len(other.snapshots(document.id)) == 3


def test_a_document_that_was_cut_otherwise_keeps_its_reading(archive: Path, other: Library) -> None:
    document = put(other, "/mine/a.txt", "zebra 0 " * 50)
    read(other, document, n_volumes=3)
    before = (other.volumes(document.id, PROFILE.id), other.snapshots())
    Upkeep(other).import_from(archive)
    assert (other.volumes(document.id, PROFILE.id), other.snapshots(document.id)[:3]) == before


def test_a_known_text_stays_when_there_are_snapshots_of_it(
    full: Library, archive: Path, other: Library
) -> None:
    document_id = full.page(1)[0].id
    source = SourceFile("/docs/a.txt", 1, 1)
    mine = other.add(document_id, source, "mine", "text/plain", pages_of("parsed otherwise"))
    kept = read(other, mine)
    Upkeep(other).import_from(archive)
    assert other.text(document_id).text == "parsed otherwise"
    assert other.snapshots(document_id) == kept


def test_a_known_text_goes_when_nothing_was_read_of_it(full: Library, archive: Path, other: Library) -> None:
    document_id = full.page(1)[0].id
    source = SourceFile("/docs/a.txt", 1, 1)
    other.add(document_id, source, "mine", "text/plain", pages_of("parsed otherwise"))
    report = Upkeep(other).import_from(archive)
    assert report.completed == 1
    assert other.text(document_id) == full.text(document_id)
    assert len(other.snapshots(document_id)) == 3


def test_another_version_of_a_known_file_is_not_taken(archive: Path, other: Library) -> None:
    put(other, "/docs/plain.txt", "my own, newer text")
    report = Upkeep(other).import_from(archive)
    assert report.superseded == ["/docs/plain.txt"]
    assert report.added == 2
    assert [hit.document.path for hit in other.search("newer")] == ["/docs/plain.txt"]
    assert other.search("okapi") == []


def test_damaged_documents_and_snapshots_are_left_out_and_told(
    full: Library, tmp_path: Path, other: Library
) -> None:
    first, second, third = full.page(3)
    damaged, gone = full.snapshots(second.id)
    data = damaged.path.read_bytes()
    damaged.path.write_bytes(data[:-1] + b"\xff")
    gone.path.unlink()
    with full._catalogue.transaction() as connection:
        connection.execute("UPDATE texts SET checksum = 'x' WHERE document_id = ?", (third.id,))
    report = Upkeep(full).export(tmp_path / "rest.tar")
    assert (report.n_documents, report.n_snapshots) == (2, 3)
    assert len(report.left_out) == 3
    assert "checksum does not fit" in report.left_out[0]
    assert "its file is not there" in report.left_out[1]
    Upkeep(other).import_from(tmp_path / "rest.tar")
    assert {document.id for document in other.documents()} == {first.id, second.id}
    assert Upkeep(other).verify(deep=True).sound


def test_an_existing_file_is_not_written_over_unasked(full: Library, archive: Path) -> None:
    before = archive.read_bytes()
    with pytest.raises(LibraryError, match="exists"):
        Upkeep(full).export(archive)
    assert archive.read_bytes() == before
    Upkeep(full).export(archive, overwrite=True)


def test_a_stopped_export_leaves_nothing(full: Library, tmp_path: Path) -> None:
    with pytest.raises(Cancelled):
        Upkeep(full).export(tmp_path / "x.tar", cancelled=lambda: True)
    assert not list(tmp_path.glob("x.tar*"))


def test_a_stopped_import_keeps_what_came_before_and_goes_on(archive: Path, other: Library) -> None:
    report = ImportReport()
    with pytest.raises(Cancelled):
        Upkeep(other).import_from(archive, report, cancelled=lambda: True)
    assert report.added == other.count() == 1
    again = Upkeep(other).import_from(archive)
    assert (again.added, again.known) == (2, 1)


def test_progress(full: Library, tmp_path: Path, other: Library) -> None:
    seen: list[tuple[int, int]] = []
    Upkeep(full).export(tmp_path / "x.tar", on_bytes=lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen)
    assert seen[-1][0] == seen[-1][1]
    size = (tmp_path / "x.tar").stat().st_size
    seen.clear()
    Upkeep(other).import_from(tmp_path / "x.tar", on_bytes=lambda done, total: seen.append((done, total)))
    assert len(seen) == 3
    assert size - 4096 < seen[-1][0] < seen[-1][1] == size


# ------------------------------------------------------------------------ hostile archives


def at(told: Any, path: str, value: Any) -> None:
    *way, last = [int(key) if key.isdigit() else key for key in path.split(".")]
    for key in way:
        told = told[key]
    told[last] = value


FORGERIES = {
    "an id that is none": ("document", "id", "../../etc/passwd", "makes no sense"),
    "a relative path": ("document", "paths.0.0", "docs/a.txt", "makes no sense"),
    "a path with a zero byte": ("document", "paths.0.0", "/docs/%00a.txt", "makes no sense"),
    "no path": ("document", "paths", [], "not complete"),
    "an endless path": ("document", "paths.0.0", "/" + "a" * 20_000, "makes no sense"),
    "a huge number": ("document", "paths.0.1", 1 << 64, "makes no sense"),
    "a text bomb": ("document", "text.1", 1 << 40, "longer than any"),
    "a text that inflates further": ("document", "text.1", 3, "its size does not fit"),
    "another text": ("document", "text.0", "0" * 64, "not in their order"),
    "a wrong checksum": ("document", "checksum", "x", "its checksum does not fit"),
    "a wrong length": ("document", "characters", 1, "another length"),
    "a negative volume": ("document", "readings.0.volumes.0.0", -1, "makes no sense"),
    "volumes that overlap": ("document", "readings.0.volumes.1.0", 1, "do not follow"),
    "a snapshot of no volume": ("document", "readings.0.snapshots.0.0", 9, "makes no sense"),
    "a snapshot of another size": ("document", "readings.0.snapshots.0.2", 9, "another size"),
    "an unknown profile": ("document", "readings.0.profile", "f" * 32, "not complete"),
    "a profile that is a path": ("manifest", "profiles.0.id", "../x", "not the id of a reading profile"),
    "fewer documents": ("end", "documents", 4, "documents are missing"),
    "fewer snapshots": ("end", "snapshots", 4, "documents are missing"),
    "no counts": ("manifest", "bytes", None, "makes no sense"),
    "deep nesting": ("manifest", "profiles", "x", "makes no sense"),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_forged_descriptions_are_refused(archive: Path, other: Library, name: str) -> None:
    kind, path, value, expected = FORGERIES[name]
    forgery = forged(archive, kind, lambda told: at(told, path, value)) if value != 1 << 64 else None
    if forgery is None:  # JSON libraries write no such number
        parts = members(archive)
        data = parts[1][1].replace(b",400,", b",%d," % (1 << 64), 1)
        parts[1] = (f"document/{hashlib.sha256(data).hexdigest()}", data)
        forgery = write(archive.with_name("forged.tar"), parts)
    with pytest.raises(LibraryError, match=expected):
        Upkeep(other).import_from(forgery)
    assert Upkeep(other).verify(deep=True).sound
    assert sorted(p.name for p in (other.root / "kv" / "scratch").iterdir()) == []


def test_control_characters_do_not_come_in(archive: Path, other: Library) -> None:
    forgery = forged(archive, "document", lambda told: at(told, "title", "\x1b[31mred\u202e\n" + "x" * 999))
    Upkeep(other).import_from(forgery)
    title = other.page(1)[0].title
    assert title.isprintable()
    assert len(title) <= 300


def test_a_newer_archive_is_refused_by_name(archive: Path, other: Library) -> None:
    forgery = forged(archive, "manifest", lambda told: at(told, "archive", 3))
    with pytest.raises(LibraryNewer, match="archive format 3, this one knows 2") as caught:
        Upkeep(other).import_from(forgery)
    assert "upgrade" in caught.value.remedy


def test_a_profile_that_claims_to_be_a_known_one(archive: Path, other: Library) -> None:
    other.put_profile(ReadingProfile(PROFILE.id, "mine", "9" * 64, {"codec": "k4v4"}))
    with pytest.raises(LibraryDamaged, match="is not the one known here"):
        Upkeep(other).import_from(archive)
    assert other.count() == 0
    assert other.profiles()[0].model_name == "mine"


@pytest.mark.parametrize(
    "name", ["../../evil", "/etc/passwd", "snapshot/../../x", "document/" + "A" * 64, "x" * 300]
)
def test_members_with_other_names_are_refused(
    archive: Path, other: Library, tmp_path: Path, name: str
) -> None:
    forgery = write(tmp_path / "forged.tar", [*members(archive)[:4], (name, b"evil"), *members(archive)[4:]])
    before = {path for path in tmp_path.rglob("*") if "other" not in path.parts}
    with pytest.raises(LibraryDamaged, match="no part of a library"):
        Upkeep(other).import_from(forgery)
    assert {path for path in tmp_path.rglob("*") if "other" not in path.parts} == before
    assert other.verify() == []


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
)
def test_members_that_are_no_files_are_refused(archive: Path, other: Library, kind: bytes) -> None:
    info = tarfile.TarInfo("snapshot/" + "0" * 64)
    info.type, info.linkname = kind, "/etc/passwd" if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
    data = archive.read_bytes()
    forgery = archive.with_name("forged.tar")
    forgery.write_bytes(info.tobuf() + data)
    for reading in (read_manifest, Upkeep(other).import_from):
        with pytest.raises(LibraryDamaged, match=r"no part of a library|does not begin"):
            reading(forgery)


def test_a_snapshot_that_is_not_what_it_claims_is_not_taken(
    full: Library, tmp_path: Path, other: Library
) -> None:
    """Sound bytes, but of another document: the document comes in without it."""
    document = full.page(1, 1)[0]
    scratch = full.snapshot_scratch()
    write_kv(scratch, "0" * 64)
    full.put_snapshot(document.id, 0, PROFILE.id, scratch, 7, "exact")
    Upkeep(full).export(tmp_path / "x.tar", Selection([document.id]))
    report = Upkeep(other).import_from(tmp_path / "x.tar")
    assert "was not taken: it is that of another volume" in report.refused[0]
    assert [record.ordinal for record in other.snapshots()] == [1]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.33, 0.5, 0.9, 0.99])
def test_an_archive_that_is_cut_off(archive: Path, other: Library, full: Library, share: float) -> None:
    data = archive.read_bytes()
    cut = archive.with_name("cut.tar")
    cut.write_bytes(data[: int(share * (len(data) - 2048))])
    report = ImportReport()
    with pytest.raises(LibraryDamaged, match="cut off"):
        Upkeep(other).import_from(cut, report)
    assert other.count() == report.added <= 3
    everything = held(full)
    assert held(other).items() <= everything.items()
    assert Upkeep(other).verify(deep=True).sound
    Upkeep(other).import_from(archive)
    assert held(other) == everything


@pytest.mark.slow
@settings(
    max_examples=500 if os.environ.get("BEYONDRAG_LONG", "") not in ("", "0") else 30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(data=st.data())
def test_a_changed_byte_never_comes_in(
    full: Library, archive: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Whatever is changed: an error in words, or (in unused parts of headers) no difference at all."""
    original = bytearray(archive.read_bytes())
    at = data.draw(st.integers(0, len(original) - 1))
    original[at] ^= data.draw(st.integers(1, 255))
    tmp_path = tmp_path_factory.mktemp("changed")
    changed = tmp_path / "changed.tar"
    changed.write_bytes(original)
    everything = held(full)
    with Library.create_or_open(tmp_path / "library") as other:
        try:
            Upkeep(other).import_from(changed)
            assert held(other) == everything
        except BeyondragError:
            assert held(other).items() <= everything.items()
        assert Upkeep(other).verify(deep=True).sound


@pytest.mark.parametrize("junk", [b"", b"junk", bytes(4096), b"PK\x03\x04" * 500, os.urandom(3000)])
def test_files_that_are_no_archives(other: Library, tmp_path: Path, junk: bytes) -> None:
    (tmp_path / "junk").write_bytes(junk)
    with pytest.raises(LibraryDamaged):
        Upkeep(other).import_from(tmp_path / "junk")


def test_what_is_no_file_is_refused(other: Library, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, tmp_path / "nowhere"):
        with pytest.raises(StorageError):
            Upkeep(other).import_from(path)


def test_too_little_room_is_said_before(
    full: Library, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = type("Usage", (), {"free": 100})
    monkeypatch.setattr("library.archive.exporting.shutil.disk_usage", lambda _path: free)
    with pytest.raises(StorageError, match=r"the disk has 0\.0 GB left"):
        Upkeep(full).export(tmp_path / "x.tar")
    assert not list(tmp_path.glob("x.tar*"))
