"""The engine: one model, one context, one library; reads documents and answers questions.

Knows no screens.  Everything happens in the calling thread; events are yielded as they happen.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from beyondrag.events import Event
from beyondrag.prompt import document_text, make_frame
from beyondrag.reading import profile_for
from beyondrag.settings import Settings
from beyondrag.turn import AskOptions, Desk, Turn, check_question
from ingest.reader import PrefixFacts, Reader, ReadingSetup
from kvfiles import kernels
from kvfiles.codecs import codec_named
from kvfiles.compose import Composer
from kvfiles.positions import RopeTables
from kvfiles.runtime import Context, Model
from library.store import Library


class Engine:
    """Opens the configured model; raises model errors.  A context manager; not thread-safe."""

    def __init__(self, settings: Settings, library: Library) -> None:
        started = time.perf_counter()
        self.library = library
        self.settings = settings
        path, self.profile = profile_for(settings)
        with ExitStack() as opened:
            self.model = Model(path, gpu_layers=settings.gpu_layers)
            opened.callback(self.model.close)
            n_ctx = min(settings.context, self.model.n_ctx_train or settings.context)
            self.context = Context(
                self.model, n_ctx=n_ctx, n_threads=settings.threads, cache_type=settings.cache_type
            )
            opened.callback(self.context.close)
            self._pool = ThreadPoolExecutor(settings.threads, thread_name_prefix="beyondrag-kv")
            opened.callback(self._pool.shutdown)
            frame = make_frame(self.model)
            shape = self.model.shape
            best = kernels.best()
            tables = RopeTables(self.model.rope, shape.n_kv_head)
            composer = Composer(shape, tables, best, settings.threads)
            self._codec = codec_named(settings.codec, shape, best)
            setup = ReadingSetup(self.profile.id, frame.prefix_tokens(self.model), document_text, self._codec)
            self.reader = Reader(
                self.model,
                self.context,
                setup,
                composer=composer,
                tables=tables,
                kernels=best,
                pool=self._pool,
                n_threads=settings.threads,
            )
            self.desk = Desk(
                library,
                self.model,
                self.context,
                self.profile,
                self.reader,
                composer,
                best,
                frame,
                setup.prefix,
            )
            self._opened = opened.pop_all()
        self._facts: PrefixFacts | None = None
        self.open_s = time.perf_counter() - started

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free model and context.  Closing twice is harmless."""
        self._opened.close()

    def prepare(self) -> PrefixFacts:
        """Record the profile and make sure that the prefix's snapshot is there; what was measured with it."""
        if self._facts is None:
            self.library.put_profile(self.profile)
            self._facts = self.reader.ensure_prefix(self.library.prefix_path(self.profile.id))
        return self._facts

    def bits_per_value(self, n_tokens: int) -> float:
        """What a snapshot of `n_tokens` takes for each K and V value."""
        shape = self.model.shape
        return self._codec.bits_per_value(n_tokens, shape.k_width, shape.v_width)

    # ----------------------------------------------------------------------- ask

    def ask(
        self, question: str, options: AskOptions | None = None, cancelled: Callable[[], bool] | None = None
    ) -> Iterator[Event]:
        """Answer `question`; the last event is `Done`.

        Raises UsageError (empty or too long question), DocumentNotFound (a pinned one), Cancelled,
        ContextOverflow, model, library and storage errors.
        """
        started = time.perf_counter()
        turn = Turn(self.desk, check_question(question), options or AskOptions(), cancelled)
        facts = self.prepare()
        try:
            yield from turn.run(facts, started=started, open_s=self.open_s)
        finally:
            self.context.clear()
