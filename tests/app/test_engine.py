"""From a question to an answer with the small real model."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_world import TEXTS, World

from beyondrag.engine import Engine
from beyondrag.errors import UsageError
from beyondrag.events import Answer, Attached, Chosen, Done, Event, ReadingDocument
from beyondrag.reading import profile_for
from beyondrag.turn import AskOptions, check_question
from ingest.indexing import index
from kvfiles.errors import Cancelled
from library.errors import DocumentNotFound

pytestmark = pytest.mark.model

QUESTION = "How old was the keeper at Skerry Point?"
BRIEF = AskOptions(max_tokens=24, check=False)
BOTH = AskOptions(max_tokens=24, check=False, documents=("harbour", "bakery"))
SWAPPED = AskOptions(max_tokens=24, check=False, documents=("bakery", "harbour"))


def events_of(engine: Engine, question: str = QUESTION, options: AskOptions = BRIEF) -> list[Event]:
    events = list(engine.ask(question, options))
    assert engine.context.end(0) == engine.context.end(1) == 0, "the context is empty again"
    return events


def answer_of(engine: Engine, question: str = QUESTION, options: AskOptions = BRIEF) -> Answer:
    last = events_of(engine, question, options)[-1]
    assert isinstance(last, Done)
    return last.answer


def damage(path: Path, at: int = -2000) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 0xFF
    path.write_bytes(data)


def test_an_answer_from_a_snapshot(engine: Engine) -> None:
    events = events_of(engine)
    chosen, done = events[0], events[-1]
    assert isinstance(chosen, Chosen)
    assert isinstance(done, Done)
    assert chosen.documents[0].title == "Harbour report"
    answer = done.answer
    assert answer.documents[0].read_from == "snapshot"
    assert answer.prefilled_tokens == 0
    assert "48" in answer.answer
    (source,) = answer.sources
    assert source.quote == "The keeper at Skerry Point was 48 years old."
    text = engine.library.text(source.document_id).text
    assert text[source.start : source.end] == source.quote
    attached = next(event for event in events if isinstance(event, Attached))
    assert attached.n_tokens > answer.documents[0].n_tokens
    assert not any(isinstance(event, ReadingDocument) for event in events)


def test_the_json_has_exactly_the_promised_keys(engine: Engine) -> None:
    value = answer_of(engine).to_json()
    assert list(value) == [
        *("question", "answer", "abstained", "documents", "sources", "timings", "prefilled_tokens")
    ]
    (document,) = value["documents"][:1]  # type: ignore[index]  # a JSON value
    assert list(document) == ["id", "path", "title", "tokens", "score", "read_from"]
    (source,) = value["sources"]  # type: ignore[misc,attr-defined]  # a JSON value
    assert list(source) == ["document", "page", "quote"]
    timings = value["timings"]
    assert list(timings) == [  # type: ignore[call-overload]  # a JSON value
        *("open_s", "retrieve_s", "attach_s", "ttft_s", "total_s", "decode_tokens_per_s")
    ]
    assert all(seconds > 0 for seconds in timings.values())  # type: ignore[attr-defined]  # a JSON value
    assert timings["attach_s"] < timings["ttft_s"] < timings["total_s"]  # type: ignore[index]  # a JSON value


def test_a_document_that_was_only_indexed_is_read_once(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "school.txt").write_text("School report\n\nThe bell of Fern Hill rings at nine.\n")
    with engine.library.writing():
        index(engine.library, [tmp_path / "school.txt"])
    question = "When does the bell of Fern Hill ring?"
    options = AskOptions(max_tokens=8, documents=("school",), check=False)
    first = answer_of(engine, question, options)
    second = answer_of(engine, question, options)
    assert first.documents[0].read_from == "prefill"
    assert first.prefilled_tokens == first.documents[0].n_tokens > 0 or first.prefilled_tokens > 0
    assert second.documents[0].read_from == "snapshot"
    assert second.prefilled_tokens == 0
    assert (second.answer, second.sources) == (first.answer, first.sources)


def test_a_corrupt_snapshot_is_dropped_and_read_again(engine: Engine) -> None:
    before = answer_of(engine)
    record = engine.library.snapshot(before.documents[0].id, 0, engine.profile.id)
    assert record is not None
    damage(record.path)
    after = answer_of(engine)
    assert (after.answer, after.sources) == (before.answer, before.sources)
    assert after.prefilled_tokens == before.documents[0].n_tokens
    assert after.documents[0].read_from == "prefill"
    assert not record.path.exists()
    assert engine.library.verify() == []
    assert answer_of(engine).prefilled_tokens == 0


@pytest.mark.parametrize("size", [0, 100, -1])
def test_a_truncated_snapshot_is_read_again(engine: Engine, size: int) -> None:
    document = engine.library.find("harbour")
    record = engine.library.snapshot(document.id, 0, engine.profile.id)
    assert record is not None
    record.path.write_bytes(record.path.read_bytes()[:size])
    assert answer_of(engine).prefilled_tokens == record.n_tokens


def test_a_prefix_damaged_while_the_engine_is_open_is_made_again(engine: Engine) -> None:
    before = answer_of(engine)
    prefix = engine.library.prefix_path(engine.profile.id)
    damage(prefix)
    after = answer_of(engine)
    assert (after.answer, after.prefilled_tokens) == (before.answer, 0)


def test_exact_mode_gives_the_same_first_document(engine: Engine) -> None:
    exact = answer_of(
        engine, options=AskOptions(exact=True, max_tokens=24, check=False, documents=("harbour",))
    )
    attached = answer_of(engine, options=AskOptions(max_tokens=24, check=False, documents=("harbour",)))
    assert (exact.answer, exact.sources) == (attached.answer, attached.sources)
    assert exact.documents[0].read_from == "prefill"
    assert exact.prefilled_tokens > exact.documents[0].n_tokens


def test_two_documents_in_any_order(engine: Engine) -> None:
    for options in (BOTH, SWAPPED):
        answer = answer_of(engine, options=options)
        assert [d.title.split()[0].lower() for d in answer.documents] == list(options.documents)
        assert all(d.read_from == "snapshot" for d in answer.documents)
        assert answer.prefilled_tokens == 0
        assert answer.timings.attach_s > 0


def test_repair_recomputes_the_head_of_later_documents(engine: Engine) -> None:
    options = AskOptions(max_tokens=8, check=False, documents=("bakery", "harbour"), repair_tokens=10)
    answer = answer_of(engine, options=options)
    assert answer.prefilled_tokens == 10
    assert len(answer.documents) == 2


def test_what_does_not_fit_is_said_in_words(world: World, tmp_path: Path) -> None:
    with world.library() as library:
        (tmp_path / "long.txt").write_text("Skerry Point\n\n" + "The sea was calm that day. " * 100)
        with library.writing():
            index(library, [tmp_path / "long.txt"])
        with Engine(world.settings, library) as engine:
            tight = AskOptions(max_tokens=1100, check=False, documents=("long", "harbour"))
            chosen = next(iter(engine.ask(QUESTION, tight)))
    assert isinstance(chosen, Chosen)
    assert [d.title for d in chosen.documents] == ["Harbour report"]
    assert any("long.txt" in words and "do not fit" in words for words in chosen.left_out)


def test_a_document_that_holds_less_of_what_the_question_names_is_left_out_in_words(engine: Engine) -> None:
    chosen = next(iter(engine.ask("Which report tells the age of the keeper at Skerry Point?", BRIEF)))
    assert isinstance(chosen, Chosen)
    assert [document.title for document in chosen.documents] == ["Harbour report"]
    assert chosen.left_out == ("bakery.txt: it holds less of what the question names",)


def test_no_room_at_all_is_refused_with_a_remedy(engine: Engine) -> None:
    with pytest.raises(UsageError, match="nothing is left for documents") as refused:
        answer_of(engine, options=AskOptions(max_tokens=4000))
    assert "shorter answer" in (refused.value.remedy or "")
    assert answer_of(engine, options=BRIEF).documents


def test_nothing_found_is_an_abstention(engine: Engine) -> None:
    answer = answer_of(engine, "Zeppelin?")
    assert (answer.abstained, answer.documents, answer.answer) == (True, (), "")


def test_an_unknown_pinned_document(engine: Engine) -> None:
    with pytest.raises(DocumentNotFound, match="no such document"):
        answer_of(engine, options=AskOptions(documents=("harbor.txt",)))


def test_cancelling_leaves_the_engine_usable(engine: Engine) -> None:
    with pytest.raises(Cancelled):
        list(engine.ask(QUESTION, BRIEF, lambda: True))
    assert "48" in answer_of(engine).answer


def test_a_listener_that_goes_away_leaves_the_engine_usable(engine: Engine) -> None:
    asking = engine.ask(QUESTION, BRIEF)
    next(iter(asking))
    asking.close()  # type: ignore[attr-defined]  # a generator
    assert engine.context.end(0) == 0
    assert "48" in answer_of(engine).answer


def test_snapshots_of_another_profile_are_never_used(world: World) -> None:
    other = world.with_(codec="k8v8")
    with other.library() as library, Engine(other.settings, library) as engine:
        assert engine.profile.id != profile_for(world.settings)[1].id
        answer = answer_of(engine, options=AskOptions(max_tokens=8, documents=("harbour",)))
        assert answer.documents[0].read_from == "prefill"
        assert answer.prefilled_tokens > 0
        kept = library.snapshot(answer.documents[0].id, 0, engine.profile.id)
        assert kept is not None
        assert kept.codec == "k8v8"
        assert len(library.snapshots()) == len(TEXTS) + 1, "the others stay"


def test_a_q8_runtime_cache_reads_and_answers_too(world: World) -> None:
    q8 = world.with_(cache_type="q8_0", codec="k8v8")
    with q8.library() as library, Engine(q8.settings, library) as engine:
        answer = answer_of(engine, options=AskOptions(max_tokens=24, documents=("harbour",), check=False))
        assert answer.prefilled_tokens > 0
        assert "48" in answer.answer


def test_closing_twice(world: World) -> None:
    with world.library() as library:
        engine = Engine(world.settings, library)
        engine.close()
        engine.close()


@pytest.mark.parametrize("question", ["", "  \n\t ", "x" * 4001])
def test_questions_that_cannot_be_asked(question: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_question(question)
    assert caught.value.remedy


def test_a_question_is_trimmed() -> None:
    assert check_question("  How\n old?  ") == "How old?"
