"""What the engine thread works with: one model, one context, one library.  Scripted in tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from beyondrag.events import Answer, Event
from beyondrag.models.store import SUFFIX
from beyondrag.service.inbox import Question
from beyondrag.service.notices import Arm, WhatWasRead
from beyondrag.service.reading import ReadingSeat


@dataclass(frozen=True, slots=True)
class SeatFacts:
    """What was opened; `warnings` are for the user."""

    model: str
    codec: str
    n_ctx: int
    n_threads: int
    open_s: float
    profile_id: str
    warnings: tuple[str, ...] = ()


class Seat(Protocol):
    """Used by one thread.  Methods raise Cancelled, model, library and storage errors."""

    @property
    def facts(self) -> SeatFacts:
        """What was opened."""

    @property
    def reading(self) -> ReadingSeat:
        """Reads documents into the context that questions use."""

    def require_library(self) -> None:
        """Raise LibraryGone unless the library is still in its place."""

    def converse(self, question: Question, cancelled: Callable[[], bool]) -> Iterator[Event]:
        """Answer in the question's conversation: `ContextChoice` first, `Done` last."""

    def report_to(self, listener: Callable[[Event], None] | None) -> None:
        """Between two events tell `listener` how far a document is that is read for the question."""

    def answer(self, arm: Arm, question: Question, cancelled: Callable[[], bool]) -> Iterator[Event]:
        """Answer outside of any conversation, for a comparison; `Done` last."""

    def keep(self, question: Question, answer: Answer | None, partial: str, read: WhatWasRead | None) -> str:
        """Write a turn of the question's conversation into the library; returns its id."""

    def forget(self) -> None:
        """Empty the context; the next question of a conversation attaches its documents again."""

    def context_tokens(self) -> int:
        """Tokens that stand in the context now."""

    def set_reading_aside(self) -> Callable[[], None]:
        """Between two slices of reading: free the context for questions.  After `forget`, call what this
        returns to put everything back, exactly as it was."""

    def make_hot_copies(self, cancelled: Callable[[], bool]) -> None:
        """After an answer: copy what it read from archives, to attach it faster.  The context stays."""

    def close(self) -> None:
        """Free everything.  Closing twice is harmless."""


def model_in_words(model: str) -> str:
    """How screens name a model that was chosen by name or by path: without folders and `.gguf`."""
    return Path(model).stem if model.endswith(SUFFIX) else model
