"""Putting the chosen documents into the context: from their snapshots, or by reading them."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace

from beyondrag.choosing import Choice
from beyondrag.desk import Desk
from beyondrag.events import ChosenDocument, Event, PlacedPart, ReadingDocument
from beyondrag.retrieval import Candidate
from ingest.pipeline import PendingVolume, read_volume, volume_title
from ingest.reader import PrefixFacts
from kvfiles.compose import Span
from kvfiles.errors import SnapshotError
from kvfiles.repair import repair_heads
from kvfiles.runtime.context import SLICE_TOKENS, CacheType
from kvfiles.runtime.model import Tokens
from kvfiles.snapshot import Snapshot
from library.records import SnapshotRecord


def cache_bits(cache_type: CacheType) -> float:
    """Bits of one value in llama.cpp's cache, its share of the block's f16 scale included."""
    return {"f16": 16.0, "q8_0": 8.5, "q5_0": 5.5, "q4_0": 4.5}[cache_type]


@dataclass(frozen=True, slots=True)
class Placement:
    """What stands in sequence 0: `tokens` of the prefix and then of each of `parts`.

    `choice` is what was placed, with what had to be prefilled marked so; `prefilled_tokens` counts the
    tokens of documents that were computed for it, in `seconds` (without the reading of new documents).
    """

    choice: Choice
    tokens: tuple[Tokens, ...]
    parts: tuple[PlacedPart, ...]
    prefilled_tokens: int
    seconds: float

    @property
    def n_tokens(self) -> int:
        """Where the documents end: the position of whatever comes next."""
        return sum(len(part) for part in self.tokens)


@dataclass(frozen=True, slots=True)
class _Placed:
    """Tokens with the prefix first; for each document its place, and the codec and bits of its snapshot
    (None for a prefilled one)."""

    tokens: list[Tokens]
    spans: list[Span]
    stored: list[tuple[str, float] | None]


class Placer:
    """Places the documents of one question into sequence 0.

    `exact` prefills everything; `repair_tokens` recomputes that many first tokens of documents 2..n.
    After an error the context holds leftovers: clear it.
    """

    def __init__(
        self,
        desk: Desk,
        facts: PrefixFacts,
        *,
        exact: bool,
        repair_tokens: int,
        cancelled: Callable[[], bool] | None,
    ) -> None:
        self._desk, self._facts = desk, facts
        self._exact, self._repair_tokens, self._cancelled = exact, repair_tokens, cancelled
        self._prefilled = 0
        self._reread: list[ChosenDocument] = []

    def place(self, choice: Choice) -> Generator[Event, None, Placement]:
        """Replace what the context holds by prefix and documents.

        A document without a snapshot is read now and kept; a snapshot that turns out to be damaged is
        dropped and made again.  Raises Cancelled, SnapshotError, StorageError and model errors.
        """
        if self._exact:
            began = time.perf_counter()
            placed = self._prefill_all(choice)
        else:
            began, placed = yield from self._attach_all(choice)
        seconds = time.perf_counter() - began
        documents = tuple(
            replace(d, read_from="prefill") if d in self._reread else d for d in choice.documents
        )
        parts = tuple(
            self._part(document, span, stored)
            for document, span, stored in zip(documents, placed.spans, placed.stored, strict=True)
        )
        chosen = replace(choice, documents=documents)
        return Placement(chosen, tuple(placed.tokens), parts, self._prefilled, seconds)

    def _part(self, document: ChosenDocument, span: Span, stored: tuple[str, float] | None) -> PlacedPart:
        cache = self._desk.context.cache_type
        if stored is None:
            return PlacedPart(document, span.first, span.stop, "prefill", cache, cache_bits(cache))
        return PlacedPart(document, span.first, span.stop, "snapshot", *stored)

    # ------------------------------------------------------------------- snapshots

    def _attach_all(self, choice: Choice) -> Generator[Event, None, tuple[float, _Placed]]:
        """When the attaching that succeeded began, and its result."""
        for _ in range(len(choice.documents) + 2):  # each of them and the prefix may be damaged
            records = []
            for candidate, document in zip(choice.selection.candidates, choice.documents, strict=True):
                record = self._desk.library.snapshot(document.id, document.volume, self._desk.profile.id)
                records.append(record or (yield from self._read_now(candidate, document)))
            began = time.perf_counter()
            try:
                return began, self._attach(records)
            except SnapshotError as error:
                if not self._drop_damaged(records, error):
                    raise
        raise SnapshotError(
            "snapshots are damaged again and again", remedy="check the disk, then `beyondrag library verify`"
        )

    def _read_now(
        self, candidate: Candidate, document: ChosenDocument
    ) -> Generator[Event, None, SnapshotRecord]:
        """Read the volume and keep its snapshot."""
        desk = self._desk
        yield ReadingDocument(document.title, 0, candidate.volume.n_tokens)
        pending = PendingVolume(candidate.hit.document, candidate.volume, candidate.n_volumes)
        record = read_volume(
            desk.library,
            pending,
            desk.profile,
            desk.reader,
            on_slice=lambda n: self._tell(document.title, n, candidate.volume.n_tokens),
            cancelled=self._cancelled,
            slice_tokens=SLICE_TOKENS,
        )
        self._reread.append(document)
        self._prefilled += record.n_tokens
        yield ReadingDocument(document.title, record.n_tokens, record.n_tokens)
        return record

    def _tell(self, title: str, done: int, total: int) -> None:
        """How far the reading is; its beginning and its end are events."""
        if self._desk.on_reading is not None and 0 < done < total:
            self._desk.on_reading(ReadingDocument(title, done, total))

    def _drop_damaged(self, records: Sequence[SnapshotRecord], error: SnapshotError) -> bool:
        """Whether `error` was about one of our files, which is then dropped (the prefix: made again)."""
        desk = self._desk
        prefix = desk.library.prefix_path(desk.profile.id)
        if error.subject == str(prefix):
            desk.reader.ensure_prefix(prefix)
            return True
        damaged = [record for record in records if str(record.path) == error.subject]
        for record in damaged:
            desk.library.drop_snapshot(record)
        return bool(damaged)

    def _attach(self, records: Sequence[SnapshotRecord]) -> _Placed:
        desk, shape = self._desk, self._desk.model.shape
        paths = [desk.library.prefix_path(desk.profile.id), *(record.path for record in records)]
        movable = self._facts.relocatable or len(records) == 1
        opened: list[Snapshot] = []
        try:
            for path in paths:
                snapshot = Snapshot(path, desk.kernels)
                opened.append(snapshot)
                snapshot.require(profile=desk.profile.id, shape=shape, rope=desk.model.rope.describe())
            tokens = [snapshot.tokens for snapshot in opened]
            bits = [s.codec.bits_per_value(s.n_tokens, shape.k_width, shape.v_width) for s in opened[1:]]
            spans = desk.composer.attach(desk.context, opened if movable else opened[:2])
        finally:
            for snapshot in opened:
                snapshot.close()
        stored: list[tuple[str, float] | None] = [
            (record.codec, b) for record, b in zip(records, bits, strict=True)
        ]
        if not movable:  # K of this model cannot be moved: the others are prefilled behind the first
            spans += self._prefill(tokens[2:], spans[-1].stop)
            stored[1:] = [None] * (len(stored) - 1)
        elif self._repair_tokens:
            self._prefilled += repair_heads(desk.context, spans[1:], tokens[1:], self._repair_tokens)
        desk.library.note_read(records)
        return _Placed(tokens, spans[1:], stored)

    # --------------------------------------------------------------------- prefill

    def _prefill_all(self, choice: Choice) -> _Placed:
        desk = self._desk
        desk.context.clear()
        tokens = [desk.prefix]
        for candidate in choice.selection.candidates:
            document, volume = candidate.hit.document, candidate.volume
            text = desk.library.text(document.id).text[volume.char_start : volume.char_end]
            title = volume_title(document.title, volume.label, candidate.n_volumes)
            tokens.append(desk.reader.volume_tokens(title, text))
        spans = self._prefill(tokens, 0)
        return _Placed(tokens, spans[1:], [None] * (len(spans) - 1))

    def _prefill(self, parts: Sequence[Tokens], first: int) -> list[Span]:
        spans = []
        for part in parts:
            self._desk.context.decode(part, first, logits="none", cancelled=self._cancelled)
            self._prefilled += len(part)
            spans.append(Span(first, first + len(part)))
            first += len(part)
        return spans
