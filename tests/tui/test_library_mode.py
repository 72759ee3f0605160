"""Library: list, filter, sort, details, and what can be done with a document."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
from guards import step_limit
from harness import NARROW, WIDE, only, running, sees, settle, shown, until
from samples import HOSTILE, PROBLEM, record, state, text
from scripted_service import ScriptedService
from textual.pilot import Pilot

from beyondrag.document_state import DocumentState
from beyondrag.service.notices import FileProblem, Ingested, LibraryChanged, Looking, TaskDone, TaskFailed
from beyondrag.tui.screen import NoticeScreen
from beyondrag.tui.screens.confirm import ConfirmScreen
from beyondrag.tui.screens.document import DocumentScreen
from beyondrag.tui.screens.library import LibraryScreen
from beyondrag.tui.widgets.document_table import DocumentTable
from kvfiles.errors import StorageError

SIZES = (NARROW, WIDE)


async def open_library(pilot: Pilot[int]) -> DocumentTable:
    pilot.app.show_mode("library")  # type: ignore[attr-defined] - a BeyondragApp
    await until(pilot, lambda: isinstance(pilot.app.screen, LibraryScreen))
    await settle(pilot)
    return pilot.app.screen.query_one(DocumentTable)


def library_only() -> Callable[[], Mapping[str, NoticeScreen[None]]]:
    return only(library=LibraryScreen())


def titles(table: DocumentTable) -> list[str]:
    return [row.cells[0] for row in table.rows]


@pytest.mark.parametrize("size", SIZES)
async def test_documents_totals_and_states_are_shown(service: ScriptedService, size: tuple[int, int]) -> None:
    service.shelf_data.add(state(record("new.txt", "Not read yet"), "indexed", None), text())
    async with running(service, size, screens=library_only()) as pilot:
        await open_library(pilot)
        seen = shown(pilot)
        line = next(line for line in seen.splitlines() if "Lease of the hangar" in line)
        assert line.split()[-4:] == ["2,000", "15.0", "MB", "ready"] or "k4v4" in line
        assert "indexed" in seen
        assert "3 documents, 4,000 tokens" in seen
        assert "snapshots 30.0 MB" in seen
        assert "None" not in seen


@pytest.mark.parametrize("size", SIZES)
async def test_hostile_names_are_shown_and_do_nothing(size: tuple[int, int]) -> None:
    service = ScriptedService()
    hostile = replace(record("x.pdf", HOSTILE, path=f"/documents/{HOSTILE}"), warnings=(HOSTILE,))
    service.shelf_data.add(state(hostile), text())
    async with running(service, size, screens=library_only()) as pilot:
        await open_library(pilot)
        assert "[/] [bold]x[/bold]" in shown(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, DocumentScreen))
        await sees(pilot, "page 1 line 0")
        seen = shown(pilot)
        assert r"\x1b[31mred" in seen
        assert "\x1b" not in seen
        assert "\u202e" not in seen
        await pilot.press("escape", "d")
        await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmScreen))
        assert r"\x1b[31mred" in shown(pilot)


async def test_the_filter_asks_the_library_as_one_types(service: ScriptedService) -> None:
    async with running(service, screens=library_only()) as pilot:
        table = await open_library(pilot)
        await pilot.press("slash", *"hangar")
        await until(pilot, lambda: titles(table) == ["Lease of the hangar"])
        await sees(pilot, "1 of 2 documents, 2,000 tokens")
        await pilot.press(*"xyz")
        await sees(pilot, "No title and no path contains “hangarxyz”")
        await pilot.press("escape")
        await until(pilot, lambda: len(table.rows) == 2)
        assert pilot.app.focused is table


async def test_sorting_goes_through_the_columns_and_back(service: ScriptedService) -> None:
    async with running(service, screens=library_only()) as pilot:
        table = await open_library(pilot)
        await pilot.press("s")
        await until(pilot, lambda: titles(table) == ["Lease of the hangar", "Report on the accident"])
        await pilot.press("S")
        await until(pilot, lambda: titles(table) == ["Report on the accident", "Lease of the hangar"])
        await sees(pilot, "title ▾")
        await pilot.click(DocumentTable, offset=(70, 0))
        await until(pilot, lambda: ("listing", "", "state", False) in service.shelf_data.calls)


async def test_wide_terminals_show_the_document_under_the_cursor(service: ScriptedService) -> None:
    async with running(service, WIDE, screens=library_only()) as pilot:
        await open_library(pilot)
        await sees(pilot, "page 1 line 3: the pilot")
        assert "file      /documents/report.pdf" in shown(pilot)
        await pilot.press("down")
        await sees(pilot, "file      /documents/lease.pdf")


async def test_removing_asks_first(service: ScriptedService) -> None:
    async with running(service, screens=library_only()) as pilot:
        await open_library(pilot)
        for refuse in ("n", "escape", "enter"):  # the cursor stands on No
            await pilot.press("d")
            await until(pilot, lambda: isinstance(pilot.app.screen, ConfirmScreen))
            await pilot.press(refuse)
            await until(pilot, lambda: isinstance(pilot.app.screen, LibraryScreen))
        assert service.asked("remove") == []
        await pilot.press("d", "y")
        await until(pilot, lambda: service.asked("remove"))
        first = service.shelf_data.rows.pop(0)
        assert service.asked("remove") == [((first.document.id,),)]
        service.tell(TaskDone(service.last_request, ("1 document",)), LibraryChanged())
        seen = await sees(pilot, "remove report.pdf: done")
        assert "1 document" in seen
        await until(pilot, lambda: "Report on the accident" not in shown(pilot))


async def test_verify_shows_findings_and_failures(service: ScriptedService) -> None:
    async with running(service, screens=library_only()) as pilot:
        await open_library(pilot)
        await pilot.press("v")
        await until(pilot, lambda: service.asked("verify"))
        service.tell(Looking(service.last_request, 1, 7, "report.pdf"))
        await sees(pilot, "verify report.pdf: 1 of 7")
        service.tell(TaskDone(service.last_request, (f"snapshot {HOSTILE} is damaged",) * 3))
        await sees(pilot, r"snapshot [/] [bold]x[/bold] \x1b[31mred")
        for key, deep in (("q", False), ("d", True)):
            await pilot.press("V")
            await sees(pilot, "Verify the whole library?")
            await pilot.press(key)
            await until(pilot, lambda: isinstance(pilot.app.screen, LibraryScreen))
            assert service.asked("verify")[-1] == ((), deep)
        await pilot.press("V")
        await sees(pilot, "Verify the whole library?")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, LibraryScreen))
        assert len(service.asked("verify")) == 3
        service.tell(TaskFailed(service.last_request, PROBLEM))
        await sees(pilot, "llama.cpp refused the batch")
        await pilot.press("escape")
        await until(pilot, lambda: "refused the batch" not in shown(pilot))


async def test_reading_again_asks_first_and_leads_to_ingest(service: ScriptedService) -> None:
    async with running(service, screens=library_only()) as pilot:
        await open_library(pilot)
        await pilot.press("r")
        await sees(pilot, "2,000 tokens are read once more")
        await pilot.press("y")
        await until(pilot, lambda: service.asked("reread"))
        await sees(pilot, "Ingest (f4)")
        service.tell(Ingested(service.last_request, 0, 1, 2_000, 20.0, False, ()))
        await sees(pilot, "read report.pdf again: done")


async def test_a_document_can_be_opened_and_asked_alone(service: ScriptedService) -> None:
    async with running(service, screens=library_only()) as pilot:
        await open_library(pilot)
        opened: list[tuple[object, ...]] = []
        app = pilot.app
        app.open_document = lambda *given: opened.append(("text", *given))  # type: ignore[attr-defined] - a BeyondragApp
        app.ask_about = lambda *given: opened.append(("ask", *given))  # type: ignore[attr-defined] - a BeyondragApp
        document = service.shelf_data.rows[0].document
        await pilot.press("o", "p", "enter")
        await until(pilot, lambda: isinstance(app.screen, DocumentScreen))
        await pilot.press("o")
        await until(pilot, lambda: len(opened) == 3)
        assert opened == [(how, document.id, document.title) for how in ("text", "ask", "text")]


async def test_an_empty_library_says_what_to_do(service: ScriptedService) -> None:
    service.shelf_data.rows.clear()
    async with running(service, screens=library_only()) as pilot:
        await pilot.press("escape")  # the welcome
        await open_library(pilot)
        await sees(pilot, "The library is empty.")


async def test_a_library_that_is_gone_is_told_calmly(service: ScriptedService) -> None:
    async with running(service, WIDE, screens=library_only()) as pilot:
        table = await open_library(pilot)
        service.shelf_data.failure = StorageError("it is not there", subject="/library", remedy="mount it")
        service.tell(LibraryChanged())
        seen = await sees(pilot, "/library: it is not there")
        assert "mount it" in seen
        assert len(table.rows) == 2
        await pilot.press("down", "v")
        assert pilot.app.is_running


async def test_rows_are_fetched_as_they_come_into_view() -> None:
    service = ScriptedService()
    base = state(record(), "ready")
    service.shelf_data.rows = [_copy(base, place) for place in range(10_000)]
    async with running(service, screens=library_only()) as pilot:
        table = await open_library(pilot)
        assert "Document 9" in shown(pilot)
        fetched = [call[1] for call in service.shelf_data.calls if call[0] == "states_of"]
        assert sum(map(len, fetched)) < 500
        assert table.rows[5_000].cells[0] == "…"
        await pilot.press("end")
        await sees(pilot, "Document 9999")
        assert table.rows[5_000].cells[0] == "…"
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, DocumentScreen))
        await pilot.press("escape")
        service.tell(LibraryChanged())
        await until(pilot, lambda: len(service.shelf_data.calls) > 0 and table.rows[9_999].cells[0] != "…")
        assert table.cursor_key == f"{9_999:064x}"


async def test_files_that_could_not_be_read_are_listed_with_what_helps(service: ScriptedService) -> None:
    async with running(service, screens=library_only()) as pilot:
        await open_library(pilot)
        await pilot.press("f")
        await sees(pilot, "Every file could be read.")
        service.shelf_data.failed = [
            FileProblem(f"/documents/{HOSTILE}.pdf", "its pages hold no text", "run ocrmypdf on it"),
            FileProblem("/documents/empty.txt", "it is empty", "remove it"),
        ]
        service.tell(LibraryChanged())
        seen = await sees(pilot, "2 files could not be read")
        assert "try: run ocrmypdf on it" in seen
        assert "\x1b" not in seen
        await pilot.press("down")
        await sees(pilot, "try: remove it")
        await pilot.press("escape")
        await sees(pilot, "files could not be read (f)")


async def test_totals_say_what_compression_saves(service: ScriptedService) -> None:
    service.shelf_data.f16_bytes = 120_000_000
    async with running(service, WIDE, screens=library_only()) as pilot:
        await open_library(pilot)
        await sees(pilot, "snapshots 30.0 MB instead of 120 MB as f16 (4.0x smaller)")


async def test_ten_thousand_documents_do_not_hold_the_screen_up() -> None:
    service = ScriptedService()
    base = state(record(), "ready")
    service.shelf_data.rows = [_copy(base, place) for place in range(10_000)]
    async with running(service, WIDE, screens=library_only()) as pilot:
        table = await open_library(pilot)
        assert len(table.rows) == 10_000
        longest = await _longest_stretch(pilot, ["end", "home", "pagedown", "s", "S"])
        assert longest < 1_000_000  # a few screens; to draw every row is several millions
        assert threading.get_ident() not in service.shelf_data.threads


def _copy(base: DocumentState, place: int) -> DocumentState:
    document = replace(base.document, id=f"{place:064x}", title=f"Document {place}")
    return replace(base, document=document, snapshots=())


async def _longest_stretch(pilot: Pilot[int], keys: list[str]) -> int:
    """The most lines of Python that the UI thread ran between two ticks."""
    longest = last = 0

    def tick() -> None:
        nonlocal longest, last
        longest, last = max(longest, steps.n - last), steps.n

    with step_limit(sys.maxsize) as steps:
        timer = pilot.app.set_interval(0.005, tick)
        try:
            for key in keys:
                await pilot.press(key)
                await pilot.pause(0.2)
        finally:
            timer.stop()
    assert longest > 0
    return longest
