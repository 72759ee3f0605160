"""Reads documents in a thread of its own while other files are parsed: the model waits for no parser."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Self

from beyondrag.engine import Engine
from beyondrag.reading import profile_for
from beyondrag.settings import Settings
from ingest.pipeline import PendingVolume, pending_volumes, read_volume, unread_documents
from kvfiles.errors import Cancelled
from library.errors import DocumentNotFound
from library.store import Library

MAX_CUTS = 3
"""Times that a document is cut into volumes because it changed before it was read."""
_POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class ReadingProgress:
    """Where reading stands: tokens of this volume, tokens of all, and what is under way."""

    pending: PendingVolume
    index: int
    n_pending: int
    volume_tokens: int
    done_tokens: int
    total_tokens: int


OnProgress = Callable[[ReadingProgress], None]
OpenEngine = Callable[[Settings, Library], Engine]


@dataclass(frozen=True, slots=True)
class ReadingPlan:
    """What there is to read, with what is read already; `warnings` are the model's."""

    n_volumes: int = 0
    n_tokens: int = 0
    size_bytes: int = 0
    tokens_per_s: float = 0.0
    relocatable: bool = True
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReadingDone:
    """What was read; `seconds` is the time that the model took."""

    n_volumes: int
    n_tokens: int
    seconds: float
    size_bytes: int


class ReadingAlong:
    """Takes documents as they get known.  A context manager: leaving it stops the reading.

    With `at_once` it reads what it has while more comes in; otherwise it opens the model and counts, and
    begins with `finish`.  Each finished volume is kept at once.
    """

    def __init__(
        self,
        settings: Settings,
        cancelled: Callable[[], bool],
        *,
        at_once: bool,
        open_engine: OpenEngine = Engine,
    ) -> None:
        self._settings, self._open_engine = settings, open_engine
        self._cancelled = cancelled
        self._offered: dict[str, None] = {}
        self._inbox: SimpleQueue[str | None] = SimpleQueue()
        self._may_read, self._stopped, self._is_planned = (threading.Event() for _ in range(3))
        if at_once:
            self._may_read.set()
        self._thread = threading.Thread(target=self._work, name="reading")
        self._plan = ReadingPlan()
        self._done = ReadingDone(0, 0, 0.0, 0)
        self._error: BaseException | None = None
        self._on_progress: OnProgress | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        if self._thread.ident is not None:
            self._thread.join()

    def offer(self, document_ids: Iterable[str]) -> None:
        """These are in the library, and are to be read unless they are read; each counts once."""
        for document_id in document_ids:
            if document_id not in self._offered:
                self._offered[document_id] = None
                self._inbox.put(document_id)
        if self._offered and self._thread.ident is None:
            self._thread.start()

    def plan(self) -> ReadingPlan:
        """To be called once, when everything was offered: how much it is.

        Raises what opening the model or reading raised, Cancelled.
        """
        if self._thread.ident is None:
            return self._plan
        self._inbox.put(None)
        self._is_planned.wait()
        self._raise()
        return self._plan

    def finish(self, on_progress: OnProgress) -> ReadingDone:
        """After `plan`: read the rest.  `on_progress` is called in the reading thread.  Raises as `plan`."""
        self._on_progress = on_progress
        self._may_read.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._raise()
        return self._done

    # ---------------------------------------------------------------- inside, in the thread

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        try:
            with Library.open(self._settings.library) as library, ExitStack() as opened:
                self._read(_Shelf(library, self._settings, self._open_engine, opened))
        except BaseException as error:  # it is raised where the caller waits
            self._error = error
        finally:
            self._is_planned.set()

    def _read(self, shelf: _Shelf) -> None:
        everything_came = False
        while True:
            while not everything_came:
                idle = not (shelf.waiting and self._may_read.is_set())
                try:
                    document_id = self._inbox.get(timeout=_POLL_S) if idle else self._inbox.get_nowait()
                except Empty:
                    self._stop_if_asked()
                    if idle:
                        continue
                    break
                if document_id is None:
                    everything_came = True
                    self._plan = shelf.plan()
                    self._is_planned.set()
                else:
                    self._stop_if_asked()
                    shelf.take(document_id)
            if not shelf.waiting:
                self._done = shelf.done()
                return
            if self._may_read.wait(_POLL_S):
                shelf.read_next(self._tell, self._must_stop)
            else:
                self._stop_if_asked()

    def _tell(self, progress: ReadingProgress) -> None:
        if self._on_progress is not None:
            self._on_progress(progress)

    def _must_stop(self) -> bool:
        return self._stopped.is_set() or self._cancelled()

    def _stop_if_asked(self) -> None:
        if self._must_stop():
            raise Cancelled("stopped; everything read so far is kept")


class _Shelf:
    """What waits to be read and what was; opens the model when there is something to read."""

    def __init__(
        self, library: Library, settings: Settings, open_engine: OpenEngine, opened: ExitStack
    ) -> None:
        self.waiting: deque[PendingVolume] = deque()
        self._library, self._settings = library, settings
        self._open_engine, self._opened = open_engine, opened
        self._profile_id = profile_for(settings)[1].id
        self._engine: Engine | None = None
        self._cuts: Counter[str] = Counter()
        self._n_waiting_tokens = 0
        self._n_volumes = self._n_tokens = self._size_bytes = 0
        self._seconds = 0.0

    def take(self, document_id: str) -> None:
        """Cut it into volumes, unless it is read; one that went away meanwhile is passed over."""
        if unread_documents(self._library, [document_id], self._profile_id):
            self.waiting.extend(self._cut(document_id))

    def plan(self) -> ReadingPlan:
        if self._engine is None:
            return ReadingPlan()
        engine, facts = self._engine, self._engine.prepare()
        n_tokens = self._n_tokens + self._n_waiting_tokens
        values = n_tokens * engine.model.shape.values_per_token
        return ReadingPlan(
            self._n_volumes + len(self.waiting),
            n_tokens,
            round(values * engine.bits_per_value(max(n_tokens, 1)) / 8),
            facts.tokens_per_s,
            facts.relocatable,
            tuple(engine.warnings),
        )

    def done(self) -> ReadingDone:
        return ReadingDone(self._n_volumes, self._n_tokens, self._seconds, self._size_bytes)

    def read_next(self, tell: OnProgress, must_stop: Callable[[], bool]) -> None:
        """Read the first that waits, unless someone else did."""
        pending, engine = self.waiting[0], self._engine
        assert engine is not None  # it cut this volume
        document_id = pending.document.id
        if self._library.snapshot(document_id, pending.volume.ordinal, self._profile_id) is not None:
            self._forget_first()
            return

        def report(n: int) -> None:
            n_volumes = self._n_volumes + len(self.waiting)
            total = self._n_tokens + self._n_waiting_tokens
            tell(ReadingProgress(pending, self._n_volumes, n_volumes, n, self._n_tokens + n, total))

        report(0)
        started = time.perf_counter()
        try:
            record = read_volume(
                self._library, pending, engine.profile, engine.reader, on_slice=report, cancelled=must_stop
            )
        except DocumentNotFound:  # it is gone, or has another title or text now
            self._cut_again(document_id)
            return
        finally:
            self._seconds += time.perf_counter() - started
        self._forget_first()
        self._n_volumes += 1
        self._n_tokens += record.n_tokens
        self._size_bytes += record.size_bytes

    def _cut(self, document_id: str) -> list[PendingVolume]:
        if self._engine is None:
            self._engine = self._opened.enter_context(self._open_engine(self._settings, self._library))
            self._engine.prepare()
        self._cuts[document_id] += 1
        try:
            found = pending_volumes(self._library, [document_id], self._engine.profile, self._engine.reader)
        except DocumentNotFound:
            return []
        self._n_waiting_tokens += sum(pending.volume.n_tokens for pending in found)
        return found

    def _cut_again(self, document_id: str) -> None:
        while self.waiting and self.waiting[0].document.id == document_id:
            self._forget_first()
        if self._cuts[document_id] < MAX_CUTS:
            self.waiting.extendleft(reversed(self._cut(document_id)))

    def _forget_first(self) -> None:
        self._n_waiting_tokens -= self.waiting.popleft().volume.n_tokens
