"""The engine: one model, one context, one library; reads documents and answers questions.

Knows no screens.  Everything happens in the calling thread; events are yielded as they happen.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from beyondrag.chunk_rag.candidates import ChunkFinder
from beyondrag.chunk_rag.turn import ChunkTurn
from beyondrag.desk import Desk
from beyondrag.dialogue import Dialogue, Occupancy
from beyondrag.events import Event, ReadingDocument
from beyondrag.fidelity_verdict import fidelity_warnings
from beyondrag.follow_up import EarlierTurn
from beyondrag.prompt import document_text, make_frame
from beyondrag.reading import profile_for
from beyondrag.settings import Settings
from beyondrag.turn import AskOptions, Turn, check_question
from ingest.reader import PrefixFacts, Reader, ReadingSetup
from kvfiles import kernels
from kvfiles.codecs import codec_named
from kvfiles.compose import Composer
from kvfiles.positions import RopeTables
from kvfiles.runtime import Context, Model
from library.store import Library


class Engine:
    """Opens the configured model; raises model errors.  A context manager; not thread-safe.

    `warnings` are lines for the user: a codec that is known to fail on this model.  `on_reading` is told,
    between two events, how far a document is that must be read for a question.
    """

    def __init__(
        self,
        settings: Settings,
        library: Library,
        *,
        on_reading: Callable[[ReadingDocument], None] | None = None,
    ) -> None:
        started = time.perf_counter()
        self.library = library
        self.settings = settings
        path, self.profile = profile_for(settings)
        self.warnings = fidelity_warnings(settings, path, self.profile.model_sha256)
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
                on_reading,
            )
            self._opened = opened.pop_all()
        self._facts: PrefixFacts | None = None
        self._occupancy = Occupancy()
        self._chunks = ChunkFinder(library, lambda word: len(self.model.tokenize(word)))
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
        text = check_question(question)
        facts = self.prepare()
        turn = Turn(self.desk, options or AskOptions(), facts, cancelled, started=started, open_s=self.open_s)
        try:
            yield from turn.run(text)
        finally:
            self._vacate()

    def dialogue(self, earlier: Sequence[EarlierTurn] = ()) -> Dialogue:
        """A conversation whose documents stay in the context between questions, after `earlier` turns.

        Several may be open; a question outside of one, or in another one, takes its documents away.
        """
        return Dialogue(self.desk, self.prepare, self._occupancy, earlier, open_s=self.open_s)

    def ask_chunks(
        self, question: str, options: AskOptions | None = None, cancelled: Callable[[], bool] | None = None
    ) -> Iterator[Event]:
        """Answer `question` as chunk-RAG does, for comparison; `ChunksRead` comes first, `Done` last.

        Of the options, `documents` (their chunks alone), `check` and `max_tokens` count.  Raises as `ask`.
        """
        text = check_question(question)
        self.prepare()
        turn = ChunkTurn(self.desk, self._chunks, options or AskOptions(), cancelled)
        try:
            yield from turn.run(text, open_s=self.open_s)
        finally:
            self._vacate()

    def _vacate(self) -> None:
        self.context.clear()
        self._occupancy.holder = None
