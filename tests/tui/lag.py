"""How long the UI thread keeps a person waiting."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from textual.pilot import Pilot

_TICK_S = 0.005
_SCHEDSTAT = Path("/proc/thread-self/schedstat")


def waited_for_a_processor() -> float:
    """Seconds that this thread was ready to run and the machine was busy with others; 0 where unknown."""
    try:
        return int(_SCHEDSTAT.read_text("ascii").split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0


@dataclass
class LagMeter:
    """Between two ticks of a timer of the app: `busy_s` is the most CPU time that the UI thread itself took,
    `late_s` the most time by which a tick was late, less the time for which the thread only lacked a
    processor: what it did, and what it waited for (a lock, Python's interpreter lock, the disk)."""

    pilot: Pilot[int]
    busy_s: float = 0.0
    late_s: float = 0.0
    n_ticks: int = 0

    def __enter__(self) -> Self:
        self._mark()
        self._timer = self.pilot.app.set_interval(_TICK_S, self._tick)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.stop()

    def _mark(self) -> None:
        self._wall, self._cpu, self._queued = time.monotonic(), time.thread_time(), waited_for_a_processor()

    def _tick(self) -> None:
        wall, cpu, queued = self._wall, self._cpu, self._queued
        self._mark()
        self.n_ticks += 1
        self.busy_s = max(self.busy_s, self._cpu - cpu)
        self.late_s = max(self.late_s, self._wall - wall - _TICK_S - (self._queued - queued))
