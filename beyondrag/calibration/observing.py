"""Read the calibration texts with the model: which tokens, and what it made of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from beyondrag.calibration.texts import CalibrationText
from kvfiles.codecs.archive.calibrate import Observed
from kvfiles.codecs.archive.importance import Attended
from kvfiles.positions import RopeTables
from kvfiles.runtime.attention import Received, attention_received
from kvfiles.runtime.model import Model, ModelShape, Tokens
from kvfiles.runtime.queries import QueryMoments, QueryReader

PIECE_TOKENS = 720
"""Tokens that are read at once, from an empty context."""
SINK_TOKENS = 4
"""The first tokens of a text: attention uses them as sinks (Xiao et al., 2023)."""
OWN_PIECES = 8
"""Pieces that the user's files give together."""
MAX_OBSERVED_BYTES = 640_000_000
"""Of f16 K and V; wide models read fewer tokens of each text."""
MIN_PIECE_TOKENS = 32

_F16_BYTES = 2


@dataclass(frozen=True, slots=True)
class Piece:
    """Consecutive tokens of one text."""

    name: str
    tokens: Tokens


def choose_pieces(model: Model, texts: Sequence[CalibrationText]) -> tuple[Piece, ...]:
    """The first tokens of every shipped text, and pieces evenly spread over the user's, none of them short.

    The length of a piece follows from the width of the cache (see MAX_OBSERVED_BYTES).
    """
    shipped = [one for one in texts if one.shipped]
    own = [one for one in texts if not one.shipped]
    n_own = max(OWN_PIECES, len(own)) if own else 0
    length = piece_tokens(model.shape, len(shipped) + n_own, model.n_ctx_train)
    pieces = [Piece(one.name, model.tokenize(one.text)[:length]) for one in shipped]
    for i, one in enumerate(own):
        n_wanted = n_own * (i + 1) // len(own) - n_own * i // len(own)
        pieces += [Piece(one.name, part) for part in _spread(model.tokenize(one.text), length, n_wanted)]
    return tuple(piece for piece in pieces if len(piece.tokens) > 2 * SINK_TOKENS)


def piece_tokens(shape: ModelShape, n_piece: int, n_ctx_train: int) -> int:
    """Tokens of one of `n_piece` pieces."""
    affordable = MAX_OBSERVED_BYTES // (_F16_BYTES * shape.values_per_token * max(n_piece, 1))
    trained = n_ctx_train - 1 if n_ctx_train > 0 else PIECE_TOKENS
    return max(MIN_PIECE_TOKENS, min(PIECE_TOKENS, affordable, trained))


def _spread(tokens: Tokens, length: int, n_wanted: int) -> list[Tokens]:
    """Up to `n_wanted` parts of `length` tokens that do not overlap, evenly spread."""
    n = max(1, min(n_wanted, len(tokens) // length))
    last = max(len(tokens) - length, 0)
    starts = [0] if n == 1 else [last * i // (n - 1) for i in range(n)]
    return [tokens[start : start + length] for start in starts]


def observe(
    model: Model,
    pieces: Sequence[Piece],
    *,
    n_threads: int,
    on_piece: Callable[[int, str], None] = lambda _done, _name: None,
) -> Observed:
    """Decode every piece after the model's BOS, if it wants one, and keep all but the sinks.

    `on_piece(tokens done, name of the next)` comes before each piece and may raise to stop.
    Raises ModelError, DecodeError, UnsupportedModel.
    """
    start = [] if model.bos is None else [model.bos]
    n_first = len(start) + SINK_TOKENS
    longest = max(len(piece.tokens) for piece in pieces) + len(start)
    lengths = tuple(len(piece.tokens) - SINK_TOKENS for piece in pieces)
    shape, n = model.shape, sum(lengths)
    k = np.empty((shape.n_layer, n, shape.k_width), np.float16)
    v = np.empty((shape.n_layer, n, shape.v_width), np.float16)
    at = done = 0
    tables = RopeTables(model.rope, shape.n_kv_head)
    attended = []
    with QueryReader(model, n_tokens=longest, n_threads=n_threads) as reader:
        moments = QueryMoments(reader)
        for piece, length in zip(pieces, lengths, strict=True):
            on_piece(done, piece.name)
            found = reader.read(np.concatenate([np.asarray(start, np.int32), piece.tokens]))
            moments.add(found.queries)
            attended += [_attended(part, n_first, at) for part in attention_received(found, tables)]
            for layer in range(shape.n_layer):
                k[layer, at : at + length] = found.k[layer][n_first:]
                v[layer, at : at + length] = found.v[layer][n_first:]
            at += length
            done += len(piece.tokens)
        return Observed(k, v, moments.mean(), lengths, _together(attended, shape))


def _attended(part: Received, n_first: int, at: int) -> Attended:
    """What the tokens of a piece received, its first `n_first` left out; the next is observed as `at`."""
    n = max(part.end - n_first, 0)
    rows = np.arange(n, dtype=np.int64)
    return Attended(at + rows, n - rows, part.mean_square[..., part.end - n :])


def _together(parts: Sequence[Attended], shape: ModelShape) -> Attended:
    none = Attended(
        np.empty(0, np.int64),
        np.empty(0, np.int64),
        np.empty((shape.n_layer, shape.n_kv_head, 0), np.float32),
    )
    every = [none, *parts]
    return Attended(
        np.concatenate([part.rows for part in every]),
        np.concatenate([part.ahead for part in every]),
        np.concatenate([part.received for part in every], axis=2),
    )
