"""Whole ways to code a cache that are not in the product: what of it is coded, where, and by which coder."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eval.compression.coders import Coder, PerChannel, PerToken, Polar, Rotated, TurboQuant
from kvfiles.codecs.reference import rotate_rows
from kvfiles.positions import RowRope
from kvfiles.runtime.model import ModelShape
from kvfiles.state_blob import BlobLayout, StateView, read_state, write_frame

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]

WINDOW = 128
"""Tokens at the end that stay exact in the arms with a recent window (KIVI's residual length)."""


@dataclass(frozen=True, slots=True)
class Arm:
    """K and V by their coders, with the first `n_sink` and the last `window` tokens exact.

    `before_rope`: K is coded without its rotation, else as it lies in the cache.  `outer_bits` are added
    in the first and the last quarter of the layers.  `source` says where the method is from.
    """

    name: str
    k: Coder
    v: Coder
    before_rope: bool = True
    n_sink: int = 4
    window: int = 0
    outer_bits: int = 0
    source: str = ""

    def coded(self, n_tokens: int) -> slice:
        """The tokens that are coded."""
        first = min(self.n_sink, n_tokens)
        return slice(first, max(first, n_tokens - self.window))

    def coders(self, layer: int, n_layer: int) -> tuple[Coder, Coder]:
        """The coders of K and V in `layer`."""
        quarter = n_layer // 4
        if self.outer_bits and (layer < quarter or layer >= n_layer - quarter):
            return self.k.finer(self.outer_bits), self.v.finer(self.outer_bits)
        return self.k, self.v

    def bits_per_value(self, n_tokens: int, shape: ModelShape) -> float:
        """Codes, scales, means and exact tokens over the number of values."""
        coded = self.coded(n_tokens)
        n: int = coded.stop - coded.start
        stored = 16.0 * (n_tokens - n) * shape.values_per_token
        for layer in range(shape.n_layer if n else 0):
            k, v = self.coders(layer, shape.n_layer)
            stored += k.stored_bits(n, shape.k_width, shape.k_head_dim)
            stored += v.stored_bits(n, shape.v_width, shape.v_head_dim)
        return stored / (n_tokens * shape.values_per_token)


def coded_state(state: StateView, rope: RowRope, arm: Arm, shape: ModelShape) -> U8:
    """A blob of `state` (positions from 0 on, rotated by `rope`) after `arm` has coded K and V."""
    layout = BlobLayout(state.n_cells, shape.n_layer, shape.k_width, shape.v_width)
    blob = np.empty(layout.size, np.uint8)
    write_frame(layout, state.positions, blob)
    out = read_state(blob, "an arm")
    rows = arm.coded(state.n_cells)
    turn = rope.rows(rows.start, rows.stop) if arm.before_rope else None
    for layer in range(shape.n_layer):
        out.k[layer][:], out.v[layer][:] = state.k[layer], state.v[layer]
        if rows.start == rows.stop:
            continue
        k_coder, v_coder = arm.coders(layer, shape.n_layer)
        k = rotate_rows(state.k[layer][rows].astype(np.float32), turn and turn.inverse())
        out.k[layer][rows] = rotate_rows(k_coder.code(k, shape.k_head_dim), turn)
        out.v[layer][rows] = v_coder.code(state.v[layer][rows].astype(np.float32), shape.v_head_dim)
    return blob


def codec_arm(k_bits: int, v_bits: int, *, window: int = 0, outer_bits: int = 0) -> Arm:
    """The product's codec with a recent window or other bits in the outer layers."""
    name = f"codec k{k_bits}v{v_bits}"
    name += f", last {window} exact" if window else ""
    name += f", outer layers +{outer_bits}" if outer_bits else ""
    return Arm(name, Rotated(k_bits), Rotated(v_bits), window=window, outer_bits=outer_bits, source=_CODEC)


def _kivi(bits: int, group: int, *, window: int = WINDOW, before_rope: bool = False) -> Arm:
    name = f"KIVI {bits} bits, groups of {group}"
    name += "" if window else ", no window"
    name += ", K before RoPE" if before_rope else ""
    k, v = PerChannel(bits, group), PerToken(bits, group)
    return Arm(name, k, v, before_rope=before_rope, n_sink=0, window=window, source=_KIVI)


def _turboquant(bits: int, *, outliers: bool = False, window: int = 0) -> Arm:
    coder = TurboQuant(bits, outliers)
    name = f"TurboQuant {bits} bits" + (", outliers +1" if outliers else "")
    name += f", last {window} exact" if window else ""
    return Arm(name, coder, coder, before_rope=False, n_sink=0, window=window, source=_TURBOQUANT)


def _polar(window: int = 0) -> Arm:
    name = "PolarQuant 4+2+2+2 bits" + (f", last {window} exact" if window else "")
    return Arm(name, Polar(), Polar(), before_rope=False, n_sink=0, window=window, source=_POLAR)


_KIVI = (
    "KIVI (Liu et al. 2024, arXiv 2402.02750): K per channel, V per token, smallest value and step f16; "
    "K after RoPE unless said; the last 128 tokens exact unless said"
)
_TURBOQUANT = (
    "TurboQuant (Zandieh et al. 2025, arXiv 2504.19874): f16 norm, random rotation, Lloyd-Max, not centred, "
    "without the 1-bit residual; K after RoPE; outliers: the largest quarter of the channels apart"
)
_POLAR = (
    "PolarQuant (Han et al. 2025, arXiv 2502.02617): random rotation, recursive polar angles; K after RoPE"
)
_CODEC = "the product's rotated codec with one thing changed; K before RoPE, centred, 4 first tokens exact"

LITERATURE: tuple[Arm, ...] = (
    _kivi(4, 32),
    _kivi(4, 64),
    _kivi(4, 64, window=0),
    _kivi(4, 64, before_rope=True),
    _kivi(2, 32),
    _kivi(2, 64),
    _kivi(2, 32, window=0),
    _turboquant(4),
    _turboquant(4, window=WINDOW),
    _turboquant(3, outliers=True),
    _turboquant(3),
    _turboquant(2, outliers=True),
    _polar(),
    _polar(WINDOW),
    codec_arm(4, 4, window=WINDOW),
    codec_arm(3, 3, window=WINDOW),
    codec_arm(4, 4, outer_bits=1),
    codec_arm(3, 3, outer_bits=1),
)
"""What the codec is compared with; bits a value are counted the same way for all."""
