"""What a person sees, as text, at two sizes.

`BEYONDRAG_UPDATE_GOLDENS=1 pytest tests/tui/test_app_goldens.py` writes the files anew: read the diff.
"""

from __future__ import annotations

import pytest
from golden import same_as_golden
from harness import NARROW, WIDE, only, running, sees, settle
from play import LEASE, REPORT, asked
from samples import answer, quote_in, read, text
from scripted_service import ScriptedService
from textual.pilot import Pilot

from beyondrag.service.notices import Answered
from beyondrag.turn import AskOptions

SIZES = pytest.mark.parametrize("size", [NARROW, WIDE], ids=["80x24", "200x60"])


async def ask(pilot: Pilot[int], service: ScriptedService) -> None:
    """One question, answered from two documents as in `play.py`, without its waits."""
    await pilot.press(*"How old was the pilot?", "enter")
    await settle(pilot)
    for step in asked(service.last_request, "How old was the pilot?", AskOptions()):
        if not isinstance(step, int | float) and not callable(step):
            service.tell(step)
    await sees(pilot, "first token")
    await settle(pilot)


@SIZES
async def test_an_answer(service: ScriptedService, size: tuple[int, int]) -> None:
    async with running(service, size, screens=only()) as pilot:
        await ask(pilot, service)
        await same_as_golden(pilot, "answer")


@SIZES
async def test_a_withheld_answer(service: ScriptedService, size: tuple[int, int]) -> None:
    async with running(service, size, screens=only()) as pilot:
        await pilot.press(*"What did it weigh?", "enter")
        await settle(pilot)
        near = (quote_in(text(), "page 1 line 3: the pilot was 3 years old.", REPORT),)
        withheld = answer("What did it weigh?", "", (REPORT,), nearest=near, abstained=True)
        service.tell(Answered(service.last_request, "documents", withheld, read((REPORT,)), "t"))
        await sees(pilot, "first token")
        await same_as_golden(pilot, "withheld")


@SIZES
async def test_a_source(service: ScriptedService, size: tuple[int, int]) -> None:
    async with running(service, size, screens=only()) as pilot:
        await ask(pilot, service)
        await pilot.press("ctrl+o", "enter")
        await sees(pilot, " % · /documents/report.pdf")
        await settle(pilot)
        await same_as_golden(pilot, "source")


async def test_what_was_read(service: ScriptedService) -> None:
    async with running(service, screens=only()) as pilot:
        await ask(pilot, service)
        await pilot.press("ctrl+g")
        await sees(pilot, LEASE.title)
        await same_as_golden(pilot, "what_was_read")


async def test_the_options(service: ScriptedService) -> None:
    async with running(service, screens=only()) as pilot:
        await pilot.press("ctrl+t")
        await sees(pilot, "How to answer")
        await same_as_golden(pilot, "options")
