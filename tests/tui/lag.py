"""How long the UI thread keeps a person waiting."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from textual.pilot import Pilot

_TICK_S = 0.005
_THREADS = Path("/proc/self/task")


def waited_for_a_processor() -> float:
    """Seconds that the threads of this process were ready to run and the machine was busy with others; 0
    where unknown.

    All threads: one that waits for a processor may hold the lock for which the UI thread waits.
    """
    waited = 0
    with suppress(OSError):
        for thread in _THREADS.iterdir():
            with suppress(OSError, ValueError, IndexError):  # it may end meanwhile
                waited += int((thread / "schedstat").read_text("ascii").split()[1])
    return waited / 1e9


@dataclass
class LagMeter:
    """Between two ticks of a timer of the app: `busy_s` is the most CPU time that the UI thread itself took,
    `late_s` the most time by which a tick was late, less the time for which this process only lacked a
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
