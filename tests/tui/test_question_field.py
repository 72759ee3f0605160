"""The field that questions are typed into: lines, pastes, earlier questions."""

from __future__ import annotations

import pytest
from asking import answered, ask, field
from harness import only, running, sees, settle, shown, until
from samples import conversation
from scripted_service import ScriptedService

from beyondrag.tui.screens.ask import AskScreen
from beyondrag.turn import MAX_QUESTION_CHARS, AskOptions
from library.errors import LibraryError


async def test_ctrl_j_makes_a_new_line_and_enter_sends_all(service: ScriptedService) -> None:
    async with running(service, screens=only()) as pilot:
        await pilot.press("a", "ctrl+j", "b")
        assert field(pilot).text == "a\nb"
        assert field(pilot).size.height == 2
        await pilot.press("enter")
        await until(pilot, lambda: service.asked("ask") == [("a\nb", AskOptions())])


@pytest.mark.parametrize("nothing", [(), ("space",), ("ctrl+j", "space")])
async def test_nothing_is_not_asked(service: ScriptedService, nothing: tuple[str, ...]) -> None:
    async with running(service, screens=only()) as pilot:
        await pilot.press(*nothing, "enter")
        await settle(pilot)
        assert service.asked("ask") == []


async def test_up_brings_back_earlier_questions(service: ScriptedService) -> None:
    async with running(service, screens=only()) as pilot:
        for question in ("One", "Two"):
            service.tell(answered(await ask(pilot, service, question), "Yes."))
            await settle(pilot)
        seen = []
        for key in ("up", "up", "up", "down", "down"):
            await pilot.press(key)
            seen.append(field(pilot).text)
        assert seen == ["Two", "One", "One", "Two", ""]
        await pilot.press("up", "?", "up")
        assert field(pilot).text == "Two?"  # what was changed is not lost


async def test_a_paste_is_made_safe_and_bounded(service: ScriptedService) -> None:
    from textual import events

    async with running(service, screens=only()) as pilot:
        field(pilot).post_message(events.Paste("a\x1b[31mb\u202e" + "x" * 10_000))
        await settle(pilot)
        assert field(pilot).text.startswith("a\\x1b[31mb\\u202ex")
        assert len(field(pilot).text) == MAX_QUESTION_CHARS
        await pilot.press("y")
        assert len(field(pilot).text) == MAX_QUESTION_CHARS


# ------------------------------------------------------------------------------- earlier questions


async def test_ctrl_r_looks_for_a_question_of_any_conversation(service: ScriptedService) -> None:
    service.shelf_data.kept["c1"] = conversation("Who flew the aircraft?", "How old was he?")
    service.shelf_data.kept["c2"] = conversation("Who owns the hangar?", name="c2")
    async with running(service, screens=only()) as pilot:
        await sees(pilot, "^r Earlier")
        await pilot.press(*"rest", "ctrl+r")
        await sees(pilot, "Who owns the hangar?")
        await pilot.press(*"OLD how")
        await until(pilot, lambda: "hangar" not in shown(pilot))
        await pilot.press("enter")
        await settle(pilot)
        assert field(pilot).text == "How old was he?", "it replaces what stood there, and nothing is sent yet"
        assert service.asked("ask") == []
        await pilot.press("enter")
        await until(pilot, lambda: service.asked("ask"))


async def test_a_fast_enter_takes_what_the_words_find(service: ScriptedService) -> None:
    service.shelf_data.kept["c1"] = conversation("Who flew the aircraft?", "How old was he?")
    async with running(service, screens=only()) as pilot:
        await sees(pilot, "^r Earlier")
        await pilot.press("ctrl+r", *"flew", "enter")
        await until(pilot, lambda: field(pilot).text == "Who flew the aircraft?")


async def test_ctrl_r_again_goes_further_back_and_escape_changes_nothing(service: ScriptedService) -> None:
    async with running(service, screens=only()) as pilot:
        assert "^r Earlier" not in shown(pilot), "nothing was asked yet"
        await pilot.press("ctrl+r")
        assert isinstance(pilot.app.screen, AskScreen)
        for question in ("One?", "Two?", "Three?", "Two?"):
            service.tell(answered(await ask(pilot, service, question), "Yes."))
            await settle(pilot)
        await pilot.press(*"kept", "ctrl+r")
        screen = await sees(pilot, "One?")
        assert screen.index("Two?") < screen.index("Three?") < screen.index("One?"), "the latest first, once"
        await pilot.press("escape")
        assert field(pilot).text == "kept"
        await pilot.press("ctrl+r")
        await sees(pilot, "One?")
        await pilot.press("ctrl+r", "ctrl+r", "enter")
        await until(pilot, lambda: field(pilot).text == "One?")


async def test_looking_back_in_a_library_that_went_away_is_told(service: ScriptedService) -> None:
    async with running(service, screens=only()) as pilot:
        service.tell(answered(await ask(pilot, service, "One?"), "Yes."))
        await settle(pilot)
        service.shelf_data.failure = LibraryError("the library is gone")
        await pilot.press("ctrl+r")
        await sees(pilot, "the library is gone")
        await pilot.press("enter", "escape")
        await settle(pilot)
        assert isinstance(pilot.app.screen, AskScreen)
