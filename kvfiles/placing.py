"""How the chunks of snapshots get into a context: compiled, by several threads, or by Python alone.

Either way a few hundred tokens at a time are read, verified and decoded into a small blob that stays in
the CPU's cache, set into a scratch sequence and handed over with `seq_cp`, which only marks cells
(unified cache).  llama.cpp copies as long as we decode, so that two threads keep each other busy.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kvfiles.codecs.base import ChunkTarget
from kvfiles.container import Stretch
from kvfiles.errors import DecodeError, StorageError
from kvfiles.kernels import CodedLayers, Kernels, NativeKernels, Quantiser, RowTarget
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

    def target(self, blob: U8, layout: BlobLayout, kind: CacheKind, tables: RopeTables) -> ChunkTarget:
        """Where it goes in a `blob` of this layout."""
        q8 = kind.ggml_type == GGML_TYPE_Q8_0
        return ChunkTarget(
            self.row0,
            self.row1,
            RowTarget(blob, layout.k_offset(0), layout.k_stride, q8, kind.k_rotation),
            RowTarget(blob, layout.v_offset(0), layout.v_stride, q8, kind.v_rotation),
            tables.at(self.stored, self.n_tokens),
            tables.at(self.first, self.n_tokens),
            moved=self.stored != self.first,
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


class Placer(Protocol):
    """Puts chunks into a context, in order; keeps its buffers between calls.  Not thread-safe."""

    def place(self, chunks: Sequence[Chunk], tables: RopeTables, to: Destination) -> None:
        """Raises SnapshotCorrupt, StorageError or DecodeError; `seq` then holds some of the chunks."""


def placer_for(kernels: Kernels, n_threads: int) -> Placer:
    """The fastest for these kernels."""
    if isinstance(kernels, NativeKernels):
        return NativePlacer(kernels, n_threads)
    return PlainPlacer(kernels)


class _Buffers:
    """Room for one chunk under way: what is read, and what llama.cpp gets."""

    def __init__(self) -> None:
        self.stored: U8 = np.empty(0, np.uint8)
        self.blob: U8 = np.empty(0, np.uint8)

    def reserve(self, stored_bytes: int, blob_bytes: int) -> None:
        """Make them at least so large."""
        if len(self.stored) < stored_bytes:
            self.stored = np.empty(stored_bytes, np.uint8)
        if len(self.blob) < blob_bytes:
            self.blob = np.empty(blob_bytes, np.uint8)


class PlainPlacer:
    """One thread and any kernels: the reference, and what runs where nothing was compiled."""

    def __init__(self, kernels: Kernels) -> None:
        self._kernels = kernels
        self._buffers = _Buffers()

    def place(self, chunks: Sequence[Chunk], tables: RopeTables, to: Destination) -> None:
        buffers = self._buffers
        for chunk, layout in zip(chunks, to.layouts, strict=True):
            buffers.reserve(chunk.decoder.stretch(chunk.row0).n_bytes, layout.size)
            blob = buffers.blob[: layout.size]
            positions = np.arange(chunk.first, chunk.first + chunk.n_tokens, dtype=np.int32)
            write_frame(layout, positions, blob)
            target = chunk.target(blob, layout, to.kind, tables)
            chunk.decoder.decode(target, buffers.stored, self._kernels)
            to.context.set_state(blob, to.scratch)  # drops what `scratch` held
            to.context.copy(to.scratch, to.seq)


class _Recorder:
    """Notes the calls that decode a chunk for `NativePlacer`, which runs them when the chunk was read."""

    def __init__(self, kernels: NativeKernels) -> None:
        self._kernels = kernels
        self.calls: list[tuple[bool, Any]] = []

    def decode(
        self, coded: CodedLayers, rope: RowRope | None, quantiser: Quantiser, target: RowTarget
    ) -> None:
        self.calls.append((True, self._kernels.decode_call(coded, rope, quantiser, target)))

    def relocate(self, rows: F16, undo: RowRope | None, redo: RowRope | None, target: RowTarget) -> None:
        self.calls.append((False, self._kernels.relocate_call(rows, undo, redo, target)))


class NativePlacer:
    """Everything is planned here and then done without Python (kvfiles/native/place.h).

    Chunk i belongs to thread i mod `n_threads`, each of which has its own buffers; the threads read, verify
    and decode side by side and hand over in turn.
    """

    def __init__(self, kernels: NativeKernels, n_threads: int) -> None:
        self._kernels = kernels
        self._buffers = [_Buffers() for _ in range(max(1, n_threads))]
        self._frame = functools.lru_cache(maxsize=64)(self._frame_of)

    def place(self, chunks: Sequence[Chunk], tables: RopeTables, to: Destination) -> None:
        stretches = [chunk.decoder.stretch(chunk.row0) for chunk in chunks]
        for buffers in self._buffers[: len(chunks)]:
            buffers.reserve(max(s.n_bytes for s in stretches), max(layout.size for layout in to.layouts))
        receiver = state_receiver(to.context)
        job = self._kernels.module.PlacingJob(
            self._kernels.name,
            min(len(self._buffers), len(chunks)),
            receiver.set_data,
            receiver.seq_cp,
            receiver.context,
            receiver.memory,
            to.seq,
            to.scratch,
        )
        try:  # the first chunks are on their way while the others are planned
            for index, (chunk, layout, stretch) in enumerate(zip(chunks, to.layouts, stretches, strict=True)):
                buffers = self._buffers[index % len(self._buffers)]
                target = chunk.target(buffers.blob[: layout.size], layout, to.kind, tables)
                job.add(self._plan(chunk, target, self._frame(layout), stretch, buffers.stored))
        except BaseException:
            job.abandon()
            raise
        failed, why = job.finish()
        if failed >= 0:
            self._fail(chunks[failed], str(why), to.context)

    def _plan(self, chunk: Chunk, target: ChunkTarget, frame: Any, stretch: Stretch, stored: U8) -> Any:
        recorder = _Recorder(self._kernels)
        chunk.decoder.plan(target, stretch, stored, recorder)
        planned = self._kernels.module.Chunk(
            chunk.decoder.fileno(),
            stretch.offset,
            stored[: stretch.n_bytes],
            [(s.offset - stretch.offset, s.n_bytes, s.xxh3) for s in stretch.sections],
            target.k.blob,
            frame,
            chunk.first,
        )
        for is_decode, call in recorder.calls:
            planned.decode(call) if is_decode else planned.relocate(call)
        return planned

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
        raise StorageError(
            f"it could not be read ({why})", subject=chunk.subject, remedy="run the same command again"
        )
