"""Does our relocation agree with the model?  Checked when a model is first used.

A few tokens are decoded at position 0 and, in another sequence, far away.  Attention depends on
distances only, so K of the first one, moved by us, must equal K of the second one.
A model that fails (layers without RoPE, an unknown variant) can only be used at fixed positions.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kvfiles.codecs.reference import rotate_rows
from kvfiles.positions import RopeTables
from kvfiles.runtime.context import Context
from kvfiles.runtime.model import Model
from kvfiles.state_blob import read_state

F32 = NDArray[np.float32]

N_TOKENS = 12
OFFSET = 517
MAX_RELATIVE_ERROR = 0.15
"""Of the r.m.s. over a layer.  f16 rounding gives about 0.01; a wrong rotation gives about 1."""


def relocation_error(context: Context, model: Model, tables: RopeTables) -> str | None:
    """None when moving K works for every layer, otherwise a sentence that says where it fails.

    `context` must be empty (sequences 0 and 1 are used and emptied) and hold 600 positions.
    """
    tokens = np.resize(model.tokenize("The quick brown fox jumps over the lazy dog. 1234567890"), N_TOKENS)
    try:
        context.decode(tokens, 0, seq=0, logits="none")
        context.decode(tokens, OFFSET, seq=1, logits="none")
        near = read_state(context.state(0), model.architecture)
        far = read_state(context.state(1), model.architecture)
    finally:
        context.remove(0)
        context.remove(1)
    undo, redo = tables.at(0, N_TOKENS).inverse(), tables.at(OFFSET, N_TOKENS)
    for layer in range(len(near.k)):
        moved = rotate_rows(rotate_rows(near.k[layer].astype(np.float32), undo), redo)
        for name, ours, theirs in (("K", moved, far.k[layer]), ("V", near.v[layer], far.v[layer])):
            error = _relative_error(ours.astype(np.float32), theirs.astype(np.float32))
            if not error < MAX_RELATIVE_ERROR:
                return (
                    f"layer {layer}: {name} moved to another position is off by {error:.2f} of its own size"
                )
    return None


def _relative_error(ours: F32, theirs: F32) -> float:
    """Root mean square of the difference over that of the values around their mean."""
    scale = float(np.sqrt(((theirs - theirs.mean(0)) ** 2).mean())) or 1.0
    return float(np.sqrt(((ours - theirs) ** 2).mean())) / scale
