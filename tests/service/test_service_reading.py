"""Reading in the engine thread with a pretended model: pre-emption, pauses, stops, failures, new models."""

from __future__ import annotations

from dataclasses import replace

from pretend_seat import SLICE, whole
from service_room import Gate, Room

from beyondrag.errors import ModelNotFound
from beyondrag.service.notices import (
    Answered,
    Asked,
    AskFailed,
    ContextMeter,
    Failed,
    Ingested,
    IngestFailed,
    ModelMissing,
    Opening,
    Reading,
    Ready,
    VolumeRead,
)
from kvfiles.errors import DecodeError, StorageError
from library.errors import DocumentNotFound


def test_reading_tells_where_it_stands_and_how_it_ended(room: Room) -> None:
    request = room.read("a", "unknown", "b")
    ended = room.ear.wait(Ingested, request)
    assert room.pretence.snapshots == {"a": whole("a", 3), "b": whole("b", 2)}
    assert [read.document_id for read in room.ear.of(VolumeRead, request)] == ["a", "b"]
    assert (ended.n_indexed, ended.n_read, ended.n_tokens) == (3, 2, 5 * SLICE)
    assert (ended.cancelled, ended.problems) == (False, ())
    told = room.ear.of(Reading, request)
    assert [(r.index, r.n_volumes) for r in told if r.volume_done == 0] == [(0, 2), (1, 2)]
    assert all(r.total == 5 * SLICE and r.done <= r.total for r in told)
    assert [r.done for r in told] == sorted(r.done for r in told)
    assert (told[-1].volume_done, told[-1].done) == (2 * SLICE, 5 * SLICE)


def test_a_question_is_answered_after_the_slice_that_is_under_way(room: Room, gate: Gate) -> None:
    room.pretence.slices = {"a": 50, "b": 1}
    room.pretence.gate = lambda document, n: gate.pass_through() if (document, n) == ("a", 20) else None
    reading = room.read("a", "b")
    gate.wait_until_reached()
    first, second = room.ask("first"), room.ask("second")
    gate.open()
    room.ear.wait(Ingested, reading)
    answered = room.ear.of(Answered)
    assert [a.request for a in answered] == [first, second]
    assert room.ear.place(answered[1]) < room.ear.place(room.ear.of(VolumeRead)[0]), "before the volume ends"
    assert room.pretence.snapshots["a"] == whole("a", 50), "the reading went on exactly where it was"
    assert [asked.kept for asked in room.ear.of(Asked)] == [False, True], "documents stay between questions"
    meters = [meter.n_tokens for meter in room.ear.of(ContextMeter)]
    assert meters == [2, 2, 0], "then the context belongs to the reading again"


def test_a_question_between_two_volumes_goes_first(room: Room, gate: Gate) -> None:
    room.pretence.gate = lambda document, _n: gate.pass_through() if document == "a" else None
    reading = room.read("a", "b")
    gate.wait_until_reached()
    question = room.ask()
    gate.open()
    room.ear.wait(Ingested, reading)
    assert room.ear.place(room.ear.of(Answered, question)[0]) < room.ear.place(room.ear.of(VolumeRead)[1])


def test_what_a_question_has_read_is_not_read_twice(room: Room, gate: Gate) -> None:
    room.pretence.gate = lambda document, n: gate.pass_through() if (document, n) == ("a", 0) else None
    room.pretence.reads_for_questions = {"about a": "a", "about b": "b"}
    reading = room.read("a", "b")
    gate.wait_until_reached()
    room.ask("about a")
    room.ask("about b")
    gate.open()
    ended = room.ear.wait(Ingested, reading)
    assert room.pretence.snapshots == {"a": ["read for a question"], "b": ["read for a question"]}
    assert (ended.n_read, ended.n_tokens, ended.cancelled) == (0, 0, False)
    assert not room.ear.of(VolumeRead)


def test_while_paused_nothing_is_read_and_questions_are_answered(room: Room, gate: Gate) -> None:
    slices: list[int] = []

    def watch(_document: str, n: int) -> None:
        slices.append(n)
        if n == 1:
            gate.pass_through()

    room.pretence.slices, room.pretence.gate = {"a": 5}, watch
    reading = room.read("a")
    gate.wait_until_reached()
    room.service.pause(reading, paused=True)
    assert room.ear.wait(Reading, reading, fits=lambda r: r.paused)
    gate.open()
    for question in ("first", "second"):
        room.ear.wait(Answered, room.ask(question))
        assert slices == [0, 1]
    assert [asked.kept for asked in room.ear.of(Asked)] == [False, True]
    room.service.pause(reading, paused=False)
    room.ear.wait(Ingested, reading)
    assert room.pretence.snapshots["a"] == whole("a", 5)
    assert not room.ear.of(Reading, reading)[-1].paused


def test_a_paused_reading_lets_another_one_pass(room: Room, gate: Gate) -> None:
    room.pretence.gate = lambda document, _n: gate.pass_through() if document == "a" else None
    first = room.read("a", "b")
    gate.wait_until_reached()
    waiting = room.read("b")
    room.service.pause(waiting, paused=True)
    third = room.read("a", "b")
    room.service.stop(first)
    gate.open()
    assert room.ear.wait(Ingested, third).n_read == 2
    assert not room.ear.of(Ingested, waiting)
    room.service.pause(waiting, paused=False)
    assert room.ear.wait(Ingested, waiting).n_read == 0, "read by the other one"


def test_stopping_a_reading_keeps_the_finished_volumes(room: Room, gate: Gate) -> None:
    room.pretence.gate = lambda document, n: gate.pass_through() if (document, n) == ("b", 0) else None
    reading = room.read("a", "b")
    gate.wait_until_reached()
    room.service.stop(reading)
    gate.open()
    ended = room.ear.wait(Ingested, reading)
    assert (ended.cancelled, ended.n_read, ended.n_tokens) == (True, 1, 3 * SLICE)
    assert room.pretence.snapshots == {"a": whole("a", 3)}
    room.ear.wait(Answered, room.ask())


def test_a_reading_that_waits_is_stopped_at_once(room: Room, gate: Gate) -> None:
    room.pretence.gate = lambda _document, n: gate.pass_through() if n == 0 else None
    first, second = room.read("a"), room.read("b")
    gate.wait_until_reached()
    room.service.pause(first, paused=True)
    room.service.pause(second, paused=True)
    room.service.stop(second)
    room.service.stop(first)
    gate.open()
    for reading in (first, second):
        assert room.ear.wait(Ingested, reading).cancelled
    assert room.pretence.snapshots == {}


def test_rereading_drops_the_old_snapshot_first(room: Room) -> None:
    room.pretence.snapshots = {"a": ["old"], "b": ["old"]}
    ended = room.ear.wait(Ingested, room.service.reread(["a"]))
    assert ended.n_read == 1
    assert room.pretence.snapshots == {"a": whole("a", 3), "b": ["old"]}


def test_llama_failing_once_on_a_volume_is_tried_again_with_a_fresh_model(room: Room) -> None:
    room.pretence.reading_errors = {"a": [DecodeError("status -3")]}
    ended = room.ear.wait(Ingested, room.read("a", "b"))
    assert (ended.n_read, ended.problems) == (2, ())
    assert room.pretence.snapshots == {"a": whole("a", 3), "b": whole("b", 2)}
    assert len(room.pretence.models) == 2


def test_a_volume_on_which_llama_always_fails_is_named_and_the_rest_is_read(room: Room) -> None:
    room.pretence.reading_errors = {"a": [DecodeError("status -3")] * 9}
    ended = room.ear.wait(Ingested, room.read("a", "b"))
    assert [(problem.path, problem.reason) for problem in ended.problems] == [("/a.txt", "status -3")]
    assert room.pretence.snapshots == {"b": whole("b", 2)}


def test_a_document_that_changes_under_the_reading_is_cut_and_read_as_it_is_now(room: Room) -> None:
    changed = DocumentNotFound("the document was called otherwise while it was read")
    room.pretence.reading_errors = {"a": [changed]}
    ended = room.ear.wait(Ingested, room.read("a", "b"))
    assert (ended.n_read, ended.problems) == (2, ())
    assert room.pretence.snapshots == {"a": whole("a", 3), "b": whole("b", 2)}
    assert len(room.pretence.models) == 1, "it is no fault of the model"


def test_a_document_that_goes_under_the_reading_is_no_failure(room: Room) -> None:
    def go(document: str, number: int) -> None:
        if (document, number) == ("a", 2):
            room.pretence.slices = {"b": 2}
            room.pretence.reading_errors = {"a": [DocumentNotFound("no such document")]}

    room.pretence.gate = go
    ended = room.ear.wait(Ingested, room.read("a", "b"))
    assert (ended.n_read, ended.problems) == (1, ())
    assert room.pretence.snapshots == {"b": whole("b", 2)}


def test_a_document_without_its_text_does_not_keep_the_reading_for_ever(room: Room) -> None:
    room.pretence.reading_errors = {"a": [DocumentNotFound("no such document")] * 99}
    ended = room.ear.wait(Ingested, room.read("a", "b"))
    assert [(problem.path, problem.reason) for problem in ended.problems] == [("/a.txt", "no such document")]
    assert room.pretence.snapshots == {"b": whole("b", 2)}
    assert len(room.pretence.reading_errors["a"]) > 90


def test_llama_failing_on_a_question_in_the_middle_of_a_volume(room: Room, gate: Gate) -> None:
    room.pretence.gate = lambda document, n: gate.pass_through() if (document, n) == ("a", 1) else None
    room.pretence.errors = [DecodeError("status -3")]
    reading = room.read("a", "b")
    gate.wait_until_reached()
    question = room.ask()
    gate.open()
    assert room.ear.wait(AskFailed, question).problem.kind == "DecodeError"
    ended = room.ear.wait(Ingested, reading)
    assert (ended.n_read, ended.problems) == (2, ())
    assert room.pretence.snapshots == {"a": whole("a", 3), "b": whole("b", 2)}
    assert len(room.pretence.models) == 2


def test_a_full_disk_ends_the_ingest_and_not_the_service(room: Room) -> None:
    room.pretence.reading_errors = {"a": [StorageError("the disk is full", remedy="free some space")]}
    failed = room.ear.wait(IngestFailed, room.read("a", "b"))
    assert (failed.problem.message, failed.problem.remedy) == ("the disk is full", "free some space")
    room.ear.wait(Answered, room.ask())


# --------------------------------------------------------------- model and library


def test_without_a_model_questions_say_so_and_reading_waits_for_it(idle: Room) -> None:
    missing = [ModelNotFound("not installed", remedy="beyondrag models pull x") for _ in range(2)]
    idle.pretence.opening_errors = list(missing)
    idle.service.start(idle.ear)
    told = idle.ear.wait(ModelMissing)
    assert (told.model, told.licence, told.problem.message) == ("pretended", "", "not installed")
    reading = idle.read("a")
    assert idle.ear.wait(AskFailed, idle.ask()).problem.remedy == "beyondrag models pull x"
    assert not idle.ear.of(Ingested)
    idle.open_model("pulled")
    assert idle.ear.wait(Ready).model == "pulled"
    assert idle.ear.wait(Ingested, reading).n_read == 1


def test_a_known_model_is_offered_with_licence_and_size(idle: Room) -> None:
    engine = idle.service._engine
    engine._settings = replace(engine.settings, model="smollm2-135m")
    idle.pretence.opening_errors = [ModelNotFound("not installed")]
    idle.service.start(idle.ear)
    told = idle.ear.wait(ModelMissing)
    assert (told.licence, told.size_bytes) == ("Apache-2.0", 98_362_432)


def test_a_reading_that_waits_for_a_model_can_be_stopped(idle: Room) -> None:
    idle.pretence.opening_errors = [ModelNotFound("not installed")]
    idle.service.start(idle.ear)
    idle.ear.wait(ModelMissing)
    reading = idle.read("a")
    idle.service.stop(reading)
    assert idle.ear.wait(Ingested, reading).cancelled


def test_a_model_that_cannot_be_opened_fails_every_request_until_it_can(idle: Room) -> None:
    idle.pretence.opening_errors = [StorageError("no memory") for _ in range(3)]
    idle.service.start(idle.ear)
    assert idle.ear.wait(Failed).problem.message == "no memory"
    assert idle.ear.wait(AskFailed, idle.ask()).problem.message == "no memory"
    assert idle.ear.wait(IngestFailed, idle.read("a")).problem.message == "no memory"
    idle.ear.wait(Answered, idle.ask())


def test_another_model_takes_over_between_two_slices(room: Room, gate: Gate) -> None:
    room.pretence.gate = lambda document, n: gate.pass_through() if (document, n) == ("a", 1) else None
    reading = room.read("a")
    gate.wait_until_reached()
    room.open_model("other")
    gate.open()
    room.ear.wait(Ingested, reading)
    assert room.pretence.models == ["pretended", "other"]
    assert room.pretence.snapshots["a"] == whole("a", 3)
    assert [notice.model for notice in room.ear.of(Opening)] == ["pretended", "other"]


def test_a_library_removed_between_questions_and_put_back(room: Room) -> None:
    room.ear.wait(Answered, room.ask())
    room.pretence.gone = True
    failed = room.ear.wait(AskFailed, room.ask())
    assert (failed.problem.message, failed.problem.remedy) == ("the library is gone", "put it back")
    assert room.ear.wait(Failed).problem == failed.problem
    room.pretence.gone = False
    question = room.ask()
    room.ear.wait(Answered, question)
    assert room.pretence.n_open == 1


def test_a_library_removed_in_the_middle_of_a_volume(room: Room, gate: Gate) -> None:
    room.pretence.gate = lambda _document, n: gate.pass_through() if n == 1 else None
    reading = room.read("a")
    gate.wait_until_reached()
    room.pretence.gone = True
    gate.open()
    assert room.ear.wait(IngestFailed, reading).problem.kind == "LibraryGone"
    assert room.ear.wait(Failed).problem.kind == "LibraryGone"
