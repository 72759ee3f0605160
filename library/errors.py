"""Errors of the library: what is on disk cannot be found, read or changed.

::

    LibraryError
    ├── LibraryLocked       another process is writing
    ├── LibraryNewer        written by a newer program
    ├── LibraryDamaged      catalogue, text or snapshot does not fit its checksum
    └── DocumentNotFound    no such document, or a name that fits several
"""

from __future__ import annotations

from kvfiles.errors import BeyondragError


class LibraryError(BeyondragError):
    """Something is wrong with the library."""

    exit_code = 6


class LibraryLocked(LibraryError):
    """Another process is writing to the library; the message says which one and since when."""


class LibraryNewer(LibraryError):
    """The library was written by a newer program than this one."""


class LibraryDamaged(LibraryError):
    """Something in the library does not fit its checksum or cannot be read."""


class DocumentNotFound(LibraryError):
    """No document has this name, or several have it."""
