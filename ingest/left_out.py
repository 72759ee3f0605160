"""Rows of the failure list about what the scan left out: devices, files over the limit, locked folders.

What a rule leaves out, files of other kinds and links that are not followed have no row: nobody expects
to find them.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence

from ingest.scan import SkippedFile
from library.records import NEVER_TRIED, FailureRecord
from library.store import Library
from library.wording import one_line

LISTED = frozenset({"special", "too-large", "no-permission", "broken"})
"""The codes of `SkippedFile` that get a row."""


def note_left_out(library: Library, skipped: Sequence[SkippedFile]) -> frozenset[str]:
    """Give each of `skipped` whose code is `LISTED` a row, and return their paths; a row that says the same
    already stays as it is."""
    listed = [file for file in skipped if file.code in LISTED]
    if not listed:
        return frozenset()
    with library.batch():
        for file in listed:
            path = str(file.path)
            row = (path, NEVER_TRIED, file.code, one_line(file.reason))
            if any((old.path, old.size, old.code, old.reason) == row for old in library.failures(path)):
                continue
            library.record_failure(
                FailureRecord(path, NEVER_TRIED, 0, file.code, file.reason, file.remedy, time.time())
            )
    return frozenset(str(file.path) for file in listed)


def is_over(failure: FailureRecord, listed: Collection[str]) -> bool:
    """Whether a row of `note_left_out` holds no more; `listed` is what the present scan gave a row."""
    return failure.size == NEVER_TRIED and failure.code in LISTED and failure.path not in listed
