"""Opens the library for the service's threads, and notices when it goes away under them."""

from __future__ import annotations

import threading
from pathlib import Path

from library.errors import LibraryError
from library.roots import CATALOGUE_NAME
from library.store import Library


class LibraryGone(LibraryError):
    """The library that was open was removed, or another one stands in its place."""


class Door:
    """The one way to the library in `root`.  Thread-safe: its threads open it one after another.

    The first opening makes the library when there is none.  Later ones do not: a library that was
    removed while the app ran must not come back empty.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._mutex = threading.Lock()
        self._made = False

    def open(self) -> OpenLibrary:
        """A library object of one's own.  Raises LibraryError, StorageError and the like."""
        with self._mutex:
            library = Library.open(self.root) if self._made else Library.create_or_open(self.root)
            self._made = True
            return OpenLibrary(library)


class OpenLibrary:
    """An open library, and whether it is still the one that was opened."""

    def __init__(self, library: Library) -> None:
        self.library = library
        self._identity = _identity(library.root)

    def require(self) -> None:
        """Do nothing while the library is in its place.

        Open files outlive their names, so without this an app could go on writing into a library that
        nobody can ever open again.  Raises LibraryGone.
        """
        found = _identity(self.library.root)
        if found is not None and found == self._identity:
            return
        gone = "the library is gone" if found is None else "another library was put in its place"
        raise LibraryGone(
            gone,
            subject=str(self.library.root),
            remedy="put the folder back and ask again, or start beyondrag again to begin a new one",
        )

    def close(self) -> None:
        """Close it.  Closing twice is harmless."""
        self.library.close()


class Borrowed:
    """The library object of one thread, opened when it is first needed and anew when it was exchanged."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._open: OpenLibrary | None = None

    def get(self) -> Library:
        """The library as it stands now.  Raises LibraryGone and what opening raises."""
        if self._open is not None:
            try:
                self._open.require()
            except LibraryGone:
                self.close()  # the next attempt opens what is there by then
                raise
        else:
            self._open = self._door.open()
        return self._open.library

    def close(self) -> None:
        """Close it if it is open."""
        if self._open is not None:
            self._open.close()
            self._open = None


def _identity(root: Path) -> tuple[int, int] | None:
    """Device and inode of the catalogue; None when it is not there."""
    try:
        status = (root / CATALOGUE_NAME).stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
