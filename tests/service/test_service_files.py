"""What the service does without a model: plan, index, remove, verify, pull; and the shelf."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from pretend_seat import whole
from service_room import Gate, Room

from beyondrag.errors import DownloadError
from beyondrag.models import InstalledModel, ModelStore, PullProgress
from beyondrag.service import downloads
from beyondrag.service.notices import (
    Failed,
    Ingested,
    IngestFailed,
    LibraryChanged,
    Looking,
    Plan,
    Pulled,
    Pulling,
    Ready,
    TaskDone,
    TaskFailed,
    VolumeRead,
)
from kvfiles.errors import Cancelled
from library.errors import DocumentNotFound
from library.store import Library


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "documents"
    made.mkdir()
    (made / "harbour.txt").write_text("Harbour report\n\nThe keeper at Skerry Point was 48 years old.\n")
    (made / "bakery.txt").write_text("Bakery report\n\nThe oven of Mill Lane was built in 1921.\n")
    (made / "empty.txt").write_text("")
    (made / "photo.jpg").write_bytes(b"\xff\xd8")
    return made


def documents(room: Room) -> dict[str, str]:
    """The ids of all documents by title."""
    return {state.document.title: state.document.id for state in room.service.shelf.states()}


def ingested(room: Room, folder: Path) -> dict[str, str]:
    room.ear.wait(Ingested, room.service.ingest([folder], read=False))
    return documents(room)


# --------------------------------------------------------------------- plan and index


def test_a_plan_counts_what_an_ingest_would_do_and_changes_nothing(room: Room, folder: Path) -> None:
    plan = room.ear.wait(Plan, room.service.plan([folder]))
    assert plan.paths == (folder,)
    assert dict(plan.files) == {"new": 2, "failed": 1, "other kinds": 1}
    (problem,) = plan.problems
    assert problem.path.endswith("empty.txt")
    assert problem.remedy
    n_chars = sum(len((folder / name).read_text()) for name in ("harbour.txt", "bakery.txt"))
    assert plan.n_tokens == pytest.approx(n_chars / 3.6, rel=0.1)
    assert (plan.n_volumes, plan.seconds) == (2, None)
    last = room.ear.of(Looking)[-1]
    assert (last.done, last.total) == (3, 3)
    assert room.service.shelf.totals().n_documents == 0


def test_a_plan_says_what_rules_leave_out_and_which_messages_fail(room: Room, folder: Path) -> None:
    (folder / ".hidden.txt").write_text("nobody sees this")
    (folder / ".gitignore").write_text("*.log.txt\n")
    (folder / "a.log.txt").write_text("a log")
    (folder / "box.mbox").write_text(
        "From a@b.example Thu Jan  1 00:00:00 1970\nSubject: Fine\nMessage-ID: <1@b>\n\nThe oven is warm.\n\n"
        "From a@b.example Thu Jan  1 00:00:00 1970\nSubject: Nothing in it\nMessage-ID: <2@b>\n\n\n"
    )
    plan = room.ear.wait(Plan, room.service.plan([folder]))
    assert dict(plan.ignored)["hidden"] >= 1
    assert any("gitignore" in kind for kind, _ in plan.ignored)
    planned = [problem for problem in plan.problems if "box.mbox" in problem.path]
    ended = room.ear.wait(Ingested, room.service.ingest([folder], read=False))
    indexed = [problem for problem in ended.problems if "box.mbox" in problem.path]
    assert planned == indexed


def test_a_plan_of_what_is_indexed_and_not_read_still_counts_it(room: Room, folder: Path) -> None:
    ingested(room, folder)
    plan = room.ear.wait(Plan, room.service.plan([folder]))
    assert dict(plan.files)["unchanged"] == 2
    assert plan.n_volumes == 2


def test_a_plan_that_cannot_be_made(room: Room, tmp_path: Path) -> None:
    failed = room.ear.wait(TaskFailed, room.service.plan([tmp_path / "nowhere"]))
    assert failed.problem.kind == "PathProblem"
    assert room.ear.wait(TaskFailed, room.service.plan([])).problem.kind == "UsageError"


def test_indexed_documents_are_handed_over_to_be_read(room: Room, folder: Path) -> None:
    class Everything(dict[str, int]):
        """Two slices for each document, whatever its id."""

        def __contains__(self, _key: object) -> bool:
            return True

        def __missing__(self, _key: str) -> int:
            return 2

    room.pretence.slices = Everything()
    request = room.service.ingest([folder])
    ended = room.ear.wait(Ingested, request)
    assert (ended.n_indexed, ended.n_read, ended.cancelled) == (2, 2, False)
    assert [problem.path for problem in ended.problems] == [str(folder / "empty.txt")]
    ids = documents(room)
    assert {read.document_id for read in room.ear.of(VolumeRead, request)} == set(ids.values())
    assert room.pretence.snapshots == {document_id: whole(document_id, 2) for document_id in ids.values()}
    assert room.ear.of(LibraryChanged)


def test_ingest_without_reading_ends_with_indexing(room: Room, folder: Path) -> None:
    ended = room.ear.wait(Ingested, room.service.ingest([folder], read=False))
    assert (ended.n_indexed, ended.n_read, ended.n_tokens) == (2, 0, 0)
    again = room.ear.wait(Ingested, room.service.ingest([folder], read=False))
    assert again.n_indexed == 0


def test_an_ingest_that_cannot_begin(room: Room, tmp_path: Path) -> None:
    failed = room.ear.wait(IngestFailed, room.service.ingest([tmp_path / "nowhere"]))
    assert (failed.problem.kind, bool(failed.problem.remedy)) == ("PathProblem", True)


def test_another_process_that_writes_is_named(
    room: Room, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room.ear.wait(Ready)
    monkeypatch.setattr("beyondrag.service.files.WAIT_FOR_WRITER_S", 0.1)
    with Library.create_or_open(room.service._engine.settings.library) as other, other.writing():
        failed = room.ear.wait(IngestFailed, room.service.ingest([folder]))
    assert failed.problem.kind == "LibraryLocked"
    assert "process" in failed.problem.message


def test_stopping_while_files_are_indexed_keeps_what_was_indexed(idle: Room, tmp_path: Path) -> None:
    many = tmp_path / "many"
    many.mkdir()
    for number in range(400):
        (many / f"{number:04}.txt").write_text(f"Report {number}\n\nNothing happened on day {number}.\n")

    def listener(notice: object) -> None:
        if isinstance(notice, Looking):
            idle.service.stop(notice.request)
        idle.ear(notice)  # type: ignore[arg-type]  # a notice

    idle.service.start(listener)
    ended = idle.ear.wait(Ingested, idle.service.ingest([many]))
    assert ended.cancelled
    assert 0 < ended.n_indexed < 400
    assert len(documents(idle)) == ended.n_indexed


# --------------------------------------------------------------------- remove, verify


def test_removing_documents(room: Room, folder: Path) -> None:
    ids = ingested(room, folder)
    request = room.service.remove([ids["Harbour report"], "0" * 64])
    done = room.ear.wait(TaskDone, request)
    assert done.lines == ("removed Harbour report (harbour.txt)",)
    assert set(documents(room)) == {"Bakery report"}
    assert (folder / "harbour.txt").exists(), "never the file"
    again = room.ear.wait(TaskDone, room.service.remove([ids["Harbour report"]]))
    assert again.lines == ("nothing was there to remove",)


def test_verifying_a_sound_library(room: Room, folder: Path) -> None:
    ids = ingested(room, folder)
    every = room.ear.wait(TaskDone, room.service.verify())
    assert every.lines == ("2 documents and 0 snapshots checked: nothing is wrong",)
    quick = room.ear.wait(TaskDone, room.service.verify(deep=False))
    assert quick.lines == (
        "2 documents and 0 snapshots checked: nothing is wrong; of snapshots existence and size",
    )
    one = room.ear.wait(TaskDone, room.service.verify([ids["Bakery report"]]))
    assert one.lines == ("1 document and 0 snapshots checked: nothing is wrong",)
    assert room.ear.wait(TaskFailed, room.service.verify(["0" * 64])).problem.kind == "DocumentNotFound"


def test_stopping_a_task_that_waits(room: Room, folder: Path) -> None:
    ingested(room, folder)
    gate = Gate()
    room.service._files.put(gate.pass_through)
    request = room.service.verify()
    room.service.stop(request)
    gate.open()
    assert room.ear.wait(TaskFailed, request).problem.kind == "Cancelled"


def test_a_removed_library_is_told_by_every_task(room: Room, folder: Path, tmp_path: Path) -> None:
    ingested(room, folder)
    (tmp_path / "library").rename(tmp_path / "away")
    failed = room.ear.wait(TaskFailed, room.service.verify())
    assert failed.problem.kind == "LibraryGone"
    assert room.ear.wait(IngestFailed, room.service.ingest([folder])).problem.remedy
    assert not (tmp_path / "library").exists(), "nothing is made in its place"
    (tmp_path / "away").rename(tmp_path / "library")
    room.ear.wait(TaskDone, room.service.verify())
    assert not room.ear.of(Failed)


# ------------------------------------------------------------------------------- pull


def test_a_pull_is_told_with_its_rate_and_the_model_is_opened(
    room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room.ear.wait(Ready)
    now = 1000.0
    monkeypatch.setattr(downloads, "time", SimpleNamespace(monotonic=lambda: now))

    def pull(store: ModelStore, name: str, *, progress: object, cancelled: object) -> InstalledModel:
        nonlocal now
        assert callable(progress)
        for done in range(0, 5_000_001, 10_000):
            progress(PullProgress("download", done, 5_000_000, detail="a source"))
            now += 0.01
        progress(PullProgress("verify", 5_000_000, 5_000_000))
        return InstalledModel(name, store.root / name, 5_000_000, None, None, None)

    monkeypatch.setattr(downloads, "pull", pull)
    request = room.service.pull("other")
    assert room.ear.wait(Pulled, request).model == "other"
    room.ear.wait(Ready, fits=lambda ready: ready.model == "other")
    told = room.ear.of(Pulling, request)
    assert 20 <= len(told) <= 30, "501 reports in 5 seconds are a flood"
    assert [p.done_bytes for p in told] == sorted(p.done_bytes for p in told)
    assert (told[0].detail, told[-1].detail) == ("a source", "checking")
    loading = [p.bytes_per_s for p in told if p.detail == "a source"][1:]
    assert loading == pytest.approx([1_000_000] * len(loading))


@pytest.mark.parametrize(
    "error", [DownloadError("no source gave it", remedy="try later"), Cancelled("stopped")]
)
def test_a_pull_that_fails_or_is_stopped(
    room: Room, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def pull(*_arguments: object, **_options: object) -> InstalledModel:
        raise error

    monkeypatch.setattr(downloads, "pull", pull)
    failed = room.ear.wait(TaskFailed, room.service.pull("other"))
    assert failed.problem.kind == type(error).__name__
    assert not room.ear.of(Pulled)


def test_an_unknown_model_is_refused_with_the_known_names(room: Room) -> None:
    failed = room.ear.wait(TaskFailed, room.service.pull("no such model"))
    assert "smollm2-135m" in failed.problem.remedy


# ------------------------------------------------------------------------------ shelf


def test_the_shelf_filters_and_sorts(room: Room, folder: Path) -> None:
    ids = ingested(room, folder)
    shelf = room.service.shelf
    assert [s.document.title for s in shelf.states(sort="title")] == ["Bakery report", "Harbour report"]
    assert shelf.states(sort="title", descending=True)[0].document.title == "Harbour report"
    assert [s.document.title for s in shelf.states("BAKE")] == ["Bakery report"]
    assert [s.document.title for s in shelf.states("harbour.TXT")] == ["Harbour report"], "paths count too"
    assert shelf.states("zeppelin") == []
    assert {s.state for s in shelf.states()} == {"indexed"}
    assert shelf.document(ids["Bakery report"]).name == "bakery.txt"
    assert "1921" in shelf.text(ids["Bakery report"]).text
    assert [hit.document.title for hit in shelf.search("oven")] == ["Bakery report"]
    with pytest.raises(DocumentNotFound):
        shelf.document("0" * 64)


def test_the_shelf_sees_what_any_process_changes(room: Room, folder: Path) -> None:
    ids = ingested(room, folder)
    shelf = room.service.shelf
    assert len(shelf.states()) == 2
    with Library.open(room.service._engine.settings.library) as other:
        other.remove(ids["Bakery report"])
    assert [s.document.title for s in shelf.states()] == ["Harbour report"]


def test_the_shelf_works_before_the_service_is_started(idle: Room) -> None:
    assert idle.service.shelf.states() == []
    assert idle.service.shelf.totals().n_documents == 0
    assert idle.service.shelf.search("anything") == []
