"""The shell: modes, notices, status line, theme, palette, help, signals, and failures of the app itself."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from pathlib import Path

import pytest
from harness import NARROW, WIDE, only, running, sees, settle, shown, until
from samples import HOSTILE, PROBLEM, READY, conversation
from scripted_service import ScriptedService
from textual.command import CommandPalette

from beyondrag.events import AnswerDelta
from beyondrag.service.interface import Listener
from beyondrag.service.notices import (
    ContextMeter,
    Failed,
    LibraryChanged,
    ModelMissing,
    Notice,
    Opening,
    Reading,
    Ready,
    Said,
)
from beyondrag.tui.app import BeyondragApp
from beyondrag.tui.config import TuiConfig, load_config
from beyondrag.tui.modes import MODES
from beyondrag.tui.running import run_app
from beyondrag.tui.screen import NoticeScreen
from beyondrag.tui.screens.ask import AskScreen
from beyondrag.tui.screens.help import HelpScreen
from beyondrag.tui.screens.source import SourceScreen
from beyondrag.tui.screens.welcome import WelcomeScreen
from library.errors import LibraryError


class Ear(NoticeScreen[None]):
    """A screen that writes down what it is told, and in which thread."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[Notice] = []
        self.threads: set[int] = set()

    async def receive(self, notice: Notice) -> None:
        self.heard.append(notice)
        self.threads.add(threading.get_ident())


# ------------------------------------------------------------------------------- modes and keys


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
async def test_keys_lead_to_every_mode(service: ScriptedService, mode) -> None:
    async with running(service, screens=only()) as pilot:
        await pilot.press(mode.key)
        assert pilot.app.current_mode == mode.name
        await pilot.press("f2", "escape", mode.number)
        assert pilot.app.current_mode == mode.name


async def test_a_mode_keeps_what_was_opened_in_it_and_its_key_leads_back(service: ScriptedService) -> None:
    async with running(service, screens=only()) as pilot:
        opened = Ear()
        pilot.app.push_screen(opened)
        await pilot.press("f3", "f2")
        assert pilot.app.screen is opened
        await pilot.press("f2")
        assert isinstance(pilot.app.screen, AskScreen)


async def test_digits_are_typed_where_there_is_a_field(service: ScriptedService) -> None:
    async with running(service, screens=only()) as pilot:
        await pilot.press("3")
        assert pilot.app.current_mode == "ask"
        await pilot.press("f4")
        assert pilot.app.current_mode == "ingest"


async def test_ctrl_q_ends_the_app(service: ScriptedService) -> None:
    async with running(service, screens=only()) as pilot:
        await pilot.press("ctrl+q")
        await pilot.pause()
        assert pilot.app.return_code == 0


@pytest.mark.parametrize("size", [NARROW, WIDE])
async def test_help_names_every_key_of_the_screen(service: ScriptedService, size: tuple[int, int]) -> None:
    async with running(service, size, screens=only()) as pilot:
        promised = {
            active.binding.description
            for active in pilot.app.screen.active_bindings.values()
            if active.binding.description and not active.binding.system
        }
        assert {"Sources", "Pin", "Options", "Copy the answer with its sources", "Help", "Quit"} <= promised
        await pilot.press("f1")
        assert isinstance(pilot.app.screen, HelpScreen)
        await settle(pilot)
        words = "\n".join(str(widget.render()) for widget in pilot.app.screen.query(".keys"))
        assert {description for description in promised if description not in words} == set()
        assert "On this screen" in shown(pilot)
        await pilot.press("escape")
        assert not isinstance(pilot.app.screen, HelpScreen)


async def test_the_mark_opens_help_only_outside_of_fields(service: ScriptedService) -> None:
    async with running(service, screens=only()) as pilot:
        await pilot.press("question_mark")
        assert not isinstance(pilot.app.screen, HelpScreen)
        await pilot.press("escape", "question_mark")
        assert isinstance(pilot.app.screen, HelpScreen)


async def test_the_palette_finds_documents_and_conversations(service: ScriptedService) -> None:
    service.shelf_data.kept["c1"] = conversation("Who flew to Lease Island?")
    async with running(service, screens=only()) as pilot:
        await pilot.press("ctrl+p")
        assert isinstance(pilot.app.screen, CommandPalette)
        await pilot.press(*"lease")
        await sees(pilot, "Open Lease of the hangar")
        assert "Ask only Lease of the hangar" in shown(pilot)
        assert "Go on with: Who flew to Lease Island?" in shown(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, SourceScreen))


async def test_the_palette_survives_a_library_that_fails(service: ScriptedService) -> None:
    async with running(service, screens=only()) as pilot:
        service.shelf_data.failure = LibraryError("the library is gone")
        await pilot.press("ctrl+p", *"quit")
        await sees(pilot, "Stop everything and leave")


# ------------------------------------------------------------------------------- notices


async def test_every_screen_hears_everything_in_order(service: ScriptedService) -> None:
    ears = {mode.name: Ear() for mode in MODES}
    async with running(service, screens=only(**ears)) as pilot:
        said = [ContextMeter(index, 16_384, (), 1) for index in range(200)]
        speaker = threading.Thread(target=lambda: service.tell(*said))
        speaker.start()
        speaker.join()
        for mode in MODES:  # the others are mounted only now
            await pilot.press(mode.key)
        await settle(pilot)
        for ear in ears.values():
            assert [notice for notice in ear.heard if isinstance(notice, ContextMeter)] == said
            assert READY in ear.heard
            assert ear.threads == {threading.get_ident()}


async def test_what_a_screen_missed_is_kept_without_floods(service: ScriptedService) -> None:
    late = Ear()
    async with running(service, screens=only(history=late)) as pilot:
        for done in range(1000):
            service.tell(Reading(1, "d", "a.pdf", 0, 1, done, 1000, done, 1000, 95.0, None, False))
            service.tell(Said(2, "documents", AnswerDelta("x")))
        service.tell(LibraryChanged())
        await settle(pilot)
        await pilot.press("f5")
        await settle(pilot)
        heard = [notice for notice in late.heard if not isinstance(notice, Ready)]
        assert [type(notice) for notice in heard] == [Reading, LibraryChanged]
        assert heard[0].done == 999  # type: ignore[union-attr] # it is the Reading


async def test_progress_of_two_requests_is_not_run_together(service: ScriptedService) -> None:
    late = Ear()
    async with running(service, screens=only(history=late)) as pilot:
        for done in (1, 2):
            service.tell(Reading(1, "d", "a.pdf", 0, 1, done, 9, done, 9, 95.0, None, True))
        for done in (3, 4):
            service.tell(Reading(2, "e", "b.pdf", 0, 1, done, 9, done, 9, 95.0, None, False))
        await settle(pilot)
        await pilot.press("f5")
        await settle(pilot)
        heard = [notice for notice in late.heard if isinstance(notice, Reading)]
        assert [(notice.request, notice.done) for notice in heard] == [(1, 2), (2, 4)]


async def test_pushed_screens_hear_too(service: ScriptedService) -> None:
    pushed = Ear()
    async with running(service, screens=only()) as pilot:
        pilot.app.push_screen(pushed)
        await pilot.pause()
        service.tell(LibraryChanged())
        await settle(pilot)
        assert pushed.heard == [LibraryChanged()]


async def test_a_flood_is_handed_over_in_few_batches(service: ScriptedService) -> None:
    async with running(service, screens=only()) as pilot:
        app = pilot.app
        assert isinstance(app, BeyondragApp)
        batches: list[int] = []
        deliver = app.ask_screen.deliver
        app.ask_screen.deliver = lambda notices: (batches.append(len(notices)), deliver(notices))  # type: ignore[method-assign]
        done = threading.Event()

        def speak() -> None:
            for _ in range(300):
                service.tell(ContextMeter(1, 16_384, (), 1))
                done.wait(0.001)

        await asyncio.to_thread(speak)
        await settle(pilot)
        assert sum(batches) == 300
        assert len(batches) <= 40  # 0.3 to 1 s of work at 30 a second


# ------------------------------------------------------------------------------- status line


@pytest.mark.parametrize("size", [NARROW, WIDE, (40, 12)])
async def test_the_status_line_fits_on_one_line(service: ScriptedService, size: tuple[int, int]) -> None:
    async with running(service, size, screens=only()) as pilot:
        service.tell(ContextMeter(4_031, 16_384, ("A", "B"), 2_000_000_000))
        await settle(pilot)
        (line,) = [line for line in shown(pilot).splitlines() if READY.model in line]
        assert len(line) <= size[0]
        if size[0] >= 80:
            assert "2 docs · 4.0k/16.4k tok · 2.00 GB" in line


async def test_the_status_line_shows_a_hostile_model_name(service: ScriptedService) -> None:
    service.at_start = (Opening(HOSTILE),)
    async with running(service, WIDE, screens=only()) as pilot:
        assert "[/] [bold]x[/bold] \\x1b[31mred" in shown(pilot)


# ------------------------------------------------------------------------------- first run, failures


async def test_without_a_model_the_first_steps_are_shown_once(service: ScriptedService) -> None:
    missing = ModelMissing("qwen", "Apache-2.0", 10**9, PROBLEM)
    service.at_start = (missing, missing)
    async with running(service, screens=only()) as pilot:
        assert isinstance(pilot.app.screen, WelcomeScreen)
        assert sum(isinstance(screen, WelcomeScreen) for screen in pilot.app.screen_stack) == 1


async def test_an_empty_library_leads_to_the_first_steps() -> None:
    async with running(ScriptedService(), screens=only()) as pilot:
        await until(pilot, lambda: isinstance(pilot.app.screen, WelcomeScreen))


async def test_a_library_with_documents_does_not(service: ScriptedService) -> None:
    async with running(service, screens=only()) as pilot:
        assert not isinstance(pilot.app.screen, WelcomeScreen)


async def test_an_engine_that_fails_is_told_in_words(service: ScriptedService) -> None:
    async with running(service, screens=only()) as pilot:
        service.tell(Failed(PROBLEM))
        await sees(pilot, "the model: llama.cpp refused the batch")
        assert "Try: ask again" in shown(pilot)
        assert "failed" in shown(pilot).splitlines()[-2]
        service.tell(READY)
        await settle(pilot)
        assert "llama.cpp" not in shown(pilot)


async def test_an_engine_that_fails_is_told_in_every_mode(service: ScriptedService) -> None:
    async with running(service, screens=only()) as pilot:
        await pilot.press("f5")
        service.tell(Failed(PROBLEM))
        await sees(pilot, "llama.cpp refused the batch")


async def test_warnings_of_the_start_are_shown_as_plain_text(service: ScriptedService) -> None:
    service.at_start = (Ready("m", "k4v4", 512, 1, 0.1, 1, (f"careful {HOSTILE}",)),)
    async with running(service, WIDE, screens=only()) as pilot:
        await sees(pilot, "careful [/] [bold]x")


def test_a_mistake_of_the_app_is_no_traceback(
    service: ScriptedService, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(NoticeScreen[None]):
        async def receive(self, notice: Notice) -> None:
            raise ZeroDivisionError("a mistake")

    app = BeyondragApp(service, TuiConfig(), only(ask=Broken()))  # type: ignore[arg-type]
    run = app.run
    monkeypatch.setattr(app, "run", lambda: run(headless=True, size=NARROW))
    with pytest.raises(ZeroDivisionError):
        run_app(app)
    assert service.closed
    captured = capfd.readouterr()
    assert "Traceback" not in captured.out + captured.err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_being_told_to_end_closes_everything(
    service: ScriptedService, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    app = BeyondragApp(service, TuiConfig(), only())
    run = app.run
    monkeypatch.setattr(app, "run", lambda: run(headless=True, size=NARROW))
    start = service.start

    def started(listener: Listener) -> None:
        """Not before the app listens to signals: this process would end."""
        start(listener)
        os.kill(os.getpid(), number)

    monkeypatch.setattr(service, "start", started)
    assert run_app(app) == 128 + number
    assert service.closed


# ------------------------------------------------------------------------------- theme


async def test_the_theme_is_remembered(service: ScriptedService, tmp_path: Path) -> None:
    path = tmp_path / "app.json"
    async with running(service, config=TuiConfig(path=path), screens=only()) as pilot:
        pilot.app.theme = "textual-light"
        await until(pilot, path.exists)
    assert load_config(path).theme == "textual-light"
    async with running(
        ScriptedService(service.shelf_data), config=load_config(path), screens=only()
    ) as pilot:
        assert pilot.app.theme == "textual-light"


async def test_an_unknown_theme_is_the_default(service: ScriptedService) -> None:
    async with running(service, config=TuiConfig("no such theme"), screens=only()) as pilot:
        assert pilot.app.theme == "textual-dark"


async def test_a_theme_that_cannot_be_kept_is_told(service: ScriptedService, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    async with running(
        service, config=TuiConfig(path=tmp_path / "file" / "app.json"), screens=only()
    ) as pilot:
        pilot.app.theme = "textual-light"
        await sees(pilot, "file exists")


async def test_without_colours_nothing_is_lost(
    service: ScriptedService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    async with running(service, screens=only()) as pilot:
        assert pilot.app.no_color
        assert "2 documents to ask" in shown(pilot)


async def test_tiny_terminals_do_not_break_anything(service: ScriptedService) -> None:
    async with running(service, (20, 6), screens=only()) as pilot:
        for mode in MODES:
            await pilot.press(mode.key)
        await pilot.resize_terminal(3, 2)
        await pilot.resize_terminal(200, 60)
        await settle(pilot)
        await pilot.press("f2")
        assert "2 documents to ask" in shown(pilot)
