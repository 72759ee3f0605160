"""Garbage collection at times when nobody waits for the screen."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

IDLE_SECONDS = 5.0
"""Nobody typed and nothing came in for this long."""

PATIENCE_SECONDS = 600.0
"""After this long it is done in any case: an ingest of hours leaves no idle moment."""

_NEVER = 1_000_000_000


class IdleCollector:
    """Collects when `look` finds the app idle.  `touch` says that something happened; times in seconds."""

    def __init__(
        self, collect: Callable[[], object] = gc.collect, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._collect, self._now = collect, now
        self._touched_at = self._collected_at = now()

    def touch(self) -> None:
        """A key, a notice."""
        self._touched_at = self._now()

    def look(self) -> None:
        """Collect if something happened since the last time, and either nothing happens now or it is high
        time."""
        now = self._now()
        idle = now - self._touched_at >= IDLE_SECONDS and self._touched_at > self._collected_at
        if idle or now - self._collected_at >= PATIENCE_SECONDS:
            self._collect()
            self._collected_at = self._now()


@contextmanager
def no_full_collections() -> Iterator[None]:
    """Inside the block Python starts no full collection by itself.

    Young garbage goes as ever.  Textual keeps a hundred thousand small caches: with full collections the UI
    thread was busy for up to 0.35 s at a time while an answer streamed, without them for 0.03 s at most.
    """
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*before[:2], _NEVER)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
