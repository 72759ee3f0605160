"""Reading from the library for lists and views, on a library object of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from beyondrag.document_state import PAGE, DocumentState, states_of
from beyondrag.service.door import Borrowed, Door
from beyondrag.service.history import History
from beyondrag.service.interface import Conversation, ConversationSummary, SortKey
from beyondrag.service.notices import FileProblem
from library.listing import Listed, listed, records_of
from library.records import DocumentRecord, DocumentText, Hit, LibraryTotals
from library.statistics import LibraryStatistics
from library.upkeep import Upkeep


class LibraryShelf:
    """Implements `interface.Shelf`.  Any thread may call it: they take turns.

    Nothing is kept between calls: what any process has committed is seen at once.
    """

    def __init__(self, door: Door, profile_id: Callable[[], str | None]) -> None:
        self._mutex = threading.RLock()  # a signal handler that closes may break in
        self._library = Borrowed(door)
        self._profile_id = profile_id

    def close(self) -> None:
        """Close the library; a later call opens it again."""
        with self._mutex:
            self._library.close()

    def listing(self, contains: str = "", sort: SortKey = "added", descending: bool = False) -> Listed:
        """Which documents have `contains` in their title or path, in any case, in order; and their tokens.

        Documents that are equal in `sort` stay in the order in which they were added.
        """
        with self._mutex:
            return listed(
                self._library.get(),
                self._profile_id(),
                contains=contains,
                order=sort,
                descending=descending,
            )

    def states_of(self, document_ids: Sequence[str]) -> list[DocumentState]:
        """What is known of these documents, in this order; those that are gone are left out."""
        found: list[DocumentState] = []
        with self._mutex:
            library, profile_id = self._library.get(), self._profile_id()
            for first in range(0, len(document_ids), PAGE):
                records = records_of(library, document_ids[first : first + PAGE])
                found += states_of(library, records, profile_id)
        return found

    def states(
        self,
        contains: str = "",
        sort: SortKey = "added",
        descending: bool = False,
        limit: int | None = None,
    ) -> list[DocumentState]:
        """The first `limit` (None: all) of a listing."""
        return self.states_of(self.listing(contains, sort, descending).ids[:limit])

    def totals(self) -> LibraryTotals:
        """Sums over the whole library."""
        with self._mutex:
            return self._library.get().totals(self._profile_id())

    def statistics(self) -> LibraryStatistics:
        """What the library holds and takes, by kind and by reading profile."""
        with self._mutex:
            return Upkeep(self._library.get()).statistics(self._profile_id())

    def failures(self) -> list[FileProblem]:
        """The files that could not be read, in the order of their paths."""
        with self._mutex:
            failures = self._library.get().failures()
        return [FileProblem(failure.path, failure.reason, failure.remedy) for failure in failures]

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
