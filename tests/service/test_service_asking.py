"""Questions to the engine thread with a pretended model: order, stops, failures; its closing."""

from __future__ import annotations

import threading
import time

import pytest
from listening import Ear
from service_room import OPTIONS, Gate, Room

from beyondrag.errors import UsageError
from beyondrag.events import AnswerDelta, Done
from beyondrag.service.notices import (
    Answered,
    Asked,
    AskFailed,
    ChunksChosen,
    ContextMeter,
    Ingested,
    Notice,
    Reading,
    Ready,
    Said,
    Stopped,
    TaskFailed,
)
from kvfiles.errors import DecodeError, StorageError

# ------------------------------------------------------------------------------ asking


def test_what_is_said_of_one_question_and_in_which_order(room: Room) -> None:
    request = room.ask("Who?")
    answered = room.ear.wait(Answered, request)
    meter = room.ear.wait(ContextMeter)
    kinds = [type(notice).__name__ for notice in room.ear.heard]
    assert kinds[:2] == ["Opening", "Ready"]
    assert kinds.index("Asked") < kinds.index("Said") < kinds.index("Answered") < kinds.index("ContextMeter")
    (asked,) = room.ear.of(Asked)
    assert (asked.request, asked.conversation_id, asked.question) == (request, "conversation of Who?", "Who?")
    events = [said.event for said in room.ear.of(Said, request)]
    assert "".join(e.text for e in events if isinstance(e, AnswerDelta)) == "one two three"
    assert not any(isinstance(event, Done) for event in events)
    assert answered.answer.answer == "one two three"
    assert room.pretence.kept == [("Who?", "one two three", "one two three")]
    assert answered.turn_id == "turn 1"
    (part,) = answered.read.parts
    assert (answered.read.prefix_tokens, part.first, part.stop, part.codec, part.bits) == (
        1,
        1,
        2,
        "k4v4",
        4.1,
    )
    assert (answered.read.left_out, answered.read.n_ctx) == (("e.txt: it does not fit",), 1000)
    assert (meter.n_tokens, meter.n_ctx, meter.documents) == (2, 1000, ("Document D",))
    assert meter.memory_bytes > 1 << 20
    (ready,) = room.ear.of(Ready)
    assert (ready.model, ready.warnings) == ("pretended", ("a warning",))


def test_questions_are_answered_in_order_in_one_conversation_until_another_begins(room: Room) -> None:
    room.ask("first")
    room.ask("second")
    room.service.new_conversation()
    room.ask("third")
    room.service.open_conversation("an old one")
    last = room.ask("fourth")
    room.ear.wait(Answered, last)
    assert [(a.question, a.conversation_id) for a in room.ear.of(Asked)] == [
        ("first", "conversation of first"),
        ("second", "conversation of first"),
        ("third", "conversation of third"),
        ("fourth", "an old one"),
    ]
    assert len(room.pretence.threads) == 1, "the model is opened and used in one thread"
    assert threading.get_ident() not in room.pretence.threads


def test_stopping_keeps_what_was_written(room: Room, gate: Gate) -> None:
    room.pretence.hearing = lambda word: gate.pass_through() if word == 2 else None
    request = room.ask()
    gate.wait_until_reached()
    room.service.stop(request)
    gate.open()
    stopped = room.ear.wait(Stopped, request)
    assert (stopped.partial, stopped.turn_id) == ("one two ", "turn 1")
    assert room.pretence.kept == [("Why?", None, "one two ")]
    said = "".join(s.event.text for s in room.ear.of(Said) if isinstance(s.event, AnswerDelta))
    assert said == "one two ", "what was held back to join it was let go"
    room.pretence.hearing = lambda _word: None
    assert room.ear.wait(Answered, room.ask()).answer.answer == "one two three"


def test_a_question_that_still_waits_is_stopped_without_being_begun(room: Room, gate: Gate) -> None:
    room.pretence.hearing = lambda word: gate.pass_through() if word == 0 else None
    first, second = room.ask("first"), room.ask("second")
    gate.wait_until_reached()
    room.service.stop(second)
    gate.open()
    assert room.ear.wait(Stopped, second).partial == ""
    assert [asked.request for asked in room.ear.of(Asked)] == [first]


def test_stopping_what_has_ended_or_never_was_does_nothing(room: Room) -> None:
    request = room.ask()
    room.ear.wait(Answered, request)
    room.service.stop(request)
    room.service.stop(4711)
    room.service.pause(4711, paused=True)
    room.ear.wait(Answered, room.ask())
    assert not room.ear.of(Stopped)


@pytest.mark.parametrize(
    ("error", "kind"), [(UsageError("empty"), "UsageError"), (RuntimeError("bug"), "InternalError")]
)
def test_a_question_that_fails_leaves_the_service_usable(room: Room, error: Exception, kind: str) -> None:
    room.pretence.errors = [error]
    failed = room.ear.wait(AskFailed, room.ask())
    assert failed.problem.kind == kind
    assert room.ear.wait(Answered, room.ask()).answer.answer == "one two three"
    assert room.pretence.models == ["pretended"], "the model was not opened again"


def test_llama_failing_on_a_question_opens_the_model_anew(room: Room) -> None:
    room.pretence.errors = [DecodeError("llama.cpp refused to decode (status -3)")]
    assert room.ear.wait(AskFailed, room.ask()).problem.kind == "DecodeError"
    room.ear.wait(Answered, room.ask())
    assert room.pretence.models == ["pretended", "pretended"]
    assert len(room.ear.of(Ready)) == 2


def test_an_answer_that_cannot_be_kept_is_given_all_the_same(room: Room) -> None:
    room.pretence.keep_error = StorageError("the disk is full", remedy="free some space")
    request = room.ask()
    assert room.ear.wait(Answered, request).turn_id == ""
    assert room.ear.wait(TaskFailed, request).problem.message == "the disk is full"


def test_comparing_answers_once_an_arm_and_keeps_nothing(room: Room) -> None:
    request = room.service.compare("Why?", ["documents", "chunks", "exact"], OPTIONS)
    room.ear.wait(Answered, request, fits=lambda answered: answered.arm == "exact")
    assert [answered.arm for answered in room.ear.of(Answered, request)] == ["documents", "chunks", "exact"]
    (chosen,) = room.ear.of(ChunksChosen, request)
    assert (chosen.chunks[0].title, chosen.n_tokens) == ("A", 4)
    assert {said.arm for said in room.ear.of(Said, request)} == {"documents", "chunks", "exact"}
    assert len(room.ear.of(Asked, request)) == 1
    assert room.pretence.kept == []


def test_a_listener_that_fails_does_not_stop_the_work(idle: Room) -> None:
    ear = idle.ear

    def listener(notice: Notice) -> None:
        ear(notice)
        raise RuntimeError("a screen is broken")

    idle.service.start(listener)
    ear.wait(Answered, idle.ask())


# ------------------------------------------------------------------------------ closing


def close(room: Room) -> None:
    """Closing gives a thread up that does not end: here they all end."""
    room.service.close()
    assert not room.service._engine._thread.is_alive()


def test_closing_in_the_middle_of_a_volume(room: Room) -> None:
    n_slices = 100_000  # a quarter of an hour
    room.pretence.slices, room.pretence.gate = {"a": n_slices}, lambda *_: time.sleep(0.01)
    reading = room.read("a")
    room.ear.wait(Reading, reading, fits=lambda r: r.volume_done > 0)
    close(room)
    assert room.ear.of(Ingested, reading)[0].cancelled
    assert room.pretence.snapshots == {}


def test_closing_in_the_middle_of_an_answer(room: Room) -> None:
    room.pretence.words, room.pretence.hearing = ["word "] * 100_000, lambda _: time.sleep(0.01)
    request = room.ask()
    room.ear.wait(Said, request, fits=lambda said: isinstance(said.event, AnswerDelta))
    close(room)
    (stopped,) = room.ear.of(Stopped, request)
    assert stopped.partial.startswith("word ")
    assert room.pretence.kept[0][1:] == (None, stopped.partial), "what was written is kept"


def test_closing_while_a_reading_is_paused(room: Room, gate: Gate) -> None:
    room.pretence.gate = lambda _document, n: gate.pass_through() if n == 1 else None
    reading = room.read("a")
    gate.wait_until_reached()
    room.service.pause(reading, paused=True)
    gate.open()
    room.ear.wait(Answered, room.ask())
    close(room)


def test_closing_before_starting_and_twice(idle: Room) -> None:
    idle.service.close()
    idle.service.close()


def test_nothing_is_said_after_closing(room: Room) -> None:
    room.ear.wait(Ready)
    room.service.close()
    n_heard = len(room.ear.heard)
    room.ask()
    room.service.plan([])
    assert len(room.ear.heard) == n_heard


def test_the_listener_may_close_the_service(idle: Room) -> None:
    ear: Ear = idle.ear

    def listener(notice: Notice) -> None:
        ear(notice)
        if isinstance(notice, Answered):
            idle.service.close()

    idle.service.start(listener)
    ear.wait(Answered, idle.ask())
