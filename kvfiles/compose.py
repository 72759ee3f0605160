"""Place several snapshots one after another in one sequence, at their final positions.

llama.cpp's `set_data` erases its target first and wants a whole state, so a document would need a blob
of its full f16 size.  Instead a few hundred tokens at a time are decoded into a small blob that stays in
the CPU's cache, set into a scratch sequence and handed over with `seq_cp`, which only marks cells
(unified cache).  While llama.cpp copies one chunk, the next ones are read, verified and decoded.
"""

from __future__ import annotations

import itertools
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, wait
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kvfiles.codecs.base import CHUNK_TOKENS, ChunkTarget, chunk_starts
from kvfiles.errors import ContextOverflow, SnapshotMismatch
from kvfiles.kernels import RowTarget
from kvfiles.positions import RopeTables
from kvfiles.runtime.context import Context
from kvfiles.runtime.model import ModelShape
from kvfiles.snapshot import Snapshot, SnapshotDecoder
from kvfiles.state_blob import GGML_TYPE_F16, GGML_TYPE_Q8_0, BlobLayout, write_frame, write_positions

U8 = NDArray[np.uint8]

MAX_PARTS = 64
_REMEDY = "run beyondrag ingest again to renew it"


@dataclass(frozen=True, slots=True)
class Span:
    """The positions first .. stop-1 that one snapshot takes in the composed sequence."""

    first: int
    stop: int


@dataclass(frozen=True, slots=True)
class CacheKind:
    """How the context stores its cache: ggml type, and llama.cpp's own rotation of K and V rows (0: none)."""

    ggml_type: int
    k_rotation: int = 0
    v_rotation: int = 0


def cache_kind(context: Context, shape: ModelShape) -> CacheKind:
    """The kind of `context`'s cache.

    llama.cpp rotates a quantised cache when the head is a multiple of 64: K by the largest power of two
    that divides the head, V by 64 (src/llama-kv-cache.cpp, build_input_k_rot and build_input_v_rot).
    """
    if context.cache_type == "f16":
        return CacheKind(GGML_TYPE_F16)

    def rotation(head_dim: int, largest: int) -> int:
        return min(head_dim & -head_dim, largest) if head_dim % 64 == 0 else 0

    return CacheKind(
        GGML_TYPE_Q8_0, rotation(shape.k_head_dim, shape.k_head_dim), rotation(shape.v_head_dim, 64)
    )


@contextmanager
def _quick_handovers() -> Iterator[None]:
    """Python's threads wait up to 5 ms for one another by default; a chunk is decoded in half of one.

    Measured with two threads and 4,096 tokens: 22 ms with the default, 14 ms with this.
    """
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-4)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Tokens row0 .. row1-1 of a part stored at `stored`, to stand at positions first .. first+n-1."""

    decoder: SnapshotDecoder
    row0: int
    row1: int
    stored: int
    first: int


class _Slot:
    """Buffers of one chunk under way: what is read and what llama.cpp gets; kept and grown."""

    def __init__(self) -> None:
        self.stored: U8 = np.empty(0, np.uint8)
        self._blob: U8 = np.empty(0, np.uint8)
        self._framed: BlobLayout | None = None

    def blob(self, layout: BlobLayout, positions: NDArray[np.int32]) -> U8:
        """A blob of this layout whose rows are still to be written."""
        if len(self._blob) < layout.size:
            self._blob = np.empty(layout.size, np.uint8)
            self._framed = None
        blob = self._blob[: layout.size]
        if self._framed == layout:  # nearly always: all chunks but the last of a document are alike
            write_positions(layout, positions, blob)
        else:
            write_frame(layout, positions, blob)
            self._framed = layout
        return blob

    def reserve(self, stored_bytes: int) -> None:
        """Make `stored` at least so large."""
        if len(self.stored) < stored_bytes:
            self.stored = np.empty(stored_bytes, np.uint8)


class _Turns:
    """Lets the chunks in one after another, whoever decoded them; nobody waits once one has failed."""

    def __init__(self) -> None:
        self._next = 0
        self._failed = False
        self._changed = threading.Condition()

    def wait_for(self, index: int) -> bool:
        """Wait until chunk `index` is next; False when another one has failed."""
        with self._changed:
            self._changed.wait_for(lambda: self._failed or self._next == index)
            return not self._failed

    def pass_on(self) -> None:
        """The next chunk's turn."""
        with self._changed:
            self._next += 1
            self._changed.notify_all()

    def fail(self) -> None:
        """Send everybody home."""
        with self._changed:
            self._failed = True
            self._changed.notify_all()


class Composer:
    """Attaches snapshots of one model to contexts; keeps its small buffers between calls.

    Not thread-safe: one composer belongs to one context's thread.  That thread and `n_workers` - 1 of
    `pool` each read and decode a chunk and then, in turn, hand it to llama.cpp: copying into its cache
    takes as long as decoding, so that two threads keep each other busy.
    """

    def __init__(self, shape: ModelShape, tables: RopeTables, pool: Executor, n_workers: int) -> None:
        self._shape = shape
        self._tables = tables
        self._pool = pool
        self._slots = [_Slot() for _ in range(max(1, n_workers))]

    def attach(
        self, context: Context, parts: Sequence[Snapshot], *, seq: int = 0, scratch: int = 1
    ) -> list[Span]:
        """Replace `seq` of `context` by `parts` in order from position 0; returns where each stands.

        `scratch` is another sequence of the context; it is empty afterwards.  Raises ContextOverflow when
        the parts do not fit, SnapshotCorrupt when a file is damaged, DecodeError when llama.cpp refuses;
        `seq` is empty after an error.
        """
        if not 0 < len(parts) <= MAX_PARTS:
            raise ValueError(f"1 to {MAX_PARTS} snapshots, not {len(parts)}")
        ends = [int(end) for end in np.cumsum([part.n_tokens for part in parts])]
        if ends[-1] >= context.n_ctx:
            raise ContextOverflow(
                f"{ends[-1]} tokens do not fit into a context of {context.n_ctx}",
                remedy="use fewer documents or a larger --context",
            )
        for part in parts:
            if part.header.shape != self._shape:  # the caller's `require` says more
                raise SnapshotMismatch(
                    "it was made with another model", subject=str(part.path), remedy=_REMEDY
                )
        spans = [Span(end - part.n_tokens, end) for part, end in zip(parts, ends, strict=True)]
        chunks = []
        for part, span in zip(parts, spans, strict=True):
            decoder, stored = part.decoder(), part.header.position
            for row0 in chunk_starts(part.n_tokens):
                row1 = min(row0 + CHUNK_TOKENS, part.n_tokens)
                chunks.append(_Chunk(decoder, row0, row1, stored + row0, span.first + row0))
        self._tables.at(0, max(ends[-1], *(part.header.position + part.n_tokens for part in parts)))
        context.remove(seq)
        context.remove(scratch)
        try:
            with _quick_handovers():
                self._place(context, chunks, seq, scratch)
        except BaseException:
            context.remove(seq)
            context.remove(scratch)
            raise
        return spans

    def _place(self, context: Context, chunks: Sequence[_Chunk], seq: int, scratch: int) -> None:
        kind = cache_kind(context, self._shape)
        turns, indices = _Turns(), itertools.count()

        def work(slot: _Slot) -> None:
            try:
                while (index := next(indices)) < len(chunks):
                    blob = self._decode(chunks[index], kind, slot)
                    if not turns.wait_for(index):
                        return
                    context.set_state(blob, scratch)  # drops what `scratch` held
                    context.copy(scratch, seq)
                    turns.pass_on()
            except BaseException:
                turns.fail()
                raise

        own, *others = self._slots[: len(chunks)]
        jobs = [self._pool.submit(work, slot) for slot in others]
        try:
            work(own)
        finally:  # nothing may still write into a buffer, or into the context
            started = [job for job in jobs if not job.cancel()]
            wait(started)
        for job in started:
            job.result()
        context.remove(scratch)

    def _decode(self, chunk: _Chunk, kind: CacheKind, slot: _Slot) -> U8:
        shape, n = self._shape, chunk.row1 - chunk.row0
        layout = BlobLayout(n, shape.n_layer, shape.k_width, shape.v_width, kind.ggml_type)
        slot.reserve(chunk.decoder.stored_bytes(chunk.row0))
        blob = slot.blob(layout, np.arange(chunk.first, chunk.first + n, dtype=np.int32))
        q8 = kind.ggml_type == GGML_TYPE_Q8_0
        target = ChunkTarget(
            chunk.row0,
            chunk.row1,
            RowTarget(blob, layout.k_offset(0), layout.k_stride, q8, kind.k_rotation),
            RowTarget(blob, layout.v_offset(0), layout.v_stride, q8, kind.v_rotation),
            self._tables.at(chunk.stored, n),
            self._tables.at(chunk.first, n),
            moved=chunk.stored != chunk.first,
        )
        chunk.decoder.decode(target, slot.stored)
        return blob
