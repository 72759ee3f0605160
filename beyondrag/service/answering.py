"""Serves one question: the engine's events as notices, the turn into the history."""

from __future__ import annotations

from collections.abc import Callable

from beyondrag.events import Answer, AnswerDelta, ChunksRead, ContextChoice, Done, Event, ReadingDocument
from beyondrag.service.announcer import Announcer
from beyondrag.service.deltas import coalesced
from beyondrag.service.inbox import Question
from beyondrag.service.memory import resident_bytes
from beyondrag.service.notices import (
    Answered,
    Arm,
    Asked,
    AskFailed,
    ChunksChosen,
    ContextMeter,
    Said,
    Stopped,
    TaskFailed,
    WhatWasRead,
)
from beyondrag.service.problems import problem_of
from beyondrag.service.seat import Seat
from beyondrag.service.what_was_read import ContextFollower, given
from kvfiles.errors import Cancelled, DecodeError


def serve(question: Question, seat: Seat, announcer: Announcer, closing: Callable[[], bool]) -> bool:
    """Answer `question`; no failure leaves this function.

    Returns whether the model still works; if not, it must be opened anew before it is used again.
    """

    def cancelled() -> bool:
        return question.ticket.stopped() or closing()

    works = True
    one = _OneQuestion(question, seat, announcer, cancelled)
    seat.report_to(one.progress)
    try:
        one.run()
    except Cancelled:
        one.stopped()
    except Exception as error:  # whatever it is, the service goes on
        announcer.tell(AskFailed(question.ticket.number, problem_of(error)))
        works = not isinstance(error, DecodeError)
    finally:
        seat.report_to(None)
    if works:
        tell_context(announcer, seat, one.titles)
    return works


def tell_context(announcer: Announcer, seat: Seat, titles: tuple[str, ...]) -> None:
    """Say what stands in the context; there are no `titles` when it turns out to be empty."""
    n_tokens = seat.context_tokens()
    announcer.tell(ContextMeter(n_tokens, seat.facts.n_ctx, titles if n_tokens else (), resident_bytes()))


class _OneQuestion:
    """One question on its way; remembers what has been told of it."""

    def __init__(
        self, question: Question, seat: Seat, announcer: Announcer, cancelled: Callable[[], bool]
    ) -> None:
        self._question, self._seat, self._announcer = question, seat, announcer
        self._cancelled = cancelled
        self._number = question.ticket.number
        self._follower = ContextFollower(seat.facts.n_ctx)
        self._asked = False
        self._partial = ""
        self._arm: Arm = "documents"

    @property
    def titles(self) -> tuple[str, ...]:
        """Of the documents that were chosen last."""
        return self._follower.titles

    def run(self) -> None:
        """Answer once, or once for each arm."""
        if self._cancelled():
            raise Cancelled("stopped")
        if not self._question.arms:
            for event in coalesced(self._seat.converse(self._question, self._cancelled)):
                self._tell("documents", event)
            return
        self._tell_asked(ContextChoice(kept=False, why=""))
        for arm in self._question.arms:
            self._partial, self._arm = "", arm
            self._follower = ContextFollower(self._seat.facts.n_ctx)
            for event in coalesced(self._seat.answer(arm, self._question, self._cancelled)):
                self._tell(arm, event)

    def progress(self, event: Event) -> None:
        """Something that happens between two events."""
        self._announcer.tell(Said(self._number, self._arm, event))

    def stopped(self) -> None:
        """The user stopped it: what had been written is kept."""
        in_conversation = self._asked and not self._question.arms
        turn_id = self._keep(None, None) if in_conversation else ""
        self._announcer.tell(Stopped(self._number, self._partial, turn_id))

    def _tell(self, arm: Arm, event: Event) -> None:
        self._follower.see(event)
        if isinstance(event, ContextChoice):
            self._tell_asked(event)
        elif isinstance(event, Done):
            read = self._follower.read
            turn_id = "" if self._question.arms else self._keep(event.answer, read)
            self._announcer.tell(Answered(self._number, arm, event.answer, read, turn_id))
        elif isinstance(event, ChunksRead):
            chunks = tuple(map(given, event.chunks))
            self._announcer.tell(ChunksChosen(self._number, chunks, event.n_tokens))
        else:
            if isinstance(event, AnswerDelta):
                self._partial += event.text
            self._announcer.tell(Said(self._number, arm, event))
            if isinstance(event, ReadingDocument) and event.done == event.total:
                self._announcer.library_changed()

    def _tell_asked(self, choice: ContextChoice) -> None:
        if not self._asked:
            self._asked = True
            conversation_id = self._question.conversing.id
            self._announcer.tell(
                Asked(self._number, conversation_id, self._question.text, choice.kept, choice.why)
            )

    def _keep(self, answer: Answer | None, read: WhatWasRead | None) -> str:
        """The turn's id in the history; "" when it cannot be written, which is told as `TaskFailed`."""
        try:
            return self._seat.keep(self._question, answer, self._partial, read)
        except Exception as error:  # the answer is worth more than its place in the history
            self._announcer.tell(TaskFailed(self._number, problem_of(error)))
            return ""
