"""A model with what the measurements need around it: save, attach, teacher-forced log-probabilities."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

import numpy as np
import orjson
from numpy.typing import NDArray

from beyondrag.calibration.store import CalibrationStore, HeldTables
from beyondrag.errors import UsageError
from beyondrag.models import ModelStore
from beyondrag.settings import default_settings
from eval.scores import TokenScores, join, score
from kvfiles.codecs import ArchiveTables, Codec, archive_quality, codec_named
from kvfiles.compose import Composer
from kvfiles.errors import ContextOverflow
from kvfiles.kernels import Kernels, best
from kvfiles.positions import RopeTables
from kvfiles.runtime import Context, Model
from kvfiles.runtime.context import CacheType, log_softmax
from kvfiles.runtime.model import Tokens
from kvfiles.snapshot import Snapshot, save_snapshot
from kvfiles.state_blob import StateView, read_state

F32 = NDArray[np.float32]

PROFILE = "measurement"
CELL_MULTIPLE = 256
"""llama.cpp rounds the cells of a context up to a multiple of this."""

_SCORED_TOGETHER = 64
"""Positions whose logits exist at one time: 39 MB at a vocabulary of 152k."""


class Rig:
    """Owns the model and a thread pool; use as a context manager.  Contexts must be closed before it.

    Args:
        model_path: a GGUF file; raises ModelFileError or UnsupportedModel.
        n_threads: threads of llama.cpp and workers of encoding and attaching.

    As in the product, BEYONDRAG_GPU_LAYERS moves layers of the model to a GPU, and calibrations are those in
    the models folder.
    """

    def __init__(self, model_path: Path, n_threads: int) -> None:
        self.n_threads = n_threads
        self.kernels: Kernels = best()
        settings = default_settings()
        self._models = settings.models
        self._calibrations = CalibrationStore(settings.models)
        self._held = HeldTables(self._calibrations)
        self._tables: ArchiveTables | None = None
        self.model = Model(model_path, gpu_layers=settings.gpu_layers)
        self.tables = RopeTables(self.model.rope, self.model.shape.n_kv_head)
        self.pool = ThreadPoolExecutor(n_threads)
        self.composer = Composer(self.model.shape, self.tables, self.kernels, n_threads)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.pool.shutdown()
        self.model.close()

    @contextmanager
    def context(
        self, n_tokens: int, cache: CacheType = "f16", v_cache: CacheType | None = None
    ) -> Iterator[Context]:
        """A context of at least `n_tokens`; raises ContextOverflow beyond what the model was trained for."""
        if n_tokens > self.model.n_ctx_train:
            raise ContextOverflow(
                f"{n_tokens} tokens, but the model was trained for {self.model.n_ctx_train}",
                remedy="measure with fewer tokens",
            )
        n_ctx = -(-n_tokens // CELL_MULTIPLE) * CELL_MULTIPLE
        context = Context(
            self.model, n_ctx=n_ctx, n_threads=self.n_threads, cache_type=cache, v_cache_type=v_cache
        )
        try:
            yield context
        finally:
            context.close()

    def codec(self, name: str) -> Codec:
        """The codec of this name; raises UsageError, or CalibrationError when it needs a calibration that
        the model lacks."""
        try:
            tables = None if archive_quality(name) is None else self._own_tables()
            return codec_named(name, self.model.shape, self.kernels, tables)
        except ValueError as error:
            raise UsageError(str(error)) from error

    def codec_identity(self, name: str) -> str:
        """What an outcome behind this codec depends on: its name, and where that does not say all, its
        parameters.  Raises as `codec`."""
        if archive_quality(name) is None:
            return name
        return f"{name} {orjson.dumps(dict(self.codec(name).params()), option=orjson.OPT_SORT_KEYS).decode()}"

    def _own_tables(self) -> ArchiveTables:
        """The model's current calibration, read once."""
        if self._tables is None:
            models = ModelStore(self._models)
            self._tables = self._calibrations.of_model(self.model.path, models.sha256(self.model.path))
        return self._tables

    def state(self, context: Context, seq: int = 0) -> StateView:
        """The parsed state of `seq`, a copy."""
        return read_state(context.state(seq), self.model.architecture)

    def save(self, path: Path, state: StateView, tokens: Tokens, first: int, codec: Codec) -> int:
        """Write the cells of `tokens`, from cell `first` on, to `path`; returns the file's size in bytes."""
        return save_snapshot(
            path,
            state,
            tokens,
            first=first,
            codec=codec,
            tables=self.tables,
            shape=self.model.shape,
            rope=self.model.rope.describe(),
            profile=PROFILE,
            about={"document": path.stem, "volume": 0},
            pool=self.pool,
        )

    def attach(self, context: Context, paths: Sequence[Path]) -> None:
        """Open the snapshots at `paths` and put them one after another into sequence 0."""
        with ExitStack() as stack:
            parts = [stack.enter_context(Snapshot(path, self.kernels, self._held)) for path in paths]
            self.composer.attach(context, parts)

    def bits_per_value(self, n_bytes: int, n_tokens: int) -> float:
        """Bits of a file over the number of K and V elements that it holds."""
        return 8 * n_bytes / (n_tokens * self.model.shape.values_per_token)


def _windows(tokens: Tokens) -> Iterator[slice]:
    for start in range(0, len(tokens) - 1, _SCORED_TOGETHER):
        yield slice(start, min(start + _SCORED_TOGETHER, len(tokens) - 1))


def forced_logprobs(context: Context, tokens: Tokens) -> F32:
    """(n-1, n_vocab) f32 log-probabilities of what follows each of the n `tokens` but the last.

    The tokens continue sequence 0 and are removed again.
    """
    first = context.end()
    out = np.empty((len(tokens) - 1, context.model.n_vocab), np.float32)
    try:
        for window in _windows(tokens):
            out[window] = log_softmax(context.decode(tokens[window], first + window.start, logits="all"))
    finally:
        context.remove(0, first)
    return out


def score_forced(context: Context, tokens: Tokens, reference: F32) -> TokenScores:
    """Score what sequence 0 predicts along `tokens` against `reference` from `forced_logprobs`.

    The batches are the same as the reference's, because llama.cpp's rounding depends on them.
    The tokens are removed again.
    """
    first = context.end()
    parts = []
    try:
        for window in _windows(tokens):
            found = log_softmax(context.decode(tokens[window], first + window.start, logits="all"))
            parts.append(score(reference[window], found, tokens[1:][window]))
    finally:
        context.remove(0, first)
    return join(parts)


def default_threads() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
