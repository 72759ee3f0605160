"""What a screen may ask of the service; the real one runs an engine, tests script another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from beyondrag.document_state import DocumentState
from beyondrag.events import Answer, Source
from beyondrag.service.notices import Arm, FileProblem, Notice, WhatWasRead
from beyondrag.turn import AskOptions
from library.listing import Listed, Order
from library.records import DocumentRecord, DocumentText, Hit, LibraryTotals
from library.statistics import LibraryStatistics

Listener = Callable[[Notice], None]
"""Called from the service's own threads, one notice after another: hand it over and return."""

SortKey = Order


@dataclass(frozen=True, slots=True)
class Turn:
    """One question of a kept conversation and how it ended.

    `answer` is None when it was stopped; `partial` is then what had been written.  `gone` are the ids of
    documents of the answer that have left the library since.
    """

    id: str
    question: str
    asked_at: float
    answer: Answer | None
    partial: str
    read: WhatWasRead | None
    gone: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class ConversationSummary:
    """A line of the history: `title` is the first question; times in seconds since 1970."""

    id: str
    title: str
    started_at: float
    last_at: float
    n_turns: int


@dataclass(frozen=True, slots=True)
class Conversation:
    """A kept conversation with all its turns."""

    summary: ConversationSummary
    turns: tuple[Turn, ...]


class Shelf(Protocol):
    """Reading from the library, for lists and views; thread-safe, blocks only for the disk.

    Every method raises library errors (`kvfiles.errors.BeyondragError`).
    """

    def listing(self, contains: str = "", sort: SortKey = "added", descending: bool = False) -> Listed:
        """Which documents have `contains` in their title or path, in order; quick for a long list."""

    def states_of(self, document_ids: Sequence[str]) -> list[DocumentState]:
        """What is known of these documents, in this order; those that are gone are left out."""

    def states(
        self,
        contains: str = "",
        sort: SortKey = "added",
        descending: bool = False,
        limit: int | None = None,
    ) -> list[DocumentState]:
        """The first `limit` (None: all) of a listing."""

    def totals(self) -> LibraryTotals:
        """Sums over the whole library; quick."""

    def statistics(self) -> LibraryStatistics:
        """What the library holds and takes, by kind and by reading profile."""

    def failures(self) -> list[FileProblem]:
        """The files that could not be read, in the order of their paths."""

    def document(self, document_id: str) -> DocumentRecord:
        """One document."""

    def text(self, document_id: str) -> DocumentText:
        """Its whole text with the page map."""

    def search(self, words: str, limit: int = 10) -> list[Hit]:
        """Documents for the palette and for pinning."""

    def conversations(self, contains: str = "", limit: int = 200) -> list[ConversationSummary]:
        """Kept conversations, the latest first; `contains` is looked for in questions and answers."""

    def conversation(self, conversation_id: str) -> Conversation:
        """One of them."""

    def delete_conversation(self, conversation_id: str) -> None:
        """Forget it."""

    def export_conversation(self, conversation_id: str, path: Path) -> None:
        """Write it as Markdown with sources, atomically; refuses to overwrite."""


class Service(Protocol):
    """Thread-safe.  Requests return a number at once; what happens then comes as notices."""

    @property
    def shelf(self) -> Shelf:
        """The library to read from."""

    def start(self, listener: Listener) -> None:
        """Open library and model in the background; `Ready`, `ModelMissing` or `Failed` follows."""

    def close(self) -> None:
        """Stop everything, wait for it, free the model.  Closing twice is harmless."""

    def new_conversation(self) -> None:
        """The next question starts a conversation of its own."""

    def open_conversation(self, conversation_id: str) -> None:
        """The next question continues this one."""

    def ask(self, question: str, options: AskOptions) -> int:
        """Answer; pinned documents stand in `options`.  `Asked`, `Said`..., then an end follow."""

    def compare(self, question: str, arms: Sequence[Arm], options: AskOptions) -> int:
        """Answer once per arm, one after another; an `Answered` for each of them follows."""

    def stop(self, request: int) -> None:
        """End it at the next token or slice: a question with `Stopped`, an ingest with `Ingested`, a pull
        with `TaskFailed`."""

    def plan(self, paths: Sequence[Path]) -> int:
        """Look what an ingest would do; `Looking`..., `Plan` follow.  Nothing is changed."""

    def ingest(self, paths: Sequence[Path], *, read: bool = True) -> int:
        """Index, and read with the model if `read`; `Looking`... and `Reading`... side by side, then
        `Ingested`, follow."""

    def pause(self, request: int, paused: bool) -> None:
        """Hold or go on with the reading of an ingest; questions are answered in between either way."""

    def reread(self, document_ids: Sequence[str]) -> int:
        """Drop these documents' snapshots and read them again; the notices of an ingest follow."""

    def remove(self, document_ids: Sequence[str]) -> int:
        """Remove documents (never the files) from the library; `TaskDone` and `LibraryChanged` follow."""

    def verify(self, document_ids: Sequence[str] = (), *, deep: bool = True) -> int:
        """Check texts and snapshots of these documents, or the whole library; `TaskDone` says what was found.

        Without `deep` of snapshots only existence and size are looked at.
        """

    def pull(self, model: str) -> int:
        """Download a model of the catalogue, then open it; `Pulling`..., `Pulled` follow."""


def quote_sources(answer: Answer) -> tuple[Source, ...]:
    """What can be opened beside an answer: its sources, or the nearest passages when it was withheld."""
    return answer.sources or answer.nearest
