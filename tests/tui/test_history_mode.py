"""History: list, search, read, continue, export, delete."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from harness import NARROW, WIDE, only, running, sees, settle, shown, until
from samples import HOSTILE, PROBLEM, answer, conversation, quote_in, read, record, text
from scripted_service import ScriptedService
from textual.pilot import Pilot
from textual.widgets import Input

from beyondrag.service.interface import Conversation, ConversationSummary, Turn
from beyondrag.service.notices import Answered
from beyondrag.tui.screen import NoticeScreen
from beyondrag.tui.screens.history import HistoryScreen, file_name
from beyondrag.tui.widgets.rows_view import RowsView
from kvfiles.errors import StorageError

SIZES = (NARROW, WIDE)


@pytest.fixture
def kept(service: ScriptedService) -> ScriptedService:
    document = record()
    found = answer("How old was he?", "**7**", (document,), (quote_in(text(), "was 7 years old", document),))
    turns = (
        Turn("t1", "How old was he?", 1_760_000_500.0, found, "", read((document,))),
        Turn("t2", f"And {HOSTILE}?", 1_760_000_600.0, None, "He was", None),
    )
    summary = ConversationSummary("pilot", "How old was he?", 1_760_000_500.0, 1_760_000_600.0, 2)
    service.shelf_data.kept = {
        "pilot": Conversation(summary, turns),
        "rent": conversation("What is the rent?", name="rent"),
        "odd": conversation(HOSTILE, name="odd"),
    }
    return service


def history_only() -> Callable[[], Mapping[str, NoticeScreen[None]]]:
    return only(history=HistoryScreen())


async def open_history(pilot: Pilot[int]) -> RowsView:
    pilot.app.show_mode("history")  # type: ignore[attr-defined] - a BeyondragApp
    await until(pilot, lambda: isinstance(pilot.app.screen, HistoryScreen))
    await settle(pilot)
    return pilot.app.screen.query_one("#conversations", RowsView)


@pytest.mark.parametrize("size", SIZES)
async def test_conversations_are_listed_the_latest_first(
    kept: ScriptedService, size: tuple[int, int]
) -> None:
    async with running(kept, size, screens=history_only()) as pilot:
        rows = await open_history(pilot)
        assert [row.key for row in rows.rows] == ["pilot", "rent", "odd"]
        seen = await sees(pilot, "How old was he?")
        assert "[/] [bold]x[/bold]" in seen
        assert "\x1b" not in seen
        assert "3 conversations" in seen
        assert threading.get_ident() not in kept.shelf_data.threads


async def test_wide_terminals_show_the_conversation_with_sources(kept: ScriptedService) -> None:
    async with running(kept, WIDE, screens=history_only()) as pilot:
        await open_history(pilot)
        seen = await sees(pilot, 'Report on the accident, page 1: "was 7 years old"')
        assert "He was" in seen
        assert "(stopped; this was not checked)" in seen
        assert r"And [/] [bold]x[/bold] \x1b[31mred" in seen
        await pilot.press("down")
        await sees(pilot, "Answer to What is the rent?")


async def test_search_looks_into_answers(kept: ScriptedService) -> None:
    async with running(kept, screens=history_only()) as pilot:
        rows = await open_history(pilot)
        await pilot.press("slash", *"to what is")
        await until(pilot, lambda: [row.key for row in rows.rows] == ["rent"])
        await pilot.press(*"zzz")
        await sees(pilot, "No question and no answer contains “to what iszzz”.")
        await pilot.press("escape")
        await until(pilot, lambda: len(rows.rows) == 3)


async def test_enter_goes_on_with_a_conversation(kept: ScriptedService) -> None:
    async with running(kept, screens=history_only()) as pilot:
        await open_history(pilot)
        opened: list[str] = []
        pilot.app.open_conversation = opened.append  # type: ignore[attr-defined] - a BeyondragApp
        await pilot.press("down", "enter")
        await until(pilot, lambda: opened == ["rent"])


async def test_export_writes_a_file_and_refuses_to_overwrite(kept: ScriptedService, tmp_path: Path) -> None:
    target = tmp_path / "out.md"
    async with running(kept, screens=history_only()) as pilot:
        await open_history(pilot)
        await pilot.press("e")
        seen = await sees(pilot, "Write the conversation as Markdown to")
        assert "how-old-was-he.md" in seen
        pilot.app.screen.query_one("#line", Input).value = str(target)
        await pilot.press("enter")
        await until(pilot, target.is_file)
        assert "# How old was he?" in target.read_text()
        await sees(pilot, "written to")
        kept.shelf_data.failure = StorageError("there is a file already", subject="out.md", remedy="move it")
        await pilot.press("e")
        await sees(pilot, "Write the conversation")
        await pilot.press("enter")
        seen = await sees(pilot, "out.md: there is a file already")
        assert "move it" in seen


async def test_deleting_asks_first(kept: ScriptedService) -> None:
    async with running(kept, screens=history_only()) as pilot:
        rows = await open_history(pilot)
        await pilot.press("d")
        await sees(pilot, "2 questions and the answers are forgotten.")
        await pilot.press("n")
        await until(pilot, lambda: isinstance(pilot.app.screen, HistoryScreen))
        assert len(kept.shelf_data.kept) == 3
        await pilot.press("d")
        await sees(pilot, "forgotten")
        await pilot.press("y")
        await until(pilot, lambda: [row.key for row in rows.rows] == ["rent", "odd"])


async def test_new_answers_appear_on_return(kept: ScriptedService) -> None:
    async with running(kept, screens=history_only()) as pilot:
        rows = await open_history(pilot)
        await pilot.press("f2")
        kept.shelf_data.kept["new"] = conversation("A new one?", name="new")
        kept.tell(Answered(1, "documents", answer("A new one?", "yes"), read(()), "t"))
        await settle(pilot)
        await pilot.press("f5")
        await until(pilot, lambda: len(rows.rows) == 4)


async def test_nothing_asked_yet_and_a_library_that_is_gone(service: ScriptedService) -> None:
    async with running(service, screens=history_only()) as pilot:
        await open_history(pilot)
        await sees(pilot, "Nothing has been asked yet.")
        service.shelf_data.failure = StorageError(PROBLEM.message, subject="/library")
        await pilot.press("slash", "x")
        await sees(pilot, "/library: llama.cpp refused the batch")
        assert "Traceback" not in shown(pilot)


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("How old was the pilot?", "how-old-was-the-pilot"),
        ("../../etc/passwd", "etc-passwd"),
        ("\x1b[31m \u202e", "31m"),
        ("???", "conversation"),
        ("Wie alt ist Österreich?", "wie-alt-ist-österreich"),
        ("x" * 300, "x" * 60),
    ],
)
def test_a_question_becomes_a_harmless_file_name(title: str, name: str) -> None:
    assert file_name(title) == name
