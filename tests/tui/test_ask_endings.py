"""Ask: how a question ends that is not answered: stopped, failed, without model or library."""

from __future__ import annotations

from dataclasses import replace

from asking import REPORT, answered, ask, field, say
from harness import WIDE, only, running, sees, settle, shown, until
from samples import (
    PROBLEM,
    chosen,
)
from scripted_service import ScriptedService

from beyondrag.events import (
    AnswerDelta,
    Attached,
    Chosen,
    EvidenceDelta,
    PlacedPart,
)
from beyondrag.service.notices import (
    AskFailed,
    Failed,
    ModelMissing,
    Problem,
    Stopped,
    TaskFailed,
)
from beyondrag.tui.screens.welcome import WelcomeScreen


async def test_escape_stops_at_once_and_keeps_what_was_written(service: ScriptedService) -> None:
    async with running(service, screens=only()) as pilot:
        request = await ask(pilot, service)
        say(service, request, AnswerDelta("He was "))
        await sees(pilot, "He was")
        await pilot.press("escape")
        assert service.asked("stop") == [(request,)]
        say(service, request, AnswerDelta("late words"))  # under way when Escape was pressed
        await settle(pilot)
        assert "late words" not in shown(pilot)
        service.tell(Stopped(request, "He was ", "t"))
        await sees(pilot, "Stopped; this was not checked.")
        assert "He was" in shown(pilot)
        await pilot.press("escape")
        assert service.asked("stop") == [(request,)]


async def test_the_next_question_goes_out_after_a_stop(service: ScriptedService) -> None:
    async with running(service, screens=only()) as pilot:
        request = await ask(pilot, service)
        await pilot.press("escape")
        service.tell(Stopped(request, "", "t"))
        await sees(pilot, "Stopped before anything was written.")
        await ask(pilot, service, "Next?")
        assert [call[0] for call in service.asked("ask")] == ["How old?", "Next?"]


async def test_one_question_at_a_time(service: ScriptedService) -> None:
    async with running(service, screens=only()) as pilot:
        await ask(pilot, service)
        await pilot.press(*"Too early", "enter")
        await sees(pilot, "Escape stops it.")
        assert len(service.asked("ask")) == 1
        assert field(pilot).text == "Too early"


async def test_a_failure_is_a_calm_block_with_the_next_step(service: ScriptedService) -> None:
    async with running(service, screens=only()) as pilot:
        request = await ask(pilot, service)
        say(service, request, AnswerDelta("He was "))
        service.tell(AskFailed(request, PROBLEM))
        await sees(pilot, "the model: llama.cpp refused the batch")
        assert "Try: ask again" in shown(pilot)
        assert "He was" in shown(pilot)
        await ask(pilot, service, "Again?")


async def test_an_answer_that_cannot_be_kept_says_so_and_is_shown(service: ScriptedService) -> None:
    async with running(service, WIDE, screens=only()) as pilot:
        request = await ask(pilot, service)
        full = Problem("DiskFull", "the disk is full", "the library", "make room")
        service.tell(TaskFailed(request, full), answered(request, "He was 7."))
        await sees(pilot, "the disk is full")
        seen = await sees(pilot, "first token")
        assert "make room" in seen


async def test_a_model_of_ones_own_that_was_missing_is_tried_again(service: ScriptedService) -> None:
    """Nobody can fetch it from here, but it may have been put back."""
    service.at_start = (ModelMissing("/models/own.gguf", "", 0, PROBLEM),)
    async with running(service, screens=only()) as pilot:
        await until(pilot, lambda: isinstance(pilot.app.screen, WelcomeScreen))
        await pilot.press("escape", *"Hello?", "enter")
        await until(pilot, lambda: service.asked("ask"))
        service.tell(AskFailed(service.last_request, PROBLEM))
        await sees(pilot, "llama.cpp refused the batch")


async def test_documents_that_are_read_for_the_question_are_not_called_attached(
    service: ScriptedService,
) -> None:
    async with running(service, WIDE, screens=only()) as pilot:
        request = await ask(pilot, service)
        document = replace(chosen(REPORT), read_from="prefill")
        say(service, request, Chosen((document,), ()))
        await sees(pilot, "reading for this question …")
        say(
            service,
            request,
            Attached(2_031, 20.0, (PlacedPart(document, 31, 2_031, "prefill", "f16", 16.0),)),
        )
        seen = await sees(pilot, "2,031 tokens in the context after 20 s: 2,000 of them prefilled")
        assert "kv " not in seen


async def test_an_engine_that_dies_in_the_middle_ends_the_question(service: ScriptedService) -> None:
    async with running(service, WIDE, screens=only()) as pilot:
        request = await ask(pilot, service)
        say(service, request, EvidenceDelta("half a li"))
        service.tell(Failed(PROBLEM))
        await sees(pilot, "failed")
        assert shown(pilot).count("llama.cpp refused the batch") == 2  # in the turn and above the field
        assert "copying evidence" not in shown(pilot)


async def test_without_a_model_a_question_leads_to_the_first_steps(service: ScriptedService) -> None:
    service.at_start = (ModelMissing("qwen", "Apache-2.0", 10**9, PROBLEM),)
    async with running(service, screens=only()) as pilot:
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(pilot.app.screen, WelcomeScreen))
        assert "Try: ask again" in shown(pilot)
        await pilot.press(*"Hello?", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, WelcomeScreen))
        assert service.asked("ask") == []


async def test_a_library_that_went_away_is_told_in_words(service: ScriptedService) -> None:
    from library.errors import LibraryError

    service.shelf_data.failure = LibraryError("there is no library", remedy="read a folder first")
    async with running(service, screens=only()) as pilot:
        await sees(pilot, "there is no library  read a folder first")
