"""The small model with a reader on it, as the application puts them together."""

from __future__ import annotations

from concurrent.futures import Executor

from ingest.reader import Reader, ReadingSetup
from kvfiles.codecs import codec_named
from kvfiles.compose import Composer
from kvfiles.kernels import best
from kvfiles.positions import RopeTables
from kvfiles.runtime import Context, Model

PREFIX = "Read this."
PROFILE = "p" * 32


class Bench:
    """A reader with a context of `n_ctx` tokens; `close` frees the context only."""

    def __init__(self, model: Model, pool: Executor, *, profile: str = PROFILE, n_ctx: int = 1536) -> None:
        self.model = model
        self.context = Context(model, n_ctx=n_ctx, n_threads=2)
        tables = RopeTables(model.rope, model.shape.n_kv_head)
        self.reader = Reader(
            model,
            self.context,
            ReadingSetup(
                profile,
                model.tokenize(PREFIX),
                lambda title, text: f"# {title}\n{text}\n",
                codec_named("k5v4", model.shape, best()),
            ),
            composer=Composer(model.shape, tables, best(), 2),
            tables=tables,
            kernels=best(),
            pool=pool,
        )

    def close(self) -> None:
        self.context.close()
