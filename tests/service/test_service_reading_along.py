"""Reading in the engine thread while the files of the same ingest are still looked at."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from pathlib import Path

import pytest
from listening import PATIENCE_S
from pretend_seat import SLICE, whole
from service_room import Gate, Room

from beyondrag.errors import ModelNotFound
from beyondrag.service.notices import (
    Answered,
    Ingested,
    IngestFailed,
    Looking,
    ModelMissing,
    Reading,
    ReadingAhead,
    Ready,
    VolumeRead,
)
from beyondrag.service.reading import ReadingJob
from kvfiles.errors import StorageError


class Everything(dict[str, int]):
    """Two slices for each document, whatever its id."""

    def __contains__(self, _key: object) -> bool:
        return True

    def __missing__(self, _key: str) -> int:
        return 2


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "documents"
    made.mkdir()
    for number in range(5):
        (made / f"{number}.txt").write_text(f"Report {number}\n\nThe oven of lane {number} is warm.\n")
    return made


def test_the_first_document_is_read_before_the_last_file_is_indexed(
    room: Room, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room.pretence.slices = Everything()
    read_by_then: list[int] = []
    offer = ReadingJob.offer

    def offer_slowly(self: ReadingJob, document_ids: Iterable[str]) -> bool:
        if self.was_offered and not read_by_then:
            room.ear.wait(VolumeRead)
            read_by_then.append(len(room.pretence.snapshots))
        return offer(self, document_ids)

    monkeypatch.setattr(ReadingJob, "offer", offer_slowly)
    request = room.service.ingest([folder])
    ended = room.ear.wait(Ingested, request)
    assert read_by_then == [1]
    assert (ended.n_indexed, ended.n_read, ended.n_tokens) == (5, 5, 10 * SLICE)
    first_read = room.ear.of(VolumeRead, request)[0]
    assert room.ear.place(first_read) < room.ear.place(room.ear.of(Looking, request)[-1])


def test_the_plan_grows_and_time_left_is_told_when_all_is_known(room: Room, gate: Gate) -> None:
    room.pretence.slices = {"a": 40, "b": 2, "c": 3}
    room.pretence.gate = lambda document, n: gate.pass_through() if (document, n) == ("a", 20) else None
    job = room.begin("a")
    gate.wait_until_reached()
    room.offer(job, "b", "c")
    room.end_looking(job, 3)
    gate.open()
    ended = room.ear.wait(Ingested, job.ticket.number)
    told = room.ear.of(Reading, job.ticket.number)
    assert (told[0].n_volumes, told[0].total, told[0].eta_s) == (1, 40 * SLICE, None)
    assert (told[-1].n_volumes, told[-1].total, told[-1].done) == (3, 45 * SLICE, 45 * SLICE)
    assert told[-1].eta_s == 0.0
    assert [reading.total for reading in told] == sorted(reading.total for reading in told)
    ahead = room.ear.of(ReadingAhead, job.ticket.number)
    assert [document.document_id for document in ahead[-1].documents] == ["b", "c"]
    assert (ended.n_indexed, ended.n_read, ended.cancelled) == (3, 3, False)


def test_it_waits_for_more_and_questions_are_answered_meanwhile(room: Room) -> None:
    job = room.begin("a")
    room.ear.wait(VolumeRead, job.ticket.number)
    room.ear.wait(Answered, room.ask())
    assert not room.ear.of(Ingested)
    room.offer(job, "b")
    room.end_looking(job)
    assert room.ear.wait(Ingested, job.ticket.number).n_read == 2


def test_another_reading_goes_on_while_it_waits_for_more(room: Room) -> None:
    job = room.begin("a")
    room.ear.wait(VolumeRead, job.ticket.number)
    assert room.ear.wait(Ingested, room.read("b")).n_read == 1
    room.end_looking(job)
    assert room.ear.wait(Ingested, job.ticket.number).n_read == 1


def test_a_stop_ends_it_when_the_files_are_let_go(room: Room, gate: Gate) -> None:
    room.pretence.gate = lambda document, n: gate.pass_through() if (document, n) == ("b", 1) else None
    job = room.begin("a", "b")
    gate.wait_until_reached()
    room.service.stop(job.ticket.number)
    gate.open()
    room.ear.wait(Answered, room.ask())  # the reading was given up by now
    assert not room.ear.of(Ingested), "how much was indexed is not known yet"
    room.end_looking(job, 7)
    ended = room.ear.wait(Ingested, job.ticket.number)
    assert (ended.cancelled, ended.n_indexed, ended.n_read) == (True, 7, 1)
    assert room.pretence.snapshots == {"a": whole("a", 3)}


def test_a_pause_holds_the_reading_and_not_the_files(room: Room, gate: Gate) -> None:
    room.pretence.gate = lambda document, n: gate.pass_through() if (document, n) == ("a", 0) else None
    job = room.begin("a")
    gate.wait_until_reached()
    room.service.pause(job.ticket.number, paused=True)
    gate.open()
    room.offer(job, "b")
    room.end_looking(job, 2)
    room.ear.wait(Answered, room.ask())
    assert room.pretence.snapshots == {}
    room.service.pause(job.ticket.number, paused=False)
    assert room.ear.wait(Ingested, job.ticket.number).n_read == 2


def test_a_failing_reading_lets_the_files_be_indexed_to_their_end(room: Room) -> None:
    room.pretence.reading_errors = {"a": [StorageError("the disk is full")]}
    job = room.begin("a")
    room.ear.wait(Answered, room.ask())
    room.offer(job, "b")
    room.ear.wait(Answered, room.ask("another"))
    assert not room.ear.of(IngestFailed)
    room.end_looking(job, 2)
    assert room.ear.wait(IngestFailed, job.ticket.number).problem.message == "the disk is full"
    assert room.pretence.snapshots == {}, "nothing is read after the failure"
    room.ear.wait(Ingested, room.read("a"))


def test_files_that_fail_end_the_reading(room: Room, gate: Gate) -> None:
    room.pretence.gate = lambda document, n: gate.pass_through() if (document, n) == ("a", 0) else None
    job = room.begin("a", "b")
    gate.wait_until_reached()
    room.end_looking(job, failure=StorageError("the disk is full"))
    gate.open()
    assert room.ear.wait(IngestFailed, job.ticket.number).problem.message == "the disk is full"
    assert "b" not in room.pretence.snapshots
    assert not room.ear.of(Ingested, job.ticket.number)


def test_without_a_model_the_files_are_indexed_and_the_reading_waits(idle: Room, folder: Path) -> None:
    idle.pretence.slices = Everything()
    idle.pretence.opening_errors = [ModelNotFound("not installed")]
    idle.service.start(idle.ear)
    idle.ear.wait(ModelMissing)
    request = idle.service.ingest([folder])
    idle.ear.wait(Looking, request, fits=lambda looking: looking.done == looking.total == 5)
    idle.open_model("pulled")
    ended = idle.ear.wait(Ingested, request)
    assert (ended.n_indexed, ended.n_read) == (5, 5)


def test_what_is_offered_last_is_never_missed(room: Room) -> None:
    """The end of the looking may come at any moment of the reading."""
    room.ear.wait(Ready)
    for number in range(50):
        room.pretence.slices = {f"{number} {name}": 1 for name in "abc"}
        job = ReadingJob(room.service._tickets.issue(), looking=True)

        def look(job: ReadingJob = job, number: int = number) -> None:
            for name in "abc":
                room.offer(job, f"{number} {name}")
            room.end_looking(job, 3)

        thread = threading.Thread(target=look)
        thread.start()
        ended = room.ear.wait(Ingested, job.ticket.number)
        thread.join(PATIENCE_S)
        assert (ended.n_read, ended.n_indexed) == (3, 3), number


def test_stopping_while_files_are_indexed_tells_what_was_indexed_once(idle: Room, tmp_path: Path) -> None:
    many = tmp_path / "many"
    many.mkdir()
    for number in range(400):
        (many / f"{number:04}.txt").write_text(f"Report {number}\n\nNothing happened on day {number}.\n")
    idle.pretence.slices = Everything()

    def listener(notice: object) -> None:
        if isinstance(notice, VolumeRead):
            idle.service.stop(notice.request)
        idle.ear(notice)  # type: ignore[arg-type]  # a notice

    idle.service.start(listener)
    ended = idle.ear.wait(Ingested, idle.service.ingest([many]))
    assert ended.cancelled
    assert ended.n_read >= 1
    assert idle.service.shelf.totals().n_documents == ended.n_indexed
    idle.ear.wait(Answered, idle.ask())
    assert len(idle.ear.of(Ingested)) == 1
