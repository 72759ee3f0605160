"""Ask: names, texts and answers that mean harm, and terminals of any size."""

from __future__ import annotations

import threading
from collections.abc import Iterable

import pytest
from asking import LINE, answered, ask, say
from harness import NARROW, WIDE, only, running, sees, settle, shown
from samples import (
    HOSTILE,
    answer,
    chosen,
    quote_in,
    read,
    record,
    state,
    text,
)
from scripted_service import ScriptedService, Step
from textual.widgets import Input, OptionList

from beyondrag.events import (
    AnswerDelta,
    Chosen,
    EvidenceChecked,
    EvidenceDelta,
    ReadingDocument,
)
from beyondrag.service.notices import (
    Answered,
    Asked,
    Said,
)
from beyondrag.turn import AskOptions

# ------------------------------------------------------------------------------- hostile input


@pytest.mark.parametrize("size", [NARROW, WIDE])
async def test_hostile_names_texts_and_answers_are_only_text(size: tuple[int, int]) -> None:
    service = ScriptedService()
    document = record("x.pdf", HOSTILE, path=f"/d/{HOSTILE}.pdf")
    service.shelf_data.add(state(document), text())
    source = quote_in(text(), LINE, document)
    async with running(service, size, screens=only()) as pilot:
        await pilot.press("ctrl+l", "enter", "escape")
        request = await ask(pilot, service, "[/] [red]?")
        service.tell(Asked(request, "c", "[/]", False, HOSTILE))
        say(
            service,
            request,
            Chosen((chosen(document, passage=HOSTILE),), (HOSTILE,)),
            ReadingDocument(HOSTILE, 0, 5),
            EvidenceDelta(HOSTILE),
            EvidenceChecked(HOSTILE, None),
            AnswerDelta(HOSTILE + " &#x202e;&#27;[2J <b>bold</b> ![i](http://x/i.png) [l](http://x)"),
        )
        await settle(pilot)
        done = answer("?", HOSTILE + " &#x202e;&#27;[2J <script>x</script>", (document,), (source,))
        service.tell(Answered(request, "documents", done, read((document,), (HOSTILE,)), "t"))
        await sees(pilot, "first token")
        everything = shown(pilot)
        await pilot.press("ctrl+g")
        await sees(pilot, "16,384 tokens")
        everything += shown(pilot)
        await pilot.press("enter", "f1")
        await settle(pilot)
        everything += shown(pilot)
        for active in "\x1b\x07\u202e\u2066\u009b":
            assert active not in everything
        assert "[/] [bold]x[/bold] \\x1b[31mred" in everything
        assert "&#x202e;" in everything


async def test_links_in_answers_are_not_opened(
    service: ScriptedService, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    async with running(service, screens=only()) as pilot:
        monkeypatch.setattr(pilot.app, "open_url", lambda url, **_: opened.append(url))
        request = await ask(pilot, service)
        service.tell(answered(request, "[here](http://example.org)"))
        screen = await sees(pilot, "  here")
        row = next(index for index, line in enumerate(screen.splitlines()) if line.strip() == "here")
        await pilot.click(offset=(4, row))
        await settle(pilot)
        assert opened == []


# ------------------------------------------------------------------------------- sizes


async def test_resizing_while_an_answer_streams(service: ScriptedService) -> None:
    gate = threading.Semaphore(0)

    def script(request: int, _question: str, _options: AskOptions) -> Iterable[Step]:
        for number in range(60):
            if number % 10 == 0:
                yield gate.acquire
            yield Said(request, "documents", AnswerDelta(f"word{number} "))
        yield answered(request, " ".join(f"word{number}" for number in range(60)))

    service.scripts["ask"] = script
    async with running(service, screens=only()) as pilot:
        await pilot.press(*"Go", "enter")
        for size in ((40, 10), (200, 60), (20, 6), (80, 24), (5, 3), NARROW):
            gate.release()
            await pilot.resize_terminal(*size)
            await pilot.pause()
        await sees(pilot, "word59")
        await sees(pilot, "first token")
        service.played()


@pytest.mark.parametrize("size", [NARROW, WIDE])
async def test_the_lists_of_the_picker_and_the_panel_fit(
    service: ScriptedService, size: tuple[int, int]
) -> None:
    async with running(service, size, screens=only()) as pilot:
        await pilot.press("ctrl+l")
        await settle(pilot)
        assert pilot.app.screen.query_one(OptionList).region.bottom <= size[1]
        await pilot.press("escape", "ctrl+t")
        await settle(pilot)
        for number in pilot.app.screen.query(Input):
            assert number.region.right <= size[0]
        assert "Enter or Escape is done" in shown(pilot)
