"""A snapshot once more in another codec, without a model: decoded where it was read, then coded anew."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Executor, wait
from pathlib import Path
from typing import Any

import numpy as np

from kvfiles.codecs import ChunkTarget, Codec
from kvfiles.codecs.base import CHUNK_TOKENS, behind, chunk_starts
from kvfiles.errors import Cancelled
from kvfiles.kernels import Kernels, RowTarget
from kvfiles.positions import RopeTables
from kvfiles.snapshot import Snapshot, save_snapshot
from kvfiles.state_blob import BlobLayout, StateView, state_views


def recode(
    source: Snapshot,
    path: Path,
    codec: Codec,
    *,
    tables: RopeTables,
    kernels: Kernels,
    pool: Executor,
    about: Mapping[str, Any],
    profile: str | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> int:
    """Write the tokens and rows of `source` to `path`, coded with `codec`; returns the size in bytes.

    Model and position stay those of `source`, and so does the reading profile unless `profile` names another;
    `about` is added to what it says of itself.  All rows are in memory meanwhile, as f16.  Raises Cancelled
    between chunks, SnapshotCorrupt, DecodeError and StorageError; nothing is written then.
    """
    header = source.header
    state = _rows(source, tables, kernels, pool, cancelled)
    return save_snapshot(
        path,
        state,
        source.tokens,
        first=0,
        codec=codec,
        tables=tables,
        shape=header.shape,
        rope=header.rope,
        profile=header.profile if profile is None else profile,
        about={**header.about, **about},
        pool=pool,
    )


def _rows(
    source: Snapshot,
    tables: RopeTables,
    kernels: Kernels,
    pool: Executor,
    cancelled: Callable[[], bool] | None,
) -> StateView:
    """What the model's cache held when `source` was taken from it, but for what its codec lost."""
    header, n = source.header, source.n_tokens
    shape, decoder = header.shape, source.decoder()
    layout = BlobLayout(n, shape.n_layer, shape.k_width, shape.v_width)
    blob = np.empty(layout.size, np.uint8)
    k = RowTarget(blob, layout.k_offset(0), layout.k_stride)
    v = RowTarget(blob, layout.v_offset(0), layout.v_stride)
    tables.at(header.position, n)  # grown here: the pool's threads only look things up

    def place(row0: int) -> None:
        if cancelled is not None and cancelled():
            raise Cancelled("stopped")
        row1 = min(row0 + CHUNK_TOKENS, n)
        rope = tables.at(header.position + row0, row1 - row0)
        at = behind(k, row0, shape.k_width), behind(v, row0, shape.v_width)
        buffer = np.empty(decoder.stretch(row0).n_bytes, np.uint8)
        decoder.decode(ChunkTarget(row0, row1, *at, rope, rope, moved=False), buffer, kernels)

    waiting = [pool.submit(place, row0) for row0 in chunk_starts(n)]
    wait(waiting)  # also after an error: nobody may read from the file any more when it is closed
    for done in waiting:
        done.result()
    positions = np.arange(header.position, header.position + n, dtype=np.int32)
    return state_views(blob, layout, positions)
