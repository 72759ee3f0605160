"""Questions one after another with the small real model: what stays in the context, and what that changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from small_world import World

from beyondrag.dialogue import Dialogue
from beyondrag.engine import Engine
from beyondrag.errors import UsageError
from beyondrag.events import (
    Answer,
    AnswerDelta,
    Attached,
    Chosen,
    ContextChoice,
    Done,
    Event,
    EvidenceDelta,
    ReadingDocument,
)
from beyondrag.follow_up import EarlierTurn
from beyondrag.turn import AskOptions
from ingest.indexing import index
from ingest.reader import PrefixFacts
from kvfiles.errors import Cancelled, DecodeError
from library.errors import DocumentNotFound

pytestmark = pytest.mark.model

KEEPER = "How old was the keeper at Skerry Point?"
OVEN = "When was the oven of Mill Lane built?"
BRIEF = AskOptions(max_tokens=16, check=False)
OTHERS = {
    "quarry.txt": "Quarry report\n\nThe granite of Hollow Tor is grey.\n",
    "ferry.txt": "Ferry report\n\nThe boat to Ostrey leaves at noon.\n",
    "market.txt": "Market report\n\nThe stalls of Corn Square open on Mondays.\n",
    "orchard.txt": "Orchard report\n\nThe pears of Long Acre ripen in September.\n",
}
"""Never read here: with them a name of one document is rare enough to tell it from others."""


@pytest.fixture
def world(world: World, tmp_path: Path) -> World:
    folder = tmp_path / "others"
    folder.mkdir()
    for name, text in OTHERS.items():
        (folder / name).write_text(text)
    with world.library() as library, library.writing():
        index(library, [folder])
    return world


@dataclass(frozen=True)
class Asked:
    """What one question of a dialogue gave."""

    choice: ContextChoice
    chosen: Chosen
    attached: Attached | None
    answer: Answer
    n_read: int

    @property
    def titles(self) -> list[str]:
        return [document.title for document in self.chosen.documents]


def ask(dialogue: Dialogue, question: str, options: AskOptions = BRIEF) -> Asked:
    events = list(dialogue.ask(question, options))
    first, second, last = events[0], events[1], events[-1]
    assert isinstance(first, ContextChoice)
    assert isinstance(second, Chosen)
    assert isinstance(last, Done)
    attached = [event for event in events if isinstance(event, Attached)]
    n_read = sum(isinstance(event, ReadingDocument) for event in events)
    return Asked(first, second, attached[0] if attached else None, last.answer, n_read)


def single(engine: Engine, question: str, options: AskOptions = BRIEF) -> Answer:
    last = list(engine.ask(question, options))[-1]
    assert isinstance(last, Done)
    return last.answer


def told(answer: Answer) -> tuple[object, ...]:
    """All of an answer but times."""
    return (answer.question, answer.answer, answer.checked, answer.sources, answer.nearest, answer.log_odds)


@contextmanager
def fed(engine: Engine) -> Iterator[list[str]]:
    """The texts that the model is given inside the block, batch by batch."""
    texts: list[str] = []
    context = engine.context
    decode = context.decode

    def note(tokens, *arguments, **options):  # type: ignore[no-untyped-def]  # as the method
        texts.append(engine.model.text(tokens))
        return decode(tokens, *arguments, **options)

    context.decode = note  # type: ignore[method-assign]  # put back below
    try:
        yield texts
    finally:
        del context.decode  # type: ignore[attr-defined]  # the instance's own


def test_a_first_question_is_what_it_is_alone(engine: Engine) -> None:
    alone = single(engine, KEEPER)
    asked = ask(engine.dialogue(), KEEPER)
    assert asked.choice == ContextChoice(kept=False, why="")
    assert told(asked.answer) == told(alone)
    assert asked.attached is not None
    assert engine.context.end(0) == asked.attached.n_tokens, "only the documents stay"


def test_a_follow_up_loads_nothing(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    dialogue = engine.dialogue()
    first = ask(dialogue, KEEPER)

    def never(*_arguments: object, **_options: object) -> None:
        raise AssertionError("nothing is to be attached")

    monkeypatch.setattr(engine.desk.composer, "attach", never)
    with fed(engine) as texts:
        second = ask(dialogue, "And is his lamp lit?")
    assert second.choice == ContextChoice(True, "“his” refers back to the documents read before")
    assert second.titles == ["Harbour report"]
    assert second.attached is not None
    assert first.attached is not None
    assert (second.attached.seconds, second.answer.timings.attach_s) == (0.0, 0.0)
    assert second.attached.parts == first.attached.parts
    assert second.answer.prefilled_tokens == 0
    said = first.answer.answer
    assert texts[0].startswith(f"Earlier question: {KEEPER}\nEarlier answer: {said}\nQuestion: And is his")
    assert engine.context.end(0) == first.attached.n_tokens


def test_a_kept_document_answers_as_a_fresh_one(engine: Engine) -> None:
    dialogue = engine.dialogue()
    first = ask(dialogue, KEEPER)
    kept = ask(dialogue, "And is his lamp lit?")
    fresh = ask(
        engine.dialogue([EarlierTurn(KEEPER, first.answer.answer)]),
        "And is his lamp lit?",
        replace(BRIEF, documents=("harbour",)),
    )
    assert kept.choice.kept
    assert not fresh.choice.kept
    assert (kept.answer.answer, kept.answer.sources) == (fresh.answer.answer, fresh.answer.sources)
    assert kept.answer.log_odds == pytest.approx(fresh.answer.log_odds, abs=0.1)


def test_another_question_is_asked_as_if_alone(engine: Engine) -> None:
    alone = single(engine, OVEN)
    dialogue = engine.dialogue()
    ask(dialogue, KEEPER)
    asked = ask(dialogue, OVEN)
    assert asked.choice.kept is False
    assert "“Mill”" in asked.choice.why
    assert asked.titles == ["Bakery report"]
    assert told(asked.answer) == told(alone)
    again = ask(dialogue, KEEPER)
    assert again.choice.kept is False
    assert told(again.answer) == told(single(engine, KEEPER))


def test_the_same_documents_found_again_are_kept(engine: Engine) -> None:
    dialogue = engine.dialogue()
    ask(dialogue, KEEPER)
    asked = ask(dialogue, "Who was the keeper at Skerry Point?")
    assert asked.choice == ContextChoice(True, "the search found the same documents")
    assert told(asked.answer) == told(single(engine, "Who was the keeper at Skerry Point?"))


def test_a_follow_up_about_something_else_is_looked_for(engine: Engine) -> None:
    dialogue = engine.dialogue()
    ask(dialogue, "When was the lamp of Skerry Point built?")
    with fed(engine) as texts:
        asked = ask(dialogue, "What about the oven?")
    assert asked.choice == ContextChoice(False, "the documents read before do not hold “oven”")
    assert asked.titles[0] == "Bakery report"
    assert any("Earlier question: When was the lamp of Skerry Point built?" in text for text in texts)


def test_pinned_documents_decide_alone(engine: Engine) -> None:
    dialogue = engine.dialogue()
    oven = replace(BRIEF, documents=("bakery",))
    assert ask(dialogue, KEEPER, oven).choice == ContextChoice(False, "")
    same = ask(dialogue, "Who was the keeper at Skerry Point?", oven)
    assert same.choice == ContextChoice(True, "the same documents are pinned")
    other = ask(dialogue, "And how old was he?", replace(BRIEF, documents=("harbour", "bakery")))
    assert other.choice == ContextChoice(False, "other documents are pinned")
    assert other.titles == ["Harbour report", "Bakery report"]
    swapped = ask(dialogue, "And how old was he?", replace(BRIEF, documents=("bakery", "harbour")))
    assert swapped.choice.kept, "the order does not matter"
    assert swapped.titles == ["Harbour report", "Bakery report"]
    with pytest.raises(DocumentNotFound):
        ask(dialogue, KEEPER, replace(BRIEF, documents=("nowhere.txt",)))
    assert ask(dialogue, "And how old was he?").choice.kept, "an unknown name changes nothing"


@pytest.mark.parametrize(("exact", "repair"), [(True, 0), (False, 5)])
def test_another_way_of_reading(engine: Engine, exact: bool, repair: int) -> None:
    dialogue = engine.dialogue()
    ask(dialogue, KEEPER)
    options = replace(BRIEF, exact=exact, repair_tokens=repair)
    asked = ask(dialogue, "And how old was he?", options)
    assert asked.choice == ContextChoice(False, "the same documents have to be read in another way")
    assert asked.attached is not None
    assert {part.read_from for part in asked.attached.parts} == {"prefill" if exact else "snapshot"}
    again = ask(dialogue, "And how old was he?", options)
    assert again.choice.kept
    assert [d.read_from for d in again.answer.documents] == ["prefill" if exact else "snapshot"]
    assert again.answer.prefilled_tokens == 0


def test_what_stands_where(engine: Engine) -> None:
    dialogue = engine.dialogue()
    both = replace(BRIEF, documents=("harbour", "bakery"))
    asked = ask(dialogue, KEEPER, both)
    assert asked.attached is not None
    first, second = asked.attached.parts
    assert (first.first, second.first) == (len(engine.desk.prefix), first.stop)
    assert second.stop == asked.attached.n_tokens == engine.context.end(0)
    assert [part.document.title for part in (first, second)] == asked.titles
    assert {part.codec for part in (first, second)} == {"k4v4"}
    n_tokens = first.stop - first.first
    assert first.bits == engine.bits_per_value(n_tokens)
    exact = ask(dialogue, KEEPER, replace(both, exact=True)).attached
    assert exact is not None
    assert [(part.codec, part.bits) for part in exact.parts] == [("f16", 16.0)] * 2
    assert [(p.first, p.stop) for p in exact.parts] == [(p.first, p.stop) for p in asked.attached.parts]
    assert dialogue.placement is not None
    assert dialogue.placement.parts == exact.parts


def test_nothing_found_keeps_the_documents(engine: Engine) -> None:
    dialogue = engine.dialogue()
    ask(dialogue, KEEPER)
    asked = ask(dialogue, "Zeppelin timetable?")
    assert asked.choice == ContextChoice(True, "no document fits the question; nothing else is read")
    assert (asked.titles, asked.attached, asked.answer.abstained) == ([], None, True)
    assert ask(dialogue, "Is the lamp lit?").choice.kept
    assert ask(engine.dialogue(), "Zeppelin timetable?").choice == ContextChoice(False, "")


# ----------------------------------------------------------------------- interruptions


def stop_after(n: int) -> Callable[[], bool]:
    left = iter(range(n))
    return lambda: next(left, None) is None


def test_a_stop_in_the_middle_keeps_the_documents(engine: Engine) -> None:
    dialogue = engine.dialogue()
    stopped: list[Event] = []
    with pytest.raises(Cancelled):
        stopped.extend(dialogue.ask(KEEPER, BRIEF, stop_after(6)))
    assert any(isinstance(event, EvidenceDelta) for event in stopped)
    placement = dialogue.placement
    assert placement is not None
    assert engine.context.end(0) == placement.n_tokens
    asked = ask(dialogue, "And how old was he?")
    assert asked.choice.kept
    assert "48" in asked.answer.answer


def test_a_stop_while_reading_leaves_nothing_half(engine: Engine) -> None:
    dialogue = engine.dialogue()
    exact = replace(BRIEF, exact=True)
    with pytest.raises(Cancelled):
        list(dialogue.ask(KEEPER, exact, stop_after(1)))
    assert dialogue.placement is None
    assert engine.context.end(0) == 0
    assert "48" in ask(dialogue, KEEPER).answer.answer


def test_a_listener_that_goes_away(engine: Engine) -> None:
    dialogue = engine.dialogue()
    left = dialogue.ask(KEEPER, BRIEF)
    while not isinstance(next(left), EvidenceDelta):
        pass
    asked = ask(dialogue, OVEN)  # while the first is still open
    assert told(asked.answer) == told(single(engine, OVEN))
    again = ask(dialogue, OVEN)
    left.close()  # type: ignore[attr-defined]  # a generator
    assert dialogue.placement is not None, "the end of the old question takes nothing away"
    assert told(ask(dialogue, OVEN).answer) == told(again.answer)


def test_done_is_the_end_even_if_nobody_asks_for_more(engine: Engine) -> None:
    dialogue = engine.dialogue()
    asking = dialogue.ask(KEEPER, BRIEF)
    while not isinstance(next(asking), Done):
        pass
    assert dialogue.placement is not None
    assert engine.context.end(0) == dialogue.placement.n_tokens


def test_a_failing_model_forgets_the_documents(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    dialogue = engine.dialogue()
    ask(dialogue, KEEPER)

    def fail(*_arguments: object, **_options: object) -> None:
        raise DecodeError("llama.cpp refused to decode (status -3)")

    with monkeypatch.context() as patched:
        patched.setattr(engine.context, "decode", fail)
        with pytest.raises(DecodeError):
            ask(dialogue, "And how old was he?")
    assert dialogue.placement is None
    asked = ask(dialogue, "And how old was he?")
    assert asked.choice == ContextChoice(False, "the documents read before no longer stand in the context")


def test_a_bad_question_changes_nothing(engine: Engine) -> None:
    dialogue = engine.dialogue()
    ask(dialogue, KEEPER)
    with pytest.raises(UsageError):
        ask(dialogue, " ")
    assert ask(dialogue, "And how old was he?").choice.kept


def test_forgetting_lends_the_context(engine: Engine) -> None:
    dialogue = engine.dialogue()
    before = ask(dialogue, KEEPER)
    dialogue.forget()
    assert engine.context.end(0) == 0
    assert dialogue.placement is None
    dialogue.forget()
    asked = ask(dialogue, "And how old was he?")
    assert asked.choice == ContextChoice(False, "the documents read before no longer stand in the context")
    assert asked.titles == before.titles, "the search knows what is meant"


def test_others_take_the_context_away(engine: Engine) -> None:
    first, second = engine.dialogue(), engine.dialogue()
    ask(first, KEEPER)
    ask(second, OVEN)
    assert first.placement is None
    asked = ask(first, "And how old was he?")
    assert not asked.choice.kept
    assert asked.titles == ["Harbour report"]
    first.forget()
    ask(second, OVEN)
    first.forget()
    assert second.placement is not None, "what is not one's own is not cleared"
    single(engine, KEEPER)
    assert second.placement is None
    assert not ask(second, "What does it burn?").choice.kept


def test_going_on_from_a_kept_conversation(engine: Engine) -> None:
    dialogue = engine.dialogue([EarlierTurn(KEEPER, "48")])
    with fed(engine) as texts:
        asked = ask(dialogue, "Is his lamp lit?")
    assert asked.titles == ["Harbour report"]
    assert any(f"Earlier question: {KEEPER}\nEarlier answer: 48\n" in text for text in texts)


# ---------------------------------------------------------------------- a changing library


def test_a_document_that_left_the_library(engine: Engine) -> None:
    dialogue = engine.dialogue()
    ask(dialogue, KEEPER)
    engine.library.remove(engine.library.find("harbour").id)
    asked = ask(dialogue, "Is his lamp lit?")
    assert asked.choice == ContextChoice(False, "harbour.txt has changed or is gone")
    assert "Harbour report" not in asked.titles


def test_a_document_that_was_just_added(engine: Engine, tmp_path: Path) -> None:
    dialogue = engine.dialogue()
    ask(dialogue, KEEPER)
    (tmp_path / "school.txt").write_text("School report\n\nThe bell of Fern Hill rings at nine.\n")
    with engine.library.writing():
        index(engine.library, [tmp_path / "school.txt"])
    asked = ask(dialogue, "When does the bell of Fern Hill ring?")
    assert asked.titles == ["School report"]
    assert asked.n_read == 2, "it is read now"
    assert asked.answer.documents[0].read_from == "prefill"
    assert asked.attached is not None
    assert asked.attached.parts[0].read_from == "snapshot", "what stands there comes from its new snapshot"
    again = ask(dialogue, "And where is it?")
    assert (again.choice.kept, again.n_read, again.answer.prefilled_tokens) == (True, 0, 0)


def test_another_part_of_a_long_document(world: World, tmp_path: Path) -> None:
    calm = "The sea was calm that day and nobody came. "
    kitchen = f"The cook stirred the soup.\n{calm * 8}\n"
    text = f"Log of Skerry Point\n\nA cook brought the keeper soup.\n{calm * 60}\n{kitchen * 3}"
    (tmp_path / "log.txt").write_text(text)
    small = world.with_(context=1600)
    with small.library() as library, Engine(small.settings, library) as engine:
        with library.writing():
            index(library, [tmp_path / "log.txt"])
        only = replace(BRIEF, documents=("log",))
        dialogue = engine.dialogue()
        first = ask(dialogue, "What was brought to the keeper?", only)
        assert first.chosen.documents[0].label != "whole document"
        moved = ask(dialogue, "And did their cook stir the soup?", BRIEF)
        assert moved.choice == ContextChoice(False, "another part of log.txt fits the question better")
        assert moved.chosen.documents[0].volume != first.chosen.documents[0].volume
        back = ask(dialogue, "What was brought to the keeper?", only)
        assert back.chosen.documents[0].volume == first.chosen.documents[0].volume


def test_no_room_for_a_longer_question(engine: Engine) -> None:
    dialogue = engine.dialogue()
    both = replace(BRIEF, documents=("harbour", "bakery"))
    ask(dialogue, KEEPER, both)
    asked = ask(dialogue, "And how old was he?", replace(BRIEF, max_tokens=1500))
    assert asked.choice == ContextChoice(False, "the documents read before leave no room for this question")
    assert len(asked.titles) < 2
    assert any("do not fit" in words for words in asked.chosen.left_out)


def test_partial_answers_stream_in_a_dialogue_too(engine: Engine) -> None:
    events = list(engine.dialogue().ask(KEEPER, BRIEF))
    streamed = "".join(event.text for event in events if isinstance(event, AnswerDelta))
    last = events[-1]
    assert isinstance(last, Done)
    assert last.answer.answer in streamed


def test_a_model_whose_keys_cannot_be_moved(engine: Engine) -> None:
    engine._facts = PrefixFacts(tokens_per_s=100.0, relocatable=False)
    both = replace(BRIEF, documents=("harbour", "bakery"))
    asked = ask(engine.dialogue(), KEEPER, both)
    assert asked.attached is not None
    parts = asked.attached.parts
    assert [(part.read_from, part.codec) for part in parts] == [("snapshot", "k4v4"), ("prefill", "f16")]
    assert [document.read_from for document in asked.answer.documents] == ["snapshot", "prefill"]
    assert asked.answer.prefilled_tokens == parts[1].stop - parts[1].first
