"""Reading a volume once: prefill it after the prompt's prefix and keep its K/V as a snapshot.

Every document is read after the same prefix and only its own slice is kept: the first document of an
answer is then exactly what a full prefill would give.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kvfiles.codecs import Codec, ExactCodec, codec_label
from kvfiles.compose import Composer
from kvfiles.errors import CalibrationError, SnapshotError
from kvfiles.kernels import Kernels
from kvfiles.positions import RopeTables
from kvfiles.runtime import Context, Model
from kvfiles.runtime.model import Tokens
from kvfiles.selfcheck import relocation_error
from kvfiles.snapshot import Snapshot, save_snapshot
from kvfiles.state_blob import read_state

READ_SLICE_TOKENS = 512
RESERVED_TOKENS = 1024
"""Room kept free beside a volume for the question and the answer."""

_RATE_TOKENS = 256


@dataclass(frozen=True, slots=True)
class ReadingSetup:
    """What fixes a reading: profile id, prefix tokens, how a document is wrapped, the codec.

    With `only_profiles_codec` False a snapshot in any codec counts as read, because that of the profile
    cannot be written now.
    """

    profile_id: str
    prefix: Tokens
    wrap: Callable[[str, str], str]
    codec: Codec
    only_profiles_codec: bool = True


@dataclass(frozen=True, slots=True)
class PrefixFacts:
    """Measured once per profile and kept with the prefix: prefill rate, and whether K can be moved."""

    tokens_per_s: float
    relocatable: bool


def _facts(about: dict[str, object]) -> PrefixFacts:
    """Raises KeyError or ValueError when they make no sense."""
    rate, relocatable = about["tokens_per_s"], about["relocatable"]
    if not isinstance(rate, float) or not 0 < rate < math.inf or not isinstance(relocatable, bool):
        raise ValueError("no facts")
    return PrefixFacts(rate, relocatable)


class Reader:
    """Reads volumes with one context, which is empty between calls.

    A snapshot can only be taken from an f16 cache: when `context` has another one, reading happens in
    an f16 context of the same size and `n_threads`, which lives as long as the reading.
    One reader belongs to one thread.
    """

    def __init__(
        self,
        model: Model,
        context: Context,
        setup: ReadingSetup,
        *,
        composer: Composer,
        tables: RopeTables,
        kernels: Kernels,
        pool: Executor,
        n_threads: int = 1,
    ) -> None:
        self._n_threads = n_threads
        self._model, self._context, self._setup = model, context, setup
        self._composer, self._tables, self._kernels, self._pool = composer, tables, kernels, pool

    @property
    def max_volume_tokens(self) -> int:
        """Tokens of the largest volume, wrapper included, that this context can read and answer on."""
        return max(1, self._context.n_ctx - len(self._setup.prefix) - RESERVED_TOKENS)

    @property
    def codec_label(self) -> str:
        """What `read` codes with, as `codecs.codec_label` names it."""
        return codec_label(self._setup.codec.name, self._setup.codec.params())

    @property
    def only_profiles_codec(self) -> bool:
        """See `ReadingSetup`."""
        return self._setup.only_profiles_codec

    def change_codec(self, codec: Codec, *, only_profiles_codec: bool) -> None:
        """Code with `codec` from now on."""
        self._setup = replace(self._setup, codec=codec, only_profiles_codec=only_profiles_codec)

    def volume_tokens(self, title: str, text: str) -> Tokens:
        """(n,) i32 tokens of a wrapped volume; text in it can never become control tokens."""
        return self._model.tokenize(self._setup.wrap(title, text))

    def ensure_prefix(self, path: Path) -> PrefixFacts:
        """Make sure that `path` holds the prefix's snapshot (exact); returns what was measured with it.

        All of the file is checked: whatever is wrong with it, it is made again.  Raises StorageError.
        """
        if path.exists():
            try:
                with Snapshot(path, self._kernels) as snapshot:
                    self._require(snapshot)
                    if np.array_equal(snapshot.tokens, self._setup.prefix):
                        snapshot.container.verify()
                        return _facts(snapshot.header.about)
            except (SnapshotError, CalibrationError, KeyError, ValueError):
                pass  # damaged or of an older program: made again below
        return self._make_prefix(path)

    def read(
        self,
        tokens: Tokens,
        prefix_path: Path,
        path: Path,
        *,
        about: dict[str, object],
        on_slice: Callable[[int], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
        slice_tokens: int = READ_SLICE_TOKENS,
    ) -> int:
        """Prefill `tokens` after the prefix and write the snapshot to `path`; returns its size in bytes.

        `on_slice(n)` is called after every `slice_tokens` tokens with the number read so far.  Raises
        Cancelled between slices (nothing is written then), ContextOverflow, StorageError.
        """
        n_prefix = len(self._setup.prefix)
        with self._reading() as context:
            with Snapshot(prefix_path, self._kernels) as prefix:
                self._composer.attach(context, [prefix])
            context.decode(
                tokens,
                n_prefix,
                logits="none",
                on_slice=on_slice,
                cancelled=cancelled,
                slice_tokens=slice_tokens,
            )
            return self._save(context, path, tokens, n_prefix, self._setup.codec, about)

    def _make_prefix(self, path: Path) -> PrefixFacts:
        prefix = self._setup.prefix
        with self._reading() as context:
            relocatable = relocation_error(context, self._model, self._tables) is None
            sample = np.resize(prefix, _RATE_TOKENS)
            context.decode(sample[:16], 0, logits="none")  # warm up: the first batch allocates
            started = time.perf_counter()
            context.decode(sample, 0, seq=1, logits="none", slice_tokens=_RATE_TOKENS)
            facts = PrefixFacts(len(sample) / (time.perf_counter() - started), relocatable)
            context.clear()
            context.decode(prefix, 0, logits="none")
            about = {"what": "prefix", "tokens_per_s": facts.tokens_per_s, "relocatable": relocatable}
            self._save(context, path, prefix, 0, ExactCodec(), about)
            return facts

    @contextmanager
    def _reading(self) -> Iterator[Context]:
        """An f16 context, empty before and after the block."""
        context, own = self._context, self._context.cache_type != "f16"
        context.clear()
        if own:
            context = Context(self._model, n_ctx=self._context.n_ctx, n_threads=self._n_threads)
        try:
            yield context
        finally:
            context.close() if own else context.clear()

    def _save(
        self,
        context: Context,
        path: Path,
        tokens: Tokens,
        first: int,
        codec: Codec,
        about: dict[str, object],
    ) -> int:
        state = read_state(context.state(), self._model.architecture)
        return save_snapshot(
            path,
            state,
            tokens,
            first=first,
            codec=codec,
            tables=self._tables,
            shape=self._model.shape,
            rope=self._model.rope.describe(),
            profile=self._setup.profile_id,
            about=about,
            pool=self._pool,
        )

    def _require(self, snapshot: Snapshot) -> None:
        snapshot.require(
            profile=self._setup.profile_id, shape=self._model.shape, rope=self._model.rope.describe()
        )
