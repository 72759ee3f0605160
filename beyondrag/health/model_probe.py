"""Opens a model as the engine does, and tries what the product depends on.  Belongs to `probe`."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from beyondrag.prompt import make_frame
from kvfiles.positions import RopeTables
from kvfiles.runtime import Context, Model
from kvfiles.runtime.model import Tokens
from kvfiles.selfcheck import relocation_error
from kvfiles.state_blob import read_state

_N_CTX = 1024
_STATE_TOKENS = 16
_RATE_TOKENS = 64


def probe_model(path: Path, n_threads: int, gpu_layers: int) -> dict[str, object]:
    """`state` is None when the state can be taken and put back bit for bit, `moved` when K can be placed
    elsewhere; otherwise they say why not.  `tokens_per_s` is of reading 64 tokens.

    Raises model errors: the file cannot be opened, its prompt template or its cache cannot be used.
    """
    started = time.perf_counter()
    model = Model(path, gpu_layers=gpu_layers)
    try:
        context = Context(model, n_ctx=min(_N_CTX, model.n_ctx_train or _N_CTX), n_threads=n_threads)
        open_s = time.perf_counter() - started
        try:
            make_frame(model).prefix_tokens(model)
            moved = relocation_error(context, model, RopeTables(model.rope, model.shape.n_kv_head))
            context.clear()
            state = state_error(context, model)
            context.clear()
            rate = _tokens_per_s(context, _sample(model, _RATE_TOKENS))
        finally:
            context.close()
    finally:
        model.close()
    return {"open_s": open_s, "moved": moved, "state": state, "tokens_per_s": rate}


def state_error(context: Context, model: Model) -> str | None:
    """None when a state comes back as it was taken.  `context` must be empty; sequences 0 and 1 are used."""
    context.decode(_sample(model, _STATE_TOKENS), 0, seq=0, logits="none")
    taken = context.state(0)
    context.set_state(taken, seq=1)
    before, after = (read_state(blob, model.architecture) for blob in (taken, context.state(1)))
    for name, ours, theirs in (("K", before.k, after.k), ("V", before.v, after.v)):
        for layer, (rows, back) in enumerate(zip(ours, theirs, strict=True)):
            if not np.array_equal(rows, back):
                return f"{name} of layer {layer} came back changed"
    return None


def _tokens_per_s(context: Context, tokens: Tokens) -> float:
    started = time.perf_counter()
    context.decode(tokens, 0, logits="none", slice_tokens=len(tokens))
    return len(tokens) / (time.perf_counter() - started)


def _sample(model: Model, n: int) -> Tokens:
    return np.resize(model.tokenize("Whole documents are read once and their cache is kept. "), n)
