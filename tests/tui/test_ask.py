"""Ask: from the question to the sources, with everything that can happen in between."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import replace

import pytest
from harness import NARROW, WIDE, only, running, sees, settle, shown, until
from samples import (
    HOSTILE,
    PROBLEM,
    answer,
    chosen,
    conversation,
    quote_in,
    read,
    record,
    state,
    text,
)
from scripted_service import ScriptedService, Step
from textual.pilot import Pilot
from textual.widgets import Input, OptionList

from beyondrag.events import (
    AnswerDelta,
    Attached,
    Chosen,
    Event,
    EvidenceChecked,
    EvidenceDelta,
    PlacedPart,
    ReadingDocument,
)
from beyondrag.service.notices import (
    Answered,
    Asked,
    AskFailed,
    Failed,
    ModelMissing,
    Problem,
    Said,
    Stopped,
    TaskFailed,
)
from beyondrag.tui.app import BeyondragApp
from beyondrag.tui.screens.options import OptionsScreen
from beyondrag.tui.screens.pin import PinScreen
from beyondrag.tui.screens.source import SourceScreen
from beyondrag.tui.screens.welcome import WelcomeScreen
from beyondrag.tui.screens.what_was_read import WhatWasReadScreen
from beyondrag.tui.widgets.question_input import QuestionInput
from beyondrag.tui.widgets.transcript import MAX_TURNS_SHOWN
from beyondrag.turn import MAX_QUESTION_CHARS, AskOptions

REPORT, LEASE = record(), record("lease.pdf", "Lease of the hangar")
LINE = "page 2 line 7: the pilot was 7 years old."
SOURCE = quote_in(text(), LINE, REPORT)


async def ask(pilot: Pilot[int], service: ScriptedService, question: str = "How old?") -> int:
    """Type and send; the number of the request."""
    await pilot.press(*question, "enter")
    await until(pilot, lambda: service.asked("ask") and service.asked("ask")[-1][0] == question)
    await settle(pilot)
    return service.last_request


def say(service: ScriptedService, request: int, *events: Event) -> None:
    service.tell(*(Said(request, "documents", event) for event in events))


def answered(request: int, words: str, question: str = "How old?") -> Answered:
    done = answer(question, words, (REPORT,), (SOURCE,))
    return Answered(request, "documents", done, read((REPORT,)), f"t{request}")


def field(pilot: Pilot[int]) -> QuestionInput:
    return pilot.app.screen.query_one(QuestionInput)


# ------------------------------------------------------------------------------- one question


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


# ------------------------------------------------------------------------------- stopping, failing


async def test_escape_stops_at_once_and_keeps_what_was_written(service: ScriptedService) -> None:
    async with running(service, screens=only()) as pilot:
        request = await ask(pilot, service)
        say(service, request, AnswerDelta("He was "))
        await sees(pilot, "He was")
        await pilot.press("escape")
        assert service.asked("stop") == [(request,)]
        say(service, request, AnswerDelta("late words"))  # under way when Escape was pressed
        await settle(pilot)
        assert "late words" not in shown(pilot)
        service.tell(Stopped(request, "He was ", "t"))
        await sees(pilot, "Stopped; this was not checked.")
        assert "He was" in shown(pilot)
        await pilot.press("escape")
        assert service.asked("stop") == [(request,)]


async def test_the_next_question_goes_out_after_a_stop(service: ScriptedService) -> None:
    async with running(service, screens=only()) as pilot:
        request = await ask(pilot, service)
        await pilot.press("escape")
        service.tell(Stopped(request, "", "t"))
        await sees(pilot, "Stopped before anything was written.")
        await ask(pilot, service, "Next?")
        assert [call[0] for call in service.asked("ask")] == ["How old?", "Next?"]


async def test_one_question_at_a_time(service: ScriptedService) -> None:
    async with running(service, screens=only()) as pilot:
        await ask(pilot, service)
        await pilot.press(*"Too early", "enter")
        await sees(pilot, "Escape stops it.")
        assert len(service.asked("ask")) == 1
        assert field(pilot).text == "Too early"


async def test_a_failure_is_a_calm_block_with_the_next_step(service: ScriptedService) -> None:
    async with running(service, screens=only()) as pilot:
        request = await ask(pilot, service)
        say(service, request, AnswerDelta("He was "))
        service.tell(AskFailed(request, PROBLEM))
        await sees(pilot, "the model: llama.cpp refused the batch")
        assert "Try: ask again" in shown(pilot)
        assert "He was" in shown(pilot)
        await ask(pilot, service, "Again?")


async def test_an_answer_that_cannot_be_kept_says_so_and_is_shown(service: ScriptedService) -> None:
    async with running(service, WIDE, screens=only()) as pilot:
        request = await ask(pilot, service)
        full = Problem("DiskFull", "the disk is full", "the library", "make room")
        service.tell(TaskFailed(request, full), answered(request, "He was 7."))
        await sees(pilot, "the disk is full")
        seen = await sees(pilot, "first token")
        assert "make room" in seen


async def test_a_model_of_ones_own_that_was_missing_is_tried_again(service: ScriptedService) -> None:
    """Nobody can fetch it from here, but it may have been put back."""
    service.at_start = (ModelMissing("/models/own.gguf", "", 0, PROBLEM),)
    async with running(service, screens=only()) as pilot:
        await until(pilot, lambda: isinstance(pilot.app.screen, WelcomeScreen))
        await pilot.press("escape", *"Hello?", "enter")
        await until(pilot, lambda: service.asked("ask"))
        service.tell(AskFailed(service.last_request, PROBLEM))
        await sees(pilot, "llama.cpp refused the batch")


async def test_documents_that_are_read_for_the_question_are_not_called_attached(
    service: ScriptedService,
) -> None:
    async with running(service, WIDE, screens=only()) as pilot:
        request = await ask(pilot, service)
        document = replace(chosen(REPORT), read_from="prefill")
        say(service, request, Chosen((document,), ()))
        await sees(pilot, "reading for this question …")
        say(
            service,
            request,
            Attached(2_031, 20.0, (PlacedPart(document, 31, 2_031, "prefill", "f16", 16.0),)),
        )
        seen = await sees(pilot, "2,031 tokens in the context after 20 s: 2,000 of them prefilled")
        assert "kv " not in seen


async def test_an_engine_that_dies_in_the_middle_ends_the_question(service: ScriptedService) -> None:
    async with running(service, WIDE, screens=only()) as pilot:
        request = await ask(pilot, service)
        say(service, request, EvidenceDelta("half a li"))
        service.tell(Failed(PROBLEM))
        await sees(pilot, "failed")
        assert shown(pilot).count("llama.cpp refused the batch") == 2  # in the turn and above the field
        assert "copying evidence" not in shown(pilot)


async def test_without_a_model_a_question_leads_to_the_first_steps(service: ScriptedService) -> None:
    service.at_start = (ModelMissing("qwen", "Apache-2.0", 10**9, PROBLEM),)
    async with running(service, screens=only()) as pilot:
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(pilot.app.screen, WelcomeScreen))
        assert "Try: ask again" in shown(pilot)
        await pilot.press(*"Hello?", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, WelcomeScreen))
        assert service.asked("ask") == []


async def test_a_library_that_went_away_is_told_in_words(service: ScriptedService) -> None:
    from library.errors import LibraryError

    service.shelf_data.failure = LibraryError("there is no library", remedy="read a folder first")
    async with running(service, screens=only()) as pilot:
        await sees(pilot, "there is no library  read a folder first")


# ------------------------------------------------------------------------------- the field


async def test_ctrl_j_makes_a_new_line_and_enter_sends_all(service: ScriptedService) -> None:
    async with running(service, screens=only()) as pilot:
        await pilot.press("a", "ctrl+j", "b")
        assert field(pilot).text == "a\nb"
        assert field(pilot).size.height == 2
        await pilot.press("enter")
        await until(pilot, lambda: service.asked("ask") == [("a\nb", AskOptions())])


@pytest.mark.parametrize("nothing", [(), ("space",), ("ctrl+j", "space")])
async def test_nothing_is_not_asked(service: ScriptedService, nothing: tuple[str, ...]) -> None:
    async with running(service, screens=only()) as pilot:
        await pilot.press(*nothing, "enter")
        await settle(pilot)
        assert service.asked("ask") == []


async def test_up_brings_back_earlier_questions(service: ScriptedService) -> None:
    async with running(service, screens=only()) as pilot:
        for question in ("One", "Two"):
            service.tell(answered(await ask(pilot, service, question), "Yes."))
            await settle(pilot)
        seen = []
        for key in ("up", "up", "up", "down", "down"):
            await pilot.press(key)
            seen.append(field(pilot).text)
        assert seen == ["Two", "One", "One", "Two", ""]
        await pilot.press("up", "?", "up")
        assert field(pilot).text == "Two?"  # what was changed is not lost


async def test_a_paste_is_made_safe_and_bounded(service: ScriptedService) -> None:
    from textual import events

    async with running(service, screens=only()) as pilot:
        field(pilot).post_message(events.Paste("a\x1b[31mb\u202e" + "x" * 10_000))
        await settle(pilot)
        assert field(pilot).text.startswith("a\\x1b[31mb\\u202ex")
        assert len(field(pilot).text) == MAX_QUESTION_CHARS
        await pilot.press("y")
        assert len(field(pilot).text) == MAX_QUESTION_CHARS


# ------------------------------------------------------------------------------- pins and options


async def test_pinned_documents_are_searched_as_one_types_and_sent(service: ScriptedService) -> None:
    async with running(service, screens=only()) as pilot:
        await pilot.press("ctrl+l")
        await sees(pilot, "[ ] Lease of the hangar")
        assert "[ ] Report on the accident" in shown(pilot)
        await pilot.press(*"hangar")
        await until(pilot, lambda: "Report on the accident" not in shown(pilot))
        await pilot.press("enter")
        await sees(pilot, "[x] Lease of the hangar")
        await pilot.press("escape")
        await sees(pilot, "only: Lease of the hangar")
        await ask(pilot, service)
        assert service.asked("ask")[-1][1].documents == (LEASE.id,)

        await pilot.press("ctrl+l", "ctrl+x", "escape")
        await settle(pilot)
        assert "only:" not in shown(pilot)


async def test_arrows_choose_while_the_field_keeps_the_focus(service: ScriptedService) -> None:
    async with running(service, screens=only()) as pilot:
        await pilot.press("ctrl+l")
        await sees(pilot, "[ ] Report on the accident")
        await pilot.press("down", "enter", "escape")
        await sees(pilot, "only: Report on the accident")


async def test_one_document_only(service: ScriptedService) -> None:
    async with running(service, screens=only()) as pilot:
        await pilot.press("ctrl+l")
        await sees(pilot, "[ ] Lease")
        await pilot.press("enter", "down", "ctrl+o")
        await sees(pilot, "only: Report on the accident")
        assert "Lease" not in shown(pilot)


async def test_a_search_that_finds_nothing_says_so(service: ScriptedService) -> None:
    async with running(service, screens=only()) as pilot:
        await pilot.press("ctrl+l", *"zzz")
        await sees(pilot, "Nothing fits.")
        await pilot.press("enter", "ctrl+o")  # nothing is under the cursor
        assert isinstance(pilot.app.screen, PinScreen)


async def test_a_failing_search_is_told(service: ScriptedService) -> None:
    from library.errors import LibraryError

    async with running(service, screens=only()) as pilot:
        service.shelf_data.failure = LibraryError("the library is gone")
        await pilot.press("ctrl+l")
        await sees(pilot, "the library is gone")


async def test_options_are_sent_and_shown(service: ScriptedService) -> None:
    async with running(service, WIDE, screens=only()) as pilot:
        await pilot.press("ctrl+t")
        assert isinstance(pilot.app.screen, OptionsScreen)
        await pilot.press("space")  # check off
        await pilot.press("tab", "space")  # exact on
        await pilot.press("tab", "5", "tab", *"64", "tab", *"128")
        await sees(pilot, "[x] Exact")
        await pilot.press("enter")
        await sees(pilot, "exact · at most 5 documents · repair 64 tokens · not checked · at most 128 tokens")
        await ask(pilot, service)
        assert service.asked("ask")[-1][1] == AskOptions(5, (), True, 64, False, 128)


async def test_a_number_out_of_range_is_not_taken(service: ScriptedService) -> None:
    async with running(service, screens=only()) as pilot:
        await pilot.press("ctrl+t", "tab", "tab", "9", "escape")
        await sees(pilot, "Documents to read, at most: from 1 to 8.")
        await pilot.press("backspace", "2", "escape")
        await sees(pilot, "at most 2 documents")


# ------------------------------------------------------------------------------- sources, copying, reading


async def test_y_copies_the_answer_and_capital_y_its_sources(service: ScriptedService) -> None:
    async with running(service, screens=only()) as pilot:
        await pilot.press("escape", "y")
        await sees(pilot, "There is no answer yet.")
        await pilot.press("escape")
        service.tell(answered(await ask(pilot, service), "He was **7**."))
        await sees(pilot, "He was 7.")
        await pilot.press("escape", "y")
        assert pilot.app.clipboard == "He was **7**."
        await pilot.press("Y")
        assert pilot.app.clipboard == f'He was **7**.\n\nReport on the accident, page 2: "{LINE}"'


async def test_what_was_read_is_a_table_in_order(service: ScriptedService) -> None:
    async with running(service, screens=only()) as pilot:
        request = await ask(pilot, service)
        both = answer("?", "Yes.", (REPORT, LEASE))
        service.tell(Answered(request, "documents", both, read((REPORT, LEASE), ("Old.pdf: too long",)), "t"))
        await sees(pilot, "Yes.")
        await pilot.press("ctrl+r")
        assert isinstance(pilot.app.screen, WhatWasReadScreen)
        screen = await sees(pilot, "4,031 of 16,384 tokens")
        rows = [line.split() for line in screen.splitlines() if "k4v4" in line or "the prompt" in line]
        assert rows[0] == ["the", "prompt", "0-30", "31"]
        assert rows[1][-7:] == ["31-2,030", "2,000", "snapshot", "k4v4", "·", "4.13", "bits"]
        assert rows[2][:4] == ["2", "Lease", "of", "the"]
        assert "2,031-4,030" in rows[2]
        assert "not read: Old.pdf: too long" in screen
        await pilot.press("down", "enter")
        assert isinstance(pilot.app.screen, SourceScreen)
        await pilot.press("escape", "escape")
        assert pilot.app.current_mode == "ask"


async def test_sources_are_walked_with_arrows_and_opened(service: ScriptedService) -> None:
    other = quote_in(text(), "page 3 line 2: the pilot was 2 years old.", LEASE)
    async with running(service, screens=only()) as pilot:
        request = await ask(pilot, service)
        done = answer("?", "Yes.", (REPORT, LEASE), (SOURCE, other))
        service.tell(Answered(request, "documents", done, read((REPORT, LEASE)), "t"))
        await sees(pilot, "2 Lease of the hangar, page 3")
        await pilot.press("ctrl+o", "down", "o")
        assert isinstance(pilot.app.screen, SourceScreen)
        await sees(pilot, "page 3 line 2: the pilot was 2 years old.")


# ------------------------------------------------------------------------------- conversations


async def test_a_kept_conversation_is_shown_and_continued(service: ScriptedService) -> None:
    service.shelf_data.kept["c1"] = conversation("Who flew?", "How old was he?")
    async with running(service, WIDE, screens=only()) as pilot:
        app = pilot.app
        assert isinstance(app, BeyondragApp)
        await pilot.press("f5")
        app.open_conversation("c1")
        await until(pilot, lambda: app.current_mode == "ask")
        await sees(pilot, "Answer to How old was he?")
        assert "Answer to Who flew?" in shown(pilot)
        assert service.asked("open_conversation") == [("c1",)]
        await pilot.press("up")
        assert field(pilot).text == "How old was he?"


async def test_a_conversation_that_is_gone_is_told(service: ScriptedService) -> None:
    async with running(service, screens=only()) as pilot:
        app = pilot.app
        assert isinstance(app, BeyondragApp)
        app.open_conversation("nowhere")
        await sees(pilot, "there is no such conversation")


async def test_a_new_conversation_starts_empty(service: ScriptedService) -> None:
    async with running(service, screens=only()) as pilot:
        request = await ask(pilot, service)
        await pilot.press("ctrl+n")
        await settle(pilot)
        assert service.asked("stop") == [(request,)]
        assert service.asked("new_conversation") == [()]
        assert "How old?" not in shown(pilot)
        assert "2 documents to ask" in shown(pilot)
        service.tell(Stopped(request, "old words", "t"))
        await settle(pilot)
        assert "old words" not in shown(pilot)


async def test_a_long_day_does_not_fill_the_screen_with_widgets(service: ScriptedService) -> None:
    async with running(service, screens=only()) as pilot:
        app = pilot.app
        assert isinstance(app, BeyondragApp)
        service.shelf_data.kept["c1"] = conversation(*(f"Question {i}" for i in range(MAX_TURNS_SHOWN + 5)))
        app.open_conversation("c1")
        await sees(pilot, "Answer to Question 44")
        await ask(pilot, service, "One more")
        from beyondrag.tui.widgets.turn_view import TurnView

        assert len(pilot.app.screen.query(TurnView)) == MAX_TURNS_SHOWN


async def test_asking_about_one_document_from_another_screen(service: ScriptedService) -> None:
    async with running(service, screens=only()) as pilot:
        app = pilot.app
        assert isinstance(app, BeyondragApp)
        await pilot.press("f3")
        app.ask_about(LEASE.id, LEASE.title)
        await sees(pilot, "only: Lease of the hangar")


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
        await pilot.press("ctrl+r")
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
