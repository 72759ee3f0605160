"""Chunks in the context: the prompt's prefix is attached, the chunks behind it are prefilled.

Chunks stand in the frame of documents, best first, each under its document's title.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from beyondrag.answering import ReadDocument
from beyondrag.chunk_rag.chunks import Chunk
from beyondrag.desk import Desk
from beyondrag.events import ChosenDocument
from beyondrag.evidence import FoldedText
from beyondrag.prompt import document_text
from ingest.reader import READ_SLICE_TOKENS
from kvfiles.runtime.model import Tokens

TOP_CHUNKS = 5
"""How many chunks are read, when so many fit."""


@dataclass(frozen=True, slots=True)
class FramedChunk:
    """A chunk as the model reads it."""

    chunk: Chunk
    tokens: Tokens
    read: ReadDocument


def frame_chunks(desk: Desk, ranked: Iterable[tuple[Chunk, float]], room: int) -> list[FramedChunk]:
    """The chunks of `ranked` (best first, with scores) up to the first that does not fit `room` tokens."""
    framed: list[FramedChunk] = []
    for chunk, score in ranked:
        part = desk.library.text(chunk.document_id).slice(chunk.start, chunk.end)
        tokens = desk.model.tokenize(document_text(chunk.title, part.text))
        if len(tokens) > room:
            break
        room -= len(tokens)
        path = desk.library.document(chunk.document_id).path
        chosen = ChosenDocument(
            chunk.document_id, path, chunk.title, 0, chunk.page, len(tokens), score, "prefill", ()
        )
        framed.append(
            FramedChunk(chunk, tokens, ReadDocument(chosen, part, FoldedText(part.text), chunk.start))
        )
    return framed


def context_tokens(desk: Desk, framed: Sequence[FramedChunk]) -> Tokens:
    """(n,) i32: the prefix and the chunks as they stand in the context."""
    return np.concatenate([desk.prefix, *(part.tokens for part in framed)])


def prefill_chunks(
    desk: Desk, framed: Sequence[FramedChunk], cancelled: Callable[[], bool] | None
) -> Iterator[int]:
    """Put prefix and chunks into sequence 0; yields the chunks' tokens done so far, slice by slice.

    Raises Cancelled, SnapshotError, ContextOverflow, DecodeError.
    """
    with desk.open(desk.library.prefix_path(desk.profile.id)) as prefix:
        desk.composer.attach(desk.context, [prefix])
    n_prefix = len(desk.prefix)
    tokens = context_tokens(desk, framed)[n_prefix:]
    for start in range(0, len(tokens), READ_SLICE_TOKENS):
        part = tokens[start : start + READ_SLICE_TOKENS]
        desk.context.decode(
            part,
            n_prefix + start,
            logits="none",
            cancelled=cancelled,
            slice_tokens=READ_SLICE_TOKENS,
        )
        yield start + len(part)
