"""Ends a piece of work that takes too much processor time, when the work is worth less than the file."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# Python drops what is raised in a finaliser or a callback of the garbage collector: the limit asks again.
_AGAIN_S = 0.05


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
    try:
        signal.setitimer(signal.ITIMER_PROF, seconds, _AGAIN_S)
        yield
    finally:
        signal.signal(signal.SIGPROF, signal.SIG_IGN)  # first: what is on its way must not fall in here
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _raise(number: int, frame: FrameType | None) -> None:
    del number, frame
    raise TooSlow
