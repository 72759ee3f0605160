"""Markup, escape sequences and direction marks in every name that comes from outside, on every screen."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest
from harness import NARROW, WIDE, running, sees, settle, shown, until
from samples import HOSTILE as SAMPLE
from samples import answer, chosen, conversation, quote_in, read, record, state, text
from scripted_service import ScriptedService
from textual.pilot import Pilot

from beyondrag.events import AnswerDelta, Attached, Chosen, ReadingDocument
from beyondrag.service.notices import (
    Answered,
    Asked,
    ChunkGiven,
    ChunksChosen,
    ContextMeter,
    DocumentAhead,
    Failed,
    FileProblem,
    Ingested,
    Looking,
    ModelMissing,
    Plan,
    Problem,
    Pulling,
    Reading,
    ReadingAhead,
    Ready,
    Said,
    TaskDone,
    VolumeRead,
)
from beyondrag.tui.app import BeyondragApp
from beyondrag.tui.widgets.ingest_flow import IngestFlow

HOSTILE = f"{SAMPLE}\u200f\u061c\u2069\x9b31m\u2028"
DOCUMENT = replace(record("x.pdf", HOSTILE, path=f"/documents/{HOSTILE}.pdf"), warnings=(HOSTILE,))
PROBLEM = Problem("AnError", f"broken {HOSTILE}", HOSTILE, f"mend {HOSTILE}")
SPELLED = "[/] [bold]x[/bold] \\x1b[31mred"
ACTIVE = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Unicode's categories of what may act: controls, direction marks, lone surrogates, line separators."""


@pytest.fixture
def hostile() -> ScriptedService:
    """A library in which every name does its worst."""
    service = ScriptedService(at_start=(Ready(HOSTILE, HOSTILE, 16_384, 2, 1.0, 1, (HOSTILE,)),))
    body = text()
    service.shelf_data.add(
        state(DOCUMENT), replace(body, text=body.text.replace("line 1:", "\x1b[2J \u202e:"))
    )
    service.shelf_data.kept["c1"] = conversation(HOSTILE, name="c1")
    service.shelf_data.failed = [FileProblem(f"/documents/{HOSTILE}", HOSTILE, HOSTILE)]
    return service


async def nothing_acts(pilot: Pilot[int]) -> None:
    """What is on the screen spells the names out."""
    await settle(pilot)
    seen = shown(pilot)
    assert [repr(c) for c in set(seen) if c != "\n" and unicodedata.category(c) in ACTIVE] == []
    assert SPELLED in seen


@pytest.mark.parametrize("size", [NARROW, WIDE])
async def test_asking(hostile: ScriptedService, size: tuple[int, int]) -> None:
    async with running(hostile, size) as pilot:
        assert isinstance(pilot.app, BeyondragApp)
        pilot.app.ask_screen.pin_only(DOCUMENT.id, DOCUMENT.title)
        await pilot.press(*"Who?", "enter")
        await until(pilot, lambda: hostile.asked("ask"))
        request = hostile.last_request
        hostile.tell(
            Asked(request, "c1", "Who?", False, HOSTILE),
            Said(request, "documents", Chosen((chosen(DOCUMENT, passage=HOSTILE),), (HOSTILE,))),
            Said(request, "documents", ReadingDocument(HOSTILE, 1, 2)),
        )
        await sees(pilot, "no snapshot yet")
        await nothing_acts(pilot)
        found = quote_in(text(), "page 1 line 3:", DOCUMENT)
        source = replace(found, title=HOSTILE, quote=HOSTILE, page=HOSTILE)
        written = f"said {HOSTILE}"
        said = answer("Who?", written, (DOCUMENT,), (source,), left_out=(HOSTILE,))
        hostile.tell(
            Said(request, "documents", Attached(10, 0.1)),
            Said(request, "documents", AnswerDelta(written)),
            Answered(request, "documents", said, read((DOCUMENT,), (HOSTILE,)), "t1"),
            ContextMeter(10, 100, (HOSTILE,), 1),
        )
        await sees(pilot, "first token")
        await nothing_acts(pilot)
        for keys in (("ctrl+g",), ("escape", "ctrl+o", "enter"), ("escape", "ctrl+l")):
            await pilot.press(*keys)
            await nothing_acts(pilot)
        await pilot.press("escape", "ctrl+p", *"bold")
        await sees(pilot, "Open [/]")
        await nothing_acts(pilot)
        await pilot.press("escape")
        hostile.tell(Failed(PROBLEM))
        await sees(pilot, "broken [/]")
        await nothing_acts(pilot)


@pytest.mark.parametrize("size", [NARROW, WIDE])
async def test_library_document_failures_and_history(hostile: ScriptedService, size: tuple[int, int]) -> None:
    async with running(hostile, size) as pilot:
        await pilot.press("f3")
        await nothing_acts(pilot)
        await pilot.press("v")
        await until(pilot, lambda: hostile.asked("verify"))
        hostile.tell(Looking(hostile.last_request, 1, 2, HOSTILE), TaskDone(hostile.last_request, (HOSTILE,)))
        await sees(pilot, ": done")
        await nothing_acts(pilot)
        for keys in (("enter",), ("escape", "d"), ("escape", "r"), ("escape", "f"), ("escape", "o")):
            await pilot.press(*keys)
            await nothing_acts(pilot)
        await pilot.press("escape", "f5")
        await nothing_acts(pilot)
        await pilot.press("d")
        await nothing_acts(pilot)


@pytest.mark.parametrize("size", [NARROW, WIDE])
async def test_plan_ingest_and_welcome(hostile: ScriptedService, size: tuple[int, int]) -> None:
    folder, bad = Path(f"/documents/{HOSTILE}"), FileProblem(f"/x/{HOSTILE}", HOSTILE, HOSTILE)
    async with running(hostile, size) as pilot:
        await pilot.press("f4")
        await settle(pilot)
        pilot.app.screen.query_one(IngestFlow).plan([folder])
        hostile.tell(Looking(hostile.last_request, 1, 2, HOSTILE))
        await nothing_acts(pilot)
        planned = ((HOSTILE, 1), ("new", 1))
        hostile.tell(Plan(hostile.last_request, (folder,), planned, (bad,), 1, 9, 9, 1.0, ((HOSTILE, 3),)))
        await sees(pilot, "Read them now")
        await nothing_acts(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: hostile.asked("ingest"))
        request = hostile.last_request
        hostile.tell(
            ReadingAhead(request, (DocumentAhead("a", HOSTILE, 9), DocumentAhead("b", HOSTILE, 9)), 2),
            Reading(request, "a", HOSTILE, 0, 2, 1, 9, 1, 18, 9.0, 2.0, False),
            VolumeRead(request, "a", HOSTILE, 100),
        )
        await sees(pilot, "waits")
        await nothing_acts(pilot)
        hostile.tell(Ingested(request, 2, 1, 9, 1.0, False, (bad,)))
        await sees(pilot, "Ask now")
        await nothing_acts(pilot)
        await pilot.press("f2")
        hostile.tell(ModelMissing(HOSTILE, HOSTILE, 10**9, PROBLEM))
        await sees(pilot, "There is no model yet")
        await nothing_acts(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: hostile.asked("pull"))
        hostile.tell(Pulling(hostile.last_request, 1, 2, 1.0, HOSTILE))
        await nothing_acts(pilot)


@pytest.mark.parametrize("size", [NARROW, WIDE])
async def test_comparing(hostile: ScriptedService, size: tuple[int, int]) -> None:
    async with running(hostile, size) as pilot:
        assert isinstance(pilot.app, BeyondragApp)
        pilot.app.ask_screen.pin_only(DOCUMENT.id, DOCUMENT.title)
        await pilot.press("f6")
        await settle(pilot)
        await pilot.press(*"Who?", "enter")
        await until(pilot, lambda: hostile.asked("compare"))
        request = hostile.last_request
        hostile.tell(
            Said(request, "documents", Chosen((chosen(DOCUMENT, passage=HOSTILE),), (HOSTILE,))),
            ChunksChosen(request, (ChunkGiven(DOCUMENT.id, HOSTILE, HOSTILE, 0, 9, HOSTILE, 1.0),), 9),
            Said(request, "chunks", ReadingDocument(HOSTILE, 1, 2)),
        )
        await nothing_acts(pilot)
        await pilot.press("ctrl+t")
        await nothing_acts(pilot)


def test_the_samples_are_hostile() -> None:
    assert {"\x1b", "\u202e", "\x07", "\u200f", "\x9b"} <= set(HOSTILE)
    assert "[/]" in HOSTILE
