"""Reads documents in a thread of its own while other files are parsed: the model waits for no parser."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

from beyondrag.calibration.running import expected_seconds
from beyondrag.engine import Engine
from beyondrag.engine_reading import EngineReading
from beyondrag.reading import profile_for
from beyondrag.reading_queue import ReadingQueue
from beyondrag.settings import Settings
from ingest.pipeline import PendingVolume
from kvfiles.errors import BeyondragError, Cancelled, ContextOverflow, DecodeError
from library.errors import DocumentNotFound, LibraryDamaged
from library.records import SnapshotRecord
from library.store import Library

_POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class ReadingProgress:
    """Where reading stands: tokens of this volume, tokens of all, and what is under way.

    While documents still come, what waits is an estimate, and grows.
    """

    pending: PendingVolume
    index: int
    n_pending: int
    volume_tokens: int
    done_tokens: int
    total_tokens: int


OnProgress = Callable[[ReadingProgress], None]
OnCalibrating = Callable[[float, str], None]
OpenEngine = Callable[[Settings, Library], Engine]


@dataclass(frozen=True, slots=True)
class ReadingPlan:
    """What there is to read, with what is read already; `warnings` are the model's.

    `calibration_s`: about how long the model is calibrated before, None when it need not be.
    """

    n_volumes: int = 0
    n_tokens: int = 0
    size_bytes: int = 0
    tokens_per_s: float = 0.0
    relocatable: bool = True
    warnings: tuple[str, ...] = ()
    calibration_s: float | None = None


@dataclass(frozen=True, slots=True)
class ReadingDone:
    """What was read; `seconds` is the time that the model took."""

    n_volumes: int
    n_tokens: int
    seconds: float
    size_bytes: int


def _end(_document_id: str, error: BeyondragError) -> None:
    raise error


@dataclass(frozen=True, slots=True)
class Told:
    """What is called in the reading thread.

    `opened` with the model's warnings; `progress` between slices; `kept` when the snapshot of a volume is
    kept, with the seconds that it took; `unreadable` with a document that the model cannot read: it is left
    out if this returns, otherwise the reading ends.  Before the first volume, when the codec needs it:
    `calibrating` with how far (of `calibration.running.SCALE`) and what is done, `calibrated` with the
    warnings that there are then.
    """

    opened: Callable[[tuple[str, ...]], None] = lambda _warnings: None
    progress: OnProgress = lambda _state: None
    kept: Callable[[PendingVolume, SnapshotRecord, float], None] = lambda _pending, _record, _seconds: None
    unreadable: Callable[[str, BeyondragError], None] = _end
    calibrating: OnCalibrating = lambda _done, _what: None
    calibrated: Callable[[tuple[str, ...]], None] = lambda _warnings: None


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
        told: Told | None = None,
        open_engine: OpenEngine | None = None,
    ) -> None:
        self._settings, self._open_engine = settings, open_engine or Engine
        self._cancelled, self._told = cancelled, told or Told()
        self._queue = ReadingQueue(uncuttable=self._told.unreadable)
        self._changed = threading.Condition()
        self._may_read, self._everything_came, self._stopped = at_once, False, False
        self._is_idle, self._has_ended, self._is_planned = True, False, threading.Event()
        self._thread = threading.Thread(target=self._work, name="reading")
        self._plan = ReadingPlan()
        self._n_volumes = self._n_tokens = self._size_bytes = 0
        self._seconds = 0.0
        self._error: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop it after the slice under way.  Closing twice is harmless."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        if self._thread.ident is not None:
            self._thread.join()

    def offer(self, document_ids: Iterable[str]) -> None:
        """These are in the library, and are to be read unless they are read; each counts once."""
        with self._changed:
            self._queue.offer(document_ids)
            if not self._queue.has_arrivals:
                return
            self._is_idle = False
            self._changed.notify_all()
            if self._thread.ident is None:
                self._thread.start()

    @property
    def is_idle(self) -> bool:
        """Whether all that was offered is read, or the reading ended with an error."""
        return self._is_idle or self._has_ended

    def plan(self) -> ReadingPlan:
        """To be called once, when everything was offered: how much it is.

        Raises what opening the model or reading raised, Cancelled.
        """
        if self._thread.ident is None:
            return self._plan
        self._let(everything_came=True)
        self._is_planned.wait()
        self._raise()
        return self._plan

    def finish(
        self, on_progress: OnProgress | None = None, on_calibrating: OnCalibrating | None = None
    ) -> ReadingDone:
        """When everything was offered: read the rest.  Raises as `plan`."""
        if on_progress is not None:
            self._told = replace(self._told, progress=on_progress)
        if on_calibrating is not None:
            self._told = replace(self._told, calibrating=on_calibrating)
        self._let(everything_came=True, may_read=True)
        if self._thread.ident is not None:
            self._thread.join()
        self._raise()
        return ReadingDone(self._n_volumes, self._n_tokens, self._seconds, self._size_bytes)

    def _let(self, *, everything_came: bool, may_read: bool = False) -> None:
        with self._changed:
            self._everything_came |= everything_came
            self._may_read |= may_read
            self._changed.notify_all()

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    # ---------------------------------------------------------------- inside, in the thread

    def _work(self) -> None:
        try:
            with Library.open(self._settings.library) as library, ExitStack() as opened:
                self._read_all(_Lazy(self._settings, library, self._open, opened))
        except BaseException as error:  # it is raised where the caller waits
            self._error = error
        finally:
            self._has_ended = True
            self._is_planned.set()

    def _open(self, settings: Settings, library: Library) -> Engine:
        engine = self._open_engine(settings, library)
        self._told.opened(tuple(engine.lasting_warnings))
        return engine

    def _read_all(self, lazy: _Lazy) -> None:
        queue, reading = self._queue, lazy.reading
        while True:
            self._stop_if_asked()
            if self._everything_came and not self._is_planned.is_set():
                queue.cut_all(reading, self._stop_if_asked)
                self._plan = self._planned(lazy.engine)
                self._is_planned.set()
            if not self._may_read and queue.has_arrivals:
                queue.take_in(reading, 1, cut=True)
            elif self._may_read and not queue.is_empty:
                self._read_next(reading)
            elif self._may_read and self._everything_came:
                return
            else:
                self._wait()

    def _wait(self) -> None:
        with self._changed:
            if self._may_read and self._queue.is_empty:
                self._is_idle = True
            self._changed.wait(_POLL_S)

    def _planned(self, engine: Engine | None) -> ReadingPlan:
        if engine is None:
            return ReadingPlan()
        facts = engine.prepare()
        n_tokens = self._n_tokens + self._queue.n_tokens
        values = n_tokens * engine.model.shape.values_per_token
        return ReadingPlan(
            self._n_volumes + self._queue.n_volumes,
            n_tokens,
            round(values * engine.bits_per_value(max(n_tokens, 1)) / 8),
            facts.tokens_per_s,
            facts.relocatable,
            tuple(engine.lasting_warnings),
            expected_seconds(engine.model.shape, facts.tokens_per_s) if engine.may_calibrate else None,
        )

    def _read_next(self, reading: EngineReading) -> None:
        pending = self._queue.next(reading)
        if pending is None:
            return
        self._calibrate(reading)
        try:
            self._read(reading, pending)
        except DocumentNotFound:  # it is gone, or has another title or text now
            self._queue.cut_again(pending)
        except (ContextOverflow, DecodeError, LibraryDamaged) as error:
            self._told.unreadable(pending.document.id, error)
            self._queue.put_aside(pending.document.id)

    def _calibrate(self, reading: EngineReading) -> None:
        if reading.may_calibrate:
            self._told.calibrated(reading.calibrate(self._told.calibrating, self._must_stop))

    def _read(self, reading: EngineReading, pending: PendingVolume) -> None:
        def report(n: int) -> None:
            self._queue.take_in(reading)
            self._tell(pending, n)

        self._tell(pending, 0)
        started = time.perf_counter()
        try:
            record = reading.read(pending, report, self._must_stop)
        finally:
            seconds = time.perf_counter() - started
            self._seconds += seconds
        self._n_volumes += 1
        self._n_tokens += record.n_tokens
        self._size_bytes += record.size_bytes
        self._told.kept(pending, record, seconds)

    def _tell(self, pending: PendingVolume, n: int) -> None:
        self._told.progress(
            ReadingProgress(
                pending,
                self._n_volumes,
                self._n_volumes + 1 + self._queue.n_volumes,
                n,
                self._n_tokens + n,
                self._n_tokens + pending.volume.n_tokens + self._queue.n_tokens,
            )
        )

    def _must_stop(self) -> bool:
        return self._stopped or self._cancelled()

    def _stop_if_asked(self) -> None:
        if self._must_stop():
            raise Cancelled("stopped; everything read so far is kept")


class _Lazy:
    """Opens the model when there is something to read."""

    def __init__(
        self, settings: Settings, library: Library, open_engine: OpenEngine, opened: ExitStack
    ) -> None:
        self.engine: Engine | None = None
        self._settings, self._library = settings, library
        self._open_engine, self._opened = open_engine, opened
        self.reading = EngineReading(library, profile_for(settings)[1].id, self._get)

    def _get(self) -> Engine:
        if self.engine is None:
            engine = self._opened.enter_context(self._open_engine(self._settings, self._library))
            engine.prepare()
            self.engine = engine
        return self.engine
