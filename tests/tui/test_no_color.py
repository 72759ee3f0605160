"""NO_COLOR: nothing that is sent to the terminal has a colour, and the cursor is seen all the same."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from asking import LINE, answered, ask
from harness import running, sees, settle
from rich.segment import Segment
from scripted_service import ScriptedService
from textual.pilot import Pilot


@pytest.fixture(autouse=True)
def no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")


def segments(pilot: Pilot[int]) -> Iterator[Segment]:
    for strip in pilot.app.screen._compositor.render_strips():
        yield from strip


def colours(pilot: Pilot[int]) -> set[str]:
    styles = [segment.style for segment in segments(pilot) if segment.style is not None]
    found = [color for style in styles for color in (style.color, style.bgcolor) if color is not None]
    return {color.name for color in found if not color.is_default}


def reversed_text(pilot: Pilot[int]) -> str:
    return "".join(s.text for s in segments(pilot) if s.style is not None and s.style.reverse)


async def test_no_screen_has_a_colour(service: ScriptedService) -> None:
    async with running(service) as pilot:
        service.tell(answered(await ask(pilot, service), "He was **7**."))
        await sees(pilot, "first token")
        assert colours(pilot) == set()
        await pilot.press("ctrl+o")
        await settle(pilot)
        assert "1 Report on the accident, page 2" in reversed_text(pilot)
        await pilot.press("enter")
        await sees(pilot, LINE)
        assert colours(pilot) == set()
        assert LINE in reversed_text(pilot), "the quote is marked"
        for key in ("f1", "escape", "q", "f3", "f4", "f5", "f6", "ctrl+p"):
            await pilot.press(key)
            await settle(pilot)
            assert colours(pilot) == set(), key


async def test_what_has_the_cursor_is_reversed(service: ScriptedService) -> None:
    async with running(service) as pilot:
        await pilot.press("f3")
        await sees(pilot, "Lease of the hangar")
        assert "Report on the accident" in reversed_text(pilot)
        await pilot.press("d")
        await sees(pilot, "Remove Report on the accident from the library?")
        assert "No (n)" in reversed_text(pilot)
        assert "Remove (y)" not in reversed_text(pilot)
