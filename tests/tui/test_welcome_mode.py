"""First run: a model to be had, a folder to be chosen; never a blank table, never a traceback."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness import NARROW, WIDE, enter_presses, running, sees, settle, shown, until
from samples import HOSTILE, MODEL, READY
from scripted_service import ScriptedService
from textual.pilot import Pilot
from textual.widgets import Button, Input

from beyondrag.service.notices import (
    Ingested,
    Looking,
    ModelMissing,
    Opening,
    Plan,
    Problem,
    Pulled,
    Pulling,
    Reading,
    TaskFailed,
)
from beyondrag.tui.screens.ask import AskScreen
from beyondrag.tui.screens.ingest import IngestScreen
from beyondrag.tui.screens.welcome import WelcomeScreen

SIZES = (NARROW, WIDE)
NOT_HERE = Problem("ModelNotFound", "it is not installed", MODEL, f"beyondrag models pull {MODEL}")
MISSING = ModelMissing(MODEL, "Apache-2.0", 1_117_320_768, NOT_HERE)
NO_NETWORK = Problem("DownloadError", "no source gave the model", MODEL, "check the network")


def reading(request: int) -> Reading:
    return Reading(request, "a", "a.pdf", 0, 2, 10, 4_000, 10, 8_000, 90.0, 89.0, False)


def button(pilot: Pilot[int], name: str) -> Button:
    return pilot.app.screen.query_one(f"#{name}", Button)


@pytest.mark.parametrize("size", SIZES)
async def test_the_model_is_offered_with_size_and_licence(size: tuple[int, int]) -> None:
    service = ScriptedService(at_start=(Opening(MODEL), MISSING))
    async with running(service, size) as pilot:
        seen = await sees(pilot, "There is no model yet")
        assert f"{MODEL} · 1.12 GB · licence Apache-2.0" in seen
        assert service.asked("pull") == []
        await pilot.press("enter")
        await until(pilot, lambda: service.asked("pull") == [(MODEL,)])
        request = service.last_request
        service.tell(Pulling(request, 300_000_000, 1_117_320_768, 4e6, HOSTILE))
        seen = await sees(pilot, "300 MB of 1.12 GB · 4.00 MB/s · 3 min 24 s left")
        assert r"\x1b[31mred" in seen
        await pilot.press("enter")  # the cursor stands on Cancel
        await until(pilot, lambda: ("stop", request) in service.calls)
        service.tell(TaskFailed(request, Problem("Cancelled", "stopped", MODEL, "")))
        assert "it goes on where it stopped" in await sees(pilot, "The download was cancelled")
        await until(pilot, lambda: enter_presses(pilot, "pull"))
        await pilot.press("enter")
        await until(pilot, lambda: len(service.asked("pull")) == 2)
        service.tell(TaskFailed(service.last_request, NO_NETWORK))
        await sees(pilot, "no source gave the model")
        await sees(pilot, "check the network")
        await until(pilot, lambda: enter_presses(pilot, "pull"))
        await pilot.press("enter")
        await until(pilot, lambda: len(service.asked("pull")) == 3)
        service.tell(Pulled(service.last_request, MODEL), Opening(MODEL))
        await sees(pilot, f"{MODEL} is being opened")
        service.tell(READY)
        await sees(pilot, f"{MODEL} is open")


@pytest.mark.parametrize("size", SIZES)
async def test_from_nothing_to_the_first_question(size: tuple[int, int], tmp_path: Path) -> None:
    service = ScriptedService()
    async with running(service, size) as pilot:
        await sees(pilot, "Which folder shall be read?")
        assert isinstance(pilot.app.screen, WelcomeScreen)
        field = pilot.app.screen.query_one("#path", Input)
        assert pilot.app.focused is field
        field.value = str(tmp_path)
        await pilot.press("enter")
        await until(pilot, lambda: service.asked("plan") == [((tmp_path,),)])
        service.tell(Plan(service.last_request, (tmp_path,), (("new", 2),), (), 2, 8_000, 60_000_000, 90.0))
        await sees(pilot, "2 volumes, 8,000 tokens, 60.0 MB of snapshots")
        assert service.asked("ingest") == []
        await pilot.press("enter")
        await until(pilot, lambda: service.asked("ingest") == [((tmp_path,), True)])
        request = service.last_request
        assert not button(pilot, "go").display
        service.tell(reading(request))
        await sees(pilot, "Start asking")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, AskScreen))
        await pilot.press("f4")
        await until(pilot, lambda: isinstance(pilot.app.screen, IngestScreen))
        await sees(pilot, "1 of 2 · 10 of 8,000 tokens")
        service.tell(Ingested(request, 2, 2, 8_000, 90.0, False, ()))
        await sees(pilot, "2 indexed · 2 read · 8,000 tokens")


async def test_when_all_is_read_enter_leads_to_the_first_question(tmp_path: Path) -> None:
    service = ScriptedService()
    async with running(service) as pilot:
        service.tell(reading(9), Ingested(9, 2, 2, 8_000, 90.0, False, ()))
        await sees(pilot, "2 indexed · 2 read · 8,000 tokens · 1 min 30 s altogether")
        await until(pilot, lambda: pilot.app.focused is button(pilot, "ask-now"))
        assert "Ask now" in shown(pilot)
        assert "Start asking" not in shown(pilot), "one way is enough"
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, AskScreen))


async def test_without_a_model_reading_waits_for_it(tmp_path: Path) -> None:
    service = ScriptedService(at_start=(MISSING,))
    async with running(service) as pilot:
        field = pilot.app.screen.query_one("#path", Input)
        field.focus()
        field.value = str(tmp_path)
        await pilot.press("enter")
        await until(pilot, lambda: service.asked("plan"))
        service.tell(Plan(service.last_request, (tmp_path,), (("new", 2),), (), 2, 8_000, 0, None))
        await sees(pilot, "Reading begins as soon as the model is there.")
        await pilot.press("enter")
        await until(pilot, lambda: service.asked("ingest") == [((tmp_path,), True)])
        service.tell(Looking(service.last_request, 1, 2, "a.pdf"))
        await sees(pilot, "1 of 2 · a.pdf")
        service.tell(Looking(service.last_request, 2, 2, "b.pdf"))
        await sees(pilot, "All files are searchable. Reading begins as soon as the model is there.")
        await pilot.press("escape", "f4")
        await sees(pilot, "All files are searchable.")
        service.tell(Looking(service.last_request + 1, 1, 9, "of a check"))
        await settle(pilot)
        assert "of a check" not in shown(pilot)
        service.tell(READY, reading(service.last_request))
        await sees(pilot, "1 of 2 · 10 of 8,000 tokens")


async def test_a_model_that_nobody_can_fetch_is_explained() -> None:
    problem = Problem("ModelNotFound", "no such file", "/models/my.gguf", "give the path of a GGUF file")
    service = ScriptedService(at_start=(ModelMissing("/models/my.gguf", "", 0, problem),))
    async with running(service) as pilot:
        seen = await sees(pilot, "The model is not here")
        assert "/models/my.gguf: no such file" in seen
        assert "give the path of a GGUF file" in seen
        assert not button(pilot, "pull").display


async def test_with_documents_only_the_model_is_waited_for(service: ScriptedService) -> None:
    service.at_start = (MISSING,)
    async with running(service) as pilot:
        await sees(pilot, "There is no model yet")
        service.tell(READY)
        await sees(pilot, "Start asking")
        button(pilot, "go").focus()
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, AskScreen))


async def test_a_ready_library_is_not_welcomed(service: ScriptedService) -> None:
    async with running(service) as pilot:
        await settle(pilot)
        assert isinstance(pilot.app.screen, AskScreen)
        assert "Welcome" not in shown(pilot)


async def test_coming_back_from_another_mode_is_going_on() -> None:
    service = ScriptedService()
    async with running(service) as pilot:
        await sees(pilot, "Which folder shall be read?")
        await pilot.press("f4")
        await until(pilot, lambda: isinstance(pilot.app.screen, IngestScreen))
        await pilot.press("f2")
        await until(pilot, lambda: isinstance(pilot.app.screen, WelcomeScreen))
        await sees(pilot, "Which folder shall be read?")  # there is still nothing to ask
        await pilot.press("f4")
        service.tell(reading(9), Ingested(9, 2, 2, 8_000, 90.0, False, ()))
        await sees(pilot, "2 indexed")
        await pilot.press("f2")
        await until(pilot, lambda: isinstance(pilot.app.screen, AskScreen))


async def test_help_above_the_welcome_is_not_leaving_it() -> None:
    service = ScriptedService()
    async with running(service) as pilot:
        service.tell(reading(9), Ingested(9, 2, 2, 8_000, 90.0, False, ()))
        await sees(pilot, "2 indexed")
        await pilot.press("f1")
        await until(pilot, lambda: not isinstance(pilot.app.screen, WelcomeScreen))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, WelcomeScreen))
        await sees(pilot, "2 indexed")
