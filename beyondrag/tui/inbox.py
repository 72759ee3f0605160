"""Where the service's threads leave notices and the UI thread fetches them in batches."""

from __future__ import annotations

import threading
from collections.abc import Callable

from beyondrag.service.notices import Notice


class Inbox:
    """Thread-safe.  `wake` is called, in the thread of the sender, when the first notice comes in."""

    def __init__(self, wake: Callable[[], object]) -> None:
        self._wake = wake
        self._lock = threading.Lock()
        self._waiting: list[Notice] = []
        self._open = True

    def put(self, notice: Notice) -> None:
        """Leave a notice; after `close` it is dropped."""
        with self._lock:
            first = self._open and not self._waiting
            if self._open:
                self._waiting.append(notice)
        if first:
            self._wake()

    @property
    def has_waiting(self) -> bool:
        """Whether `take` would give something."""
        with self._lock:
            return bool(self._waiting)

    def take(self) -> list[Notice]:
        """Everything that waits, in order; the next `put` wakes again."""
        with self._lock:
            waiting, self._waiting = self._waiting, []
        return waiting

    def close(self) -> None:
        """Nobody will fetch any more."""
        with self._lock:
            self._open = False
            self._waiting = []
