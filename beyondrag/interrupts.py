"""Ctrl-C that asks first: work stops at the next safe point, or at once when it is pressed again."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType


@contextmanager
def interruptible(on_request: Callable[[], None]) -> Iterator[Callable[[], bool]]:
    """Inside the block the first Ctrl-C calls `on_request` and makes the yielded function return True;
    the second one raises KeyboardInterrupt.

    Outside of the main thread, where no signal handler can be set, Ctrl-C stays as it is.
    """
    requested = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield requested.is_set
        return

    def handle(_number: int, _frame: FrameType | None) -> None:
        if requested.is_set():
            raise KeyboardInterrupt
        requested.set()
        with suppress(RuntimeError):  # it broke in on a write to the same stream
            on_request()

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield requested.is_set
    finally:
        signal.signal(signal.SIGINT, before)
