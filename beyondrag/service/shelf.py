"""Reading from the library for lists and views, on a library object of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from beyondrag.document_state import DocumentState, document_states
from beyondrag.service.door import Borrowed, Door
from beyondrag.service.history import History
from beyondrag.service.interface import Conversation, ConversationSummary, SortKey
from library.records import DocumentRecord, DocumentText, Hit, LibraryTotals
from library.roots import CATALOGUE_NAME
from library.store import Library

_STATE_ORDER = {"ready": 0, "indexed": 1, "stale": 2, "missing": 3}
_SORT_KEYS: dict[SortKey, Callable[[DocumentState], Any]] = {
    "added": lambda state: state.document.added_at,
    "title": lambda state: state.document.title.casefold(),
    "pages": lambda state: state.document.n_pages,
    "tokens": lambda state: state.n_tokens or 0,
    "size": lambda state: state.snapshot_bytes,
    "state": lambda state: _STATE_ORDER[state.state],
    "last_read": lambda state: max((s.last_read_at or 0.0 for s in state.snapshots), default=0.0),
}


@dataclass(frozen=True, slots=True)
class _Row:
    """A document's state with the text that filtering looks at."""

    folded: str
    state: DocumentState


class LibraryShelf:
    """Implements `interface.Shelf`.  Any thread may call it: they take turns.

    The states of all documents are kept between calls and read again only when the catalogue was
    written to, so filtering and sorting while one types costs no disk.
    """

    def __init__(self, door: Door, profile_id: Callable[[], str | None]) -> None:
        self._mutex = threading.RLock()  # a signal handler that closes may break in
        self._library = Borrowed(door)
        self._profile_id = profile_id
        self._rows: list[_Row] = []
        self._rows_of: tuple[object, ...] | None = None

    def close(self) -> None:
        """Close the library; a later call opens it again."""
        with self._mutex:
            self._library.close()
            self._rows_of = None

    def states(
        self, contains: str = "", sort: SortKey = "added", descending: bool = False
    ) -> list[DocumentState]:
        """The documents whose title or path contains `contains` in any case, in order.

        Documents that are equal in `sort` stay in the order in which they were added.
        """
        wanted = contains.casefold()
        with self._mutex:
            rows = self._current_rows(self._library.get())
        found = [row.state for row in rows if wanted in row.folded]
        return sorted(found, key=_SORT_KEYS[sort], reverse=descending)

    def totals(self) -> LibraryTotals:
        """Sums over the whole library."""
        with self._mutex:
            return self._library.get().totals(self._profile_id())

    def document(self, document_id: str) -> DocumentRecord:
        """One document.  Raises DocumentNotFound."""
        with self._mutex:
            return self._library.get().document(document_id)

    def text(self, document_id: str) -> DocumentText:
        """Its whole text with the page map.  Raises DocumentNotFound, LibraryDamaged."""
        with self._mutex:
            return self._library.get().text(document_id)

    def search(self, words: str, limit: int = 10) -> list[Hit]:
        """Documents by their content, the best first; for a short list, so without many passages."""
        with self._mutex:
            return self._library.get().search(words, limit, passages=1)

    def conversations(self, contains: str = "", limit: int = 200) -> list[ConversationSummary]:
        """Kept conversations, the latest first; `contains` is looked for in questions and answers."""
        with self._mutex:
            return History(self._library.get()).summaries(contains, limit)

    def conversation(self, conversation_id: str) -> Conversation:
        """One of them.  Raises ConversationNotFound, LibraryDamaged."""
        with self._mutex:
            return History(self._library.get()).conversation(conversation_id)

    def delete_conversation(self, conversation_id: str) -> None:
        """Forget it.  Raises ConversationNotFound."""
        with self._mutex:
            History(self._library.get()).delete(conversation_id)

    def export_conversation(self, conversation_id: str, path: Path) -> None:
        """Write it as Markdown with sources, atomically.  Raises AppError when `path` is there already."""
        with self._mutex:
            History(self._library.get()).export(conversation_id, path)

    def _current_rows(self, library: Library) -> list[_Row]:
        profile_id = self._profile_id()
        state_of = (profile_id, *_written(library.root))
        if state_of != self._rows_of:
            self._rows = [
                _Row("\n".join([state.document.title, *state.document.paths]).casefold(), state)
                for state in document_states(library, profile_id)
            ]
            self._rows_of = state_of
        return self._rows


def _written(root: Path) -> tuple[object, ...]:
    """Changes whenever any process commits to the catalogue: every commit writes the log or the file."""
    found: list[object] = []
    for name in (CATALOGUE_NAME, CATALOGUE_NAME + "-wal"):
        try:
            status = (root / name).stat()
        except OSError:
            found.append(None)
        else:
            found.append((status.st_ino, status.st_size, status.st_mtime_ns))
    return tuple(found)
