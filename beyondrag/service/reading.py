"""The reading of an ingest, volume by volume: what is left, how far it is, and what went wrong."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from beyondrag.reading_queue import ReadingQueue, Shelf
from beyondrag.service.announcer import Announcer
from beyondrag.service.notices import (
    DocumentAhead,
    FileProblem,
    Ingested,
    Reading,
    ReadingAhead,
    VolumeRead,
)
from beyondrag.service.pace import Pace, Throttle
from beyondrag.service.ticket import Ticket
from ingest.pipeline import PendingVolume, volume_title
from kvfiles.errors import BeyondragError, Cancelled, DecodeError
from library.errors import DocumentNotFound, LibraryDamaged
from library.records import SnapshotRecord

REPORT_EVERY_S = 0.1
AHEAD_EVERY_S = 1.0
"""While files are looked at, what lies ahead grows: it is told this often."""
MAX_TRIES = 2
"""Times that a volume is tried on which llama.cpp fails, each time with the model opened anew."""
MAX_PROBLEMS = 1000
MAX_AHEAD = 1000
"""Documents that are named before their turn comes."""


class SetAside(Cancelled):
    """This volume is not to be read on now; the job itself goes on."""


class ReadingSeat(Shelf, Protocol):
    """What reading needs of the engine's side."""

    def read(
        self, pending: PendingVolume, on_slice: Callable[[int], None], cancelled: Callable[[], bool]
    ) -> SnapshotRecord:
        """Read it.  Raises what `on_slice` raises, Cancelled, DecodeError, library and storage errors."""

    def drop_snapshots(self, document_id: str) -> None:
        """Forget all snapshots of the document."""


class ReadingJob:
    """One ingest, or one reading anew.

    Files are looked at in one thread, which calls `offer` and at last `looked`; the engine thread reads what
    was offered meanwhile.  Documents are cut as their turn comes, so that reading begins at once: until then
    their tokens are estimates, and the total moves a little.

    Args:
        looking: whether more documents will be offered.
        again: forget what these documents have first.
        started: when the whole began, on the monotonic clock.
    """

    def __init__(
        self,
        ticket: Ticket,
        document_ids: Sequence[str] = (),
        *,
        looking: bool = False,
        again: bool = False,
        started: float | None = None,
    ) -> None:
        self.ticket = ticket
        self.last: Reading | None = None
        self.failure: Exception | None = None
        """What breaks it off; it is told once the files are looked at."""
        self._looking = looking
        self._queue = ReadingQueue(document_ids, self._note_damage)
        self._drop = list(document_ids) if again else []
        self._n_indexed = 0
        self._problems: list[FileProblem] = []
        self._started = time.monotonic() if started is None else started
        self._failed: Counter[tuple[str, int]] = Counter()
        self._read_ids: set[str] = set()
        self._done = self._index = self._n_tokens = 0
        self._told_ahead = False
        self._pace, self._throttle = Pace(), Throttle(REPORT_EVERY_S)
        self._ahead_throttle = Throttle(AHEAD_EVERY_S)

    # ------------------------------------------------- the thread that looks at files

    def offer(self, document_ids: Iterable[str]) -> bool:
        """These are indexed; whether any were offered by now."""
        self._queue.offer(document_ids)
        return self.was_offered

    @property
    def was_offered(self) -> bool:
        """Whether there ever was anything to read."""
        return self._queue.was_offered

    def looked(
        self,
        n_indexed: int = 0,
        problems: Sequence[FileProblem] = (),
        *,
        failure: Exception | None = None,
    ) -> None:
        """No more documents will be offered; `problems` of files come before those of reading."""
        self._n_indexed = n_indexed
        self._problems[:0] = problems
        self.failure = failure or self.failure
        self._looking = False

    # -------------------------------------------------------------- the engine thread

    @property
    def is_over(self) -> bool:
        """Whether it has only to be told how it was broken off."""
        return not self._looking and self._is_broken_off

    @property
    def is_due(self) -> bool:
        """Whether there is something to read, or to tell that nothing is left."""
        return not self._is_broken_off and not (self._looking and self._queue.is_empty)

    @property
    def _is_broken_off(self) -> bool:
        return self.ticket.stopped() or self.failure is not None

    def replan(self) -> None:
        """Look again at what is left: the model was opened anew, or it is another one."""
        self._queue.start_again()
        self._told_ahead = False

    def step(
        self,
        seat: ReadingSeat,
        announcer: Announcer,
        at_slice: Callable[[PendingVolume], None],
        cancelled: Callable[[], bool],
    ) -> bool:
        """Read the next volume, if one is known by now; False when nothing is left.

        `at_slice` is called between slices and may take its time (that is not counted as reading), or
        raise SetAside.  Raises Cancelled, DecodeError (the model must be opened anew), and every error
        that ends the job.
        """
        looking = self._looking  # before the queue is looked at: what comes last must not be missed
        while self._drop:
            seat.drop_snapshots(self._drop.pop())
        self._take_in(seat, announcer)
        pending = self._next(seat)
        if pending is None:
            return looking or not self._queue.is_empty
        name = volume_title(pending.document.name, pending.volume.label, pending.n_volumes)
        before, mark = 0, time.monotonic()

        def report(n: int) -> None:
            done = self._done + n
            total = self._done + max(pending.volume.n_tokens, n) + self._queue.n_tokens
            self.last = Reading(
                self.ticket.number,
                pending.document.id,
                name,
                self._index,
                self._index + 1 + self._queue.n_volumes,
                n,
                pending.volume.n_tokens,
                done,
                total,
                self._pace.tokens_per_s,
                None if self._is_growing else self._pace.seconds_for(total - done),
                self.ticket.paused,
            )
            announcer.tell(self.last)

        def on_slice(n: int) -> None:
            nonlocal before, mark
            now = time.monotonic()
            self._pace.add(n - before, now - mark)
            before = n
            self._take_in(seat, announcer)
            if self._throttle.due(now):
                report(n)
            at_slice(pending)
            mark = time.monotonic()

        report(0)
        try:
            record = seat.read(pending, on_slice, cancelled)
        except SetAside:
            return True
        except DocumentNotFound as error:
            if not self._queue.cut_again(pending):
                self._note(FileProblem(pending.document.path, error.message, error.remedy))
            return True
        except LibraryDamaged as error:
            self._note(FileProblem(pending.document.path, error.message, error.remedy))
        except DecodeError as error:
            self._failed[pending.document.id, pending.volume.ordinal] += 1
            if self._failed[pending.document.id, pending.volume.ordinal] >= MAX_TRIES:
                self._note(FileProblem(pending.document.path, error.message, error.remedy))
            raise
        else:
            report(record.n_tokens)
            self._read_ids.add(pending.document.id)
            self._n_tokens += record.n_tokens
            announcer.tell(VolumeRead(self.ticket.number, pending.document.id, name, record.size_bytes))
            announcer.library_changed(settled=False)
        self._done += pending.volume.n_tokens
        self._index += 1
        return True

    def result(self, *, cancelled: bool) -> Ingested:
        """How it ended."""
        return Ingested(
            self.ticket.number,
            self._n_indexed,
            len(self._read_ids),
            self._n_tokens,
            time.monotonic() - self._started,
            cancelled,
            tuple(self._problems[:MAX_PROBLEMS]),
        )

    # -------------------------------------------------------------------- inside

    @property
    def _is_growing(self) -> bool:
        """Whether more is to be read than is known by now."""
        return self._looking or self._queue.has_arrivals

    def _take_in(self, seat: ReadingSeat, announcer: Announcer) -> None:
        """Take some of what was offered into the plan, and tell the plan now and then while it grows."""
        if self._queue.take_in(seat):
            self._told_ahead = False
        if self._told_ahead or not (self._ahead_throttle.due(time.monotonic()) or not self._is_growing):
            return
        self._told_ahead = True
        ahead = self._queue.ahead(MAX_AHEAD)
        documents = tuple(DocumentAhead(unread.document_id, unread.name, unread.n_tokens) for unread in ahead)
        announcer.tell(ReadingAhead(self.ticket.number, documents, self._queue.n_documents))

    def _next(self, seat: ReadingSeat) -> PendingVolume | None:
        """The volume that is now to be read, taken off; None when none is known, or not yet."""
        while True:
            pending = self._queue.next(seat)
            if pending is None or self._failed[pending.document.id, pending.volume.ordinal] < MAX_TRIES:
                return pending

    def _note_damage(self, _document_id: str, error: BeyondragError) -> None:
        if not isinstance(error, LibraryDamaged):
            raise error
        self._note(FileProblem(error.subject, error.message, error.remedy))

    def _note(self, problem: FileProblem) -> None:
        if len(self._problems) < MAX_PROBLEMS:
            self._problems.append(problem)
