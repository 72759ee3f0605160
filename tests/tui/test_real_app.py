"""The app on the real service with the small model: how quick the screen stays, and what may go wrong."""

from __future__ import annotations

import shutil
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from effort import Effort
from guards import PATIENCE_S
from harness import NARROW, WIDE, sees, settle, shown, until
from lag import LagMeter
from textual.pilot import Pilot

from beyondrag.service.service import EngineService
from beyondrag.settings import Settings
from beyondrag.tui.app import BeyondragApp
from beyondrag.tui.config import TuiConfig
from beyondrag.tui.idle_collector import no_full_collections
from beyondrag.tui.screens.source import SourceScreen
from beyondrag.turn import AskOptions
from kvfiles.errors import DecodeError
from kvfiles.runtime.context import Context

pytestmark = [pytest.mark.model, pytest.mark.slow]

HARBOUR = "Harbour report\n\nThe keeper at Skerry Point was 48 years old.\nThe lamp is lit at dusk.\n"
QUESTION = "How old was the keeper at Skerry Point?"
LONG = AskOptions(max_tokens=200, check=False)


def school(n_lines: int) -> str:
    """About 22 tokens a line."""
    return "School log\n\n" + "".join(
        f"On day {number} the bell of Fern Hill rang {number % 7 + 3} times before noon.\n"
        for number in range(n_lines)
    )


@pytest.fixture
def settings(tmp_path: Path, small_model_path: Path) -> Settings:
    """An empty library; one thread reads, so that another can draw."""
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "harbour.txt").write_text(HARBOUR)
    return Settings(tmp_path / "library", tmp_path / "models", str(small_model_path), 2048, 1, "k4v4", "f16")


@asynccontextmanager
async def opened(settings: Settings, size: tuple[int, int] = NARROW) -> AsyncIterator[Pilot[int]]:
    """The app with a model that is open and a library that holds `documents`, read."""
    with no_full_collections():
        app = BeyondragApp(EngineService(settings), TuiConfig())
        app.animation_level = "none"
        try:
            async with app.run_test(size=size, notifications=True) as pilot:
                await until(pilot, lambda: app.status.model and not app.status.engine, PATIENCE_S)
                yield pilot
        finally:
            app.close_service()


async def ingest(pilot: Pilot[int], folder: Path) -> None:
    """Through the screens, as a person does it; comes back when reading has begun or ended."""
    app = pilot.app
    assert isinstance(app, BeyondragApp)
    await pilot.press("f4")
    await until(pilot, lambda: app.current_mode == "ingest")
    if "Ask now" in shown(pilot):
        await pilot.click("#more")
    await sees(pilot, "Which folder shall be read?", PATIENCE_S)
    app.screen.query_one("#path").focus()
    await pilot.press(*str(folder), "enter")
    await sees(pilot, "Read them now", PATIENCE_S)
    await pilot.press("enter")
    await until(pilot, lambda: app.status.work or "Ask now" in shown(pilot), PATIENCE_S)


async def read_all(pilot: Pilot[int], folder: Path) -> None:
    await ingest(pilot, folder)
    await sees(pilot, "Ask now", PATIENCE_S)
    await pilot.press("f2", "escape", "f2")
    await settle(pilot)
    app = pilot.app
    assert isinstance(app, BeyondragApp)
    if not app.ask_screen._input.has_focus:
        await pilot.press("i")


async def ask(pilot: Pilot[int], question: str = QUESTION) -> None:
    await pilot.press(*question, "enter")


@dataclass(frozen=True)
class Lag:
    """The worst of one go through: see `LagMeter`."""

    prefilling: LagMeter
    answering: LagMeter


async def measured(pilot: Pilot[int], folder: Path, n_lines: int) -> Lag:
    """A document is read, the person looks around, then asks: the reading is set aside, a snapshot is
    attached, the answer streams, the reading goes on."""
    app = pilot.app
    assert isinstance(app, BeyondragApp)
    (folder / "school.txt").write_text(school(n_lines))
    await pilot.press("f2", "ctrl+n")
    await ingest(pilot, folder)
    with LagMeter(pilot) as prefilling:
        for key in ("f4", "f3", "down", "up", "s", "f5", "f6", "f2"):
            await pilot.press(key)
            await pilot.pause(0.15)
    with LagMeter(pilot) as answering:
        await ask(pilot)
        await sees(pilot, "attached", PATIENCE_S)
        await sees(pilot, "first token", PATIENCE_S)
    await until(pilot, lambda: not app.status.work, PATIENCE_S)
    return Lag(prefilling, answering)


async def test_the_screen_goes_on_while_the_model_works(
    settings: Settings, tmp_path: Path, effort: Effort, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model works in a thread of its own, and other threads run while it computes.

    How long a person waits is told and not judged: it depends on the machine.  Every area was visited
    before: a first visit builds its widgets.
    """
    folder = tmp_path / "documents"
    threads: set[int] = set()
    decode = Context.decode
    n_turns = n_during = 0

    def watched(self: Context, *arguments: Any, **options: Any) -> Any:
        nonlocal n_during
        threads.add(threading.get_ident())
        before = n_turns
        try:
            return decode(self, *arguments, **options)
        finally:
            n_during += n_turns - before

    def turn() -> None:
        nonlocal n_turns
        n_turns += 1

    async with opened(settings) as pilot:
        app = pilot.app
        assert isinstance(app, BeyondragApp)
        await read_all(pilot, folder)
        app.ask_screen._choose(LONG)
        for key in ("f3", "f4", "f5", "f6", "f2"):
            await pilot.press(key)
            await settle(pilot)
        monkeypatch.setattr(Context, "decode", watched)
        timer = app.set_interval(0.005, turn)
        lag = await measured(pilot, folder, 80)
        timer.stop()
    effort.tell(
        busy_s=round(max(lag.prefilling.busy_s, lag.answering.busy_s), 3),
        late_s=round(max(lag.prefilling.late_s, lag.answering.late_s), 3),
    )
    assert min(lag.prefilling.n_ticks, lag.answering.n_ticks) > 0
    assert len(threads) == 1
    assert threading.get_ident() not in threads
    assert n_during > 0, "the screen had its turns while a slice was computed"


async def test_keys_are_answered_in_the_midst_of_a_slice(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The slice waits for the screen: a screen that waited for the slice would wait for ever."""
    folder = tmp_path / "documents"
    decode = Context.decode
    in_the_midst, answered = threading.Event(), threading.Event()

    def held(self: Context, *arguments: Any, **options: Any) -> Any:
        in_the_midst.set()
        assert answered.wait(PATIENCE_S), "no key was answered meanwhile"
        return decode(self, *arguments, **options)

    async with opened(settings) as pilot:
        app = pilot.app
        assert isinstance(app, BeyondragApp)
        await read_all(pilot, folder)
        monkeypatch.setattr(Context, "decode", held)
        (folder / "school.txt").write_text(school(20))
        await pilot.press("f2", "ctrl+n")
        await ingest(pilot, folder)
        await until(pilot, in_the_midst.is_set, PATIENCE_S)
        try:
            for key, mode in (("f3", "library"), ("f4", "ingest"), ("f2", "ask")):
                await pilot.press(key)
                await until(pilot, lambda mode=mode: app.current_mode == mode)
                await settle(pilot)
            assert not answered.is_set()
        finally:
            answered.set()


async def test_a_model_that_dies_in_the_middle_of_an_answer(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode, died = Context.decode, False

    async with opened(settings, WIDE) as pilot:
        app = pilot.app
        assert isinstance(app, BeyondragApp)

        def dying(self: Context, tokens: Any, *arguments: Any, **options: Any) -> Any:
            nonlocal died
            turn = app.ask_screen._turn
            if turn is not None and turn.written and not died:
                died = True
                raise DecodeError("llama.cpp could not go on", subject="the model", remedy="ask again")
            return decode(self, tokens, *arguments, **options)

        app.ask_screen._choose(LONG)
        await read_all(pilot, tmp_path / "documents")
        monkeypatch.setattr(Context, "decode", dying)
        await ask(pilot)
        await sees(pilot, "llama.cpp could not go on", PATIENCE_S)
        turn = app.ask_screen._turn
        assert turn is not None
        assert turn.written, "what was written stays"
        await until(pilot, lambda: not app.status.engine, PATIENCE_S)  # opened anew
        await ask(pilot)
        await sees(pilot, "first token", PATIENCE_S)


async def test_no_room_for_documents_is_an_error_turn_with_its_remedy(
    settings: Settings, tmp_path: Path
) -> None:
    async with opened(settings) as pilot:
        app = pilot.app
        assert isinstance(app, BeyondragApp)
        await read_all(pilot, tmp_path / "documents")
        app.ask_screen._choose(AskOptions(max_tokens=4000))
        await ask(pilot)
        await sees(pilot, "nothing is left for documents", PATIENCE_S)
        assert "Try: ask for a shorter answer" in shown(pilot)
        app.ask_screen._choose(AskOptions(max_tokens=8, check=False))
        await ask(pilot)
        await sees(pilot, "first token", PATIENCE_S)


async def test_a_comparison_says_what_each_column_had(settings: Settings, tmp_path: Path) -> None:
    async with opened(settings, WIDE) as pilot:
        app = pilot.app
        assert isinstance(app, BeyondragApp)
        await read_all(pilot, tmp_path / "documents")
        app.ask_screen._choose(AskOptions(max_tokens=9, exact=True, check=False))
        await pilot.press("f6")
        await ask(pilot)
        await until(pilot, lambda: shown(pilot).count("first token") == 3, PATIENCE_S)
        seen = shown(pilot)
        assert seen.count("asked with: not checked · at most 9 tokens") == 3
        assert "attached" in seen
        assert seen.count("of them prefilled") == 2, "the chunks, and the documents that were read again"
        assert "this is done once" not in seen


async def test_a_library_that_is_removed_under_the_app_and_put_back(
    settings: Settings, tmp_path: Path
) -> None:
    async with opened(settings, WIDE) as pilot:
        app = pilot.app
        assert isinstance(app, BeyondragApp)
        app.ask_screen._choose(AskOptions(max_tokens=8, check=False))
        await read_all(pilot, tmp_path / "documents")
        shutil.move(settings.library, tmp_path / "away")
        await ask(pilot)
        await sees(pilot, "the library is gone", PATIENCE_S)
        for key in ("f3", "f5", "f2"):
            await pilot.press(key)
            await settle(pilot)
        assert app.is_running
        assert not settings.library.exists(), "nothing is made in its place"
        shutil.move(tmp_path / "away", settings.library)
        await pilot.press("ctrl+n")
        await ask(pilot)
        await sees(pilot, "first token", PATIENCE_S)


async def test_resizing_while_the_model_writes(settings: Settings, tmp_path: Path) -> None:
    async with opened(settings) as pilot:
        app = pilot.app
        assert isinstance(app, BeyondragApp)
        app.ask_screen._choose(LONG)
        await read_all(pilot, tmp_path / "documents")
        await ask(pilot)
        await until(
            pilot, lambda: app.ask_screen._turn is not None and app.ask_screen._turn.written, PATIENCE_S
        )
        for size in ((120, 40), (30, 8), (200, 60), NARROW):
            await pilot.resize_terminal(*size)
            await pilot.pause(0.1)
        await pilot.press("escape")
        await until(pilot, lambda: app.ask_screen._request is None, PATIENCE_S)
        await settle(pilot)
        assert "Stopped; this was not checked." in shown(pilot) or "first token" in shown(pilot)


async def test_a_person_reads_the_source_of_an_answer(settings: Settings, tmp_path: Path) -> None:
    """The whole way with a real answer: whatever the small model says, what it read can be checked."""
    async with opened(settings) as pilot:
        await read_all(pilot, tmp_path / "documents")
        await ask(pilot)
        await sees(pilot, "first token", PATIENCE_S)
        await pilot.press("ctrl+g")
        await sees(pilot, "snapshot k4v4", PATIENCE_S)
        await pilot.press("down", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, SourceScreen))
        await sees(pilot, "The keeper at Skerry Point was 48 years old.", PATIENCE_S)
