"""A service that does what a test tells it: no engine, no library, the same contract.

The module is not called `scripted`: tests/app has one of that name, and tests share one name space.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from guards import PATIENCE_S
from samples import READY

from beyondrag.document_state import DocumentState
from beyondrag.service.interface import (
    Conversation,
    ConversationSummary,
    Listener,
    Shelf,
    SortKey,
)
from beyondrag.service.notices import Arm, FileProblem, Notice, Stopped
from beyondrag.turn import AskOptions
from kvfiles.errors import BeyondragError
from library.errors import DocumentNotFound
from library.listing import Listed
from library.records import DocumentRecord, DocumentText, Hit, LibraryTotals
from library.statistics import LibraryStatistics, ProfileStatistics

Step = Notice | float | Callable[[], object]
"""Of a script: a notice to send, seconds to wait, or something to call (for example a test's barrier)."""

Script = Callable[..., Iterable[Step]]
"""Called with the request's number and the request's arguments."""


@dataclass
class ScriptedShelf:
    """A library in lists.  `failure` is raised by every method while it is set."""

    rows: list[DocumentState] = field(default_factory=list)
    texts: dict[str, DocumentText] = field(default_factory=dict)
    kept: dict[str, Conversation] = field(default_factory=dict)
    failed: list[FileProblem] = field(default_factory=list)
    f16_bytes: int | None = None
    failure: BeyondragError | None = None
    calls: list[tuple[Any, ...]] = field(default_factory=list)
    threads: set[int] = field(default_factory=set)

    def add(self, row: DocumentState, text: DocumentText | None = None) -> None:
        self.rows.append(row)
        if text is not None:
            self.texts[row.document.id] = text

    def states(
        self,
        contains: str = "",
        sort: SortKey = "added",
        descending: bool = False,
        limit: int | None = None,
    ) -> list[DocumentState]:
        return self.states_of(self.listing(contains, sort, descending).ids[:limit])

    def states_of(self, document_ids: Sequence[str]) -> list[DocumentState]:
        self._called("states_of", tuple(document_ids))
        rows = {row.document.id: row for row in self.rows}
        return [rows[document_id] for document_id in document_ids if document_id in rows]

    def listing(self, contains: str = "", sort: SortKey = "added", descending: bool = False) -> Listed:
        self._called("listing", contains, sort, descending)
        keys: dict[str, Callable[[DocumentState], Any]] = {
            "added": lambda row: row.document.added_at,
            "title": lambda row: row.document.title.casefold(),
            "pages": lambda row: row.document.n_pages,
            "tokens": lambda row: row.n_tokens or 0,
            "size": lambda row: row.snapshot_bytes,
            "state": lambda row: row.state,
            "last_read": lambda row: max((s.last_read_at or 0.0 for s in row.snapshots), default=0.0),
        }
        found = [row for row in self.rows if _fits(contains, row.document.title, *row.document.paths)]
        found.sort(key=keys[sort], reverse=descending)
        return Listed(tuple(row.document.id for row in found), sum(row.n_tokens or 0 for row in found))

    def statistics(self) -> LibraryStatistics:
        self._called("statistics")
        held = [snapshot for row in self.rows for snapshot in row.snapshots]
        n_tokens, size = sum(s.n_tokens for s in held), sum(s.size_bytes for s in held)
        profile = ProfileStatistics("p" * 64, "m", "k4v4", True, len(held), n_tokens, size, self.f16_bytes)
        return LibraryStatistics(
            n_documents=len(self.rows),
            n_missing=0,
            n_pages=sum(row.document.n_pages for row in self.rows),
            n_chars=sum(row.document.n_chars for row in self.rows),
            n_failures=len(self.failed),
            text_bytes=sum(row.document.n_chars for row in self.rows),
            stored_text_bytes=sum(row.document.n_chars for row in self.rows) // 3,
            catalogue_bytes=100_000,
            unused_bytes=0,
            index_bytes=1_000_000,
            snapshot_bytes=size,
            prefix_bytes=0,
            temporary_bytes=0,
            profiles=(profile,) if held else (),
        )

    def failures(self) -> list[FileProblem]:
        self._called("failures")
        return list(self.failed)

    def totals(self) -> LibraryTotals:
        self._called("totals")
        held = [snapshot for row in self.rows for snapshot in row.snapshots]
        return LibraryTotals(
            len(self.rows),
            len(held),
            0,
            0,
            sum(row.document.n_chars for row in self.rows),
            1_000_000,
            sum(snapshot.size_bytes for snapshot in held),
        )

    def document(self, document_id: str) -> DocumentRecord:
        self._called("document", document_id)
        for row in self.rows:
            if row.document.id == document_id:
                return row.document
        raise DocumentNotFound("there is no such document", subject=document_id[:12])

    def text(self, document_id: str) -> DocumentText:
        self._called("text", document_id)
        if document_id not in self.texts:
            raise DocumentNotFound("there is no such document", subject=document_id[:12])
        return self.texts[document_id]

    def search(self, words: str, limit: int = 10) -> list[Hit]:
        self._called("search", words, limit)
        found = [row.document for row in self.rows if _fits(words, row.document.title, *row.document.paths)]
        return [Hit(document, 10.0 - index, ()) for index, document in enumerate(found[:limit])]

    def conversations(self, contains: str = "", limit: int = 200) -> list[ConversationSummary]:
        self._called("conversations", contains, limit)
        found = [
            kept.summary
            for kept in self.kept.values()
            if _fits(
                contains,
                *(turn.question for turn in kept.turns),
                *(turn.answer.answer for turn in kept.turns if turn.answer),
            )
        ]
        return sorted(found, key=lambda summary: summary.last_at, reverse=True)[:limit]

    def conversation(self, conversation_id: str) -> Conversation:
        self._called("conversation", conversation_id)
        if conversation_id not in self.kept:
            raise DocumentNotFound("there is no such conversation", subject=conversation_id)
        return self.kept[conversation_id]

    def delete_conversation(self, conversation_id: str) -> None:
        self._called("delete_conversation", conversation_id)
        self.kept.pop(conversation_id, None)

    def export_conversation(self, conversation_id: str, path: Path) -> None:
        self._called("export_conversation", conversation_id, path)
        with path.open("x", encoding="utf-8") as file:
            file.write("\n\n".join(f"# {turn.question}" for turn in self.conversation(conversation_id).turns))

    def _called(self, *call: Any) -> None:
        self.calls.append(call)
        self.threads.add(threading.get_ident())
        if self.failure is not None:
            raise self.failure


def _fits(contains: str, *texts: str) -> bool:
    return any(contains.casefold() in text.casefold() for text in texts)


@dataclass
class ScriptedService:
    """Remembers what was asked for in `calls`; says what `tell` or the scripts say.

    `at_start` is said when the app starts.  `scripts["ask"]` and so on are played in a thread of their
    own, one a request; without a script nothing happens until the test calls `tell`.
    `stop` ends a playing script before its next step, and `Stopped` follows for a question.
    """

    shelf_data: ScriptedShelf = field(default_factory=ScriptedShelf)
    at_start: Sequence[Notice] = (READY,)
    scripts: dict[str, Script] = field(default_factory=dict)
    calls: list[tuple[Any, ...]] = field(default_factory=list)
    closed: bool = False
    listener: Listener | None = None

    def __post_init__(self) -> None:
        self._numbers = itertools.count(1)
        self._stops: dict[int, threading.Event] = {}
        self._players: list[threading.Thread] = []

    # -- for the test

    def tell(self, *notices: Notice) -> None:
        """Say these now, in the caller's thread."""
        assert self.listener is not None, "the app has not started the service"
        for notice in notices:
            self.listener(notice)

    def asked(self, name: str) -> list[tuple[Any, ...]]:
        """The arguments of every call of this method so far."""
        return [tuple(call[1:]) for call in self.calls if call[0] == name]

    @property
    def last_request(self) -> int:
        """The number that was handed out last."""
        return max(self._stops, default=0)

    def played(self) -> None:
        """Wait until every script has ended."""
        for player in self._players:
            player.join(PATIENCE_S)
            assert not player.is_alive()

    # -- the contract

    @property
    def shelf(self) -> Shelf:
        return self.shelf_data

    def start(self, listener: Listener) -> None:
        self.calls.append(("start",))
        self.listener = listener
        self.tell(*self.at_start)

    def close(self) -> None:
        self.closed = True
        for stop in self._stops.values():
            stop.set()

    def new_conversation(self) -> None:
        self.calls.append(("new_conversation",))

    def open_conversation(self, conversation_id: str) -> None:
        self.calls.append(("open_conversation", conversation_id))

    def ask(self, question: str, options: AskOptions) -> int:
        return self._begin("ask", question, options)

    def compare(self, question: str, arms: Sequence[Arm], options: AskOptions) -> int:
        return self._begin("compare", question, tuple(arms), options)

    def stop(self, request: int) -> None:
        self.calls.append(("stop", request))
        if request in self._stops:
            self._stops[request].set()

    def plan(self, paths: Sequence[Path]) -> int:
        return self._begin("plan", tuple(paths))

    def ingest(self, paths: Sequence[Path], *, read: bool = True) -> int:
        return self._begin("ingest", tuple(paths), read)

    def pause(self, request: int, paused: bool) -> None:
        self.calls.append(("pause", request, paused))

    def reread(self, document_ids: Sequence[str]) -> int:
        return self._begin("reread", tuple(document_ids))

    def remove(self, document_ids: Sequence[str]) -> int:
        return self._begin("remove", tuple(document_ids))

    def verify(self, document_ids: Sequence[str] = (), *, deep: bool = True) -> int:
        return self._begin("verify", tuple(document_ids), deep)

    def pull(self, model: str) -> int:
        return self._begin("pull", model)

    # -- playing

    def _begin(self, name: str, *arguments: Any) -> int:
        request = next(self._numbers)
        self.calls.append((name, *arguments))
        self._stops[request] = threading.Event()
        if name in self.scripts:
            steps = self.scripts[name](request, *arguments)
            player = threading.Thread(target=self._play, args=(name, request, steps), daemon=True)
            self._players.append(player)
            player.start()
        return request

    def _play(self, name: str, request: int, steps: Iterable[Step]) -> None:
        stop = self._stops[request]
        written = ""
        for step in steps:
            if not stop.is_set() and isinstance(step, int | float):
                stop.wait(step)
            if stop.is_set():
                break
            if callable(step):
                step()
            elif not isinstance(step, int | float):
                written += _written(step)
                self.tell(step)
        if stop.is_set() and name in ("ask", "compare") and not self.closed:
            self.tell(Stopped(request, written, f"turn-{request}"))


def _written(notice: Notice) -> str:
    """What a notice adds to the answer."""
    event = getattr(notice, "event", None)
    return event.text if type(event).__name__ == "AnswerDelta" else ""
