"""One run after another over a folder that changes: nothing is read twice, nothing is lost."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from ingest import indexing
from ingest.errors import NothingToIngest, ParseFailure
from ingest.indexing import FileState, IndexReport, index, look
from ingest.sandbox import ParsedFile, ParserPool
from ingest.scan import ScannedFile, scan
from kvfiles.errors import Cancelled
from library.errors import DocumentNotFound, LibraryDamaged
from library.records import ReadingProfile, SnapshotRecord, Volume
from library.store import Library


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with Library.create_or_open(tmp_path / "library") as opened:
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "documents"
    made.mkdir()
    (made / "a.txt").write_text("alpha report")
    (made / "b.txt").write_text("beta report")
    return made


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were opened, in order."""
    names: list[str] = []
    parse = ParserPool.parse

    def counted(self: ParserPool, file: ScannedFile) -> ParsedFile:
        names.append(file.path.name)
        return parse(self, file)

    monkeypatch.setattr(ParserPool, "parse", counted)
    return names


def run(library: Library, *paths: Path, prune: bool = False, retry_failed: bool = False) -> IndexReport:
    with library.writing():
        return index(library, list(paths), prune=prune, retry_failed=retry_failed)


def states(report: IndexReport) -> dict[str, str]:
    return {outcome.path.name: outcome.state.value for outcome in report.outcomes}


def names(library: Library) -> set[str]:
    return {document.name for document in library.documents()}


def test_new_then_unchanged_and_not_opened_again(library: Library, folder: Path, parsed: list[str]) -> None:
    assert states(run(library, folder)) == {"a.txt": "new", "b.txt": "new"}
    assert sorted(parsed) == ["a.txt", "b.txt"]
    report = run(library, folder)
    assert states(report) == {"a.txt": "unchanged", "b.txt": "unchanged"}
    assert len(report.document_ids) == 2
    assert sorted(parsed) == ["a.txt", "b.txt"]
    assert library.search("alpha")[0].document.name == "a.txt"


def test_a_changed_file_replaces_its_document(library: Library, folder: Path) -> None:
    run(library, folder)
    (folder / "a.txt").write_text("gamma report, which is longer")
    assert states(run(library, folder)) == {"a.txt": "changed", "b.txt": "unchanged"}
    assert library.count() == 2
    assert library.search("alpha") == []
    assert library.search("gamma")[0].document.name == "a.txt"


def test_a_touched_file_is_the_same_document(library: Library, folder: Path, parsed: list[str]) -> None:
    run(library, folder)
    os.utime(folder / "a.txt", ns=(5, 5))
    assert states(run(library, folder))["a.txt"] == "unchanged"
    run(library, folder)
    assert sorted(parsed) == ["a.txt", "a.txt", "b.txt"], "read once more, then known again"


PROFILE = ReadingProfile("p" * 16, "a model", "0" * 64, {})


def read_with_a_model(library: Library, name: str) -> SnapshotRecord:
    """Volumes and a snapshot, of a few bytes that nothing will open."""
    document = library.find(name)
    library.put_profile(PROFILE)
    library.put_volumes(document.id, PROFILE.id, [Volume(document.id, 0, 0, document.n_chars, 3, "")])
    file = library.snapshot_scratch()
    file.write_bytes(b"state")
    return library.put_snapshot(document.id, 0, PROFILE.id, file, 3, "exact")


def test_a_touched_file_mends_a_damaged_text_and_keeps_its_snapshot(library: Library, folder: Path) -> None:
    run(library, folder)
    read_with_a_model(library, "a.txt")
    document = library.find("a.txt")
    with library.parts.catalogue.transaction() as connection:
        connection.execute("UPDATE texts SET text_zlib = x'00' WHERE document_id = ?", (document.id,))
    with pytest.raises(LibraryDamaged):
        library.text(document.id)
    run(library, folder)
    assert library.verify(), "a file of the same size and time is not opened"
    os.utime(folder / "a.txt", ns=(5, 5))
    assert states(run(library, folder))["a.txt"] == "unchanged"
    assert library.text(document.id).text.strip() == "alpha report"
    assert library.verify() == []
    assert library.snapshots(document.id)


def test_a_better_title_costs_the_snapshot_and_the_same_title_does_not(
    library: Library, folder: Path
) -> None:
    run(library, folder)
    good = library.find("a.txt")
    with library.parts.catalogue.transaction() as connection:
        connection.execute("UPDATE documents SET title = 'Untitled 1' WHERE id = ?", (good.id,))
    for name in ("a.txt", "b.txt"):
        read_with_a_model(library, name)
        os.utime(folder / name, ns=(5, 5))
    run(library, folder)
    assert library.document(good.id).title == good.title
    assert library.snapshots(good.id) == []
    assert library.volumes(good.id, PROFILE.id) == ()
    assert library.snapshots(library.find("b.txt").id)


def test_copies_under_other_names_do_not_take_turns_at_the_title(library: Library, folder: Path) -> None:
    (folder / "a.txt").write_text("17")  # says nothing: the title is the file's name
    shutil.copy(folder / "a.txt", folder / "annual plan.txt")
    run(library, folder)
    title = library.find("a.txt").title
    read_with_a_model(library, "a.txt")
    os.utime(folder / "annual plan.txt", ns=(5, 5))
    run(library, folder)
    assert library.find("a.txt").title == title
    assert library.snapshots(library.find("a.txt").id)
    (folder / "a.txt").unlink()
    run(library, folder)
    os.utime(folder / "annual plan.txt", ns=(6, 6))
    run(library, folder)
    assert library.find("annual plan.txt").title == "annual plan"


def test_a_renamed_file_is_called_by_its_new_name_though_the_old_one_is_not_pruned(
    library: Library, folder: Path
) -> None:
    run(library, folder)
    (folder / "a.txt").rename(folder / "zebra.txt")
    run(library, folder)
    document = library.find("zebra.txt")
    assert (document.name, document.missing) == ("zebra.txt", False)
    assert [Path(path).name for path in document.paths] == ["zebra.txt", "a.txt"]
    assert [hit.document.id for hit in library.search("zebra")] == [document.id], "the index knows it too"
    (folder / "zebra.txt").rename(folder / "a.txt")
    run(library, folder)
    assert library.find("a.txt").name == "a.txt"
    assert library.search("zebra") == []


def test_a_copy_shares_the_document(library: Library, folder: Path) -> None:
    shutil.copy(folder / "a.txt", folder / "c.txt")
    report = run(library, folder)
    assert states(report) == {"a.txt": "new", "b.txt": "new", "c.txt": "copy"}
    assert library.count() == len(report.document_ids) == 2
    assert [Path(path).name for path in library.find("c.txt").paths] == ["a.txt", "c.txt"]


def test_a_dry_look_counts_copies_too_and_changes_nothing(library: Library, folder: Path) -> None:
    shutil.copy(folder / "a.txt", folder / "c.txt")
    for known in (None, library):
        seen = [s.outcome.state for s in look(known, scan([folder]).files, retry_failed=False)]
        assert seen == [FileState.NEW, FileState.NEW, FileState.COPY]
    assert library.count() == 0


def test_a_renamed_file_keeps_its_document(library: Library, folder: Path) -> None:
    run(library, folder)
    before = library.find("a.txt").id
    (folder / "a.txt").rename(folder / "renamed.txt")
    report = run(library, folder, prune=True)
    assert states(report)["renamed.txt"] == "copy"
    assert library.find("renamed.txt").id == before
    assert names(library) == {"renamed.txt", "b.txt"}


@pytest.mark.parametrize("how", ["absolute", "relative", "roundabout"])
def test_a_deleted_file_is_marked_and_goes_only_with_prune(
    library: Library, folder: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    (folder / "inner").mkdir()
    monkeypatch.chdir(folder / "inner")
    path = {"absolute": folder, "relative": Path(".."), "roundabout": folder / "inner" / ".."}[how]
    run(library, path)
    (folder / "a.txt").unlink()
    report = run(library, path)
    assert report.missing == (str(folder / "a.txt"),)
    assert library.find("a.txt").missing
    assert library.search("alpha"), "it can still be asked about"
    run(library, path, prune=True)
    assert names(library) == {"b.txt"}


def test_a_file_that_came_back_is_not_pruned(library: Library, folder: Path, tmp_path: Path) -> None:
    run(library, folder)
    (folder / "a.txt").rename(tmp_path / "away")
    run(library, folder)
    (tmp_path / "away").rename(folder / "a.txt")
    report = run(library, folder, prune=True)
    assert states(report)["a.txt"] == "unchanged"
    assert names(library) == {"a.txt", "b.txt"}
    assert not library.find("a.txt").missing


def test_an_emptied_folder_marks_its_documents(library: Library, folder: Path) -> None:
    run(library, folder)
    for file in folder.iterdir():
        file.unlink()
    assert len(run(library, folder).missing) == 2
    assert all(document.missing for document in library.documents())
    run(library, folder, prune=True)
    assert library.count() == 0
    with pytest.raises(NothingToIngest):
        run(library, folder)


def test_other_folders_are_left_alone(library: Library, folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "documents2"
    other.mkdir()
    (other / "o.txt").write_text("omega")
    run(library, folder, other)
    (other / "o.txt").unlink()
    (folder / "a.txt").unlink()
    assert run(library, folder, prune=True).missing == (str(folder / "a.txt"),)
    assert names(library) == {"b.txt", "o.txt"}


def test_a_folder_that_cannot_be_entered_is_not_empty(
    library: Library, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "inner").mkdir()
    (folder / "inner" / "c.txt").write_text("gamma")
    run(library, folder)
    shutil.move(folder / "inner", folder.parent / "elsewhere")

    stat = os.stat

    def refused(path: str | int, **options: object) -> os.stat_result:
        if isinstance(path, str) and "inner" in path:
            raise PermissionError(13, "Permission denied", path)
        return stat(path, **options)  # type: ignore[call-overload,no-any-return]  # os.stat's own options

    monkeypatch.setattr(indexing.os, "stat", refused)
    assert run(library, folder, prune=True).missing == ()
    assert names(library) == {"a.txt", "b.txt", "c.txt"}


def test_a_failure_is_told_again_but_not_tried_until_the_file_changes(
    library: Library, folder: Path, parsed: list[str]
) -> None:
    (folder / "bad.txt").write_bytes(bytes(5000))
    first = run(library, folder)
    second = run(library, folder)
    assert states(first)["bad.txt"] == states(second)["bad.txt"] == "failed"
    assert parsed.count("bad.txt") == 1
    one, two = (next(o.failure for o in r.outcomes if o.failure) for r in (first, second))
    assert (one.code, one.message, one.remedy) == (two.code, two.message, two.remedy)
    run(library, folder, retry_failed=True)
    assert parsed.count("bad.txt") == 2
    (folder / "bad.txt").write_text("good now")
    assert states(run(library, folder))["bad.txt"] == "new"
    assert library.failures() == []


def test_the_detail_of_a_failure_is_kept(
    library: Library, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_self: ParserPool, file: ScannedFile) -> ParsedFile:
        raise ParseFailure("broken", subject=file.path, detail="no xref table")

    monkeypatch.setattr(ParserPool, "parse", broken)
    run(library, folder / "a.txt")
    for _ in range(2):
        (outcome,) = run(library, folder / "a.txt").outcomes
        assert outcome.failure is not None
        assert outcome.failure.message.endswith("(no xref table)")
        assert library.failures()[0].reason == outcome.failure.message


@pytest.mark.parametrize("code", ["vanished", "changed", "no-permission"])
def test_what_was_wrong_outside_of_the_file_is_tried_again(
    library: Library, folder: Path, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    def refused(_self: ParserPool, file: ScannedFile) -> ParsedFile:
        raise ParseFailure(code, subject=file.path)

    with monkeypatch.context() as patch:
        patch.setattr(ParserPool, "parse", refused)
        assert states(run(library, folder / "a.txt")) == {"a.txt": "failed"}
    assert states(run(library, folder / "a.txt")) == {"a.txt": "new"}


def test_a_known_file_that_became_unreadable_is_marked(library: Library, folder: Path) -> None:
    run(library, folder)
    (folder / "a.txt").write_bytes(b"\x00" * 3000)
    run(library, folder)
    assert library.find("a.txt").missing
    assert library.search("alpha"), "its old text stays until --prune"


def test_the_failure_of_a_file_that_is_gone_is_forgotten(library: Library, folder: Path) -> None:
    (folder / "bad.txt").write_bytes(bytes(5000))
    run(library, folder)
    assert len(library.failures()) == 1
    (folder / "bad.txt").unlink()
    run(library, folder)
    assert library.failures() == []


def test_a_stop_keeps_what_is_finished(library: Library, folder: Path) -> None:
    for number in range(300):
        (folder / f"n{number}.txt").write_text(f"number {number}")
    told: list[str] = []
    with pytest.raises(Cancelled), library.writing():
        index(
            library,
            [folder],
            on_file=lambda outcome, _done, _total: told.append(outcome.path.name),
            cancelled=lambda: bool(told),
        )
    assert names(library) == set(told)
    assert 0 < len(told) < 302
    assert library.search("alpha"), "also in the index"
    counts = Counter(states(run(library, folder)).values())
    assert counts == {"unchanged": len(told), "new": 302 - len(told)}


def test_progress_is_told_file_by_file(library: Library, folder: Path) -> None:
    told: list[tuple[str, int, int]] = []
    with library.writing():
        index(library, [folder], on_file=lambda o, done, total: told.append((o.path.name, done, total)))
    assert told == [("a.txt", 1, 2), ("b.txt", 2, 2)]


def test_a_removed_document_is_new_again(library: Library, folder: Path) -> None:
    run(library, folder)
    gone = library.find("a.txt").id
    library.remove(gone)
    with pytest.raises(DocumentNotFound):
        library.document(gone)
    assert states(run(library, folder))["a.txt"] == "new"
