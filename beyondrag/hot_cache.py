"""Hot copies of archive-coded snapshots: which file is attached, and which copies are made after an answer.

Only the archive codec is slow enough to attach that a copy pays; all others are attached as they are.
A copy is made for what was read last, when nobody waits for it any more.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from pathlib import Path

from kvfiles.codecs import ArchiveCodec, Codec, label_of_name
from kvfiles.errors import BeyondragError, CalibrationError, Cancelled, SnapshotError, StorageError
from kvfiles.kernels import Kernels
from kvfiles.positions import RopeTables
from kvfiles.recode import recode
from kvfiles.snapshot import Snapshot
from library.errors import LibraryError
from library.files import storage_errors
from library.hot import COPY_OF
from library.records import SnapshotRecord
from library.store import Library
from library.wording import one_line

HOT_CODEC = "k6v6"
"""Finer than the default codec, because errors add up.  Mean KL divergence from the archive's own predictions
with SmolLM2 (10 texts of 320 tokens, 64 predictions each): a copy as k4v4 0.0173, k5v5 0.0079, k6v6 0.0057,
k8v8 0.0046, about what un-RoPE and re-RoPE alone cost.
"""
FREE_BYTES = 256_000_000
"""A copy is not worth the last of a disk."""

OpenFile = Callable[[Path], Snapshot]
"""Opens a `.kv` file that fits model and prompt; raises SnapshotError, CalibrationError or StorageError."""

_LOG = logging.getLogger(__name__)


class HotCache:
    """The hot copies of one library as one engine uses them: at most `bound_bytes`, 0 for none.

    `codec` is what copies are coded with.  For one thread.
    """

    def __init__(
        self,
        library: Library,
        bound_bytes: int,
        codec: Codec,
        tables: RopeTables,
        kernels: Kernels,
        pool: Executor,
    ) -> None:
        self._library, self._copies, self._bound = library, library.hot, bound_bytes
        self._codec, self._tables, self._kernels, self._pool = codec, tables, kernels, pool
        self._wanted: list[SnapshotRecord] = []
        self._spared: tuple[str, ...] = ()
        self._distrusted: set[str] = set()
        self._warned = False

    def fit(self) -> None:
        """Evict what is over the bound; another process that does it at this moment may do it alone."""
        try:
            self._copies.shrink(self._bound)
        except (StorageError, LibraryError) as error:
            _LOG.info("hot copies were not evicted: %s", error)

    # ---------------------------------------------------------------------- attaching

    def open(self, record: SnapshotRecord, open_file: OpenFile) -> Snapshot:
        """The fastest valid file of a snapshot: its hot copy, otherwise itself.

        A copy that is damaged or of something else is removed; one that vanishes is missed.  Raises what
        `open_file` raises about the snapshot itself.
        """
        content = record.path.stem
        known = self._serves(record) and content not in self._distrusted
        if known and self._copies.find(content) is not None:
            try:
                return self._open_copy(record, open_file)
            except (SnapshotError, CalibrationError) as error:
                self.distrust(error)
            except StorageError as error:
                _LOG.info("a hot copy went away: %s", error)
        return open_file(record.path)

    def distrust(self, error: BeyondragError) -> bool:
        """Whether `error` is about a hot copy, which is then removed."""
        path = Path(error.subject)
        if path.parent != self._copies.root:
            return False
        _LOG.info("a hot copy is dropped: %s", error)
        self._distrusted.add(path.stem)  # also when it cannot be removed
        with suppress(StorageError):
            self._copies.discard(path.stem)
        return True

    def note_attached(self, records: Sequence[SnapshotRecord], paths: Sequence[Path]) -> None:
        """Note which files the snapshots of an answer, best first, were attached from.

        Those of them that had no copy are wanted from now on, and those of earlier answers no more.
        """
        read = [(r, path) for r, path in zip(records, paths, strict=True) if self._serves(r)]
        self._wanted = [record for record, path in read if path == record.path]
        self._spared = tuple(record.path.stem for record, _ in read)
        if read:
            hits = {record.path.stem for record, path in read if path != record.path}
            self._copies.note_reads(hits, len(self._wanted))

    # ------------------------------------------------------------------------- making

    @property
    def n_wanted(self) -> int:
        """How many copies there are to make."""
        return len(self._wanted)

    def make(self, open_file: OpenFile, cancelled: Callable[[], bool]) -> str:
        """Make the wanted copies, the best document's first, until `cancelled`: then they stay wanted.

        Nothing that goes wrong is worth an error, for the snapshots stay as they are.  Returns a line for
        the user the first time, otherwise "".
        """
        while self._wanted and not cancelled():
            record = self._wanted[0]
            file = self._library.snapshot_scratch()
            try:
                self._make(record, file, open_file, cancelled)
            except Cancelled:
                return ""
            except (BeyondragError, OSError, MemoryError) as error:
                self._wanted.clear()
                return self._told_once(error)
            finally:
                with suppress(OSError):
                    file.unlink(missing_ok=True)
            del self._wanted[0]
        return ""

    def _told_once(self, error: BeyondragError | OSError | MemoryError) -> str:
        _LOG.info("no hot copy was made: %s", error)
        if self._warned:
            return ""
        self._warned = True
        why = error.message if isinstance(error, BeyondragError) else str(error) or "no memory is left"
        return f"no hot copy was made, so the archive is attached again: {one_line(why)}"

    def _make(
        self, record: SnapshotRecord, file: Path, open_file: OpenFile, cancelled: Callable[[], bool]
    ) -> None:
        content = record.path.stem
        if self._copies.find(content) is not None or not record.path.exists():
            return  # another process has made it, or the document was removed
        with open_file(record.path) as source:
            if not self._has_room(source):
                return
            recode(
                source,
                file,
                self._codec,
                tables=self._tables,
                kernels=self._kernels,
                pool=self._pool,
                about={COPY_OF: content},
                cancelled=cancelled,
            )
        self._distrusted.discard(content)
        self._copies.keep(file, content, self._bound, self._spared)

    def _has_room(self, source: Snapshot) -> bool:
        """Whether a copy of `source` is worth the work: there is room beside its answer's and on disk."""
        shape, n = source.header.shape, source.n_tokens
        bits = self._codec.bits_per_value(n, shape.k_width, shape.v_width)
        size = round(bits * n * shape.values_per_token / 8)
        with storage_errors(self._library.root):
            free = shutil.disk_usage(self._library.root).free
        return self._copies.fits(size, self._bound, self._spared) and size + FREE_BYTES <= free

    def _serves(self, record: SnapshotRecord) -> bool:
        return self._bound > 0 and label_of_name(record.codec) == ArchiveCodec.name

    def _open_copy(self, record: SnapshotRecord, open_file: OpenFile) -> Snapshot:
        content = record.path.stem
        copy = open_file(self._copies.path(content))
        if copy.header.about.get(COPY_OF) != content or copy.n_tokens != record.n_tokens:
            copy.close()
            raise SnapshotError("it is the copy of another file", subject=str(copy.path))
        return copy
