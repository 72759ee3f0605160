"""Keeps the search index in line with the catalogue: works off the queue, rebuilds, clears away.

Each build of the index is a directory of its own, and the catalogue names the current one: a
rebuild is invisible until it is complete, and a crash in the middle leaves the old one in use.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from library.catalogue import Catalogue
from library.documents import Documents
from library.errors import DocumentNotFound, LibraryDamaged, LibraryLocked
from library.files import storage_errors
from library.index import FORMAT, Entry, SearchIndex
from library.indexqueue import IndexQueue
from library.lock import WriterLock
from library.paths import private_directory
from library.wording import one_line

_SETTING = "index"
_BATCH = 1_000
_NAME = re.compile(r"f(\d+)-(\d+)")
_DOCUMENTS = "documents"
_PASSAGES = "passages"
_LAST_KEY = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Difference:
    """How many documents of a range of keys one of the two indices lacks, and holds too many."""

    index: str
    n_missing: int
    n_extra: int


class Indexing:
    """The current search index of one library.  May be used from several threads."""

    def __init__(self, root: Path, catalogue: Catalogue, documents: Documents, lock: WriterLock) -> None:
        self.root = private_directory(root)
        self._catalogue = catalogue
        self._documents = documents
        self.queue = IndexQueue(catalogue)
        self._lock = lock
        self._mutex = threading.Lock()  # guards `_open` only: a search never waits for a commit
        self._open: SearchIndex | None = None

    def current(self) -> SearchIndex | None:
        """The index, up to date with what was committed; what a crash left in the queue is worked
        off, and a missing, damaged or outdated index is rebuilt, when no one else is writing.

        None while someone else is building the first one: nothing can be found yet.

        Raises:
            LibraryLocked: it must be rebuilt, but someone else is writing.
        """
        try:
            index = self._current()
        except LibraryDamaged:
            try:
                with self._lock.hold():
                    return self.rebuild()
            except LibraryLocked:
                if self.was_built():
                    raise
                return None
        if self.queue.any():
            # When someone else holds the lock, he is about to do it.
            with suppress(LibraryLocked), self._lock.hold():
                self._work(index)
        return index

    def commit(self) -> None:
        """Bring the index in line with the catalogue.  The caller holds the lock."""
        try:
            if self.queue.any():
                self._work(self._current())
        except LibraryDamaged:
            self.rebuild()

    def rebuild(self) -> SearchIndex:
        """Build a new index from the catalogue and make it the current one.  The caller holds the lock."""
        queued = [key for key, _ in self.queue.waiting(-1)]
        name = f"f{FORMAT}-{self._next_number()}"
        index = SearchIndex.create(self.root / name)
        index.update((), self._all_entries())
        with self._catalogue.transaction():
            self._catalogue.set_setting(_SETTING, name)
            self.queue.done(queued)
        with self._mutex:
            self._open = index
        self.sweep()
        return index

    def sweep(self, *, keep: bool = False) -> list[Path]:
        """Remove builds that are not the current one; returns them.  The caller holds the lock.

        With `keep` they are only named.
        """
        current = self._catalogue.setting(_SETTING)
        others = [path for path in self._builds() if path.name != current]
        if not keep:
            for path in others:
                SearchIndex.remove_files(path)
        return others

    def close(self) -> None:
        with self._mutex:
            self._open = None

    def was_built(self) -> bool:
        """Whether there ever was an index; the first one is built with the first commit."""
        return self._catalogue.setting(_SETTING) is not None

    def differences(self) -> Iterator[Difference]:
        """Where the index is not what the catalogue says; what waits in the queue is no difference.

        Raises:
            LibraryDamaged: the index cannot be read.
        """
        index = self._current()
        first = 0
        for _, after in self._documents.key_ranges():
            yield from self._difference(index, first, after)
            first = after  # without gaps: the index may hold what lies between documents
        yield from self._difference(index, first, _LAST_KEY)

    def clear_leftovers(self) -> None:
        """Remove what a killed writer left in the current index.  The caller holds the lock."""
        if self.was_built():
            self._current().clear_leftovers()

    def _current(self) -> SearchIndex:
        name = self._catalogue.setting(_SETTING)
        match = _NAME.fullmatch(name or "")
        if not name or not match or int(match[1]) != FORMAT:
            raise LibraryDamaged("there is no search index of this format", subject=str(self.root))
        with self._mutex:
            if self._open is None or self._open.path.name != name:
                self._open = SearchIndex.open(self.root / name)
            else:
                self._open.refresh()
            return self._open

    def _work(self, index: SearchIndex) -> None:
        while queued := self.queue.waiting(_BATCH):
            keys = [key for key, _ in queued]
            index.update(keys, self._entries(key for key, document_id in queued if document_id))
            self.queue.done(keys)

    def _difference(self, index: SearchIndex, first: int, after: int) -> Iterator[Difference]:
        """In the range of keys [first, after).  Looked at twice: another process may be writing."""
        for name in (_DOCUMENTS, _PASSAGES):
            missing, extra = self._differing_keys(index, name, first, after)
            if missing or extra:
                again_missing, again_extra = self._differing_keys(index, name, first, after)
                missing, extra = missing & again_missing, extra & again_extra
            if missing or extra:
                yield Difference(name, len(missing), len(extra))

    def _differing_keys(
        self, index: SearchIndex, name: str, first: int, after: int
    ) -> tuple[set[int], set[int]]:
        index.refresh()
        view = index.documents if name == _DOCUMENTS else index.passages
        indexed = view.keys(first, after)
        known, queued = self.queue.known(first, after)
        return known - indexed - queued, indexed - known - queued

    def _all_entries(self) -> Iterator[Entry]:
        for first, after in self._documents.key_ranges():
            known, _ = self.queue.known(first, after)
            yield from self._entries(sorted(known))

    def _entries(self, keys: Iterable[int]) -> Iterator[Entry]:
        for key, record in self._documents.by_keys(list(keys)).items():
            try:
                text = self._documents.text(record.id)
            except (LibraryDamaged, DocumentNotFound):
                continue  # A damaged text cannot be searched; `verify` reports it.
            yield Entry(key, record.title, one_line(record.name), text)

    def _builds(self) -> list[Path]:
        with storage_errors(self.root):
            return [path for path in self.root.iterdir() if _NAME.fullmatch(path.name)]

    def _next_number(self) -> int:
        names = [path.name for path in self._builds()] + [self._catalogue.setting(_SETTING) or ""]
        return 1 + max((int(match[2]) for name in names if (match := _NAME.fullmatch(name))), default=0)
