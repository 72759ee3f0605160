"""Which files are new, changed or gone, and have rested long enough to be believed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_NS = 1e9


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a scan tells of a file: size in bytes and modification time in nanoseconds since 1970."""

    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Settled:
    """What rested: files to take, and files to let go.  `n_waiting` others still change.

    `gone_for_s` is how long the first of `gone` has been away.
    """

    changed: tuple[str, ...]
    gone: tuple[str, ...]
    n_waiting: int
    gone_for_s: float


class Settling:
    """Compares what is there with what was taken.

    A difference counts once it has stayed the same for `rest_s` seconds.  Files that were there at the
    first look and were last written before that long are taken at once.
    """

    def __init__(self, rest_s: float) -> None:
        self._rest_s = rest_s
        self._taken: dict[str, Stamp] = {}
        self._since: dict[str, tuple[Stamp | None, float]] = {}
        self._is_first = True

    def look(self, present: Mapping[str, Stamp], now: float, wall_s: float) -> Settled:
        """Compare.  `now` (any clock that only goes forward) and `wall_s` (since 1970) are in seconds."""
        differing: dict[str, tuple[Stamp | None, float]] = {}
        for path, stamp in present.items():
            if self._taken.get(path) != stamp:
                differing[path] = (stamp, self._began(path, stamp, now, wall_s))
        for path in self._taken.keys() - present.keys():
            differing[path] = (None, self._began(path, None, now, wall_s))
        self._since, self._is_first = differing, False
        rested = {path: seen for path, seen in differing.items() if now - seen[1] >= self._rest_s}
        gone = tuple(sorted(path for path, (stamp, _) in rested.items() if stamp is None))
        return Settled(
            tuple(path for path, (stamp, _) in rested.items() if stamp is not None),
            gone,
            len(differing) - len(rested),
            max((now - rested[path][1] for path in gone), default=0.0),
        )

    def took(self, paths: Iterable[str]) -> None:
        """These were dealt with as the last look saw them."""
        for path in paths:
            stamp, _ = self._since.pop(path, (None, 0.0))
            if stamp is None:
                self._taken.pop(path, None)
            else:
                self._taken[path] = stamp

    def _began(self, path: str, stamp: Stamp | None, now: float, wall_s: float) -> float:
        before = self._since.get(path)
        if before is not None and before[0] == stamp:
            return before[1]
        if self._is_first and stamp is not None:
            return now - max(wall_s - stamp.mtime_ns / _NS, 0.0)
        return now
