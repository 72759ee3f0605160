"""What waits to be read with the model: documents as they come, then the volumes that they are cut into."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

from ingest.pipeline import PendingVolume
from kvfiles.errors import BeyondragError, ContextOverflow
from library.errors import DocumentNotFound, LibraryDamaged

MAX_CUTS = 3
"""Times that a document is cut into volumes because it changed before it was read."""
CHUNK = 256
"""Documents that are looked up in one go: between two slices of a reading that must not take long."""


@dataclass(frozen=True, slots=True)
class Unread:
    """A document that is not read yet; both numbers are estimates until it has been cut."""

    document_id: str
    n_tokens: int
    n_volumes: int
    name: str = ""


class Shelf(Protocol):
    """Where documents lie and are cut."""

    def unread(self, document_ids: Sequence[str]) -> list[Unread]:
        """Those of them that lack a snapshot; unknown ids are left out."""

    def pending(self, document_id: str) -> list[PendingVolume]:
        """The document's volumes that lack a snapshot.  Raises DocumentNotFound, LibraryDamaged."""

    def is_read(self, pending: PendingVolume) -> bool:
        """Whether its snapshot is there by now."""


Uncuttable = Callable[[str, BeyondragError], None]


def _raise(_document_id: str, error: BeyondragError) -> None:
    raise error


class ReadingQueue:
    """`offer` may be called by one thread while another one reads: everything else belongs to that one.

    `uncuttable` is told of a document that cannot be cut, with what was raised; if it returns, the document
    is passed over.
    """

    def __init__(self, document_ids: Iterable[str] = (), uncuttable: Uncuttable = _raise) -> None:
        self._uncuttable = uncuttable
        self.n_tokens = self.n_volumes = self.n_documents = 0
        """Of what waits and was taken in: tokens and volumes (estimates for documents that are not cut yet),
        and documents that are not cut yet."""
        self._offered: dict[str, None] = {}
        self._order: list[str] = []
        self._n_taken = 0
        self._waiting: deque[Unread | PendingVolume] = deque()
        self._moved: Counter[str] = Counter()
        self.offer(document_ids)

    def offer(self, document_ids: Iterable[str]) -> None:
        """These are in the library, and are to be read unless they are read; each counts once."""
        for document_id in document_ids:
            if document_id not in self._offered:
                self._offered[document_id] = None
                self._order.append(document_id)

    @property
    def was_offered(self) -> bool:
        """Whether anything ever was."""
        return bool(self._order)

    @property
    def is_empty(self) -> bool:
        """Whether nothing of what was offered is left."""
        return not self._waiting and not self.has_arrivals

    @property
    def has_arrivals(self) -> bool:
        """Whether some were offered and not taken in."""
        return self._n_taken < len(self._order)

    def start_again(self) -> None:
        """Look anew at all that was offered, as for another model."""
        self._n_taken = self.n_tokens = self.n_volumes = self.n_documents = 0
        self._waiting.clear()

    def take_in(self, shelf: Shelf, most: int = CHUNK, *, cut: bool = False) -> bool:
        """Look up at most so many of those that were offered, and `cut` them; whether any is to be read."""
        ids = self._order[self._n_taken : self._n_taken + most]
        self._n_taken += len(ids)
        found = shelf.unread(ids) if ids else []
        for unread in found:
            for one in self._cut(shelf, unread) if cut else [unread]:
                self._put(one)
        return bool(found)

    def cut_all(self, shelf: Shelf, between: Callable[[], None]) -> None:
        """Take everything in and cut it: then the numbers are no estimates.  `between` may raise."""
        while self.has_arrivals:
            between()
            self.take_in(shelf)
        waiting, self._waiting = self._waiting, deque()
        self.n_tokens = self.n_volumes = self.n_documents = 0
        while waiting:
            between()
            one = waiting.popleft()
            for pending in self._cut(shelf, one) if isinstance(one, Unread) else [one]:
                self._put(pending)

    def next(self, shelf: Shelf) -> PendingVolume | None:
        """The volume that is now to be read, taken off; those that were read meanwhile are passed over.

        None: nothing is left, or a while was spent with what is read; then there is more (`is_empty`).
        """
        for _ in range(CHUNK):
            if not self._waiting and not (self.has_arrivals and self.take_in(shelf)):
                return None
            one = self._waiting.popleft()
            self._count(one, -1)
            if isinstance(one, Unread):
                for pending in reversed(self._cut(shelf, one)):
                    self._put(pending, first=True)
                continue
            if not shelf.is_read(one):
                return one
        return None

    def cut_again(self, pending: PendingVolume) -> bool:
        """The document is gone, or has another title or text: what was cut of it holds no more.

        If it is still there it comes next and is cut as it is now; False when that happened too often.
        """
        document = pending.document
        of_it = self._drop(document.id)
        self._moved[document.id] += 1
        if self._moved[document.id] >= MAX_CUTS:
            return False
        n_tokens = pending.volume.n_tokens + sum(volume.volume.n_tokens for volume in of_it)
        self._put(Unread(document.id, n_tokens, 1 + len(of_it), document.name), first=True)
        return True

    def _drop(self, document_id: str) -> list[PendingVolume]:
        """Its volumes; they come one after another, first of all."""
        of_it = []
        while self._waiting:
            first = self._waiting[0]
            if not isinstance(first, PendingVolume) or first.document.id != document_id:
                break
            of_it.append(first)
            self._count(self._waiting.popleft(), -1)
        return of_it

    def put_aside(self, document_id: str) -> None:
        """Leave out what is left of the document under way."""
        self._drop(document_id)

    def ahead(self, most: int) -> list[Unread]:
        """The first documents that are not cut yet."""
        return list(islice((one for one in self._waiting if isinstance(one, Unread)), most))

    def _cut(self, shelf: Shelf, unread: Unread) -> list[PendingVolume]:
        try:
            return shelf.pending(unread.document_id)
        except DocumentNotFound:
            pass
        except (ContextOverflow, LibraryDamaged) as error:
            self._uncuttable(unread.document_id, error)
        return []

    def _put(self, one: Unread | PendingVolume, *, first: bool = False) -> None:
        if first:
            self._waiting.appendleft(one)
        else:
            self._waiting.append(one)
        self._count(one, 1)

    def _count(self, one: Unread | PendingVolume, sign: int) -> None:
        if isinstance(one, Unread):
            self.n_documents += sign
            self.n_volumes += sign * one.n_volumes
            self.n_tokens += sign * one.n_tokens
        else:
            self.n_volumes += sign
            self.n_tokens += sign * one.volume.n_tokens
