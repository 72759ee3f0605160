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

from beyondrag.calibration.running import CancelCheck, OnProgress, calibrate_model
from beyondrag.calibration.store import CalibrationStore, HeldTables
from beyondrag.calibration.texts import shipped_texts
from beyondrag.chunk_rag.candidates import ChunkFinder
from beyondrag.chunk_rag.turn import ChunkTurn
from beyondrag.codec_choice import CodecChoice, choose_codec, instead, told
from beyondrag.desk import Desk
from beyondrag.dialogue import Dialogue, Occupancy
from beyondrag.estimate import expected_bits
from beyondrag.events import Event, ReadingDocument
from beyondrag.fidelity_verdict import fidelity_warnings
from beyondrag.follow_up import EarlierTurn
from beyondrag.hot_cache import HOT_CODEC, HotCache
from beyondrag.prompt import document_text, make_frame
from beyondrag.reading import profile_for
from beyondrag.settings import Settings
from beyondrag.turn import AskOptions, Turn, check_question
from ingest.reader import PrefixFacts, Reader, ReadingSetup
from kvfiles import kernels
from kvfiles.codecs import ArchiveCodec, Codec, codec_named
from kvfiles.compose import Composer
from kvfiles.errors import ModelError, StorageError
from kvfiles.positions import RopeTables
from kvfiles.runtime import Context, Model
from library.store import Library


class Engine:
    """Opens the configured model; raises model errors.  A context manager; not thread-safe.

    `on_reading` is told, between two events, how far a document is that must be read for a question.
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
        self._fidelity_warnings = fidelity_warnings(settings, path, self.profile.model_sha256)
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
            chosen = choose_codec(settings, path, self.profile.model_sha256, shape, best)
            self._tables = HeldTables(CalibrationStore(settings.models))
            self._use(chosen)
            setup = ReadingSetup(
                self.profile.id,
                frame.prefix_tokens(self.model),
                document_text,
                chosen.codec,
                only_profiles_codec=not chosen.warning or chosen.may_calibrate,
            )
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
                self._tables,
                HotCache(
                    library,
                    settings.hot_cache,
                    codec_named(HOT_CODEC, shape, best),
                    tables,
                    best,
                    self._pool,
                ),
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

    @property
    def warnings(self) -> tuple[str, ...]:
        """Lines for the user: a codec that is known to fail on this model, or that cannot be written."""
        own = (self._chosen.warning,) if self._chosen.warning else ()
        return self._fidelity_warnings + own

    @property
    def lasting_warnings(self) -> tuple[str, ...]:
        """The `warnings` that `calibrate` would not make untrue."""
        return self._fidelity_warnings if self.may_calibrate else self.warnings

    @property
    def codec(self) -> Codec:
        """What documents are stored with: not the configured codec when `warnings` say so."""
        return self._chosen.codec

    @property
    def codec_warning(self) -> str:
        """Why `codec` is not the configured one, and what to do; "" when it is."""
        return self._chosen.warning

    @property
    def may_calibrate(self) -> bool:
        """Whether `calibrate` would make the configured codec usable."""
        return self._chosen.may_calibrate

    def calibrate(self, on_progress: OnProgress, cancelled: CancelCheck) -> bool:
        """Calibrate the model, for minutes, if that is what the configured codec lacks.

        False when that failed: `warnings` say why, and documents are stored in the default codec.
        Raises Cancelled; nothing is kept of the calibration then.
        """
        if not self._chosen.may_calibrate:
            return not self._chosen.warning
        settings, sha256 = self.settings, self.profile.model_sha256
        path, shape, best = self.model.path, self.model.shape, self.desk.kernels
        try:
            calibrate_model(
                self.model,
                sha256,
                shipped_texts(),
                CalibrationStore(settings.models),
                n_threads=settings.threads,
                on_progress=on_progress,
                cancelled=cancelled,
            )
            chosen = choose_codec(settings, path, sha256, shape, best)
        except (ModelError, StorageError) as error:
            chosen = instead(settings, told(error), shape, best)
        self._use(CodecChoice(chosen.codec, chosen.warning))
        self.reader.change_codec(chosen.codec, only_profiles_codec=not chosen.warning)
        return not chosen.warning

    def _use(self, chosen: CodecChoice) -> None:
        """Code with it; the tables that were read for it serve what is attached, too."""
        self._chosen = chosen
        if isinstance(chosen.codec, ArchiveCodec):
            self._tables.hold(chosen.codec.tables)

    def prepare(self) -> PrefixFacts:
        """Record the profile and make sure that the prefix's snapshot is there; what was measured with it."""
        if self._facts is None:
            self.library.put_profile(self.profile)
            self._facts = self.reader.ensure_prefix(self.library.prefix_path(self.profile.id))
            self.desk.hot.fit()
        return self._facts

    def bits_per_value(self, n_tokens: int) -> float:
        """What a snapshot of `n_tokens` takes for each K and V value, after `calibrate` if that is needed; of
        the archive codec an estimate."""
        return expected_bits(self._chosen, self.settings.codec, self.model.shape, n_tokens)

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

    @property
    def n_hot_copies_wanted(self) -> int:
        """How many documents of the last answer were attached from archives and get a hot copy."""
        return self.desk.hot.n_wanted

    def make_hot_copies(self, cancelled: Callable[[], bool]) -> str:
        """Make them, when nobody waits for an answer any more (see `HotCache.make`).

        The context stays as it is.  Returns a line for the user, "" when there is nothing to say.
        """
        return self.desk.hot.make(self.desk.open, cancelled)

    def _vacate(self) -> None:
        self.context.clear()
        self._occupancy.holder = None
