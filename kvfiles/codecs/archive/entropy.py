"""The probability model and the rANS coder of the archive codec, in NumPy: the definition and the oracle.

Everything is in integers, so that every machine reads the same symbols.  The coefficients of one token in one
tensor of one layer come in blocks of BLOCK components, in the order of descending variance.  The class of a
component is base + shift: `base` from the calibration (and the document's corrections) for the fineness of
the token, which stands before the coefficients of K in the stream, n integers in one class; `shift` from how
large the coefficients of the blocks before it were, compared with what their classes lead to expect.
`prior`, one number a token that begins with 0, is the shift of the first block; all blocks of a tensor give
the prior of the next tensor.

Symbols: 0, +1, -1, ... +15, -15, ESCAPE.  ESCAPE is followed by |q| - 1 in Exp-Golomb code of order 2 and by
the sign, bit by bit with even odds.  A stream interleaves 16 range asymmetric coders (Duda 2013, Giesen 2014)
with 32-bit states in [2^16, 2^32) and 16-bit words; component j of a block belongs to coder j.  It holds the
16 states to begin with (u32) and the words in the order in which they are read; at its end all states are
2^16 and all words were read.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kvfiles.codecs.archive.tables import (
    ESCAPE,
    FREQUENCY_BITS,
    MAX_MAGNITUDE,
    N_CLASS,
    N_SYMBOL,
    U16,
    ArchiveTables,
)

BLOCK = 16
LANES = 16
MAX_SHIFT = 8
MAX_Q = 32767
BASE_OFFSET = 25
"""The class of components whose mean magnitude is 1 is BASE_OFFSET; a class is half an octave."""
LOWEST, FINEST, HIGHEST = -2, 5, 10
"""The fineness of a token in one layer of a group, in half octaves, is from LOWEST to HIGHEST: at most FINEST
for what is predicted, more for sinks.  Sinks are unlike all other tokens: no token is predicted from one, and
classes are not learnt from them."""
N_FINENESS = HIGHEST - LOWEST + 1
ADAPT_LIMIT = 6

_FLOOR = 1 << 16
_TOTAL = 1 << FREQUENCY_BITS
_HALF = _TOTAL >> 1
_GOLOMB = 2
_MAX_PREFIX = 13

THRESHOLDS = np.array(
    [
        3444,
        4871,
        6889,
        9742,
        13777,
        19484,
        27554,
        38968,
        55109,
        77936,
        110218,
        155872,
        220436,
        311744,
        440872,
        623487,
        881744,
    ],
    np.int64,
)
"""round(65536 * 2**((s - 0.5) / 2)) for s = -8 .. 8: from this ratio (times 65536) on the shift is s."""
PRIOR_WEIGHTS = np.array(
    [128, 181, 256, 362, 512, 724, 1024, 1448, 2048, 2896, 4096, 5793, 8192, 11585, 16384, 23170, 32768],
    np.int64,
)
"""round(2048 * 2**(s / 2)): what prior s adds to the magnitudes seen, in 1/256; 2048 to those expected."""

I32 = NDArray[np.int32]
I64 = NDArray[np.int64]
U8 = NDArray[np.uint8]


class StreamError(ValueError):
    """A stream that cannot have come from the encoder."""


def base_classes(tables: ArchiveTables, log_g: int) -> U8:
    """Classes at quality 2**(log_g/256): (N_FINENESS, L, k_width + v_width) u8, group by group K and V, for
    tokens of every fineness from LOWEST on."""
    of_group = [base for group in tables.groups for base in (group.base_k, group.base_v)]
    return np.stack(
        [
            np.concatenate([at_level(base, tables.levels, log_g - 128 * fineness) for base in of_group], 1)
            for fineness in range(LOWEST, HIGHEST + 1)
        ]
    )


def at_level(base: NDArray[np.int16], levels: NDArray[np.int16], log_g: int) -> U8:
    """Interpolate (n_level, ...) logarithms of mean magnitudes to classes."""
    at = int(np.clip(np.searchsorted(levels, log_g, side="right") - 1, 0, max(len(levels) - 2, 0)))
    low = base[at].astype(np.int64)
    if len(levels) > 1:
        span = int(levels[at + 1]) - int(levels[at])
        within = min(max(log_g - int(levels[at]), 0), span)
        low = low + (base[at + 1].astype(np.int64) - low) * within // span
    if len(levels) and log_g < levels[0]:  # at high rate half the step is twice the magnitude
        low = low + 2 * (int(levels[0]) - log_g)
    classes: U8 = np.clip(((low + 128) >> 8) + BASE_OFFSET, 0, N_CLASS - 1).astype(np.uint8)
    return classes


def shift_of(seen: I64, expected: I64) -> I64:
    """The shift for magnitudes `seen` where `expected` were expected (both in 1/256, prior included)."""
    ratio = seen[..., None] * 65536 >= expected[..., None] * THRESHOLDS[1:]
    counted: I64 = ratio.sum(-1, dtype=np.int64) - MAX_SHIFT
    return counted


def block_sums(q: NDArray[Any]) -> I64:
    """(n, w) -> (n, n_block): sums of 256 * min(|q|, 12)."""
    n, w = q.shape
    size = 256 * np.minimum(np.abs(q.astype(np.int64)), MAX_MAGNITUDE)
    padded = np.pad(size, ((0, 0), (0, -w % BLOCK)))
    sums: I64 = padded.reshape(n, -1, BLOCK).sum(2)
    return sums


def expected_before(base: U8, expected: U16) -> I64:
    """(..., n_block + 1) for classes (..., w): what is expected of all blocks before each, and of all of
    them, 2048 included."""
    each = expected[np.minimum(base, N_CLASS - 1)].astype(np.int64)
    sums = np.add.reduceat(each, np.arange(0, base.shape[-1], BLOCK), axis=-1)
    total: I64 = np.concatenate([np.zeros_like(sums[..., :1]), np.cumsum(sums, -1)], -1) + 2048
    return total


def classes_of(q: NDArray[Any], base: U8, expected: U16, prior: I64) -> tuple[U8, I64]:
    """Classes (n, w) of the coefficients `q` (n, w) of one tensor of one layer, and the next `prior` (n,);
    `base` (w,) or, where tokens differ, (n, w)."""
    sums, ahead = block_sums(q), expected_before(base, expected)
    seen = np.concatenate([np.zeros((len(q), 1), np.int64), np.cumsum(sums, 1)], axis=1)
    seen = seen + PRIOR_WEIGHTS[prior + MAX_SHIFT][:, None]
    shifts = shift_of(seen, np.broadcast_to(ahead, seen.shape))
    after = shifts[:, -1]
    shifts = shifts[:, :-1].copy()
    shifts[:, 0] = prior
    wide = np.repeat(shifts, BLOCK, axis=1)[:, : q.shape[1]]
    return np.clip(base.astype(np.int64) + wide, 0, N_CLASS - 1).astype(np.uint8), after


def symbols_of(q: NDArray[Any], freq_of_class: NDArray[np.uint16]) -> NDArray[np.int64]:
    """Symbol indices; ESCAPE for what has no frequency in its class ((..., 32) frequencies of each value)."""
    wide = q.astype(np.int64)
    plain = np.where(wide > 0, 2 * wide - 1, -2 * wide)
    plain = np.minimum(plain, ESCAPE)
    has = np.take_along_axis(freq_of_class, plain[..., None], -1)[..., 0] > 0
    return np.where(has, plain, ESCAPE)


def value_of(symbol: int) -> int:
    """The coefficient of a symbol below ESCAPE."""
    return (symbol + 1) // 2 if symbol & 1 else -(symbol // 2)


class Decoder:
    """Reads one stream.  Raises StreamError."""

    def __init__(self, stream: NDArray[np.uint16], freq: U16) -> None:
        if len(stream) < 2 * LANES:
            raise StreamError("a stream is too short")
        head = stream[: 2 * LANES].astype(np.uint64)
        self._state: list[int] = [int(x) for x in head[::2] | (head[1::2] << np.uint64(16))]
        if min(self._state) < _FLOOR:
            raise StreamError("a state is too small")
        self._words: list[int] = stream[2 * LANES :].tolist()
        self._at = 0
        starts = np.concatenate([np.zeros((N_CLASS, 1), np.int64), np.cumsum(freq, 1, dtype=np.int64)], 1)
        self._starts: list[list[int]] = starts.tolist()
        self._symbol_at = np.stack([np.repeat(np.arange(N_SYMBOL), row) for row in freq]).tolist()

    def block(self, classes: list[int]) -> list[int]:
        """The coefficients of one block whose components have these classes."""
        return [self._value(lane, k) for lane, k in enumerate(classes)]

    def finish(self) -> None:
        """Raise StreamError unless the stream ends here."""
        if self._at != len(self._words) or any(x != _FLOOR for x in self._state):
            raise StreamError("a stream does not end where it should")

    def _advance(self, lane: int, start: int, size: int) -> None:
        x = self._state[lane]
        x = size * (x >> FREQUENCY_BITS) + (x & (_TOTAL - 1)) - start
        if x < _FLOOR:
            if self._at == len(self._words):
                raise StreamError("a stream is too short")
            x = x << 16 | self._words[self._at]
            self._at += 1
        self._state[lane] = x

    def _value(self, lane: int, k: int) -> int:
        symbol = self._symbol_at[k][self._state[lane] & (_TOTAL - 1)]
        starts = self._starts[k]
        self._advance(lane, starts[symbol], starts[symbol + 1] - starts[symbol])
        return self._escaped(lane) if symbol == ESCAPE else value_of(symbol)

    def _bit(self, lane: int) -> int:
        bit = (self._state[lane] >> (FREQUENCY_BITS - 1)) & 1
        self._advance(lane, bit * _HALF, _HALF)
        return bit

    def _escaped(self, lane: int) -> int:
        prefix = 0
        while self._bit(lane):
            prefix += 1
            if prefix > _MAX_PREFIX:
                raise StreamError("a coefficient is too large")
        value = 1
        for _ in range(prefix + _GOLOMB):
            value = value << 1 | self._bit(lane)
        size = value - (1 << _GOLOMB) + 1
        if size > MAX_Q:
            raise StreamError("a coefficient is too large")
        return -size if self._bit(lane) else size


class Encoder:
    """Collects symbols in the order in which they are read; `stream` codes them backwards."""

    def __init__(self, freq: U16) -> None:
        self._freq = freq
        self._starts = np.concatenate(
            [np.zeros((N_CLASS, 1), np.int64), np.cumsum(freq, 1, dtype=np.int64)[:, :-1]], 1
        )
        self._ops: list[tuple[int, int, int]] = []

    def tensor(self, q: NDArray[Any], classes: U8) -> None:
        """Add the coefficients (n, w) of one tensor of one layer."""
        symbols = symbols_of(q, self._freq[classes])
        starts, sizes = self._starts[classes, symbols], self._freq[classes, symbols]
        for row in range(len(q)):
            for j in range(q.shape[1]):
                self._ops.append((j % BLOCK, int(starts[row, j]), int(sizes[row, j])))
                if symbols[row, j] == ESCAPE:
                    self._escape(j % BLOCK, int(q[row, j]))

    def _escape(self, lane: int, q: int) -> None:
        value = abs(q) - 1 + (1 << _GOLOMB)
        prefix = value.bit_length() - 1 - _GOLOMB
        bits = [1] * prefix + [0]
        bits += [value >> i & 1 for i in range(prefix + _GOLOMB - 1, -1, -1)]
        bits.append(int(q < 0))
        self._ops += [(lane, bit * _HALF, _HALF) for bit in bits]

    def stream(self) -> NDArray[np.uint16]:
        """States and words."""
        state, words = [_FLOOR] * LANES, []
        for lane, start, size in reversed(self._ops):
            x = state[lane]
            if x >= size << (32 - FREQUENCY_BITS):
                words.append(x & 0xFFFF)
                x >>= 16
            state[lane] = (x // size << FREQUENCY_BITS) + x % size + start
        head = np.array(state, "<u4").view("<u2")
        return np.concatenate([head, np.array(words[::-1], "<u2")])
