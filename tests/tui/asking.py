"""Asking in a test: one question with its documents, its source and its answer."""

from __future__ import annotations

from harness import settle, until
from samples import (
    answer,
    quote_in,
    read,
    record,
    text,
)
from scripted_service import ScriptedService
from textual.pilot import Pilot

from beyondrag.events import (
    Event,
)
from beyondrag.service.notices import (
    Answered,
    Said,
)
from beyondrag.tui.widgets.question_input import QuestionInput

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
