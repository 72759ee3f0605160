"""The real service with the small model: questions during an ingest, stops, follow-ups, exact restoring."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from listening import Ear
from service_world import BAKERY, BRIEF, HARBOUR, QUESTION, RealRoom, long_text

from beyondrag.engine import Engine
from beyondrag.events import AnswerDelta, Attached, EvidenceDelta, ReadingDocument
from beyondrag.fidelity_verdict import Finding, ModelVerdicts, store_verdicts, verdict_path
from beyondrag.service.notices import (
    Answered,
    Asked,
    AskFailed,
    ContextMeter,
    Failed,
    Ingested,
    IngestFailed,
    LibraryChanged,
    Plan,
    Reading,
    Ready,
    Said,
    Stopped,
    TaskDone,
    VolumeRead,
)
from beyondrag.service.service import EngineService
from beyondrag.settings import Settings
from kvfiles.container import Container
from kvfiles.errors import DecodeError
from kvfiles.runtime.context import Context
from library.store import Library

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def read_once(tmp_path_factory: pytest.TempPathFactory, small_model_path: Path) -> RealRoom:
    """Two documents, indexed and read by a service; never changed: tests get copies."""
    folder = tmp_path_factory.mktemp("service")
    documents = folder / "documents"
    documents.mkdir()
    settings = Settings(folder / "library", folder / "models", str(small_model_path), 2048, 1, "k4v4", "f16")
    room = opened(settings, documents)
    room.write("harbour.txt", HARBOUR)
    room.write("bakery.txt", BAKERY)
    ended = room.ear.wait(Ingested, room.service.ingest([documents]))
    room.service.close()
    assert (ended.n_indexed, ended.n_read, ended.problems) == (2, 2, ())
    return room


def opened(settings: Settings, documents: Path) -> RealRoom:
    ear = Ear()
    room = RealRoom(EngineService(settings), ear, documents, settings)
    room.service.start(ear)
    ear.wait(Ready)
    return room


@pytest.fixture
def settings(read_once: RealRoom, tmp_path: Path) -> Settings:
    """Those of a copy of the library."""
    shutil.copytree(read_once.settings.library, tmp_path / "library")
    return replace(read_once.settings, library=tmp_path / "library")


@pytest.fixture
def room(settings: Settings, read_once: RealRoom) -> Iterator[RealRoom]:
    made = opened(settings, read_once.documents)
    yield made
    made.service.close()
    for path in made.written:
        path.unlink()


def sections(path: Path) -> dict[str, bytes]:
    """The content of every section of a `.kv` file."""
    with Container(path) as container:
        return {name: container.array(name).tobytes() for name in container.sections}


def test_ask_while_an_ingest_reads(room: RealRoom) -> None:
    room.write("school.txt", long_text(14))
    reading = room.service.ingest([room.documents])
    room.ear.wait(Reading, reading, fits=lambda r: 0 < r.volume_done < r.volume_tokens)
    question = room.service.ask(QUESTION, BRIEF)
    answered = room.ear.wait(Answered, question)
    assert "48" in answered.answer.answer
    assert not room.ear.of(Ingested, reading), "the ingest was still under way"
    read = room.ear.wait(VolumeRead, reading)
    assert room.ear.place(answered) < room.ear.place(read)
    ended = room.ear.wait(Ingested, reading)
    assert (ended.n_read, ended.cancelled) == (1, False)
    assert room.service.shelf.states("school")[0].state == "ready"


def test_an_interrupted_snapshot_is_bit_for_bit_that_of_an_undisturbed_reading(
    room: RealRoom, tmp_path: Path
) -> None:
    path = room.write("school.txt", long_text(16))
    reading = room.service.ingest([path])
    room.ear.wait(Reading, reading, fits=lambda r: r.volume_done > 0)
    # Both documents are pinned: a question that read the volume itself would replace its reading.
    options = replace(BRIEF, documents=("harbour.txt", "bakery.txt"))
    questions = [room.service.ask(text, options) for text in (QUESTION, "When was the oven built?")]
    room.service.pause(reading, paused=True)
    for question in questions:
        room.ear.wait(Answered, question)
    assert not room.ear.of(VolumeRead, reading), "the questions came in the middle of the volume"
    room.service.pause(reading, paused=False)
    assert room.ear.wait(Ingested, reading).n_read == 1
    disturbed = sections(room.snapshot("school.txt"))
    room.service.close()

    calm = opened(replace(room.settings, library=tmp_path / "calm"), room.documents)
    calm.ear.wait(Ingested, calm.service.ingest([path]))
    calm.service.close()
    undisturbed = sections(calm.snapshot("school.txt"))
    assert disturbed.keys() == undisturbed.keys()
    assert sum(map(len, disturbed.values())) > 100_000, "K and V are among them"
    assert disturbed == undisturbed


def test_a_question_about_the_volume_under_way_reads_it_itself(room: RealRoom) -> None:
    path = room.write("school.txt", long_text(14))
    reading = room.service.ingest([path])
    room.ear.wait(Reading, reading, fits=lambda r: r.volume_done > 0)
    options = replace(BRIEF, documents=("school.txt",))
    question = room.service.ask("How often did the bell ring on day 3?", options)
    answered = room.ear.wait(Answered, question)
    assert answered.answer.documents[0].read_from == "prefill"
    told = [said.event for said in room.ear.of(Said, question) if isinstance(said.event, ReadingDocument)]
    assert [event.done for event in told] == sorted({event.done for event in told})
    assert told[0].done == 0
    assert told[-1].done == told[-1].total > 128
    assert len(told) > 2, "also between its beginning and its end"
    ended = room.ear.wait(Ingested, reading)
    assert (ended.n_read, ended.n_tokens) == (0, 0), "not read twice"
    assert room.service.shelf.states("school")[0].state == "ready"


def test_what_is_indexed_can_be_asked_before_it_is_read(room: RealRoom) -> None:
    path = room.write("mill.txt", "Mill report\n\nThe miller of Fern Hill was 63 years old.\n")
    room.ear.wait(Ingested, room.service.ingest([path], read=False))
    answered = room.ear.wait(Answered, room.service.ask("How old was the miller of Fern Hill?", BRIEF))
    assert "63" in answered.answer.answer
    room.ear.wait(LibraryChanged)
    assert room.ear.wait(Ingested, room.service.ingest([path])).n_read == 0


def test_a_follow_up_keeps_the_documents_in_the_context(room: RealRoom) -> None:
    options = replace(BRIEF, documents=("harbour.txt",))
    first = room.service.ask(QUESTION, options)
    second = room.service.ask("When is the lamp lit?", options)
    answered = room.ear.wait(Answered, second)
    room.ear.wait(ContextMeter, fits=lambda meter: room.ear.place(meter) > room.ear.place(answered))
    assert [asked.kept for asked in room.ear.of(Asked)] == [False, True]
    assert room.ear.of(Asked, second)[0].why
    before, after = (room.ear.of(Answered, number)[0] for number in (first, second))
    assert before.read.parts == after.read.parts
    (part,) = after.read.parts
    assert (part.title, part.read_from, part.codec) == ("Harbour report", "snapshot", "k4v4")
    assert part.first == after.read.prefix_tokens > 0
    meter = room.ear.of(ContextMeter)[-1]
    assert (meter.n_tokens, meter.n_ctx, meter.documents) == (part.stop, 2048, ("Harbour report",))
    again = [said.event for said in room.ear.of(Said, second) if isinstance(said.event, Attached)]
    assert [event.seconds for event in again] == [0.0], "nothing was loaded again"


def test_stopping_keeps_the_text_and_the_engine(room: RealRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    n_after = None
    decode = Context.decode

    def stopped_in_its_midst(self: Context, *arguments: Any, **options: Any) -> Any:
        nonlocal n_after
        said = [s for s in room.ear.of(Said) if isinstance(s.event, EvidenceDelta | AnswerDelta)]
        if n_after is not None:
            n_after += 1
        elif said:
            room.service.stop(said[0].request)
            n_after = 0
        return decode(self, *arguments, **options)

    monkeypatch.setattr(Context, "decode", stopped_in_its_midst)
    question = room.service.ask(QUESTION, replace(BRIEF, max_tokens=256))
    stopped = room.ear.wait(Stopped, question)
    assert n_after == 0, "it ends at the next token"
    monkeypatch.setattr(Context, "decode", decode)
    said = [s.event for s in room.ear.of(Said, question)]
    assert stopped.partial == "".join(event.text for event in said if isinstance(event, AnswerDelta))
    answered = room.ear.wait(Answered, room.service.ask(QUESTION, BRIEF))
    assert "48" in answered.answer.answer


def test_comparing_three_ways(room: RealRoom) -> None:
    request = room.service.compare(QUESTION, ["documents", "chunks", "exact"], BRIEF)
    room.ear.wait(Answered, request, fits=lambda answered: answered.arm == "exact")
    documents, _, exact = room.ear.of(Answered, request)
    assert documents.read.parts[0].read_from == "snapshot"
    assert exact.read.parts[0].read_from == "prefill"
    assert exact.read.parts[0].bits == 16
    assert documents.answer.answer == exact.answer.answer


def test_no_room_for_documents_is_told_with_a_remedy(room: RealRoom) -> None:
    too_long = replace(BRIEF, max_tokens=4000)
    for request in (
        room.service.ask(QUESTION, too_long),
        room.service.compare(QUESTION, ["documents", "chunks"], too_long),
    ):
        problem = room.ear.wait(AskFailed, request).problem
        assert "nothing is left for documents" in problem.message
        assert "shorter answer" in problem.remedy
    answered = room.ear.wait(Answered, room.service.ask(QUESTION, BRIEF))
    assert "48" in answered.answer.answer


def test_a_model_that_dies_and_is_gone_until_it_is_put_back(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "own.gguf"
    model.symlink_to(settings.model)
    room = opened(replace(settings, model=str(model)), tmp_path)
    try:
        decode = Context.decode

        def dies(self: Context, *arguments: Any, **options: Any) -> Any:
            if room.ear.of(Said):  # in the middle of the answer
                model.rename(tmp_path / "away")
                monkeypatch.setattr(Context, "decode", decode)
                raise DecodeError("llama.cpp could not go on", subject="the model", remedy="ask again")
            return decode(self, *arguments, **options)

        monkeypatch.setattr(Context, "decode", dies)
        died = room.ear.wait(AskFailed, room.service.ask(QUESTION, BRIEF))
        assert died.problem.message == "llama.cpp could not go on"
        assert room.ear.wait(Failed).problem.remedy
        gone = room.ear.wait(AskFailed, room.service.ask(QUESTION, BRIEF))
        assert gone.problem.message == "there is no such file"
        (tmp_path / "away").rename(model)
        answered = room.ear.wait(Answered, room.service.ask(QUESTION, BRIEF))
        assert "48" in answered.answer.answer
        assert room.ear.wait(TaskDone, room.service.verify()).lines[0].endswith("nothing is wrong")
    finally:
        room.service.close()


def test_a_quantised_cache_answers_during_reading_too(settings: Settings, tmp_path: Path) -> None:
    room = opened(replace(settings, cache_type="q8_0"), tmp_path)
    try:
        reading = room.service.ingest([room.write("school.txt", long_text(14))])
        room.ear.wait(Reading, reading, fits=lambda r: r.volume_done > 0)
        answered = room.ear.wait(Answered, room.service.ask(QUESTION, BRIEF))
        assert "48" in answered.answer.answer
        read = room.ear.wait(VolumeRead, reading)
        assert room.ear.place(answered) < room.ear.place(read)
        room.ear.wait(Ingested, reading)
    finally:
        room.service.close()


def test_closing_in_the_middle_of_a_prefill_and_going_on_later(room: RealRoom) -> None:
    path = room.write("school.txt", long_text(16))
    reading = room.service.ingest([path])
    room.ear.wait(Reading, reading, fits=lambda r: r.volume_done > 0)
    room.service.close()
    assert room.ear.of(Ingested, reading)[0].cancelled
    later = opened(room.settings, room.documents)
    try:
        assert later.ear.wait(TaskDone, later.service.verify()).lines[0].endswith("nothing is wrong")
        assert later.ear.wait(Ingested, later.service.ingest([path])).n_read == 1
    finally:
        later.service.close()


def test_a_library_removed_under_the_app(room: RealRoom, tmp_path: Path) -> None:
    shutil.move(room.settings.library, tmp_path / "away")
    failed = room.ear.wait(AskFailed, room.service.ask(QUESTION, BRIEF))
    assert failed.problem.remedy
    room.ear.wait(Failed)
    assert room.ear.wait(IngestFailed, room.service.ingest([room.documents])).problem.remedy
    shutil.move(tmp_path / "away", room.settings.library)
    answered = room.ear.wait(Answered, room.service.ask(QUESTION, BRIEF))
    assert "48" in answered.answer.answer


def test_a_damaged_snapshot_is_found_and_mended_by_reading_again(room: RealRoom) -> None:
    path = room.snapshot("harbour.txt")
    data = bytearray(path.read_bytes())
    data[-2000] ^= 0xFF
    path.write_bytes(data)
    quick = room.ear.wait(TaskDone, room.service.verify(deep=False)).lines
    assert "nothing is wrong" in quick[0], "its size is still right"
    lines = room.ear.wait(TaskDone, room.service.verify()).lines
    assert lines[0] == "2 documents and 2 snapshots checked: 1 finding"
    document_id = room.service.shelf.states("harbour")[0].document.id
    assert document_id[:12] in lines[1]
    alone = room.ear.wait(TaskDone, room.service.verify([document_id])).lines
    assert "harbour.txt" in alone[1]
    assert room.ear.wait(Ingested, room.service.reread([document_id])).n_read == 1
    sound = room.ear.wait(TaskDone, room.service.verify([document_id]))
    assert sound.lines[0].endswith("nothing is wrong")


def test_a_codec_that_is_known_to_fail_is_warned_of_at_the_start(settings: Settings, tmp_path: Path) -> None:
    with Engine(settings, Library.create_or_open(tmp_path / "other")) as engine:
        sha256 = engine.profile.model_sha256
    finding = Finding("k4v4", "fail", "0.5 nats", "text", 2048, 4096, 0.0)
    path = verdict_path(settings.models, Path(settings.model))
    store_verdicts(path, ModelVerdicts("small", sha256, (finding,)))
    room = opened(settings, tmp_path)
    room.service.close()
    path.unlink()
    (warning,) = room.ear.of(Ready)[0].warnings
    assert "k4v4 changes the predictions" in warning
    assert "0.5 nats" in warning


def test_a_plan_knows_rate_and_size(room: RealRoom) -> None:
    room.write("school.txt", long_text(14))
    plan = room.ear.wait(Plan, room.service.plan([room.documents]))
    assert dict(plan.files) == {"new": 1, "unchanged": 2}
    assert plan.n_volumes == 1
    assert plan.size_bytes > 0
    assert plan.seconds is not None
    assert plan.seconds > 0


def test_a_conversation_is_kept_found_and_continued(room: RealRoom) -> None:
    options = replace(BRIEF, documents=("harbour.txt",))
    first = room.ear.wait(Answered, room.service.ask(QUESTION, options))
    stopping = room.service.ask("When is the lamp lit?", options)
    room.ear.wait(Said, stopping)
    room.service.stop(stopping)
    stopped = room.ear.wait(Stopped, stopping)
    shelf = room.service.shelf
    (summary,) = shelf.conversations("skerry")
    assert (summary.title, summary.n_turns) == (QUESTION, 2)
    assert shelf.conversations("zeppelin") == []
    kept = shelf.conversation(summary.id)
    assert [turn.id for turn in kept.turns] == [first.turn_id, stopped.turn_id]
    assert (kept.turns[0].answer, kept.turns[0].read) == (first.answer, first.read)
    assert (kept.turns[1].answer, kept.turns[1].partial) == (None, stopped.partial)
    room.service.close()

    later = opened(room.settings, room.documents)
    try:
        later.service.open_conversation(summary.id)
        question = later.service.ask("And how old was he?", options)
        later.ear.wait(Answered, question)
        (asked,) = later.ear.of(Asked, question)
        assert (asked.conversation_id, asked.kept) == (summary.id, False)
        assert later.service.shelf.conversations()[0].n_turns == 3
        later.service.shelf.delete_conversation(summary.id)
        assert later.service.shelf.conversations() == []
    finally:
        later.service.close()


def test_the_shelf_knows_what_is_read_before_the_model_is_open(settings: Settings) -> None:
    service = EngineService(settings)
    try:
        assert {state.state for state in service.shelf.states()} == {"ready"}
        assert {s.state for s in EngineService(replace(settings, codec="k8v8")).shelf.states()} == {"stale"}
    finally:
        service.close()
