"""A thread that does one job after another."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable

Job = Callable[[], None]

_log = logging.getLogger(__name__)


class Worker:
    """Runs jobs in the order in which they come, in a daemon thread of its own.

    A job tells its own failures; one that raises all the same is logged and the next one is done.
    `at_end` runs in the thread when it ends.
    """

    def __init__(self, name: str, at_end: Job) -> None:
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._at_end = at_end
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def put(self, job: Job) -> None:
        """Let `job` wait for its turn."""
        self._jobs.put(job)

    def finish(self) -> None:
        """Do what waits, then end.  Whoever wants it to be quick has stopped the jobs' tickets before."""
        self._jobs.put(None)

    def join(self, timeout_s: float) -> bool:
        """Wait for the end; whether it came.  True at once in the thread itself or before `start`."""
        if self._thread.ident is None or self._thread is threading.current_thread():
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            while (job := self._jobs.get()) is not None:
                try:
                    job()
                except Exception:
                    _log.exception("a job of %s failed", self._thread.name)
        finally:
            self._at_end()
