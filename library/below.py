"""Conditions on the column `path` of a table: at or below a folder.  Paths are bytes, as the system has them.

They are ranges, so that the index of the column finds the rows without going through the others.
"""

from __future__ import annotations

import os

Bounds = dict[str, bytes]

_AT_OR_BELOW = "path >= :folder AND path < :last AND (path = :folder OR path >= :first)"


def bounds(folder: str) -> Bounds:
    """The parameters of ``path >= :first AND path < :last``: below a folder, in it or in folders in it."""
    name = os.fsencode(folder.rstrip(os.sep))
    return {"first": name + os.sep.encode(), "last": name + bytes([ord(os.sep) + 1])}


def at_or_below(folder: str | None) -> tuple[str, Bounds]:
    """A condition and its parameters: at or below `folder`, everywhere when None."""
    if folder is None:
        return "TRUE", {}
    return _AT_OR_BELOW, {"folder": os.fsencode(folder.rstrip(os.sep)), **bounds(folder)}
