"""Library, ingest, history and compare as a person sees them in a small terminal."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from golden import same_as_golden
from harness import running, sees, settle, until
from play import LEASE, REPORT, WORDS
from samples import NOW, answer, chosen, conversation, quote_in, read, record, state, text
from scripted_service import ScriptedService
from textual.pilot import Pilot

from beyondrag.events import AnswerDelta, Attached, Chosen, EvidenceChecked
from beyondrag.service.notices import (
    Answered,
    ChunkGiven,
    ChunksChosen,
    DocumentAhead,
    FileProblem,
    Ingested,
    Plan,
    Reading,
    ReadingAhead,
    Said,
    VolumeRead,
)
from beyondrag.tui.screens.ingest import IngestScreen
from beyondrag.tui.widgets.ingest_flow import IngestFlow

FOLDER = Path("/documents")
SCAN = FileProblem("/documents/scan.pdf", "its pages hold no text", "run ocrmypdf on it")


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Moments are shown in local time."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


async def test_the_library(service: ScriptedService) -> None:
    shelf = service.shelf_data
    shelf.f16_bytes = 120_000_000
    shelf.failed = [SCAN]
    for name, title, kind in (
        (
            "notes.md",
            "Notes of the meeting in March, with a title that is far too long for a line",
            "indexed",
        ),
        ("old.docx", "Rules of the house", "stale"),
        ("gone.txt", "A letter that is gone", "missing"),
    ):
        n_tokens = None if kind == "indexed" else 12_345
        shelf.add(state(record(name, title), kind, n_tokens), text())  # type: ignore[arg-type]  # a State
    async with running(service) as pilot:
        await pilot.press("f3")
        await sees(pilot, "5 documents")
        await settle(pilot)
        await same_as_golden(pilot, "library")


async def flow_of(pilot: Pilot[int]) -> IngestFlow:
    await pilot.press("f4")
    await until(pilot, lambda: isinstance(pilot.app.screen, IngestScreen))
    await settle(pilot)
    flow = pilot.app.screen.query_one(IngestFlow)
    flow.plan([FOLDER])
    await settle(pilot)
    return flow


async def test_a_plan(service: ScriptedService) -> None:
    async with running(service) as pilot:
        await flow_of(pilot)
        files = (("new", 2), ("unchanged", 1), ("failed", 1), ("other kinds", 3))
        ignored = (("default", 1), ("hidden", 4))
        service.tell(
            Plan(service.last_request, (FOLDER,), files, (SCAN,), 1, 8_000, 60_000_000, 85.0, ignored)
        )
        await sees(pilot, "Read them now")
        await same_as_golden(pilot, "plan")


async def test_an_ingest_and_its_end(service: ScriptedService) -> None:
    async with running(service) as pilot:
        await flow_of(pilot)
        service.tell(Plan(service.last_request, (FOLDER,), (("new", 3),), (), 3, 9_000, 60_000_000, 85.0))
        await sees(pilot, "Read them now")
        await pilot.press("enter")
        await until(pilot, lambda: service.asked("ingest"))
        request = service.last_request
        names = ("report.pdf", "lease.pdf", "notes.md")
        ahead = tuple(DocumentAhead(name, name, 3_000) for name in names)
        service.tell(
            ReadingAhead(request, ahead, 3),
            Reading(request, "report.pdf", "report.pdf", 0, 3, 0, 4_000, 0, 10_000, 0.0, None, False),
            VolumeRead(request, "report.pdf", "report.pdf", 15_000_000),
            Reading(request, "lease.pdf", "lease.pdf", 1, 3, 500, 3_000, 4_500, 10_000, 95.0, 58.0, False),
        )
        await sees(pilot, "58 s left")
        await same_as_golden(pilot, "ingest")
        service.tell(
            VolumeRead(request, "lease.pdf", "lease.pdf", 11_000_000),
            Reading(request, "notes.md", "notes.md", 2, 3, 3_000, 3_000, 10_000, 10_000, 95.0, 0.0, False),
            VolumeRead(request, "notes.md", "notes.md", 11_000_000),
            Ingested(request, 3, 3, 10_000, 105.0, False, (SCAN,)),
        )
        await sees(pilot, "Ask now")
        await same_as_golden(pilot, "ingest_done")


async def test_the_history(service: ScriptedService) -> None:
    kept = conversation("Who flew the aircraft?", "How old was he?")
    other = conversation("What does the lease say about the roof?", name="c2")
    older = replace(other.summary, last_at=NOW - 90_000)
    service.shelf_data.kept |= {"c1": kept, "c2": replace(other, summary=older)}
    async with running(service) as pilot:
        await pilot.press("f5")
        await sees(pilot, "2 conversations")
        await settle(pilot)
        await same_as_golden(pilot, "history")


@pytest.mark.parametrize("size", [(80, 24), (200, 60)], ids=["80x24", "200x60"])
async def test_a_comparison(service: ScriptedService, size: tuple[int, int]) -> None:
    question = "How old was the pilot?"
    line = "page 2 line 7: the pilot was 7 years old."
    async with running(service, size) as pilot:
        await pilot.press("f6")
        await settle(pilot)
        await pilot.press(*question, "enter")
        await until(pilot, lambda: service.asked("compare"))
        request = service.last_request
        source = quote_in(text(), line, REPORT)
        service.tell(
            Said(request, "documents", Chosen((chosen(REPORT), chosen(LEASE, 7.5)), ())),
            Said(request, "documents", Attached(4_000, 0.024)),
            Said(request, "documents", EvidenceChecked(line, source)),
            Said(request, "documents", AnswerDelta(WORDS)),
            Answered(
                request,
                "documents",
                answer(question, WORDS, (REPORT, LEASE), (source,)),
                read((REPORT, LEASE)),
                "",
            ),
            ChunksChosen(
                request,
                tuple(
                    ChunkGiven(
                        REPORT.id, REPORT.title, str(page), 0, 40, f"Page {page} says little.", 9.5 - page
                    )
                    for page in (1, 3)
                ),
                600,
            ),
            Said(request, "chunks", EvidenceChecked("The pilot was 42.", None)),
            Answered(request, "chunks", answer(question, "", (REPORT,), abstained=True), read((REPORT,)), ""),
        )
        await sees(pilot, "first token")
        await settle(pilot)
        await same_as_golden(pilot, "compare")
