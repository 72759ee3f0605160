"""How the chunks of snapshots get into a context: compiled, by several threads, or by Python alone.

Either way a few hundred tokens at a time are read, verified and decoded into a small blob that stays in
the CPU's cache, set into a scratch sequence and handed over with `seq_cp`, which only marks cells
(unified cache).  llama.cpp copies nearly as long as we decode, so that two threads keep each other busy.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kvfiles.codecs.base import ChunkTarget
from kvfiles.errors import DecodeError, StorageError
from kvfiles.kernels import (
    ArchiveChunk,
    ArchiveModel,
    CodedLayers,
    Kernels,
    NativeKernels,
    Quantiser,
    RowTarget,
)
from kvfiles.positions import RopeTables, RowRope
from kvfiles.runtime.context import Context, state_receiver
from kvfiles.snapshot import SnapshotDecoder
from kvfiles.state_blob import GGML_TYPE_Q8_0, BlobLayout, frame_template, write_frame

U8 = NDArray[np.uint8]
F16 = NDArray[np.float16]


@dataclass(frozen=True, slots=True)
class CacheKind:
    """How the context stores its cache: ggml type, and llama.cpp's own rotation of K and V rows (0: none)."""

    ggml_type: int
    k_rotation: int = 0
    v_rotation: int = 0


@dataclass(frozen=True, slots=True)
class Chunk:
    """Tokens row0 .. row1-1 of a file stored at position `stored`, to stand at first .. first+n-1."""

    decoder: SnapshotDecoder
    subject: str
    row0: int
    row1: int
    stored: int
    first: int

    @property
    def n_tokens(self) -> int:
        return self.row1 - self.row0

    def target(self, k: RowTarget, v: RowTarget, tables: RopeTables) -> ChunkTarget:
        """Where it goes in a blob whose rows are `k` and `v`."""
        moved = self.stored != self.first
        target = tables.at(self.first, self.n_tokens)
        stored = tables.at(self.stored, self.n_tokens) if moved else target
        return ChunkTarget(self.row0, self.row1, k, v, stored, target, moved)


def row_targets(blob: U8, layout: BlobLayout, kind: CacheKind) -> tuple[RowTarget, RowTarget]:
    """Where the rows of K and of V go in a `blob` of this layout."""
    q8 = kind.ggml_type == GGML_TYPE_Q8_0
    return (
        RowTarget(blob, layout.k_offset(0), layout.k_stride, q8, kind.k_rotation),
        RowTarget(blob, layout.v_offset(0), layout.v_stride, q8, kind.v_rotation),
    )


@dataclass(frozen=True, slots=True)
class Destination:
    """The sequence that gets the chunks, an empty scratch sequence, and how the blobs have to look."""

    context: Context
    seq: int
    scratch: int
    kind: CacheKind
    layouts: tuple[BlobLayout, ...]
    """One for each chunk."""


PIECE_BYTES = 4 << 20
"""What llama.cpp gets at a time, about.  Two such blobs stay in the CPU's cache beside what is read; smaller
ones make its bookkeeping felt, which looks at every cell of the context each time."""

N_BLOBS = N_STORED = 2
MAX_THREADS = 8
"""llama.cpp copies with one thread, and a few can decode as fast as it does."""

_PIECE_MULTIPLE = 32


def piece_layouts(whole: BlobLayout, together: bool = False) -> list[BlobLayout]:
    """The layouts of the pieces of a blob, the first the largest; one if all rows are made `together`."""
    if together:
        return [whole]
    per_cell = whole.n_layer * (whole.k_row_bytes + whole.v_row_bytes)
    n = max(PIECE_BYTES // per_cell // _PIECE_MULTIPLE, 1) * _PIECE_MULTIPLE
    return [replace(whole, n_cells=min(n, whole.n_cells - row)) for row in range(0, whole.n_cells, n)]


def _reserve(buffer: U8, n_bytes: int) -> U8:
    """`buffer`, or a larger one when it is too small."""
    return buffer if len(buffer) >= n_bytes else np.empty(n_bytes, np.uint8)


class Placer(Protocol):
    """Puts chunks into a context, in order; keeps its buffers between calls.  Not thread-safe."""

    def place(self, chunks: Sequence[Chunk], tables: RopeTables, to: Destination) -> None:
        """Raises SnapshotCorrupt, StorageError or DecodeError; `seq` then holds some of the chunks."""


def placer_for(kernels: Kernels, n_threads: int) -> Placer:
    """The fastest for these kernels."""
    if isinstance(kernels, NativeKernels):
        return NativePlacer(kernels, n_threads)
    return PlainPlacer(kernels)


class PlainPlacer:
    """One thread and any kernels: the reference, and what runs where nothing was compiled."""

    def __init__(self, kernels: Kernels) -> None:
        self._kernels = kernels
        self._stored: U8 = np.empty(0, np.uint8)
        self._blob: U8 = np.empty(0, np.uint8)

    def place(self, chunks: Sequence[Chunk], tables: RopeTables, to: Destination) -> None:
        for chunk, layout in zip(chunks, to.layouts, strict=True):
            self._stored = _reserve(self._stored, chunk.decoder.stretch(chunk.row0).n_bytes)
            self._blob = _reserve(self._blob, layout.size)
            blob = self._blob[: layout.size]
            positions = np.arange(chunk.first, chunk.first + chunk.n_tokens, dtype=np.int32)
            write_frame(layout, positions, blob)
            target = chunk.target(*row_targets(blob, layout, to.kind), tables)
            chunk.decoder.decode(target, self._stored, self._kernels)
            to.context.set_state(blob, to.scratch)  # drops what `scratch` held
            to.context.copy(to.scratch, to.seq)


class _Recorder:
    """Notes the calls that decode a chunk for `NativePlacer`, which runs them when the chunk was read."""

    def __init__(self, kernels: NativeKernels) -> None:
        self._kernels = kernels
        self.calls: list[tuple[str, Any]] = []

    def decode(
        self, coded: CodedLayers, rope: RowRope | None, quantiser: Quantiser, target: RowTarget
    ) -> None:
        self.calls.append(("decode", self._kernels.decode_call(coded, rope, quantiser, target)))

    def relocate(self, rows: F16, undo: RowRope | None, redo: RowRope | None, target: RowTarget) -> None:
        self.calls.append(("relocate", self._kernels.relocate_call(rows, undo, redo, target)))

    def decode_archive(
        self, model: ArchiveModel, coded: ArchiveChunk, rope: RowRope, k: RowTarget, v: RowTarget
    ) -> None:
        self.calls.append(("archive", self._kernels.archive_call(model, coded, rope, k, v)))


@dataclass(frozen=True, slots=True)
class _Frames:
    """What a chunk's blob would be, and the pieces of it that are made (`_kernels.Frame`)."""

    whole: Any
    pieces: list[Any]


class NativePlacer:
    """Everything is planned here and then done without Python (kvfiles/native/place.h).

    A chunk is read and verified, and then decoded in pieces of a few MB, which take turns in two blobs: while
    llama.cpp copies one, the other threads decode the next.
    """

    def __init__(self, kernels: NativeKernels, n_threads: int) -> None:
        self._kernels = kernels
        self._n_threads = max(1, min(n_threads, MAX_THREADS))
        self._stored: list[U8] = []
        self._blobs: U8 = np.empty(0, np.uint8)
        self._frames = functools.lru_cache(maxsize=64)(self._frames_of)

    def place(self, chunks: Sequence[Chunk], tables: RopeTables, to: Destination) -> None:
        largest = max(layout.size for layout in to.layouts)
        kinds = {
            (layout, chunk.decoder.whole_chunks) for chunk, layout in zip(chunks, to.layouts, strict=True)
        }
        piece = max(piece_layouts(*kind)[0].size for kind in kinds)
        n_blobs, n_stored = N_BLOBS, N_STORED
        if any(together for _, together in kinds):  # a thread makes a chunk alone
            n_blobs = n_stored = max(N_BLOBS, min(self._n_threads, len(chunks)))
        self._blobs = _reserve(self._blobs, max(largest, n_blobs * piece))
        self._stored += [np.empty(0, np.uint8)] * (n_stored - len(self._stored))
        receiver = state_receiver(to.context)
        job = self._kernels.module.PlacingJob(
            self._kernels.name,
            min(self._n_threads, 4 * len(chunks)),
            [self._blobs[i * piece : (i + 1) * piece] for i in range(n_blobs)],
            receiver.set_data,
            receiver.seq_cp,
            receiver.context,
            receiver.memory,
            to.seq,
            to.scratch,
            n_stored,
        )
        try:  # the first chunks are on their way while the others are planned
            where = {
                (layout, together): (
                    self._frames(layout, together),
                    *row_targets(self._blobs[: layout.size], layout, to.kind),
                )
                for layout, together in kinds
            }
            for index, (chunk, layout) in enumerate(zip(chunks, to.layouts, strict=True)):
                frames, k, v = where[layout, chunk.decoder.whole_chunks]
                job.add(self._plan(chunk, chunk.target(k, v, tables), frames, index % n_stored))
        except BaseException:
            job.abandon()
            raise
        failed, why = job.finish()
        if failed >= 0:
            self._fail(chunks[failed], str(why), to.context)

    def _plan(self, chunk: Chunk, target: ChunkTarget, frames: _Frames, turn: int) -> Any:
        """The chunk, ready to be made from what is read into the buffer whose `turn` it is."""
        recorder = _Recorder(self._kernels)
        stretch = chunk.decoder.stretch(chunk.row0)
        stored = self._stored[turn] = _reserve(self._stored[turn], stretch.n_bytes)
        chunk.decoder.plan(target, stretch, stored, recorder)
        planned = self._kernels.module.Chunk(
            chunk.decoder.fileno(),
            stretch.offset,
            stored[: stretch.n_bytes],
            [(s.offset - stretch.offset, s.n_bytes, s.xxh3) for s in stretch.sections],
            frames.whole,
            frames.pieces,
            chunk.first,
        )
        for kind, call in recorder.calls:
            getattr(planned, kind)(call)
        return planned

    def _frames_of(self, layout: BlobLayout, together: bool) -> _Frames:
        pieces = piece_layouts(layout, together)
        return _Frames(self._frame_of(layout), [self._frame_of(piece) for piece in pieces])

    def _frame_of(self, layout: BlobLayout) -> Any:
        template = frame_template(layout)
        return self._kernels.module.Frame(
            template.head,
            template.k_header,
            template.v_header,
            template.cells_at,
            template.cell_bytes,
            layout.n_cells,
            layout.k_offset(0) - len(template.k_header),
            layout.k_stride,
            layout.v_offset(0) - len(template.v_header),
            layout.v_stride,
            layout.n_layer,
            layout.size,
        )

    def _fail(self, chunk: Chunk, why: str, context: Context) -> None:
        """Raise what went wrong with a chunk, in the words of whoever knows most about it."""
        if why == "refused":
            raise DecodeError(
                "llama.cpp refused the composed state",
                subject=str(context.model.path),
                remedy="use fewer documents or a larger --context",
            )
        chunk.decoder.check(chunk.row0)
        if why == "undecodable":
            raise chunk.decoder.undecodable(chunk.row0)
        raise StorageError(
            f"it could not be read ({why})", subject=chunk.subject, remedy="run the same command again"
        )
