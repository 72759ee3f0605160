"""Keys that arrive together have the effect of keys that are typed slowly."""

from __future__ import annotations

import asyncio

import pytest
from guards import PATIENCE_S
from harness import running, sees, settle, until
from scripted_service import ScriptedService
from textual import events
from textual.pilot import Pilot

from beyondrag.tui import key_order
from beyondrag.tui.app import BeyondragApp
from beyondrag.tui.config import TuiConfig
from beyondrag.tui.screens.help import HelpScreen
from beyondrag.tui.screens.pin import PinScreen
from beyondrag.turn import AskOptions

NAMED = ("tab", "enter", "escape", "f1", "f3")


def rush(pilot: Pilot[int], *keys: str) -> None:
    """All of them before the app can look at the first; text is typed letter by letter."""
    for key in keys:
        for name in [key] if key in NAMED or "+" in key else key:
            character = name if len(name) == 1 else " " if name == "space" else None
            pilot.app.post_message(events.Key("space" if name == " " else name, character))


async def test_keys_for_a_panel_that_is_not_there_yet(service: ScriptedService) -> None:
    async with running(service) as pilot:
        app = pilot.app
        assert isinstance(app, BeyondragApp)
        for n in (701, 702, 703):
            rush(pilot, "ctrl+t", "tab", "tab", "tab", "tab", str(n), "enter", "Who?", "enter")
            await until(pilot, lambda: service.asked("ask"))
            await settle(pilot)
            assert app.ask_screen.options == AskOptions(max_tokens=n)
            assert service.calls[-1] == ("ask", "Who?", AskOptions(max_tokens=n))
            service.calls.clear()
            rush(pilot, "ctrl+n")
            await settle(pilot)


async def test_a_long_text_in_one_go_arrives_whole(service: ScriptedService) -> None:
    words = "how old was the keeper at skerry point " * 20
    async with running(service) as pilot:
        rush(pilot, words)
        await settle(pilot)
        assert isinstance(pilot.app, BeyondragApp)
        assert pilot.app.ask_screen._input.text == words


async def test_through_several_panels(service: ScriptedService) -> None:
    async with running(service) as pilot:
        app = pilot.app
        assert isinstance(app, BeyondragApp)
        rush(pilot, "ctrl+l", "report", "enter")  # Enter means what "report" finds, once it is found
        await sees(pilot, "[x] Report on the accident")
        rush(pilot, "escape", "ctrl+t", "escape", "ctrl+l", "lease", "escape", "ctrl+l")
        await until(pilot, lambda: isinstance(app.screen, PinScreen))
        await settle(pilot)
        assert "only: Report on the accident" in app.ask_screen.choices
        rush(pilot, "ctrl+x", "escape", "abc", "escape", "escape", "def")
        await settle(pilot)
        assert app.ask_screen.choices == ""
        assert app.ask_screen._input.text == "abcdef"


async def test_a_part_that_hangs_holds_up_no_key_for_long(
    service: ScriptedService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_order, "PATIENCE_S", 0.05)
    async with running(service) as pilot:
        hanging = asyncio.Event()
        try:
            pilot.app.screen.call_later(hanging.wait)
            rush(pilot, "escape", "f3")
            async with asyncio.timeout(PATIENCE_S):
                while pilot.app.current_mode != "library":
                    await asyncio.sleep(0.01)  # `pause` would wait for the part that hangs
        finally:
            hanging.set()
        await settle(pilot)


async def test_keys_before_the_first_screen_is_there(service: ScriptedService) -> None:
    app = BeyondragApp(service, TuiConfig())
    async with app.run_test(size=(80, 24)) as pilot:
        rush(pilot, "abc")
        await settle(pilot)
        assert app.ask_screen._input.text == "abc"
        rush(pilot, "f1", "escape")
        await settle(pilot)
        assert not isinstance(app.screen, HelpScreen)
