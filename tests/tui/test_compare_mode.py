"""Compare: the same question in columns; what each was given, and what came of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
from harness import NARROW, WIDE, only, running, sees, settle, shown, until
from samples import HOSTILE, PROBLEM, answer, chosen, quote_in, read, record, text
from scripted_service import ScriptedService
from textual.pilot import Pilot
from textual.widgets import Collapsible

from beyondrag.events import (
    AnswerDelta,
    Attached,
    Chosen,
    EvidenceChecked,
    EvidenceDelta,
    PlacedPart,
    ReadingDocument,
    Source,
)
from beyondrag.service.notices import (
    Answered,
    Arm,
    AskFailed,
    ChunkGiven,
    ChunksChosen,
    Notice,
    Said,
    Stopped,
)
from beyondrag.tui.screen import NoticeScreen
from beyondrag.tui.screens.compare import CompareScreen
from beyondrag.tui.widgets.arm_column import ArmColumn
from beyondrag.tui.widgets.plain import Plain
from beyondrag.tui.widgets.question_input import QuestionInput
from beyondrag.tui.widgets.source_row import SourceRow
from beyondrag.tui.widgets.toggle import Toggle
from beyondrag.turn import AskOptions

SIZES = (NARROW, WIDE)
DOCUMENT = record()
QUOTE = quote_in(text(), "the pilot was 7 years old", DOCUMENT)


OPTIONS = AskOptions(top_k=2, exact=True, repair_tokens=32, max_tokens=99)
ONLY = "only: Report on the accident"


def words_of(part: ArmColumn, selector: str) -> str:
    return str(part.query_one(selector, Plain).content)


def compare_only() -> Callable[[], Mapping[str, NoticeScreen[None]]]:
    return only(compare=CompareScreen())


async def ask(pilot: Pilot[int], service: ScriptedService) -> int:
    pilot.app.show_mode("compare")  # type: ignore[attr-defined] - a BeyondragApp
    await until(pilot, lambda: isinstance(pilot.app.screen, CompareScreen))
    await settle(pilot)
    await pilot.press(*"How old?", "enter")
    await until(pilot, lambda: service.asked("compare"))
    return service.last_request


def column(pilot: Pilot[int], arm: Arm) -> ArmColumn:
    return pilot.app.screen.query_one(f"#arm-{arm}", ArmColumn)


def whole(request: int, arm: Arm = "documents") -> tuple[Notice, ...]:
    written = answer("How old?", "He was **7**.", (DOCUMENT,), (QUOTE,))
    return (
        Said(request, arm, Chosen((chosen(DOCUMENT),), (f"too long: {HOSTILE}",))),
        Said(request, arm, Attached(2_000, 0.12)),
        Said(request, arm, EvidenceDelta("the pilot was 7")),
        Said(request, arm, EvidenceChecked("the pilot was 7 years old", QUOTE)),
        Said(request, arm, AnswerDelta("He was **7**.")),
        Answered(request, arm, written, read((DOCUMENT,)), ""),
    )


def chunked(request: int) -> tuple[Notice, ...]:
    chunks = tuple(
        ChunkGiven(
            DOCUMENT.id, HOSTILE, str(page), 0, 400, f"chunk {page} {HOSTILE} " + "word " * 80, 9.5 - page
        )
        for page in (1, 2, 3)
    )
    withheld = answer("How old?", "", (DOCUMENT,), nearest=(QUOTE,), abstained=True)
    return (
        ChunksChosen(request, chunks, 600),
        Said(request, "chunks", EvidenceDelta("Age: 42")),
        Said(request, "chunks", EvidenceChecked("Age: 42", None)),
        Answered(request, "chunks", withheld, read((DOCUMENT,)), ""),
    )


async def test_wide_terminals_show_the_columns_side_by_side(service: ScriptedService) -> None:
    async with running(service, WIDE, screens=compare_only()) as pilot:
        request = await ask(pilot, service)
        question, arms, _ = service.asked("compare")[0]
        assert (question, arms) == ("How old?", ("documents", "chunks"))
        await sees(pilot, "waits for its turn")
        service.tell(*whole(request))
        seen = await sees(pilot, "given: 1 whole document, 2,000 tokens")
        assert "waits for its turn" in seen  # the other column
        service.tell(*chunked(request))
        seen = await sees(pilot, "The documents do not answer this.")
        assert "given: 3 chunks of 1 document, 600 tokens" in seen
        assert "He was 7." in seen
        assert "attached 2,000 tokens in 120 ms" in seen
        assert "stands in no document" in seen
        assert "0 tokens of documents prefilled" in seen
        assert r"\x1b[31mred" in seen
        assert "\x1b" not in seen
        assert column(pilot, "documents").region.right <= column(pilot, "chunks").region.x
        assert not column(pilot, "exact").display


async def test_columns_say_what_they_are_for_before_anything_was_asked(service: ScriptedService) -> None:
    async with running(service, WIDE, screens=compare_only()) as pilot:
        await pilot.press("f6")
        seen = await sees(pilot, "reads the whole documents that fit, from their snapshots")
        assert "reads the best chunks of the same library, prefilled for every question" in seen
        await ask(pilot, service)
        await until(pilot, lambda: "reads the best chunks" not in shown(pilot))


async def test_the_texts_of_the_chunks_can_be_read_whole(service: ScriptedService) -> None:
    async with running(service, WIDE, screens=compare_only()) as pilot:
        request = await ask(pilot, service)
        service.tell(*chunked(request))
        await sees(pilot, "the texts it was given")
        assert shown(pilot).count("word word word") < 9
        texts = column(pilot, "chunks").query_one(Collapsible)
        texts.collapsed = False
        await pilot.pause()
        column(pilot, "chunks").scroll_home(animate=False)
        await until(pilot, lambda: shown(pilot).count("word word word") >= 9)


async def test_narrow_terminals_show_one_column_with_tabs(service: ScriptedService) -> None:
    async with running(service, NARROW, screens=compare_only()) as pilot:
        request = await ask(pilot, service)
        service.tell(*whole(request), *chunked(request))
        await sees(pilot, "He was 7.")
        assert not column(pilot, "chunks").display
        await pilot.press("ctrl+t")
        seen = await sees(pilot, "The documents do not answer this.")
        assert "He was 7." not in seen
        await pilot.press("ctrl+t")
        await sees(pilot, "He was 7.")
        await pilot.resize_terminal(*WIDE)
        await until(pilot, lambda: column(pilot, "documents").display and column(pilot, "chunks").display)


async def test_a_third_column_on_request(service: ScriptedService) -> None:
    async with running(service, WIDE, screens=compare_only()) as pilot:
        pilot.app.show_mode("compare")  # type: ignore[attr-defined] - a BeyondragApp
        await until(pilot, lambda: isinstance(pilot.app.screen, CompareScreen))
        await settle(pilot)
        toggle = pilot.app.screen.query_one("#use-exact", Toggle)
        assert "[ ] read again, slow" in shown(pilot)
        toggle.action_switch()
        await sees(pilot, "[x] read again, slow")
        request = await ask(pilot, service)
        assert service.asked("compare")[0][1] == ("documents", "chunks", "exact")
        service.tell(*whole(request), *chunked(request), *whole(request, "exact"))
        await until(pilot, lambda: column(pilot, "exact").turn is not None)
        await until(pilot, lambda: shown(pilot).count("He was 7.") == 2)
        await pilot.resize_terminal(*NARROW)
        await pilot.press("ctrl+t", "ctrl+t")
        await until(pilot, lambda: column(pilot, "exact").display)
        toggle.action_switch()
        await until(pilot, lambda: column(pilot, "documents").display)
        assert not column(pilot, "exact").display


async def test_any_column_can_be_left_out_but_not_all(service: ScriptedService) -> None:
    async with running(service, WIDE, screens=compare_only()) as pilot:
        pilot.app.show_mode("compare")  # type: ignore[attr-defined] - a BeyondragApp
        await until(pilot, lambda: isinstance(pilot.app.screen, CompareScreen))
        await settle(pilot)
        pilot.app.screen.query_one("#use-documents", Toggle).focus()
        await pilot.press("space")
        await until(pilot, lambda: not column(pilot, "documents").display)
        assert column(pilot, "chunks").display
        pilot.app.screen.query_one("#use-chunks", Toggle).action_switch()
        pilot.app.screen.query_one(QuestionInput).focus()
        await pilot.press(*"How old?", "enter")
        await sees(pilot, "choose at least one column")
        assert service.asked("compare") == []
        pilot.app.screen.query_one("#use-chunks", Toggle).action_switch()
        await pilot.press("enter")
        await until(pilot, lambda: service.asked("compare"))
        assert service.asked("compare")[0][1] == ("chunks",)


async def test_the_options_of_asking_count_here_too(service: ScriptedService) -> None:
    async with running(service, WIDE, screens=compare_only()) as pilot:
        asking = pilot.app.ask_screen  # type: ignore[attr-defined] - a BeyondragApp
        asking._choose(OPTIONS)
        asking.pin_only(DOCUMENT.id, DOCUMENT.title)
        request = await ask(pilot, service)
        seen = await sees(pilot, "exact · at most 2 documents · repair 32 tokens · at most 99 tokens")
        assert "[x] read again, slow" in seen
        _, arms, options = service.asked("compare")[0]
        assert arms == ("documents", "chunks", "exact")
        assert options == replace(OPTIONS, exact=False, documents=(DOCUMENT.id,))
        asked_with = {arm: words_of(column(pilot, arm), ".arm-options") for arm in arms}
        assert asked_with == {
            "documents": f"asked with: {ONLY} · at most 2 documents · repair 32 tokens · at most 99 tokens",
            "chunks": f"asked with: {ONLY} · at most 99 tokens",
            "exact": f"asked with: {ONLY} · at most 2 documents · at most 99 tokens",
        }
        service.tell(Stopped(request, "", ""))
        await pilot.press("f2")
        asking._choose(AskOptions())
        asking._pin(())
        await pilot.press("f6")
        await sees(pilot, "[ ] read again, slow")
        await pilot.press(*"And now?", "enter")
        await until(pilot, lambda: len(service.asked("compare")) == 2)
        await settle(pilot)
        assert "asked with" not in shown(pilot)


async def test_chunks_are_prefilled_for_every_question_and_the_column_says_so(
    service: ScriptedService,
) -> None:
    async with running(service, WIDE, screens=compare_only()) as pilot:
        request = await ask(pilot, service)
        service.tell(*chunked(request)[:1], Said(request, "chunks", ReadingDocument("3 chunks", 128, 600)))
        await sees(pilot, "prefilling 3 chunks, 128 of 600 tokens")
        seen = words_of(column(pilot, "chunks"), ".reading")
        assert re.search(r"tokens · [\d,]+ tokens/s · .+ left; chunks are prefilled anew for every", seen)
        assert "this is done once" not in seen
        assert "no snapshot yet" not in seen
        part = PlacedPart(chosen(DOCUMENT), 31, 631, "prefill", "f16", 16.0)
        service.tell(Said(request, "chunks", Attached(631, 6.5, (part,))))
        seen = await sees(pilot, "631 tokens in the context after 6.5 s: 600 of them prefilled")
        assert "kv " not in seen, "nothing was attached"


@pytest.mark.parametrize("cache", ["f16", "q8_0"])
async def test_the_column_without_snapshots_names_the_cache_it_read_into(
    service: ScriptedService, cache: str
) -> None:
    async with running(service, WIDE, screens=compare_only()) as pilot:
        await pilot.press("f6")
        await sees(pilot, "[ ] read again, slow")
        pilot.app.screen.query_one("#use-exact", Toggle).action_switch()
        await settle(pilot)
        request = await ask(pilot, service)
        assert "f16" not in shown(pilot), "nobody knows yet"
        assert "Whole documents, read again" in shown(pilot)
        document = chosen(DOCUMENT)
        read_again = PlacedPart(document, 31, 631, "prefill", cache, 8.5)
        stored = PlacedPart(document, 31, 631, "snapshot", "k4v4", 4.13)
        parts: dict[Arm, PlacedPart] = {"documents": stored, "exact": read_again}
        for arm, part in parts.items():
            service.tell(
                Said(request, arm, Chosen((document,), ())), Said(request, arm, Attached(631, 6.5, (part,)))
            )
        seen = await sees(pilot, f"given: 1 whole document, 2,000 tokens · {cache} cache")
        assert "given: 1 whole document, 2,000 tokens · snapshot k4v4" in seen


@pytest.mark.parametrize("size", SIZES)
async def test_escape_stops_and_keeps_what_was_written(
    service: ScriptedService, size: tuple[int, int]
) -> None:
    async with running(service, size, screens=compare_only()) as pilot:
        request = await ask(pilot, service)
        service.tell(Said(request, "documents", AnswerDelta("He was")))
        await sees(pilot, "He was")
        await pilot.press("escape")
        await until(pilot, lambda: ("stop", request) in service.calls)
        service.tell(Stopped(request, "He was", ""))
        seen = await sees(pilot, "Stopped; this was not checked.")
        assert "He was" in seen
        if size == WIDE:
            assert "stopped before its turn came" in seen
        await pilot.press(*"Again?", "enter")
        await until(pilot, lambda: len(service.asked("compare")) == 2)
        await until(pilot, lambda: "Stopped" not in shown(pilot))


async def test_one_comparison_at_a_time(service: ScriptedService) -> None:
    async with running(service, WIDE, screens=compare_only()) as pilot:
        await ask(pilot, service)
        await pilot.press(*"More", "enter")
        await sees(pilot, "escape stops the comparison that runs")
        assert len(service.asked("compare")) == 1


async def test_a_failure_in_the_middle_keeps_the_finished_column(service: ScriptedService) -> None:
    async with running(service, WIDE, screens=compare_only()) as pilot:
        request = await ask(pilot, service)
        service.tell(*whole(request), AskFailed(request, PROBLEM))
        seen = await sees(pilot, "llama.cpp refused the batch")
        assert "He was 7." in seen
        assert seen.count("refused the batch") == 1
        service.tell(*whole(request))  # of a request that is over: nothing happens
        await settle(pilot)
        assert pilot.app.is_running


async def test_a_source_of_a_column_can_be_opened(service: ScriptedService) -> None:
    async with running(service, WIDE, screens=compare_only()) as pilot:
        request = await ask(pilot, service)
        opened: list[Source] = []
        pilot.app.open_source = opened.append  # type: ignore[attr-defined] - a BeyondragApp
        service.tell(*whole(request))
        await until(pilot, lambda: list(column(pilot, "documents").query(SourceRow)))
        column(pilot, "documents").query_one(SourceRow).focus()
        await pilot.press("o")
        await until(pilot, lambda: opened == [QUOTE])


async def test_resizing_while_an_answer_is_written(service: ScriptedService) -> None:
    async with running(service, WIDE, screens=compare_only()) as pilot:
        request = await ask(pilot, service)
        for size in (NARROW, WIDE, (40, 12), NARROW):
            service.tell(Said(request, "documents", AnswerDelta("word ")))
            await pilot.resize_terminal(*size)
            await pilot.pause()
        await until(pilot, lambda: column(pilot, "documents").turn is not None)
        assert pilot.app.is_running
