"""What every snapshot and composition test needs: a model, a context, prefill, save, attach, compare."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kvfiles.codecs import codec_named
from kvfiles.compose import Composer, Span
from kvfiles.kernels import Kernels, best
from kvfiles.positions import RopeTables
from kvfiles.runtime import Context, Model
from kvfiles.runtime.context import CacheType, log_softmax
from kvfiles.snapshot import Snapshot, save_snapshot
from kvfiles.state_blob import StateView, read_state

Tokens = NDArray[np.int32]
F32 = NDArray[np.float32]

PROFILE = "profile-of-the-tests"
N_WORKERS = 2


class Workbench:
    """One model with everything around it; `close` frees the threads, not the model."""

    def __init__(self, model: Model, kernels: Kernels | None = None) -> None:
        self.model = model
        self.kernels = kernels or best()
        self.tables = RopeTables(model.rope, model.shape.n_kv_head)
        self.pool = ThreadPoolExecutor(N_WORKERS)
        self.composer = Composer(model.shape, self.tables, self.kernels, N_WORKERS)

    def close(self) -> None:
        self.pool.shutdown()

    @contextmanager
    def context(self, n_ctx: int, cache_type: CacheType = "f16") -> Iterator[Context]:
        context = Context(self.model, n_ctx=n_ctx, n_threads=1, cache_type=cache_type)
        try:
            yield context
        finally:
            context.close()

    def state(self, context: Context, seq: int = 0) -> StateView:
        return read_state(context.state(seq), self.model.architecture)

    def save(
        self, path: Path, state: StateView, tokens: Tokens, first: int, codec: str, **changes: Any
    ) -> Path:
        options: dict[str, Any] = {
            "codec": codec_named(codec, self.model.shape, self.kernels),
            "tables": self.tables,
            "shape": self.model.shape,
            "rope": self.model.rope.describe(),
            "profile": PROFILE,
            "about": {"document": path.stem, "volume": 0},
            "pool": self.pool,
            **changes,
        }
        save_snapshot(path, state, tokens, first=first, **options)
        return path

    def read(
        self, context: Context, folder: Path, prefix: Tokens, documents: Sequence[Tokens], codec: str
    ) -> list[Path]:
        """Prefill every document after the same prefix and save it; the prefix comes first in the list."""
        context.clear()
        context.decode(prefix, 0, logits="none")
        paths = [self.save(folder / f"prefix-{codec}.kv", self.state(context), prefix, 0, "exact")]
        for index, document in enumerate(documents):
            context.remove(0, len(prefix))
            context.decode(document, len(prefix), logits="none")
            path = folder / f"doc{index}-{codec}.kv"
            paths.append(self.save(path, self.state(context), document, len(prefix), codec))
        context.clear()
        return paths

    def attach(self, context: Context, paths: Sequence[Path]) -> list[Span]:
        with ExitStack() as stack:
            parts = [stack.enter_context(Snapshot(path, self.kernels)) for path in paths]
            return self.composer.attach(context, parts)

    def next_logits(self, context: Context, tokens: Tokens, seq: int = 0) -> F32:
        """(n, n_vocab) log-probabilities after each of `tokens`, which continue `seq` and are removed."""
        first = context.end(seq)
        logits = context.decode(tokens, first, seq=seq, logits="all", slice_tokens=512)
        context.remove(seq, first)
        return log_softmax(logits)


def divergence(reference: F32, other: F32) -> float:
    """Mean KL divergence in nats of (n, n_vocab) log-probabilities."""
    return float((np.exp(reference) * (reference - other)).sum(-1).mean())
