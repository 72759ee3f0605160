"""Ask: from the question to its sources, step by step."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from asking import LINE, REPORT, SOURCE, answered, ask, field, say
from harness import WIDE, only, running, sees, settle, shown
from samples import (
    PROBLEM,
    answer,
    chosen,
    read,
)
from scripted_service import ScriptedService

from beyondrag.events import (
    AnswerDelta,
    Attached,
    Chosen,
    EvidenceChecked,
    EvidenceDelta,
    ReadingDocument,
)
from beyondrag.service.notices import (
    Answered,
    Asked,
    AskFailed,
    Stopped,
)
from beyondrag.tui.screens.source import SourceScreen
from beyondrag.turn import AskOptions


async def test_a_question_from_enter_to_its_sources(service: ScriptedService) -> None:
    async with running(service, screens=only()) as pilot:
        request = await ask(pilot, service)
        assert service.asked("ask") == [("How old?", AskOptions())]
        assert field(pilot).text == ""
        assert "looking for documents" in shown(pilot)

        service.tell(Asked(request, "c1", "How old?", False, ""))
        say(service, request, Chosen((chosen(REPORT),), ("Old.pdf: does not fit",)))
        await sees(pilot, "1 Report on the accident · 2,000 tokens · score 12.5 · snapshot")
        assert "page 2: the pilot was 7 years old" in shown(pilot)
        assert "not read: Old.pdf: does not fit" in shown(pilot)

        say(service, request, Attached(2_000, 0.0244))
        await sees(pilot, "attached 2,000 tokens in 24 ms")

        say(service, request, EvidenceDelta("page 2 "), EvidenceDelta("line 7"))
        await sees(pilot, "copying evidence: “page 2 line 7")

        say(service, request, EvidenceChecked(LINE, SOURCE))
        await sees(pilot, f"✓ “{LINE}”")

        say(service, request, AnswerDelta("He was **7"), AnswerDelta("** years old."))
        await sees(pilot, "He was 7 years old.")

        service.tell(answered(request, "He was **7** years old."))
        await sees(pilot, "1 Report on the accident, page 2")
        assert f"“{LINE}”" in shown(pilot)
        assert "first token 0.9 s · answer 3.4 s · 11.8 tokens/s" in shown(pilot)


async def test_the_final_answer_replaces_what_was_streamed(service: ScriptedService) -> None:
    async with running(service, screens=only()) as pilot:
        request = await ask(pilot, service)
        say(service, request, AnswerDelta("a draft of it"))
        await sees(pilot, "a draft of it")
        service.tell(answered(request, "Seven."))
        await sees(pilot, "Seven.")
        assert "a draft" not in shown(pilot)


async def test_a_document_without_a_snapshot_is_read_with_progress(service: ScriptedService) -> None:
    async with running(service, screens=only()) as pilot:
        request = await ask(pilot, service)
        say(service, request, Chosen((chosen(REPORT),), ()), ReadingDocument(REPORT.title, 512, 4_000))
        await sees(pilot, "no snapshot yet: reading Report on the accident, 512 of 4,000 tokens")
        say(service, request, Attached(4_000, 45.0))
        await sees(pilot, "attached 4,000 tokens")
        assert "no snapshot yet" not in shown(pilot)


async def test_documents_that_stay_are_not_said_to_be_attached_again(service: ScriptedService) -> None:
    async with running(service, screens=only()) as pilot:
        request = await ask(pilot, service)
        say(service, request, Chosen((chosen(REPORT),), ()), Attached(4_000, 0.0))
        await sees(pilot, "the same 4,000 tokens still stand in the context")
        assert "attached" not in shown(pilot)


async def test_reading_again_without_snapshots_is_told_with_its_pace(service: ScriptedService) -> None:
    async with running(service, WIDE, screens=only()) as pilot:
        request = await ask(pilot, service)
        say(
            service,
            request,
            Chosen((replace(chosen(REPORT), read_from="prefill"),), ()),
            ReadingDocument("the prompt", 31, 4_000, kept=False),
            ReadingDocument(REPORT.title, 512, 4_000, kept=False),
        )
        seen = await sees(pilot, "reading without snapshots: Report on the accident, 512 of 4,000 tokens · ")
        assert re.search(r"4,000 tokens · [\d,]+ tokens/s · .+ left; Escape stops", seen)
        assert "this is done once" not in seen
        await pilot.press("escape")
        assert service.asked("stop") == [(request,)]


async def test_a_snapshot_that_cannot_be_used_says_why_it_is_made_again(service: ScriptedService) -> None:
    async with running(service, WIDE, screens=only()) as pilot:
        request = await ask(pilot, service)
        why = "its calibration is not here; beyondrag models calibrate"
        say(service, request, Chosen((chosen(REPORT),), ()), ReadingDocument(REPORT.title, 0, 4_000, why))
        seen = await sees(pilot, why)
        assert "no snapshot yet" not in seen
        assert "reading Report on the accident, 0 of 4,000 tokens; this is done once" in seen


async def test_evidence_that_stands_nowhere_is_marked(service: ScriptedService) -> None:
    async with running(service, screens=only()) as pilot:
        request = await ask(pilot, service)
        say(service, request, EvidenceChecked("Certified Max Gross Wt.: 10,000 lbs.", None))
        await sees(pilot, "✗ “Certified Max Gross Wt.: 10,000 lbs.” stands in no document")


async def test_a_withheld_answer_is_a_result_with_the_nearest_passages(service: ScriptedService) -> None:
    async with running(service, screens=only()) as pilot:
        request = await ask(pilot, service)
        say(service, request, AnswerDelta("10,000 lbs."))
        await sees(pilot, "10,000 lbs.")
        withheld = answer("How heavy?", "", (REPORT,), nearest=(SOURCE,), abstained=True)
        service.tell(Answered(request, "documents", withheld, read((REPORT,)), "t"))
        await sees(pilot, "The documents do not answer this.")
        assert "Nearest passages:" in shown(pilot)
        assert "1 Report on the accident, page 2" in shown(pilot)
        assert "10,000 lbs." not in shown(pilot)
        await pilot.press("ctrl+o", "enter")
        assert isinstance(pilot.app.screen, SourceScreen)


async def test_no_document_is_told_apart_from_no_answer(service: ScriptedService) -> None:
    async with running(service, screens=only()) as pilot:
        request = await ask(pilot, service)
        service.tell(Answered(request, "documents", answer("?", "", abstained=True), read(()), "t"))
        await sees(pilot, "No document fits this question.")


async def test_an_unchecked_answer_says_so(service: ScriptedService) -> None:
    async with running(service, screens=only()) as pilot:
        request = await ask(pilot, service)
        done = answer("?", "Perhaps 7.", (REPORT,), checked=False)
        service.tell(Answered(request, "documents", done, read((REPORT,)), "t"))
        await sees(pilot, "Unchecked: no evidence was found for this answer.")
        assert "Perhaps 7." in shown(pilot)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (Asked(2, "c1", "And he?", True, ""), "nothing is loaded again"),
        (Asked(2, "c1", "And he?", False, "the lease is named, so it is read"), "The lease is named"),
    ],
)
async def test_a_follow_up_says_what_happened_to_the_context(
    service: ScriptedService, asked: Asked, words: str
) -> None:
    async with running(service, screens=only()) as pilot:
        service.tell(answered(await ask(pilot, service), "Seven."))
        await sees(pilot, "Seven.")
        assert await ask(pilot, service, "And he?") == 2
        service.tell(asked)
        await sees(pilot, words)


async def test_notices_of_other_requests_change_nothing(service: ScriptedService) -> None:
    async with running(service, screens=only()) as pilot:
        request = await ask(pilot, service)
        say(service, request + 7, AnswerDelta("of a comparison"))
        service.tell(Stopped(request + 7, "", ""), AskFailed(request + 7, PROBLEM))
        await settle(pilot)
        assert "of a comparison" not in shown(pilot)
        assert "refused" not in shown(pilot)
        assert "looking for documents" in shown(pilot)
