"""How far a run is and how long it will still take."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence


class Pace:
    """Counts jobs by kind; kinds may take very different times.

    Args:
        kinds: the names.
        n_each: jobs of each kind.
        clock: seconds since any fixed point.
    """

    def __init__(
        self, kinds: Sequence[str], n_each: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._left = dict.fromkeys(kinds, n_each)
        self._total = n_each * len(kinds)
        self._took: dict[str, list[float]] = {kind: [] for kind in kinds}
        self._clock = clock
        self._last = clock()

    def known(self, kind: str, n: int) -> None:
        """`n` jobs were done by an earlier run."""
        self._left[kind] -= n

    def done(self, kind: str) -> None:
        """A job has been done since the last one was."""
        now = self._clock()
        self._took[kind].append(now - self._last)
        self._last = now
        self._left[kind] -= 1

    def seconds_left(self) -> float | None:
        """An estimate from the mean time of each kind, of all kinds where one has not been seen; or None."""
        every = [took for kind in self._took.values() for took in kind]
        if not every:
            return None
        overall = sum(every) / len(every)
        means = {kind: sum(took) / len(took) if took else overall for kind, took in self._took.items()}
        return sum(n * means[kind] for kind, n in self._left.items())

    def __str__(self) -> str:
        n_left, seconds = sum(self._left.values()), self.seconds_left()
        done = f"{self._total - n_left} of {self._total}"
        if seconds is None:
            return done
        minutes = round(seconds / 60)
        left = f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes} min"
        return f"{done}, about {left} left" if minutes else f"{done}, less than a minute left"
