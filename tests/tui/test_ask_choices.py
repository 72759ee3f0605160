"""Ask: which documents are read, and how: pins and options."""

from __future__ import annotations

from asking import LEASE, ask
from harness import WIDE, only, running, sees, settle, shown, until
from scripted_service import ScriptedService

from beyondrag.tui.screens.options import OptionsScreen
from beyondrag.tui.screens.pin import PinScreen
from beyondrag.turn import AskOptions


async def test_pinned_documents_are_searched_as_one_types_and_sent(service: ScriptedService) -> None:
    async with running(service, screens=only()) as pilot:
        await pilot.press("ctrl+l")
        await sees(pilot, "[ ] Lease of the hangar")
        assert "[ ] Report on the accident" in shown(pilot)
        await pilot.press(*"hangar")
        await until(pilot, lambda: "Report on the accident" not in shown(pilot))
        await pilot.press("enter")
        await sees(pilot, "[x] Lease of the hangar")
        await pilot.press("escape")
        await sees(pilot, "only: Lease of the hangar")
        await ask(pilot, service)
        assert service.asked("ask")[-1][1].documents == (LEASE.id,)

        await pilot.press("ctrl+l", "ctrl+x", "escape")
        await settle(pilot)
        assert "only:" not in shown(pilot)


async def test_arrows_choose_while_the_field_keeps_the_focus(service: ScriptedService) -> None:
    async with running(service, screens=only()) as pilot:
        await pilot.press("ctrl+l")
        await sees(pilot, "[ ] Report on the accident")
        await pilot.press("down", "enter", "escape")
        await sees(pilot, "only: Report on the accident")


async def test_one_document_only(service: ScriptedService) -> None:
    async with running(service, screens=only()) as pilot:
        await pilot.press("ctrl+l")
        await sees(pilot, "[ ] Lease")
        await pilot.press("enter", "down", "ctrl+o")
        await sees(pilot, "only: Report on the accident")
        assert "Lease" not in shown(pilot)


async def test_a_search_that_finds_nothing_says_so(service: ScriptedService) -> None:
    async with running(service, screens=only()) as pilot:
        await pilot.press("ctrl+l", *"zzz")
        await sees(pilot, "Nothing fits.")
        await pilot.press("enter", "ctrl+o")  # nothing is under the cursor
        assert isinstance(pilot.app.screen, PinScreen)


async def test_a_failing_search_is_told(service: ScriptedService) -> None:
    from library.errors import LibraryError

    async with running(service, screens=only()) as pilot:
        service.shelf_data.failure = LibraryError("the library is gone")
        await pilot.press("ctrl+l")
        await sees(pilot, "the library is gone")


async def test_options_are_sent_and_shown(service: ScriptedService) -> None:
    async with running(service, WIDE, screens=only()) as pilot:
        await pilot.press("ctrl+t")
        assert isinstance(pilot.app.screen, OptionsScreen)
        await pilot.press("space")  # check off
        await pilot.press("tab", "space")  # exact on
        await pilot.press("tab", "5", "tab", *"64", "tab", *"128")
        await sees(pilot, "[x] Exact")
        await pilot.press("enter")
        await sees(pilot, "exact · at most 5 documents · repair 64 tokens · not checked · at most 128 tokens")
        await ask(pilot, service)
        assert service.asked("ask")[-1][1] == AskOptions(5, (), True, 64, False, 128)


async def test_enter_is_done_wherever_the_cursor_stands(service: ScriptedService) -> None:
    async with running(service, screens=only()) as pilot:
        await pilot.press("ctrl+t", "tab", "space", "enter")
        await sees(pilot, "exact")
        assert not isinstance(pilot.app.screen, OptionsScreen)


async def test_a_number_out_of_range_is_not_taken(service: ScriptedService) -> None:
    async with running(service, screens=only()) as pilot:
        await pilot.press("ctrl+t", "tab", "tab", "9", "escape")
        await sees(pilot, "Documents to read, at most: from 1 to 8.")
        await pilot.press("backspace", "2", "escape")
        await sees(pilot, "at most 2 documents")
