"""Running the app in a test: sizes, waiting, and reading what stands on the screen."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from guards import PATIENCE_S
from scripted_service import ScriptedService
from textual.pilot import Pilot
from textual.widgets import Button

from beyondrag.tui.app import BeyondragApp
from beyondrag.tui.config import TuiConfig
from beyondrag.tui.modes import MODES
from beyondrag.tui.screen import NoticeScreen
from beyondrag.tui.screens.ask import AskScreen

NARROW, WIDE = (80, 24), (200, 60)


def only(**real: NoticeScreen[None]) -> Callable[[], Mapping[str, NoticeScreen[None]]]:
    """Mode screens for a test of some of them: the others are blank."""
    screens = {mode.name: NoticeScreen[None]() for mode in MODES}
    return lambda: {**screens, "ask": AskScreen(), **real}


@asynccontextmanager
async def running(
    service: ScriptedService,
    size: tuple[int, int] = NARROW,
    config: TuiConfig | None = None,
    screens: Callable[[], Mapping[str, NoticeScreen[None]]] | None = None,
) -> AsyncIterator[Pilot[int]]:
    """The app at work on `service`; `pilot.app` is a BeyondragApp."""
    app = BeyondragApp(service, config or TuiConfig(), *([screens] if screens else []))
    app.animation_level = "none"
    async with app.run_test(size=size, notifications=True) as pilot:
        await settle(pilot)
        yield pilot


async def settle(pilot: Pilot[int]) -> None:
    """Until keys and notices have had their effect and no worker runs."""
    app = pilot.app
    assert isinstance(app, BeyondragApp)
    for _ in range(2):
        await until(pilot, lambda: not (app.has_notices_waiting or app.has_keys_waiting))
        await app.workers.wait_for_complete()
        await pilot.pause()


async def sees(pilot: Pilot[int], words: str, seconds: float = PATIENCE_S) -> str:
    """Wait until `words` stand on one line of the terminal; everything that stands there."""
    deadline = time.monotonic() + seconds
    while words not in shown(pilot):
        assert time.monotonic() < deadline, f"{words!r} is not on the screen:\n{shown(pilot)}"
        await pilot.pause(0.02)
    return shown(pilot)


async def until(pilot: Pilot[int], condition: Callable[[], object], seconds: float = PATIENCE_S) -> None:
    """Wait for something that a thread brings about."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came about"
        await pilot.pause(0.02)


def enter_presses(pilot: Pilot[int], name: str) -> bool:
    """The button has the focus and is past the moment after a press in which Textual's are deaf to Enter."""
    button = pilot.app.screen.query_one(f"#{name}", Button)
    return button.has_focus and not button.has_class("-active")


def shown(pilot: Pilot[int]) -> str:
    """What stands on the terminal, as lines of text without trailing spaces."""
    app = pilot.app
    width, height = app.size
    strips = app.screen._compositor.render_strips()
    lines = ["".join(segment.text for segment in strip) for strip in strips[:height]]
    return "\n".join(line[:width].rstrip() for line in lines)
