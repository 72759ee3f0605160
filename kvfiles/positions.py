"""Rotation tables in the form the kernels read, computed once and shared by all layers and documents."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kvfiles.rope import RopeSpec, table

F32 = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class RowRope:
    """The rotation of consecutive rows: `cos`, `sin` (n_rows, n_rot) f32, C-contiguous.

    Every channel has its own entry and `sin` carries the sign of its channel, so that a rotated
    channel is x * cos + partner * sin for both pairings.
    """

    cos: F32
    sin: F32
    n_head: int
    head_dim: int
    neox: bool

    def inverse(self) -> RowRope:
        """The rotation back."""
        return RowRope(self.cos, -self.sin, self.n_head, self.head_dim, self.neox)

    def rows(self, start: int, stop: int) -> RowRope:
        """The same rotation for a slice of the rows; views, no copy."""
        return RowRope(self.cos[start:stop], self.sin[start:stop], self.n_head, self.head_dim, self.neox)


class RopeTables:
    """Rotations of positions 0.. for one model, grown on demand (1 KB a position at n_rot 128)."""

    def __init__(self, spec: RopeSpec, n_kv_head: int) -> None:
        self._spec = spec
        self._n_kv_head = n_kv_head
        self._cos = np.empty((0, spec.n_rot), np.float32)
        self._sin = np.empty((0, spec.n_rot), np.float32)

    def at(self, first: int, n: int) -> RowRope:
        """The rotation of positions first .. first+n-1; views into the shared table."""
        if first + n > len(self._cos):
            self._grow(max(first + n, 2 * len(self._cos)))
        stop = first + n
        spec = self._spec
        return RowRope(
            self._cos[first:stop],
            self._sin[first:stop],
            self._n_kv_head,
            spec.head_dim,
            spec.pairing == "neox",
        )

    def _grow(self, n: int) -> None:
        known = len(self._cos)
        fresh = table(self._spec, np.arange(known, n, dtype=np.int32))
        if self._spec.pairing == "neox":
            cos, sin = np.hstack([fresh.cos, fresh.cos]), np.hstack([-fresh.sin, fresh.sin])
        else:
            cos = np.repeat(fresh.cos, 2, axis=1)
            sin = np.stack([-fresh.sin, fresh.sin], axis=2).reshape(cos.shape)
        self._cos = np.ascontiguousarray(np.vstack([self._cos, cos]))
        self._sin = np.ascontiguousarray(np.vstack([self._sin, sin]))
