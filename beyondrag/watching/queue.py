"""The documents that wait to be read with the model, one volume at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from beyondrag.engine import Engine
from ingest.pipeline import PendingVolume, pending_volumes, read_volume, unread_documents
from library.errors import DocumentNotFound
from library.store import Library

MAX_CUTS = 3
"""Times that a document is cut into volumes because it changed while it was read."""


@dataclass(frozen=True, slots=True)
class VolumeKept:
    """A volume was read, and its snapshot is kept."""

    pending: PendingVolume
    n_tokens: int
    size_bytes: int


class ReadingQueue:
    """Document ids in the order in which they came, each once, with the number of times it changed."""

    def __init__(self, library: Library, profile_id: str) -> None:
        self._library = library
        self._profile_id = profile_id
        self._waiting: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, document_ids: Iterable[str]) -> None:
        """Those of them that lack a snapshot will be read."""
        for document_id in document_ids:
            if unread_documents(self._library, [document_id], self._profile_id):
                self._waiting[document_id] = 0

    def put_aside(self) -> str | None:
        """Leave the first document out until it is added again; its id."""
        first = next(iter(self._waiting), None)
        self._waiting.pop(first or "", 0)
        return first

    def read_one(
        self,
        engine: Engine,
        *,
        on_start: Callable[[PendingVolume], None],
        on_tokens: Callable[[int], None],
        cancelled: Callable[[], bool],
    ) -> VolumeKept | None:
        """Read the next volume; None when nothing is left to read.

        Documents that went away or were read by another command meanwhile are passed over.  Raises Cancelled,
        ContextOverflow, model and storage errors: the document stays the first of the queue.
        """
        while self._waiting:
            document_id = next(iter(self._waiting))
            try:
                pending = pending_volumes(self._library, [document_id], engine.profile, engine.reader)
            except DocumentNotFound:
                pending = []
            if not pending:
                del self._waiting[document_id]
                continue
            on_start(pending[0])
            try:
                record = read_volume(
                    self._library,
                    pending[0],
                    engine.profile,
                    engine.reader,
                    on_slice=on_tokens,
                    cancelled=cancelled,
                )
            except DocumentNotFound:  # it went away, or it has another title now and is cut again
                self._waiting[document_id] += 1
                if self._waiting[document_id] >= MAX_CUTS:  # its text is not there: `library verify` says so
                    del self._waiting[document_id]
                continue
            if len(pending) == 1:
                del self._waiting[document_id]
            return VolumeKept(pending[0], record.n_tokens, record.size_bytes)
        return None
