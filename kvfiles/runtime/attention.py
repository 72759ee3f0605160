"""How much attention the tokens of a document receive from what comes after it, for calibration.

The cost of an error in the K or V of a token grows with the square of the attention probability that queries
give it.  A calibration text is cut at an end: what is before it stands for a document, and the queries behind
it for whoever reads the document.

Plain causal attention: sliding windows and caps of the logits are not followed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kvfiles.codecs.reference import rotate_rows
from kvfiles.positions import RopeTables, RowRope
from kvfiles.runtime.queries import LayerQueries, TextReading

F16 = NDArray[np.float16]
F32 = NDArray[np.float32]

ENDS = (0.5, 0.75)
"""Where a text is cut, in its length."""
QUERY_STRIDE = 2
"""Every so manieth query is enough."""
FEW_QUERIES = 60
"""So many queries behind an end, or fewer, are all used."""


@dataclass(frozen=True, slots=True)
class Received:
    """What the tokens before `end` receive: `mean_square` (n_layer, n_kv_head, end) f32, the mean of p^2 over
    the queries behind the end and the query heads of each KV head; p are attention probabilities."""

    end: int
    mean_square: F32


def attention_received(reading: TextReading, tables: RopeTables) -> tuple[Received, ...]:
    """One for each of `ENDS` that leaves tokens on both sides; `tables` are those of the reading's model."""
    n = len(reading.k[0])
    ends = sorted({end for end in (int(n * share) for share in ENDS) if 0 < end < n})
    rope = tables.at(0, n)
    if not ends:
        return ()
    by_layer = [
        _of_layer(k, queries, rope, ends) for k, queries in zip(reading.k, reading.queries, strict=True)
    ]
    return tuple(Received(end, np.stack([layer[i] for layer in by_layer])) for i, end in enumerate(ends))


def _of_layer(k: F16, queries: LayerQueries, rope: RowRope, ends: list[int]) -> list[F32]:
    """(n_kv_head, end) f32 for every end of one layer."""
    keys = rotate_rows(k.astype(np.float32), rope).reshape(len(k), rope.n_head, rope.head_dim)
    chosen = [_chosen(queries, end) for end in ends]
    used = np.unique(np.concatenate(chosen))
    behind = np.arange(len(k)) > queries.positions[used, None]
    shares = len(queries.rows[0]) // rope.n_head if len(queries.rows) else 1
    out = [np.zeros((rope.n_head, end), np.float32) for end in ends]
    for kv_head in range(rope.n_head):
        for head in range(kv_head * shares, (kv_head + 1) * shares):
            square = probabilities(queries.rows[used, head], keys[:, kv_head], behind) ** 2
            for of_end, own in zip(out, chosen, strict=True):
                if len(own):
                    within = square[np.searchsorted(used, own), : of_end.shape[1]]
                    of_end[kv_head] += within.mean(0) / np.float32(shares)
    return out


def _chosen(queries: LayerQueries, end: int) -> NDArray[np.int64]:
    """Indices of the queries behind `end` that are looked at."""
    found = np.flatnonzero(queries.positions >= end)
    return found[::QUERY_STRIDE] if len(found) > FEW_QUERIES else found


def probabilities(queries: F32, keys: F32, hidden: NDArray[np.bool_]) -> F32:
    """(n_query, n_key) f32: the softmax of q'k / sqrt(head_dim) over the keys that are not `hidden`, of which
    each query has at least one; `queries` (n_query, head_dim), `keys` (n_key, head_dim)."""
    logits: F32 = queries @ keys.T
    logits /= np.float32(np.sqrt(keys.shape[1]))
    np.putmask(logits, hidden, -np.inf)
    logits -= logits.max(1, keepdims=True)
    np.exp(logits, out=logits)
    logits /= logits.sum(1, keepdims=True)
    return logits
