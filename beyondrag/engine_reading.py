"""Reading documents with an engine: what lacks a snapshot, cutting it, and reading a volume."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil

from beyondrag.engine import Engine
from beyondrag.estimate import CHARS_PER_TOKEN
from beyondrag.reading_queue import Unread
from ingest.pipeline import PendingVolume, is_read, pending_volumes, read_volume, unread_documents
from ingest.reader import READ_SLICE_TOKENS
from library.errors import DocumentNotFound
from library.records import SnapshotRecord
from library.store import Library


class EngineReading:
    """Implements `reading_queue.Shelf`, and reads.

    Args:
        library: of the reading thread.
        profile_id: of the engine; told apart so that what is read needs no model.
        engine: gives the prepared engine, opened when it is first asked for.
        slice_tokens: tokens between two calls of `on_slice`.
    """

    def __init__(
        self,
        library: Library,
        profile_id: str,
        engine: Callable[[], Engine],
        slice_tokens: int = READ_SLICE_TOKENS,
    ) -> None:
        self._library, self._profile_id, self._engine = library, profile_id, engine
        self._slice_tokens = slice_tokens

    def unread(self, document_ids: Sequence[str]) -> list[Unread]:
        """Those of them that lack a snapshot; unknown ids are left out."""
        found = []
        for document_id in unread_documents(self._library, document_ids, self._profile_id):
            try:
                document = self._library.document(document_id)
            except DocumentNotFound:
                continue
            volumes = self._library.volumes(document_id, self._profile_id)
            left = [volume for volume in volumes if not self._is_read(document_id, volume.ordinal)]
            if left:
                n_tokens, n_volumes = sum(volume.n_tokens for volume in left), len(left)
            elif volumes:
                continue
            else:
                n_tokens = ceil(document.n_chars / CHARS_PER_TOKEN)
                n_volumes = ceil(max(n_tokens, 1) / self._engine().reader.max_volume_tokens)
            found.append(Unread(document_id, n_tokens, n_volumes, document.name))
        return found

    def pending(self, document_id: str) -> list[PendingVolume]:
        """The document's volumes that lack a snapshot, cut now if need be.

        Raises DocumentNotFound, LibraryDamaged, ContextOverflow.
        """
        engine = self._engine()
        return pending_volumes(self._library, [document_id], engine.profile, engine.reader)

    def is_read(self, pending: PendingVolume) -> bool:
        """Whether its snapshot is there by now."""
        return self._is_read(pending.document.id, pending.volume.ordinal)

    @property
    def may_calibrate(self) -> bool:
        """Whether the configured codec lacks a calibration that `calibrate` would make."""
        return self._engine().may_calibrate

    def calibrate(
        self, on_progress: Callable[[float, str], None], cancelled: Callable[[], bool]
    ) -> tuple[str, ...]:
        """Calibrate the model before anything is read, for minutes; the warnings that there are then.

        `on_progress(done of calibration.running.SCALE, what is being done)`.  Raises Cancelled.
        """
        engine = self._engine()
        engine.calibrate(on_progress, cancelled)
        return engine.lasting_warnings

    def read(
        self, pending: PendingVolume, on_slice: Callable[[int], None], cancelled: Callable[[], bool]
    ) -> SnapshotRecord:
        """Read it.  Raises what `on_slice` raises, Cancelled, DecodeError, library and storage errors."""
        engine = self._engine()
        return read_volume(
            self._library,
            pending,
            engine.profile,
            engine.reader,
            on_slice=on_slice,
            cancelled=cancelled,
            slice_tokens=self._slice_tokens,
        )

    def drop_snapshots(self, document_id: str) -> None:
        """Forget all snapshots of the document."""
        for record in self._library.snapshots(document_id):
            self._library.drop_snapshot(record)

    def _is_read(self, document_id: str, ordinal: int) -> bool:
        engine = self._engine()
        return is_read(self._library, document_id, ordinal, engine.profile, engine.reader)
