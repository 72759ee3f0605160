"""Ends a piece of work that takes too much processor time, when the work is worth less than the file."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class TooSlow(BaseException):
    """The time is used up.  No `Exception`: a library that catches these must not go on."""


@contextmanager
def processor_time(seconds: float) -> Iterator[None]:
    """Raise TooSlow in the block when this process has used `seconds` of processor time in it.

    Only Python code is interrupted, and only in the main thread, which is where the parser process parses;
    in another thread there is no limit.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGPROF, _raise)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _raise(number: int, frame: FrameType | None) -> None:
    del number, frame
    raise TooSlow
