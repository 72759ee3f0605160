"""Follows the events of a question and knows in the end what the model had in its context."""

from __future__ import annotations

from beyondrag.events import Attached, Chosen, ChunkRead, Event, PlacedPart
from beyondrag.service.notices import ChunkGiven, ReadPart, WhatWasRead


class ContextFollower:
    """Put every event of one question in; `read` is what stood in the context by then."""

    def __init__(self, n_ctx: int) -> None:
        self._n_ctx = n_ctx
        self._left_out: tuple[str, ...] = ()
        self._attached: Attached | None = None
        self.titles: tuple[str, ...] = ()

    def see(self, event: Event) -> None:
        """Take an event in."""
        if isinstance(event, Chosen):
            self._left_out = event.left_out
            self.titles = tuple(document.title for document in event.documents)
        elif isinstance(event, Attached):
            self._attached = event

    @property
    def read(self) -> WhatWasRead:
        """The prompt's prefix and the documents behind it; nothing before they were attached."""
        attached = self._attached
        if attached is None:
            return WhatWasRead(0, (), self._left_out, self._n_ctx)
        prefix = attached.parts[0].first if attached.parts else attached.n_tokens
        return WhatWasRead(prefix, tuple(map(_part, attached.parts)), self._left_out, self._n_ctx)


def given(chunk: ChunkRead) -> ChunkGiven:
    """A chunk of the engine's events as a notice shows it."""
    return ChunkGiven(
        chunk.document_id, chunk.title, chunk.page, chunk.start, chunk.end, chunk.text, chunk.score
    )


def _part(part: PlacedPart) -> ReadPart:
    document = part.document
    return ReadPart(
        document.id,
        document.title,
        document.label,
        part.first,
        part.stop,
        part.read_from,
        part.codec,
        part.bits,
        part.hot,
    )
