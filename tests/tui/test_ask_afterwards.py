"""Ask: what can be done with an answer, and conversations that go on."""

from __future__ import annotations

from asking import LEASE, LINE, REPORT, SOURCE, answered, ask, field
from harness import WIDE, only, running, sees, settle, shown, until
from samples import (
    answer,
    conversation,
    quote_in,
    read,
    text,
)
from scripted_service import ScriptedService

from beyondrag.service.notices import (
    Answered,
    Stopped,
)
from beyondrag.tui.app import BeyondragApp
from beyondrag.tui.screens.source import SourceScreen
from beyondrag.tui.screens.what_was_read import WhatWasReadScreen
from beyondrag.tui.widgets.transcript import MAX_TURNS_SHOWN

# ------------------------------------------------------------------------------- sources, copying, reading


async def test_y_copies_the_answer_and_capital_y_its_sources(service: ScriptedService) -> None:
    async with running(service, screens=only()) as pilot:
        await pilot.press("escape", "y")
        await sees(pilot, "There is no answer yet.")
        await pilot.press("escape")
        service.tell(answered(await ask(pilot, service), "He was **7**."))
        await sees(pilot, "He was 7.")
        await pilot.press("escape", "y")
        assert pilot.app.clipboard == "He was **7**."
        await pilot.press("Y")
        assert pilot.app.clipboard == f'He was **7**.\n\nReport on the accident, page 2: "{LINE}"'


async def test_what_was_read_is_a_table_in_order(service: ScriptedService) -> None:
    async with running(service, screens=only()) as pilot:
        request = await ask(pilot, service)
        both = answer("?", "Yes.", (REPORT, LEASE))
        service.tell(Answered(request, "documents", both, read((REPORT, LEASE), ("Old.pdf: too long",)), "t"))
        await sees(pilot, "Yes.")
        await pilot.press("ctrl+g")
        assert isinstance(pilot.app.screen, WhatWasReadScreen)
        screen = await sees(pilot, "4,031 of 16,384 tokens")
        rows = [line.split() for line in screen.splitlines() if "k4v4" in line or "the prompt" in line]
        assert rows[0] == ["the", "prompt", "0-30", "31"]
        assert rows[1][-7:] == ["31-2,030", "2,000", "snapshot", "k4v4", "·", "4.13", "bits"]
        assert rows[2][:4] == ["2", "Lease", "of", "the"]
        assert "2,031-4,030" in rows[2]
        assert "not read: Old.pdf: too long" in screen
        await pilot.press("down", "enter")
        assert isinstance(pilot.app.screen, SourceScreen)
        await pilot.press("escape", "escape")
        assert pilot.app.current_mode == "ask"


async def test_sources_are_walked_with_arrows_and_opened(service: ScriptedService) -> None:
    other = quote_in(text(), "page 3 line 2: the pilot was 2 years old.", LEASE)
    async with running(service, screens=only()) as pilot:
        request = await ask(pilot, service)
        done = answer("?", "Yes.", (REPORT, LEASE), (SOURCE, other))
        service.tell(Answered(request, "documents", done, read((REPORT, LEASE)), "t"))
        await sees(pilot, "2 Lease of the hangar, page 3")
        await pilot.press("ctrl+o", "down", "o")
        assert isinstance(pilot.app.screen, SourceScreen)
        await sees(pilot, "page 3 line 2: the pilot was 2 years old.")


# ------------------------------------------------------------------------------- conversations


async def test_a_kept_conversation_is_shown_and_continued(service: ScriptedService) -> None:
    service.shelf_data.kept["c1"] = conversation("Who flew?", "How old was he?")
    async with running(service, WIDE, screens=only()) as pilot:
        app = pilot.app
        assert isinstance(app, BeyondragApp)
        await pilot.press("f5")
        app.open_conversation("c1")
        await until(pilot, lambda: app.current_mode == "ask")
        await sees(pilot, "Answer to How old was he?")
        assert "Answer to Who flew?" in shown(pilot)
        assert service.asked("open_conversation") == [("c1",)]
        await pilot.press("up")
        assert field(pilot).text == "How old was he?"


async def test_a_conversation_that_is_gone_is_told(service: ScriptedService) -> None:
    async with running(service, screens=only()) as pilot:
        app = pilot.app
        assert isinstance(app, BeyondragApp)
        app.open_conversation("nowhere")
        await sees(pilot, "there is no such conversation")


async def test_a_new_conversation_starts_empty(service: ScriptedService) -> None:
    async with running(service, screens=only()) as pilot:
        request = await ask(pilot, service)
        await pilot.press("ctrl+n")
        await settle(pilot)
        assert service.asked("stop") == [(request,)]
        assert service.asked("new_conversation") == [()]
        assert "How old?" not in shown(pilot)
        assert "2 documents to ask" in shown(pilot)
        service.tell(Stopped(request, "old words", "t"))
        await settle(pilot)
        assert "old words" not in shown(pilot)


async def test_a_long_day_does_not_fill_the_screen_with_widgets(service: ScriptedService) -> None:
    async with running(service, screens=only()) as pilot:
        app = pilot.app
        assert isinstance(app, BeyondragApp)
        service.shelf_data.kept["c1"] = conversation(*(f"Question {i}" for i in range(MAX_TURNS_SHOWN + 5)))
        app.open_conversation("c1")
        await sees(pilot, "Answer to Question 44")
        await ask(pilot, service, "One more")
        from beyondrag.tui.widgets.turn_view import TurnView

        assert len(pilot.app.screen.query(TurnView)) == MAX_TURNS_SHOWN


async def test_asking_about_one_document_from_another_screen(service: ScriptedService) -> None:
    async with running(service, screens=only()) as pilot:
        app = pilot.app
        assert isinstance(app, BeyondragApp)
        await pilot.press("f3")
        app.ask_about(LEASE.id, LEASE.title)
        await sees(pilot, "only: Lease of the hangar")
