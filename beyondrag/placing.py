"""Putting the chosen documents into the context: from their snapshots, or by reading them."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

from beyondrag.choosing import Choice
from beyondrag.desk import Desk
from beyondrag.events import ChosenDocument, Event, PlacedPart, ReadingDocument
from beyondrag.retrieval import Candidate
from ingest.pipeline import PendingVolume, read_volume, volume_title
from ingest.reader import PrefixFacts
from kvfiles.compose import Span
from kvfiles.errors import CalibrationError, SnapshotError, StorageError
from kvfiles.repair import repair_heads
from kvfiles.runtime.context import SLICE_TOKENS, CacheType
from kvfiles.runtime.model import Tokens
from library.records import SnapshotRecord
from library.wording import one_line


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
class _Stored:
    """The codec and the bits per value of the file that was attached; `hot`: it is a hot copy."""

    codec: str
    bits: float
    hot: bool


@dataclass(frozen=True, slots=True)
class _Placed:
    """Tokens with the prefix first; for each document its place, and how it was stored (None: prefilled)."""

    tokens: list[Tokens]
    spans: list[Span]
    stored: list[_Stored | None]


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
        self._why: dict[tuple[str, int], str] = {}

    def place(self, choice: Choice) -> Generator[Event, None, Placement]:
        """Replace what the context holds by prefix and documents.

        A document without a snapshot is read now and kept; a snapshot that turns out to be damaged, or whose
        calibration is not here, is dropped and made again.  Raises Cancelled, SnapshotError, StorageError
        and model errors.
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

    def _part(self, document: ChosenDocument, span: Span, stored: _Stored | None) -> PlacedPart:
        cache = self._desk.context.cache_type
        if stored is None:
            return PlacedPart(document, span.first, span.stop, "prefill", cache, cache_bits(cache))
        return PlacedPart(
            document, span.first, span.stop, "snapshot", stored.codec, stored.bits, hot=stored.hot
        )

    # ------------------------------------------------------------------- snapshots

    def _attach_all(self, choice: Choice) -> Generator[Event, None, tuple[float, _Placed]]:
        """When the attaching that succeeded began, and its result."""
        # Each of them, its hot copy and the prefix may be damaged.
        for _ in range(2 * len(choice.documents) + 2):
            records = []
            for candidate, document in zip(choice.selection.candidates, choice.documents, strict=True):
                record = self._desk.library.snapshot(document.id, document.volume, self._desk.profile.id)
                records.append(record or (yield from self._read_now(candidate, document)))
            began = time.perf_counter()
            try:
                return began, self._attach(records, [document.title for document in choice.documents])
            except (SnapshotError, CalibrationError, StorageError) as error:
                if self._desk.hot.distrust(error):
                    continue
                if isinstance(error, StorageError) or not self._drop_unusable(records, error):
                    raise
        raise SnapshotError(
            "snapshots are damaged again and again", remedy="check the disk, then `beyondrag library verify`"
        )

    def _read_now(
        self, candidate: Candidate, document: ChosenDocument
    ) -> Generator[Event, None, SnapshotRecord]:
        """Read the volume and keep its snapshot."""
        desk = self._desk
        why = self._why.pop((document.id, document.volume), "") or self._read_otherwise(document)
        yield ReadingDocument(document.title, 0, candidate.volume.n_tokens, why)
        pending = PendingVolume(candidate.hit.document, candidate.volume, candidate.n_volumes)
        record = read_volume(
            desk.library,
            pending,
            desk.profile,
            desk.reader,
            on_slice=lambda n: self._tell(ReadingDocument(document.title, n, candidate.volume.n_tokens)),
            cancelled=self._cancelled,
            slice_tokens=SLICE_TOKENS,
        )
        self._reread.append(document)
        self._prefilled += record.n_tokens
        yield ReadingDocument(document.title, record.n_tokens, record.n_tokens)
        return record

    def _read_otherwise(self, document: ChosenDocument) -> str:
        """Which other codec this model has read it for; "" when it has not."""
        library, own = self._desk.library, self._desk.profile
        known = {profile.id: profile for profile in library.profiles()}
        for record in library.snapshots(document.id):
            other = known.get(record.profile_id)
            if other is None or other.id == own.id:
                continue
            if {**other.description, "codec": own.description["codec"]} == own.description:
                codec = one_line(str(other.description.get("codec")), 40)
                return f"it is kept as {codec}; --codec {codec} or BEYONDRAG_CODEC takes that"
        return ""

    def _tell(self, reading: ReadingDocument) -> None:
        """How far the reading is; its beginning and its end are events."""
        if self._desk.on_reading is not None and 0 < reading.done < reading.total:
            self._desk.on_reading(reading)

    def _drop_unusable(
        self, records: Sequence[SnapshotRecord], error: SnapshotError | CalibrationError
    ) -> bool:
        """Whether `error` was about one of our files, which is then dropped (the prefix: made again)."""
        desk = self._desk
        prefix = desk.library.prefix_path(desk.profile.id)
        if error.subject == str(prefix):
            desk.reader.ensure_prefix(prefix)
            return True
        unusable = [record for record in records if str(record.path) == error.subject]
        for record in unusable:
            # Damage mends itself; a missing calibration comes back with every document.
            if isinstance(error, CalibrationError):
                self._why[record.document_id, record.ordinal] = f"{error.message}; {error.remedy}"
            desk.library.drop_snapshot(record)
        return bool(unusable)

    def _attach(self, records: Sequence[SnapshotRecord], titles: Sequence[str]) -> _Placed:
        desk = self._desk
        movable = self._facts.relocatable or len(records) == 1
        with ExitStack() as opening:
            prefix = opening.enter_context(desk.open(desk.library.prefix_path(desk.profile.id)))
            files = [opening.enter_context(desk.hot.open(record, desk.open)) for record in records]
            opened = [prefix, *files]
            tokens = [snapshot.tokens for snapshot in opened]
            coded = [
                _Stored(s.header.codec_label, s.bits_per_value, hot=s.path != record.path)
                for s, record in zip(files, records, strict=True)
            ]
            spans = desk.composer.attach(desk.context, opened if movable else opened[:2])
        stored: list[_Stored | None] = list(coded)
        n_attached = len(records) if movable else 1
        desk.hot.note_attached(records[:n_attached], [snapshot.path for snapshot in files[:n_attached]])
        if not movable:  # K of this model cannot be moved: the others are prefilled behind the first
            spans += self._prefill(tokens[2:], titles[1:], spans[-1].stop)
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
        titles = [document.title for document in choice.documents]
        spans = self._prefill(tokens, ["the prompt", *titles], 0)
        return _Placed(tokens, spans[1:], [None] * (len(spans) - 1))

    def _prefill(self, parts: Sequence[Tokens], titles: Sequence[str], first: int) -> list[Span]:
        """Decode `parts` from position `first` on; `titles` name them while it is told how far all is."""
        spans: list[Span] = []
        start, total = first, sum(len(part) for part in parts)
        for part, title in zip(parts, titles, strict=True):
            self._desk.context.decode(
                part,
                first,
                logits="none",
                on_slice=self._telling(title, first - start, total),
                cancelled=self._cancelled,
            )
            self._prefilled += len(part)
            spans.append(Span(first, first + len(part)))
            first += len(part)
        return spans

    def _telling(self, title: str, before: int, total: int) -> Callable[[int], None]:
        """Tells of every slice of a part that is read for this question alone, `before` tokens on."""
        return lambda n: self._tell(ReadingDocument(title, before + n, total, kept=False))
