"""The reading of an ingest, volume by volume: what is left, how far it is, and what went wrong."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

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
from kvfiles.errors import Cancelled, DecodeError
from library.errors import DocumentNotFound, LibraryDamaged
from library.records import SnapshotRecord

REPORT_EVERY_S = 0.1
MAX_TRIES = 2
"""Times that a volume is tried on which llama.cpp fails, each time with the model opened anew; and times
that a document is cut anew because it changed under the reading."""
MAX_PROBLEMS = 1000
MAX_AHEAD = 1000
"""Documents that are named before their turn comes."""


class SetAside(Cancelled):
    """This volume is not to be read on now; the job itself goes on."""


@dataclass(frozen=True, slots=True)
class Unread:
    """A document that is not read yet; both numbers are estimates until it has been cut."""

    document_id: str
    n_tokens: int
    n_volumes: int
    name: str = ""


class ReadingSeat(Protocol):
    """What reading needs of the engine's side."""

    def unread(self, document_ids: Sequence[str]) -> list[Unread]:
        """Those of them that lack a snapshot; unknown ids are left out."""

    def pending(self, document_id: str) -> list[PendingVolume]:
        """The document's volumes that lack a snapshot.  Raises DocumentNotFound, LibraryDamaged."""

    def is_read(self, pending: PendingVolume) -> bool:
        """Whether its snapshot is there by now."""

    def read(
        self, pending: PendingVolume, on_slice: Callable[[int], None], cancelled: Callable[[], bool]
    ) -> SnapshotRecord:
        """Read it.  Raises what `on_slice` raises, Cancelled, DecodeError, library and storage errors."""

    def drop_snapshots(self, document_id: str) -> None:
        """Forget all snapshots of the document."""


class ReadingJob:
    """Belongs to the engine thread from its first `step` on; only `ticket` is touched from outside.

    Documents are cut as their turn comes, so that reading begins at once: until then their tokens are
    estimates and the total moves a little.
    """

    def __init__(
        self,
        ticket: Ticket,
        document_ids: Sequence[str],
        *,
        n_indexed: int = 0,
        problems: Sequence[FileProblem] = (),
        again: bool = False,
        started: float | None = None,
    ) -> None:
        self.ticket = ticket
        self.last: Reading | None = None
        self._ids = tuple(document_ids)
        self._drop = list(document_ids) if again else []
        self._n_indexed = n_indexed
        self._problems = list(problems)
        self._started = time.monotonic() if started is None else started
        self._planned = False
        self._ahead: deque[Unread] = deque()
        self._volumes: deque[PendingVolume] = deque()
        self._failed: Counter[tuple[str, int]] = Counter()
        self._moved: Counter[str] = Counter()
        self._read_ids: set[str] = set()
        self._done = self._index = self._n_tokens = 0
        self._pace, self._throttle = Pace(), Throttle(REPORT_EVERY_S)

    def replan(self) -> None:
        """Look again at what is left: the model was opened anew, or it is another one."""
        self._planned = False

    def step(
        self,
        seat: ReadingSeat,
        announcer: Announcer,
        at_slice: Callable[[PendingVolume], None],
        cancelled: Callable[[], bool],
    ) -> bool:
        """Read the next volume; False when nothing is left.

        `at_slice` is called between slices and may take its time (that is not counted as reading), or
        raise SetAside.  Raises Cancelled, DecodeError (the model must be opened anew), and every error
        that ends the job.
        """
        if not self._planned:
            self._plan(seat, announcer)
        pending = self._next(seat)
        if pending is None:
            return False
        name = volume_title(pending.document.name, pending.volume.label, pending.n_volumes)
        total = self._done + pending.volume.n_tokens + self._left()
        n_volumes = self._index + 1 + len(self._volumes) + sum(unread.n_volumes for unread in self._ahead)
        before, mark = 0, time.monotonic()

        def report(n: int) -> None:
            done = self._done + n
            self.last = Reading(
                self.ticket.number,
                pending.document.id,
                name,
                self._index,
                n_volumes,
                n,
                pending.volume.n_tokens,
                done,
                max(total, done),
                self._pace.tokens_per_s,
                self._pace.seconds_for(max(total - done, 0)),
                self.ticket.paused,
            )
            announcer.tell(self.last)

        def on_slice(n: int) -> None:
            nonlocal before, mark
            now = time.monotonic()
            self._pace.add(n - before, now - mark)
            before = n
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
            self._cut_again(pending, error)
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
            tuple(self._problems),
        )

    # -------------------------------------------------------------------- inside

    def _plan(self, seat: ReadingSeat, announcer: Announcer) -> None:
        while self._drop:
            seat.drop_snapshots(self._drop.pop())
        self._ahead = deque(seat.unread(self._ids))
        self._volumes.clear()
        self._planned = True
        ahead = islice(self._ahead, MAX_AHEAD)
        documents = tuple(DocumentAhead(unread.document_id, unread.name, unread.n_tokens) for unread in ahead)
        announcer.tell(ReadingAhead(self.ticket.number, documents, len(self._ahead)))

    def _next(self, seat: ReadingSeat) -> PendingVolume | None:
        """The volume that is now to be read, taken off; those that were read meanwhile are passed over."""
        while True:
            while self._volumes:
                pending = self._volumes.popleft()
                given_up = self._failed[pending.document.id, pending.volume.ordinal] >= MAX_TRIES
                if not given_up and not seat.is_read(pending):
                    return pending
            if not self._ahead:
                return None
            document_id = self._ahead.popleft().document_id
            try:
                self._volumes.extend(seat.pending(document_id))
            except DocumentNotFound:
                continue
            except LibraryDamaged as error:
                self._note(FileProblem(error.subject, error.message, error.remedy))

    def _cut_again(self, pending: PendingVolume, error: DocumentNotFound) -> None:
        """The document is gone, or has another title or text: what was cut of it holds no more.

        If it is still there, it comes next, and is cut as it is now.
        """
        self._moved[pending.document.id] += 1
        if self._moved[pending.document.id] > MAX_TRIES:
            self._note(FileProblem(pending.document.path, error.message, error.remedy))
            return
        of_it = [volume for volume in self._volumes if volume.document.id == pending.document.id]
        self._volumes = deque(volume for volume in self._volumes if volume not in of_it)
        n_tokens = pending.volume.n_tokens + sum(other.volume.n_tokens for other in of_it)
        self._ahead.appendleft(Unread(pending.document.id, n_tokens, 1 + len(of_it), pending.document.name))

    def _left(self) -> int:
        """Tokens behind the volume under way."""
        return sum(p.volume.n_tokens for p in self._volumes) + sum(u.n_tokens for u in self._ahead)

    def _note(self, problem: FileProblem) -> None:
        if len(self._problems) < MAX_PROBLEMS:
            self._problems.append(problem)
