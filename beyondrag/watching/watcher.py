"""Looks at folders again and again, and brings the library up to date with what has come to rest.

The folders are scanned, not subscribed to: that works on every file system, network shares too, misses
nothing while the program is away, and costs little because the pause follows from what a scan takes.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from beyondrag.watching.settling import Settling, Stamp
from ingest.errors import NothingToIngest, PathProblem
from ingest.indexing import FileOutcome, FileState, IndexReport, index
from ingest.scan import scan
from library.store import Library

REST_S = 2.0
"""A file is taken when its size and time have stayed the same for this long."""
DUTY = 0.01
"""Share of the time that may go into scanning while nothing happens."""
MAX_GONE_S = 30.0
"""Files that went away wait this long for others that still change: a rename is both, and letting go needs
a scan that takes everything as it is."""


@dataclass(frozen=True, slots=True)
class Look:
    """What one look brought into the library.

    `renamed` maps old paths of files to the new ones, which the `report` has as copies; `gone` are the files
    that went away otherwise since the last look (at first: since the library last saw them).
    """

    report: IndexReport
    renamed: Mapping[str, str]
    gone: tuple[str, ...]


OnFile = Callable[[FileOutcome, int, int], None]
Cancelled = Callable[[], bool]


class Watcher:
    """Watches `paths` (files and folders) for one open library.

    `interval_s` is the least time between two scans.
    """

    def __init__(
        self,
        library: Library,
        paths: Sequence[Path],
        *,
        interval_s: float,
        rest_s: float = REST_S,
        cancelled: Cancelled | None = None,
    ) -> None:
        self._library = library
        self._paths = tuple(paths)
        self._interval_s = interval_s
        self._rest_s = rest_s
        self._cancelled = cancelled
        self._settling = Settling(rest_s)
        self._known_gone: frozenset[str] = frozenset()
        self._owes_whole_since: float | None = time.monotonic()
        self._n_waiting = 0
        self._scan_s = 0.0

    @property
    def is_waiting(self) -> bool:
        """Whether the last look saw changes that had not come to rest yet."""
        return self._n_waiting > 0

    @property
    def pause_s(self) -> float:
        """How long to do something else before the next look."""
        if self.is_waiting:
            return max(self._rest_s / 2, 5 * self._scan_s)
        return max(self._interval_s, self._scan_s / DUTY)

    def look(self, on_file: OnFile | None = None) -> Look | None:
        """Scan once and index what has come to rest; None when there was nothing.

        `on_file` is told of each file as soon as it is recorded, as by `ingest.indexing.index`.  Holds the
        writer's lock only while it indexes.  Raises LibraryLocked and PathProblem (both may be over at the
        next look, which tries again), Cancelled, StorageError.
        """
        started = time.perf_counter()
        present = {str(file.path): Stamp(file.size, file.mtime_ns) for file in scan(self._paths).files}
        self._scan_s = time.perf_counter() - started
        now = time.monotonic()
        settled = self._settling.look(present, now, time.time())
        self._n_waiting = settled.n_waiting
        # What went away while nobody watched is only found by going through everything.
        owed_s = 0.0 if self._owes_whole_since is None else now - self._owes_whole_since
        is_whole = bool(settled.gone) or self._owes_whole_since is not None
        if is_whole and settled.n_waiting and max(settled.gone_for_s, owed_s) < MAX_GONE_S:
            self._n_waiting += len(settled.gone)
            settled, is_whole = replace(settled, gone=()), False
        if not is_whole and not settled.changed:
            return None
        found = self._index(self._paths if is_whole else [Path(path) for path in settled.changed], on_file)
        self._settling.took((*settled.changed, *settled.gone))
        if is_whole:
            self._owes_whole_since = None
        return found

    def _index(self, paths: Sequence[Path], on_file: OnFile | None) -> Look | None:
        with self._library.writing():
            try:
                report = self._report(paths, on_file)
            except NothingToIngest:  # all that was there is gone, and the library knew nothing of it
                return None
            except PathProblem:
                if paths is self._paths:
                    raise
                paths = self._paths  # one of the files went away since the scan
                report = self._report(paths, on_file)
            renamed = self._forget_old_names(report)
        gone = tuple(path for path in report.missing if path not in self._known_gone and path not in renamed)
        if paths is self._paths:
            self._known_gone = frozenset(report.missing)
        return Look(report, renamed, gone)

    def _report(self, paths: Sequence[Path], on_file: OnFile | None) -> IndexReport:
        return index(self._library, paths, on_file=on_file, cancelled=self._cancelled)

    def _forget_old_names(self, report: IndexReport) -> dict[str, str]:
        """A file that is gone while another one has the same content leaves nothing behind: its path must
        not stay the document's first.  Returns those whose other file came in the same look: renamed ones."""
        came = {str(outcome.path) for outcome in report.outcomes if outcome.state is FileState.COPY}
        renamed = {}
        for path in report.missing:
            known = self._library.source(path)
            if known is None:
                continue
            others = [other for other in self._library.document(known[1]).paths if other != path]
            there = [other for other in others if os.path.lexists(other)]
            if there:
                self._library.prune_missing(path)
            if new := next((other for other in there if other in came), None):
                renamed[path] = new
        return renamed
