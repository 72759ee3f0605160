"""llama.cpp's sequence-state blob for plain attention caches: its layout, a writer and a reader.

Layout (src/llama-context.cpp `state_seq_write_data`, src/llama-kv-cache.cpp `state_write`), little endian::

    u32 magic, i32 seq, u32 n_stream (=1), u32 n_cells
    per cell: i32 position, u32 n_seq_id (=1), i32 seq_id
    u32 v_trans (=0), u32 n_layer
    per layer K: i32 ggml_type, u64 row_bytes, rows;   then per layer V the same

Covered: one stream (kv_unified), flash attention on (V not transposed).  Not covered: sliding-window
caches (two caches in one blob), MLA, recurrent state, M-RoPE cell extensions.
Nothing from a file is ever given to llama.cpp except tensors written into a blob laid out here.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kvfiles.errors import UnsupportedModel

STATE_MAGIC = 0xAF143CD8
GGML_TYPE_F16 = 1
GGML_TYPE_Q8_0 = 8

_HEAD = struct.Struct("<IiII")
_CELL_BYTES = 12
_LAYERS = struct.Struct("<II")
_ROWS = struct.Struct("<iQ")

U8 = NDArray[np.uint8]
F16 = NDArray[np.float16]


def row_bytes(width: int, ggml_type: int) -> int:
    """Bytes of one row of `width` values: f16 is 2 a value, q8_0 is 34 for every 32 (ggml block_q8_0)."""
    return width * 2 if ggml_type == GGML_TYPE_F16 else width // 32 * 34


@dataclass(frozen=True, slots=True)
class BlobLayout:
    """Where every tensor of an `n_cells` state lies; widths are n_kv_head * head_dim of K and of V."""

    n_cells: int
    n_layer: int
    k_width: int
    v_width: int
    ggml_type: int = GGML_TYPE_F16

    @property
    def k_row_bytes(self) -> int:
        return row_bytes(self.k_width, self.ggml_type)

    @property
    def v_row_bytes(self) -> int:
        return row_bytes(self.v_width, self.ggml_type)

    @property
    def _tensors_at(self) -> int:
        return _HEAD.size + self.n_cells * _CELL_BYTES + _LAYERS.size

    @property
    def k_stride(self) -> int:
        """Bytes from the K rows of one layer to those of the next."""
        return _ROWS.size + self.n_cells * self.k_row_bytes

    @property
    def v_stride(self) -> int:
        """Bytes from the V rows of one layer to those of the next."""
        return _ROWS.size + self.n_cells * self.v_row_bytes

    def k_offset(self, layer: int) -> int:
        """Byte offset of the first K row of `layer`."""
        return self._tensors_at + layer * self.k_stride + _ROWS.size

    def v_offset(self, layer: int) -> int:
        """Byte offset of the first V row of `layer`."""
        k_end = self._tensors_at + self.n_layer * self.k_stride
        return k_end + layer * self.v_stride + _ROWS.size

    @property
    def size(self) -> int:
        """Bytes of the whole blob."""
        return self.v_offset(self.n_layer - 1) + self.n_cells * self.v_row_bytes


def write_frame(layout: BlobLayout, positions: NDArray[np.int32], out: U8, seq: int = 0) -> None:
    """Write everything but the rows into `out` (layout.size bytes): headers, cells, types, row sizes."""
    n = layout.n_cells
    _HEAD.pack_into(out.data, 0, STATE_MAGIC, seq, 1, n)
    cells = _cells(layout, out)
    cells[:, 0], cells[:, 1], cells[:, 2] = positions, 1, seq
    _LAYERS.pack_into(out.data, _HEAD.size + n * _CELL_BYTES, 0, layout.n_layer)
    for layer in range(layout.n_layer):
        _ROWS.pack_into(out.data, layout.k_offset(layer) - _ROWS.size, layout.ggml_type, layout.k_row_bytes)
        _ROWS.pack_into(out.data, layout.v_offset(layer) - _ROWS.size, layout.ggml_type, layout.v_row_bytes)


@dataclass(frozen=True, slots=True)
class FrameTemplate:
    """What stands in a blob of one layout beside the rows, for a writer that is not Python.

    `head` (u8) reaches to the first layer; its cells are at `cells_at` + i * `cell_bytes` and begin with
    an i32 position, 0 here.  `k_header` and `v_header` (u8) stand right before the rows of every layer.
    """

    head: U8
    k_header: U8
    v_header: U8
    cells_at: int
    cell_bytes: int


def frame_template(layout: BlobLayout) -> FrameTemplate:
    """The frame of `layout` for sequence 0."""
    one = BlobLayout(layout.n_cells, 1, layout.k_width, layout.v_width, layout.ggml_type)
    frame = np.empty(one.size, np.uint8)
    write_frame(one, np.zeros(layout.n_cells, np.int32), frame)
    head = frame[: one.k_offset(0) - _ROWS.size].copy()
    _LAYERS.pack_into(head.data, len(head) - _LAYERS.size, 0, layout.n_layer)
    k_header, v_header = (frame[at - _ROWS.size : at].copy() for at in (one.k_offset(0), one.v_offset(0)))
    return FrameTemplate(head, k_header, v_header, _HEAD.size, _CELL_BYTES)


def _cells(layout: BlobLayout, blob: U8) -> NDArray[np.int32]:
    """(n_cells, 3) i32 view: position, number of sequences, sequence."""
    return blob[_HEAD.size : _HEAD.size + layout.n_cells * _CELL_BYTES].view("<i4").reshape(-1, 3)


@dataclass(frozen=True, slots=True)
class StateView:
    """A parsed f16 state; `k` and `v` hold one (n, width) f16 view of the blob per layer, without a copy."""

    positions: NDArray[np.int32]
    k: tuple[F16, ...]
    v: tuple[F16, ...]

    @property
    def n_cells(self) -> int:
        return len(self.positions)


def read_layout(blob: U8, architecture: str) -> tuple[BlobLayout, NDArray[np.int32]]:
    """The layout and the (n,) i32 cell positions of `blob`.

    Raises UnsupportedModel naming `architecture` when the blob is not a plain attention state.
    """

    def refuse(why: str) -> UnsupportedModel:
        return UnsupportedModel(
            f"architecture {architecture}: its state cannot be stored ({why})",
            remedy="use a model with a plain attention cache such as Qwen2.5 or Llama",
        )

    try:
        magic, _seq, n_stream, n = _HEAD.unpack_from(blob.data, 0)
        if magic != STATE_MAGIC or n_stream != 1 or n == 0:
            raise refuse("unknown layout")
        cells_end = _HEAD.size + n * _CELL_BYTES
        if cells_end > len(blob):
            raise refuse("truncated")
        cells = blob[_HEAD.size : cells_end].view("<i4").reshape(n, 3)
        v_trans, n_layer = _LAYERS.unpack_from(blob.data, cells_end)
        if v_trans != 0:
            raise refuse("transposed V: flash attention is off")
        if not 0 < n_layer <= 4096 or not (cells[:, 1] == 1).all():
            raise refuse("not a single plain sequence")
        k_type, k_bytes = _ROWS.unpack_from(blob.data, cells_end + _LAYERS.size)
        v_at = cells_end + _LAYERS.size + n_layer * (_ROWS.size + n * k_bytes)
        v_type, v_bytes = _ROWS.unpack_from(blob.data, v_at)
    except (struct.error, ValueError, OverflowError) as error:
        raise refuse("unknown layout") from error
    if k_type != v_type or k_type not in (GGML_TYPE_F16, GGML_TYPE_Q8_0):
        raise refuse(f"cache types {k_type}/{v_type}")
    per_value = (2, 1) if k_type == GGML_TYPE_F16 else (34, 32)
    layout = BlobLayout(
        n, n_layer, k_bytes * per_value[1] // per_value[0], v_bytes * per_value[1] // per_value[0], k_type
    )
    frame = [(layout.k_offset(i), k_bytes) for i in range(n_layer)]
    frame += [(layout.v_offset(i), v_bytes) for i in range(n_layer)]
    if layout.size != len(blob) or any(
        _ROWS.unpack_from(blob.data, at - _ROWS.size) != (k_type, size) for at, size in frame
    ):
        raise refuse("layers of different width, or more than one cache")
    return layout, cells[:, 0].copy()


def read_state(blob: U8, architecture: str) -> StateView:
    """Views of the tensors in an f16 `blob`; raises UnsupportedModel like `read_layout`."""
    layout, positions = read_layout(blob, architecture)
    if layout.ggml_type != GGML_TYPE_F16:
        raise UnsupportedModel(
            "snapshots are taken from an f16 cache", remedy="open the context with cache type f16"
        )

    return state_views(blob, layout, positions)


def state_views(blob: U8, layout: BlobLayout, positions: NDArray[np.int32]) -> StateView:
    """Views of the rows of an f16 `blob` of this layout."""

    def rows(offset: int, width: int) -> F16:
        return (
            blob[offset : offset + layout.n_cells * width * 2].view(np.float16).reshape(layout.n_cells, width)
        )

    return StateView(
        positions,
        tuple(rows(layout.k_offset(i), layout.k_width) for i in range(layout.n_layer)),
        tuple(rows(layout.v_offset(i), layout.v_width) for i in range(layout.n_layer)),
    )
