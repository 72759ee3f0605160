"""Kept conversations: rows of the catalogue about questions and what came of them.

What an answer holds is the caller's business: a turn is kept as a record of JSON, with the words that a
search looks for beside it.  Nothing here refers to a row about documents, so that a conversation outlives
them.  Needs no writer's lock: SQLite lets one process after another write.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from library.catalogue import Catalogue
from library.errors import LibraryError
from library.wording import one_line, without_lone_surrogates

MAX_QUESTION_CHARS = 4_000
MAX_RECORD_CHARS = 1 << 20
MAX_SEARCHED_CHARS = 20_000
"""Of each turn, what a search looks at."""
_TITLE_CHARS = 200
_ID_CHARS = 32
_LIST_MAX = 10_000

_LISTED = """
    SELECT c.id, c.title, c.started_at, c.last_at, (SELECT count(*) FROM turns WHERE conversation_id = c.id)
    FROM conversations AS c
    WHERE (:id IS NULL OR c.id = :id)
    AND (:wanted = '' OR EXISTS (
        SELECT 1 FROM turns WHERE conversation_id = c.id AND instr(searched, :wanted)
    ))
    ORDER BY c.last_at DESC, c.rowid DESC LIMIT :limit
"""


@dataclass(frozen=True, slots=True)
class ConversationRow:
    """A conversation: `title` is its first question; times in seconds since the epoch."""

    id: str
    title: str
    started_at: float
    last_at: float
    n_turns: int


@dataclass(frozen=True, slots=True)
class TurnRow:
    """A question of a conversation; `record` is what the caller gave, JSON."""

    id: str
    question: str
    asked_at: float
    record: str


class ConversationNotFound(LibraryError):
    """No such conversation is kept."""


def new_id() -> str:
    """A fresh id for a conversation or a turn: 32 hex digits."""
    return uuid.uuid4().hex


class Conversations:
    """The conversations of one library.  Every method raises LibraryDamaged and StorageError; those that
    write also LibraryLocked, when another process writes for longer than ten seconds."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def all(self, contains: str = "", limit: int = 200) -> list[ConversationRow]:
        """The latest first; with `contains`, those in whose questions or answers it stands, in any case."""
        return self._listed(None, _folded(contains).strip(), min(max(limit, 0), _LIST_MAX))

    def one(self, conversation_id: str) -> ConversationRow:
        """Raises ConversationNotFound."""
        found = self._listed(conversation_id, "", 1)
        if not found:
            raise _not_found(conversation_id)
        return found[0]

    def _listed(self, conversation_id: str | None, wanted: str, limit: int) -> list[ConversationRow]:
        parameters = {"id": conversation_id, "wanted": wanted, "limit": limit}
        rows: Sequence[Sequence[Any]] = self._catalogue.read(_LISTED, parameters)
        return [ConversationRow(*row) for row in rows]

    def turns(self, conversation_id: str) -> list[TurnRow]:
        """In the order in which they were added; [] when there is no such conversation."""
        rows: Sequence[Sequence[Any]] = self._catalogue.read(
            "SELECT id, question, asked_at, record FROM turns WHERE conversation_id = ? ORDER BY ordinal",
            (conversation_id,),
        )
        return [TurnRow(*row) for row in rows]

    def add_turn(
        self, conversation_id: str, question: str, asked_at: float, record: str, searched: str
    ) -> str:
        """Keep a turn at the end of a conversation, which is made when it is not there; returns its id.

        `searched` is the text of the answer, to be found by `all`.

        Raises:
            LibraryError: question or record are too long, or the id is none.
        """
        if not (0 < len(conversation_id) <= _ID_CHARS and conversation_id.isascii()):
            raise LibraryError("not the id of a conversation", subject=one_line(conversation_id, 64))
        if len(question) > MAX_QUESTION_CHARS or len(record) > MAX_RECORD_CHARS:
            raise LibraryError(
                "the question or its answer is too long to be kept", subject=one_line(question, 80)
            )
        text = without_lone_surrogates(question)
        turn_id, now = new_id(), time.time()
        with self._catalogue.transaction() as connection:
            connection.execute(
                "INSERT INTO conversations VALUES (?, ?, ?, ?) "
                "ON CONFLICT(id) DO UPDATE SET last_at = max(last_at, excluded.last_at)",
                (conversation_id, one_line(text, _TITLE_CHARS), asked_at, now),
            )
            connection.execute(
                "INSERT INTO turns SELECT ?, ?, coalesce(max(ordinal), -1) + 1, ?, ?, ?, ? "
                "FROM turns WHERE conversation_id = ?",
                (
                    turn_id,
                    conversation_id,
                    text,
                    asked_at,
                    _folded(f"{question}\n{searched}"),
                    without_lone_surrogates(record),
                    conversation_id,
                ),
            )
        return turn_id

    def remove(self, conversation_id: str) -> None:
        """Forget a conversation with its turns.  Raises ConversationNotFound."""
        with self._catalogue.transaction() as connection:
            removed = connection.execute("DELETE FROM conversations WHERE id = ?", (conversation_id,))
            if removed.rowcount == 0:
                raise _not_found(conversation_id)


def _folded(text: str) -> str:
    return without_lone_surrogates(text[:MAX_SEARCHED_CHARS]).casefold().replace("\0", " ")


def _not_found(conversation_id: str) -> ConversationNotFound:
    return ConversationNotFound(
        "no such conversation is kept",
        subject=one_line(conversation_id, 64),
        remedy="it may have been deleted",
    )
