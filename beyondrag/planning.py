"""What an ingest would have to read with the model, found out without it and without changing anything."""

from __future__ import annotations

from contextlib import suppress

from ingest.indexing import title_of
from ingest.outcomes import FileState, ParsedOutcome
from ingest.pipeline import unread_documents
from library.errors import DocumentNotFound
from library.store import Library

_KNOWN = -1
"""In place of a number of characters: the library has it, and may have read it."""


class PlannedReading:
    """Collects what a look found; see `unread_chars`.  `library` is None where there is none yet."""

    def __init__(self, library: Library | None) -> None:
        self._library = library
        self._chars: dict[str, int] = {}

    def add(self, seen: ParsedOutcome) -> None:
        """One file, or one member of a container, as `ingest.indexing.look` tells of it."""
        outcome = seen.outcome
        if self._library is not None and outcome.container is None and outcome.document_id is None:
            for known_id in self._library.containers.document_ids(str(outcome.path)):
                self._chars.setdefault(known_id, _KNOWN)
        if outcome.document_id is None or outcome.failure is not None:
            return
        if seen.parsed is not None and (
            outcome.state in (FileState.NEW, FileState.CHANGED) or self._is_read_anew(seen)
        ):
            self._chars[outcome.document_id] = len(seen.parsed.text.text)
        else:
            self._chars.setdefault(outcome.document_id, _KNOWN)

    def unread_chars(self, profile_id: str | None) -> list[int]:
        """The characters of each document that would have to be read for this profile.

        None: the model is not known yet, so every document counts.
        """
        sizes = [n for n in self._chars.values() if n != _KNOWN]
        known = [document_id for document_id, n in self._chars.items() if n == _KNOWN]
        if self._library is None:
            return sizes
        unread = unread_documents(self._library, known, profile_id) if profile_id else known
        for document_id in unread:
            with suppress(DocumentNotFound):  # a copy of a file that is itself new
                sizes.append(self._library.document(document_id).n_chars)
        return sizes

    def _is_read_anew(self, seen: ParsedOutcome) -> bool:
        """Whether a file with the bytes of before has another text or title now: its snapshots go then."""
        if self._library is None or seen.parsed is None or seen.outcome.state is not FileState.UNCHANGED:
            return False
        title = title_of(self._library, seen.parsed, str(seen.outcome.path))
        return self._library.differs(seen.parsed.document_id, title, seen.parsed.text)
