"""Check: a source in its document, searching it, opening the file; a hostile document does nothing."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest
from guards import PATIENCE_S, step_limit
from harness import NARROW, WIDE, only, running, sees, settle, shown, until
from samples import HOSTILE, quote_in, record, text
from scripted_service import ScriptedService
from textual.pilot import Pilot

from beyondrag.events import Source
from beyondrag.tui.app import BeyondragApp
from beyondrag.tui.screens.source import SourceScreen
from beyondrag.tui.widgets import document_view
from beyondrag.tui.widgets.document_view import DocumentView
from library.records import DocumentText, PageSpan

REPORT = record()
LINE = "page 2 line 7: the pilot was 7 years old."


def shell(pilot: Pilot[int]) -> BeyondragApp:
    app = pilot.app
    assert isinstance(app, BeyondragApp)
    return app


def view(pilot: Pilot[int]) -> DocumentView:
    return pilot.app.screen.query_one(DocumentView)


def marked(pilot: Pilot[int], name: str) -> str:
    """The text on the screen that has the style of this part of the document view."""
    widget = view(pilot)
    background = widget.get_component_rich_style(f"document-view--{name}").bgcolor
    found = ""
    for y in range(widget.size.height):
        strip = widget.render_line(y)
        found += "".join(s.text for s in strip if s.style is not None and s.style.bgcolor == background)
    return found


async def open_source(pilot: Pilot[int], source: Source) -> None:
    shell(pilot).open_source(source)
    await until(pilot, lambda: isinstance(pilot.app.screen, SourceScreen))
    await settle(pilot)


# ------------------------------------------------------------------------------- the quote


@pytest.mark.parametrize("size", [NARROW, WIDE, (30, 10)])
async def test_the_quote_is_shown_and_marked_where_it_stands(
    service: ScriptedService, size: tuple[int, int]
) -> None:
    async with running(service, size, screens=only()) as pilot:
        await open_source(pilot, quote_in(text(), LINE, REPORT))
        await until(pilot, lambda: marked(pilot, "quote").replace(" ", "") == LINE.replace(" ", ""))
        await sees(pilot, {24: "p.2 of 3 · ", 60: "p.1 to p.3 of 3 · "}.get(size[1], "p.2"))
        assert REPORT.title in shown(pilot)


async def test_a_quote_over_several_rows_and_pages_is_marked_whole(service: ScriptedService) -> None:
    body = text()
    start = body.text.index("page 1 line 38")
    end = body.text.index("page 2 line 1:")
    async with running(service, WIDE, screens=only()) as pilot:
        shell(pilot).open_document(REPORT.id, REPORT.title, start, end)
        await settle(pilot)
        await until(pilot, lambda: marked(pilot, "quote") == body.text[start:end].replace("\n", ""))


@pytest.mark.parametrize("place", [(5, 5), (-3, 4), (10**9, 10**9 + 1), (9, 2)])
async def test_a_place_outside_of_the_text_marks_nothing(
    service: ScriptedService, place: tuple[int, int]
) -> None:
    async with running(service, screens=only()) as pilot:
        shell(pilot).open_document(REPORT.id, REPORT.title, *place)
        await sees(pilot, "page 1 line 0")
        assert marked(pilot, "quote") == ""


async def test_page_labels_stand_where_pages_start(service: ScriptedService) -> None:
    async with running(service, WIDE, screens=only()) as pilot:
        shell(pilot).open_document(REPORT.id, REPORT.title)
        await sees(pilot, "p.1 page 1 line 0:")
        await sees(pilot, "p.2 page 2 line 0:")
        assert "p.2 page 2 line 1:" not in shown(pilot)


async def test_resizing_keeps_the_place(service: ScriptedService) -> None:
    async with running(service, screens=only()) as pilot:
        await open_source(pilot, quote_in(text(), LINE, REPORT))
        await until(pilot, lambda: view(pilot).scroll_y > 0)
        for size in ((30, 24), (120, 24), NARROW):
            await pilot.resize_terminal(*size)
            await settle(pilot)
            await sees(pilot, "page 2 line 7")


# ------------------------------------------------------------------------------- moving and searching


async def test_the_whole_document_can_be_scrolled(service: ScriptedService) -> None:
    async with running(service, screens=only()) as pilot:
        await open_source(pilot, quote_in(text(), LINE, REPORT))
        await pilot.press("G")
        await sees(pilot, "page 3 line 39")
        await pilot.press("g")
        await sees(pilot, "page 1 line 0")
        await pilot.press("right_square_bracket")
        await sees(pilot, "p.2 page 2 line 0:")
        await pilot.press("right_square_bracket", "left_square_bracket", "left_square_bracket")
        await sees(pilot, "p.1 page 1 line 0:")
        await pilot.press("s")
        await sees(pilot, "page 2 line 7")


async def test_searching_goes_from_match_to_match(service: ScriptedService) -> None:
    async with running(service, screens=only()) as pilot:
        shell(pilot).open_document(REPORT.id, REPORT.title)
        await sees(pilot, "page 1 line 0")
        await pilot.press("slash", *"LINE 12:", "enter")
        await sees(pilot, "match 1 of 3")
        assert marked(pilot, "current") == "line 12:"
        for keys, number in (("n", 2), ("n", 3), ("n", 1), ("N", 3)):
            await pilot.press(keys)
            await sees(pilot, f"match {number} of 3")
        await sees(pilot, "page 3 line 12")
        assert marked(pilot, "current") == "line 12:"


async def test_searching_starts_from_here(service: ScriptedService) -> None:
    async with running(service, screens=only()) as pilot:
        await open_source(pilot, quote_in(text(), LINE, REPORT))
        await until(pilot, lambda: view(pilot).scroll_y > 0)
        await pilot.press("slash", *"line 20:", "enter")
        await sees(pilot, "match 2 of 3")


async def test_what_is_not_there_is_not_found(service: ScriptedService) -> None:
    async with running(service, screens=only()) as pilot:
        shell(pilot).open_document(REPORT.id, REPORT.title)
        await sees(pilot, "page 1 line 0")
        await pilot.press("slash", *"zebra", "enter")
        await sees(pilot, "not found")
        await pilot.press("n")
        assert isinstance(pilot.app.screen, SourceScreen)


async def test_escape_leaves_the_search_then_the_screen(service: ScriptedService) -> None:
    async with running(service, screens=only()) as pilot:
        shell(pilot).open_document(REPORT.id, REPORT.title)
        await sees(pilot, "page 1 line 0")
        await pilot.press("slash", "q", "escape")
        assert isinstance(pilot.app.screen, SourceScreen)
        await pilot.press("escape")
        assert not isinstance(pilot.app.screen, SourceScreen)


async def test_asking_only_this_document(service: ScriptedService) -> None:
    async with running(service, screens=only()) as pilot:
        await pilot.press("f3")
        shell(pilot).open_document(REPORT.id, REPORT.title)
        await sees(pilot, "page 1 line 0")
        await pilot.press("a")
        await sees(pilot, "only: Report on the accident")
        assert pilot.app.current_mode == "ask"


async def test_a_document_that_was_removed_is_told_in_words(service: ScriptedService) -> None:
    async with running(service, screens=only()) as pilot:
        shell(pilot).open_document("0" * 64, "Gone")
        await sees(pilot, "there is no such document")


# ------------------------------------------------------------------------------- size and hostility


async def test_two_megabytes_open_at_once(service: ScriptedService, monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes long is done in other threads, and the quote far inside is there."""
    line = "the pilot of the aircraft was not found near the runway of the airport that day\n"
    half = line * (1_000_000 // len(line))
    body = DocumentText(
        half + "here it is\n" + half, (PageSpan("1", 0, len(half)), PageSpan("2", len(half), 2 * len(half)))
    )
    service.shelf_data.texts[REPORT.id] = body
    threads: list[int] = []

    def elsewhere(work: Callable[..., Any]) -> Callable[..., Any]:
        def noted(text: str, *more: Any) -> Any:
            if len(text) > 1_000_000:
                threads.append(threading.get_ident())
            return work(text, *more)

        return noted

    for name in ("same_length", "WrappedText"):
        monkeypatch.setattr(document_view, name, elsewhere(getattr(document_view, name)))
    async with running(service, screens=only()) as pilot:
        longest = 0

        async def watch() -> None:
            nonlocal longest
            while True:
                before = steps.n
                await asyncio.sleep(0)
                longest = max(longest, steps.n - before)

        with step_limit(sys.maxsize) as steps:
            watcher = asyncio.create_task(watch())
            shell(pilot).open_document(REPORT.id, REPORT.title, len(half), len(half) + 10)
            await sees(pilot, "here it is", PATIENCE_S)
            watcher.cancel()
        assert marked(pilot, "quote") == "here it is"
        assert len(threads) >= 2
        assert threading.get_ident() not in threads
        assert 0 < longest < 1_000_000  # a few screens; one for each character is two millions
        await pilot.press("G", "slash", *"here it", "enter")
        await sees(pilot, "match 1 of 1")


async def test_a_hostile_document_is_only_text(service: ScriptedService) -> None:
    body = DocumentText(f"{HOSTILE}\r\n\tcafe\u0301 飞机\ud800 end", (PageSpan(HOSTILE, 0, 20),))
    service.shelf_data.texts[REPORT.id] = body
    async with running(service, WIDE, screens=only()) as pilot:
        shell(pilot).open_document(REPORT.id, HOSTILE)
        screen = await sees(pilot, "飞机")
        assert "[/] [bold]x[/bold] \ufffd[31mred" in screen
        for active in "\x1b\x07\u202e\u2066\ud800\r\t":
            assert active not in screen


async def test_an_empty_document_opens(service: ScriptedService) -> None:
    service.shelf_data.texts[REPORT.id] = DocumentText("", ())
    async with running(service, screens=only()) as pilot:
        shell(pilot).open_document(REPORT.id, REPORT.title)
        await sees(pilot, "/documents/report.pdf")
        await pilot.press("G", "right_square_bracket", "slash", "a", "enter")
        await sees(pilot, "not found")


@pytest.mark.parametrize("size", [NARROW, WIDE])
async def test_the_text_does_not_touch_the_scroll_bar(
    service: ScriptedService, size: tuple[int, int]
) -> None:
    service.shelf_data.texts[REPORT.id] = DocumentText("x" * 60_000, (PageSpan("1", 0, 60_000),))
    async with running(service, size, screens=only()) as pilot:
        shell(pilot).open_document(REPORT.id, REPORT.title)
        screen = await sees(pilot, "p.1 xxx")
        document = view(pilot)
        bar = document.vertical_scrollbar.region
        assert bar.right == size[0]
        rows = screen.splitlines()[document.region.y : document.region.bottom]
        assert {len(row[: bar.x].rstrip()) for row in rows} == {bar.x - 1}
