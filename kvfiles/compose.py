"""Place several snapshots one after another in one sequence, at their final positions.

llama.cpp's `set_data` erases its target first and wants a whole state, so a document would need a blob
of its full f16 size.  Instead it is placed in chunks, through a scratch sequence (`kvfiles.placing`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kvfiles.codecs.base import CHUNK_TOKENS, chunk_starts
from kvfiles.errors import ContextOverflow, SnapshotMismatch
from kvfiles.kernels import Kernels
from kvfiles.placing import CacheKind, Chunk, Destination, placer_for
from kvfiles.positions import RopeTables
from kvfiles.runtime.context import Context
from kvfiles.runtime.model import ModelShape
from kvfiles.snapshot import Snapshot
from kvfiles.state_blob import GGML_TYPE_F16, GGML_TYPE_Q8_0, BlobLayout

MAX_PARTS = 64
_REMEDY = "run beyondrag ingest again to renew it"


@dataclass(frozen=True, slots=True)
class Span:
    """The positions first .. stop-1 that one snapshot takes in the composed sequence."""

    first: int
    stop: int


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


class Composer:
    """Attaches snapshots of one model to contexts; keeps its small buffers between calls.

    Not thread-safe: one composer belongs to one context's thread.  It decodes with `n_threads`.
    """

    def __init__(self, shape: ModelShape, tables: RopeTables, kernels: Kernels, n_threads: int) -> None:
        self._shape = shape
        self._tables = tables
        self._placer = placer_for(kernels, n_threads)

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
            decoder, stored, subject = part.decoder(), part.header.position, str(part.path)
            for row0 in chunk_starts(part.n_tokens):
                row1 = min(row0 + CHUNK_TOKENS, part.n_tokens)
                chunks.append(Chunk(decoder, subject, row0, row1, stored + row0, span.first + row0))
        self._tables.at(0, max(ends[-1], *(part.header.position + part.n_tokens for part in parts)))
        shape, kind = self._shape, cache_kind(context, self._shape)
        by_size = {
            n: BlobLayout(n, shape.n_layer, shape.k_width, shape.v_width, kind.ggml_type)
            for n in {chunk.n_tokens for chunk in chunks}
        }
        layouts = tuple(by_size[chunk.n_tokens] for chunk in chunks)
        context.remove(seq)
        context.remove(scratch)
        try:
            self._placer.place(chunks, self._tables, Destination(context, seq, scratch, kind, layouts))
        except BaseException:
            context.remove(seq)
            context.remove(scratch)
            raise
        context.remove(scratch)
        return spans
