"""Rows of the catalogue about files that could not be read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from library.below import at_or_below
from library.catalogue import Catalogue
from library.records import FailureRecord
from library.wording import one_line

_FAILURES = "SELECT path, size, mtime_ns, code, reason, remedy, at FROM failures "


class Failures:
    """The last failure of each file; a file that was read successfully has none."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def record(self, failure: FailureRecord) -> None:
        with self._catalogue.transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO failures VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    os.fsencode(failure.path),
                    failure.size,
                    failure.mtime_ns,
                    one_line(failure.code, 40),
                    one_line(failure.reason),
                    one_line(failure.remedy),
                    failure.at,
                ),
            )

    def clear(self, path: str) -> None:
        with self._catalogue.transaction() as connection:
            connection.execute("DELETE FROM failures WHERE path = ?", (os.fsencode(path),))

    def under(self, path: str | None) -> list[FailureRecord]:
        """At or below a path, everywhere when None; in the order of the paths."""
        condition, scope = at_or_below(path)
        rows: Sequence[Sequence[Any]] = self._catalogue.read(
            _FAILURES + "WHERE " + condition + " ORDER BY path", scope
        )
        return [FailureRecord(os.fsdecode(found), *rest) for found, *rest in rows]

    def count(self) -> int:
        return int(str(self._catalogue.read("SELECT count(*) FROM failures")[0][0]))
