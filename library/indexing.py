"""Keeps the search index in line with the catalogue: works off the queue, rebuilds, clears away.

Each build of the index is a directory of its own, and the catalogue names the current one: a
rebuild is invisible until it is complete, and a crash in the middle leaves the old one in use.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from library.catalogue import Catalogue
from library.documents import Documents
from library.errors import DocumentNotFound, LibraryDamaged, LibraryLocked
from library.files import storage_errors
from library.index import FORMAT, Entry, SearchIndex
from library.lock import WriterLock
from library.paths import private_directory
from library.wording import one_line

_SETTING = "index"
_BATCH = 200
_NAME = re.compile(r"f(\d+)-(\d+)")


class Indexing:
    """The current search index of one library.  May be used from several threads."""

    def __init__(self, root: Path, catalogue: Catalogue, documents: Documents, lock: WriterLock) -> None:
        self.root = private_directory(root)
        self._catalogue = catalogue
        self._documents = documents
        self._lock = lock
        self._mutex = threading.Lock()  # guards `_open` only: a search never waits for a commit
        self._open: SearchIndex | None = None

    def current(self) -> SearchIndex:
        """The index, up to date with what was committed; what a crash left in the queue is worked
        off, and a missing, damaged or outdated index is rebuilt, when no one else is writing.

        Raises:
            LibraryLocked: it must be rebuilt, but someone else is writing.
        """
        try:
            index = self._current()
        except LibraryDamaged:
            with self._lock.hold():
                return self.rebuild()
        if self._documents.n_queued():
            # When someone else holds the lock, he is about to do it.
            with suppress(LibraryLocked), self._lock.hold():
                self._work(index)
        return index

    def commit(self) -> None:
        """Bring the index in line with the catalogue.  The caller holds the lock."""
        try:
            if self._documents.n_queued():
                self._work(self._current())
        except LibraryDamaged:
            self.rebuild()

    def rebuild(self) -> SearchIndex:
        """Build a new index from the catalogue and make it the current one.  The caller holds the lock."""
        queued = [key for key, _ in self._documents.queued(-1)]
        name = f"f{FORMAT}-{self._next_number()}"
        index = SearchIndex.create(self.root / name)
        index.update((), self._entries(self._documents.keys()))
        with self._catalogue.transaction():
            self._catalogue.set_setting(_SETTING, name)
            self._documents.unqueue(queued)
        with self._mutex:
            self._open = index
        self.sweep()
        return index

    def sweep(self) -> None:
        """Remove builds that are not the current one.  The caller holds the lock."""
        current = self._catalogue.setting(_SETTING)
        for path in self._builds():
            if path.name != current:
                SearchIndex.remove_files(path)

    def close(self) -> None:
        with self._mutex:
            self._open = None

    def findings(self) -> list[str]:
        """What differs between index and catalogue, in plain sentences."""
        waiting = self._documents.n_queued()
        found = [f"{waiting} changed documents are not in the search index yet."] if waiting else []
        if self._catalogue.setting(_SETTING) is None and not self._documents.count():
            return found
        try:
            index = self._current()
            known = set(self._documents.keys())
            queued = {key for key, _ in self._documents.queued(-1)}
            for name, view in (("documents", index.documents), ("passages", index.passages)):
                found += _difference(name, known - queued, set(view.keys()) - queued)
        except LibraryDamaged as error:
            found.append(f"The search index is damaged: {error.message}.")
        return found

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
        while queued := self._documents.queued(_BATCH):
            keys = [key for key, _ in queued]
            index.update(keys, self._entries(key for key, document_id in queued if document_id))
            self._documents.unqueue(keys)

    def _entries(self, keys: Iterable[int]) -> Iterator[Entry]:
        for key in keys:
            for record in self._documents.by_keys([key]).values():
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


def _difference(name: str, known: set[int], indexed: set[int]) -> list[str]:
    found = []
    if known - indexed:
        found.append(f"{len(known - indexed)} documents are missing from the search index ({name}).")
    if indexed - known:
        found.append(f"{len(indexed - known)} documents in the search index ({name}) no longer exist.")
    return found
