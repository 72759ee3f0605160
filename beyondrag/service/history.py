"""Kept conversations: answers with everything that is needed to show them again."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from beyondrag.events import Answer
from beyondrag.follow_up import REMEMBERED_TURNS, EarlierTurn
from beyondrag.service.export import write_conversation
from beyondrag.service.interface import Conversation, ConversationSummary, Turn
from beyondrag.service.notices import WhatWasRead
from beyondrag.service.plain_json import from_json, to_json
from library.conversations import MAX_RECORD_CHARS, ConversationRow, TurnRow, new_id
from library.errors import DocumentNotFound, LibraryDamaged, LibraryNewer
from library.store import Library

RECORD_VERSION = 1
MAX_PARTIAL_CHARS = 20_000


@dataclass(frozen=True, slots=True)
class _Version:
    """The first thing to know of a record."""

    version: int


@dataclass(frozen=True, slots=True)
class _Record:
    """What the library keeps of a turn beside its question."""

    version: int
    answer: Answer | None
    partial: str
    read: WhatWasRead | None


class History:
    """The conversations of one library.  As thread-safe as the library object.

    Reading raises ConversationNotFound, LibraryDamaged (a record that makes no sense) and LibraryNewer;
    everything raises StorageError, writing also LibraryLocked.
    """

    def __init__(self, library: Library) -> None:
        self._library = library

    @staticmethod
    def new_id() -> str:
        """The id of a conversation that is about to begin; nothing is written before its first turn."""
        return new_id()

    def keep(
        self,
        conversation_id: str,
        question: str,
        asked_at: float,
        answer: Answer | None,
        partial: str = "",
        read: WhatWasRead | None = None,
    ) -> str:
        """Add a turn to a conversation, which begins with its first one; returns the turn's id.

        `answer` None: it was stopped after `partial` had been written.
        """
        partial = partial[:MAX_PARTIAL_CHARS]
        for fitting in _slimmer(answer):
            record = to_json(_Record(RECORD_VERSION, fitting, partial, read))
            if len(record) <= MAX_RECORD_CHARS:
                break
        searched = partial if answer is None else answer.answer
        return self._library.conversations.add_turn(conversation_id, question, asked_at, record, searched)

    def summaries(self, contains: str = "", limit: int = 200) -> list[ConversationSummary]:
        """The latest first; with `contains`, those in whose questions or answers it stands, in any case."""
        return [_summary(row) for row in self._library.conversations.all(contains, limit)]

    def conversation(self, conversation_id: str) -> Conversation:
        """One of them with all its turns."""
        row = self._library.conversations.one(conversation_id)
        read = [(kept, _record(kept)) for kept in self._library.conversations.turns(conversation_id)]
        gone = self._gone(_documents(record.answer for _, record in read))
        turns = tuple(
            Turn(
                kept.id,
                kept.question,
                kept.asked_at,
                record.answer,
                record.partial,
                record.read,
                gone & _documents([record.answer]),
            )
            for kept, record in read
        )
        return Conversation(replace(_summary(row), n_turns=len(turns)), turns)

    def earlier(self, conversation_id: str) -> list[EarlierTurn]:
        """The last turns, for a dialogue that goes on from them; [] when there is no such conversation."""
        kept = self._library.conversations.turns(conversation_id)[-REMEMBERED_TURNS:]
        answers = [(turn.question, _record(turn).answer) for turn in kept]
        return [EarlierTurn(question, answer.answer if answer else "") for question, answer in answers]

    def delete(self, conversation_id: str) -> None:
        """Forget it.  Raises ConversationNotFound."""
        self._library.conversations.remove(conversation_id)

    def export(self, conversation_id: str, path: Path) -> None:
        """Write it as Markdown with its sources, whole or not at all.

        Raises AppError when `path` is there already, StorageError.
        """
        write_conversation(self.conversation(conversation_id), path)

    def _gone(self, document_ids: Iterable[str]) -> frozenset[str]:
        return frozenset(one for one in document_ids if not self._is_here(one))

    def _is_here(self, document_id: str) -> bool:
        try:
            self._library.document(document_id)
        except DocumentNotFound:
            return False
        return True


def _slimmer(answer: Answer | None) -> Iterator[Answer | None]:
    """The answer, and then with less and less beside its text and sources."""
    if answer is None:
        yield None
        return
    if answer.log_odds is not None and not math.isfinite(answer.log_odds):
        answer = replace(answer, log_odds=None)
    yield answer
    bare = replace(answer, documents=tuple(replace(d, passages=()) for d in answer.documents))
    yield bare
    yield replace(bare, nearest=(), left_out=())


def _record(turn: TurnRow) -> _Record:
    try:
        version = from_json(_Version, turn.record).version
        if version <= RECORD_VERSION:
            return from_json(_Record, turn.record)
    except ValueError as error:
        raise LibraryDamaged(
            f"a kept answer cannot be read: {error}",
            subject=turn.id,
            remedy="delete the conversation; the documents are not affected",
        ) from error
    raise LibraryNewer(
        "a newer program kept this answer", subject=turn.id, remedy="upgrade beyondrag to read it"
    )


def _summary(row: ConversationRow) -> ConversationSummary:
    return ConversationSummary(row.id, row.title, row.started_at, row.last_at, row.n_turns)


def _documents(answers: Iterable[Answer | None]) -> frozenset[str]:
    """The ids of all documents that answers speak of."""
    return frozenset(
        document_id
        for answer in answers
        if answer is not None
        for document_id in (
            *(document.id for document in answer.documents),
            *(source.document_id for source in (*answer.sources, *answer.nearest)),
        )
    )
