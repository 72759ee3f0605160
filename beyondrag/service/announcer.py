"""Hands notices to the listener: one after another, never after the end, and whatever it does to them."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from beyondrag.service.notices import LibraryChanged, Notice

_log = logging.getLogger(__name__)

CHANGES_EVERY_S = 2.0
"""While documents pour in, lists are asked to look again at most this often."""


class Announcer:
    """Tells notices to the one listener.  Thread-safe; silent before `listen` and after `end`."""

    def __init__(self) -> None:
        self._mutex = threading.RLock()  # a listener may answer a notice with a request, or close
        self._listener: Callable[[Notice], None] | None = None
        self._last_change = 0.0

    def listen(self, listener: Callable[[Notice], None]) -> None:
        """From now on tell `listener`."""
        with self._mutex:
            self._listener = listener

    def end(self) -> None:
        """Tell nobody any more."""
        with self._mutex:
            self._listener = None

    def tell(self, notice: Notice) -> None:
        """Hand `notice` over.  A listener that fails is logged: the work must go on."""
        with self._mutex:
            if self._listener is None:
                return
            try:
                self._listener(notice)
            except Exception:
                _log.exception("the listener failed on %s", type(notice).__name__)

    def library_changed(self, *, settled: bool = True) -> None:
        """Say that lists are out of date; unless `settled` only once in a while, as more will follow."""
        with self._mutex:
            now = time.monotonic()
            if settled or now - self._last_change >= CHANGES_EVERY_S:
                self._last_change = now
                self.tell(LibraryChanged())
