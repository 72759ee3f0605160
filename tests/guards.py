"""How a test says that work stays small: it counts the work, and never looks at a clock.

A clock fails on a busy machine. The lines of Python that run do not depend on the machine; what runs below
Python (a regular expression) is held by a guard that is far longer than the work takes on any machine, with
an input for which wrong code would take hours.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

import pytest

PATIENCE_S = 600.0
"""How long a test waits for what must come; only a failure waits as long."""
HANG_S = 300.0
"""Processor time of a guard; what is guarded takes a few seconds at most."""
_AGAIN_S = 5.0  # what is raised in a callback of the garbage collector is dropped: the guard raises again
_SLACK = 1.5
_GROWTH = 4


@dataclass
class Steps:
    """Lines of Python that ran, and calls of functions written in it."""

    n: int = 0


@contextmanager
def step_limit(most: int) -> Iterator[Steps]:
    """Fails the test at once when this thread runs more than `most` lines in the block.

    A loop counts each time it goes round, also when it stands on one line. What is written in C counts
    nothing.
    """
    steps = Steps()

    def trace(frame: FrameType, event: str, value: Any) -> Any:
        del frame, value
        if event in ("call", "line"):
            steps.n += 1
            if steps.n > most:
                sys.settrace(before)
                pytest.fail(f"it takes more than {most:,} steps")
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        yield steps
    finally:
        sys.settrace(before)


def assert_linear(work: Callable[[int], Callable[[], object]], size: int) -> None:
    """Four times the input takes about four times the steps: work that grows with the square takes 16 times.

    `work(n)` makes an input of `n` units, uncounted, and returns what is counted.
    """
    counted = []
    for n in (size, _GROWTH * size):
        run = work(n)
        with step_limit(sys.maxsize if not counted else int(_SLACK * _GROWTH * counted[0])) as steps:
            run()
        counted.append(steps.n)


@contextmanager
def hang_guard() -> Iterator[None]:
    """Fails the test when this process uses `HANG_S` of processor time in the block (user time of all
    its threads).

    In the main thread only. Python and its regular expressions are interrupted; other native code fails
    when it returns.
    """
    assert threading.current_thread() is threading.main_thread()

    def hung(number: int, frame: FrameType | None) -> None:
        del number, frame
        pytest.fail(f"it did not end within {HANG_S:g} s of processor time")

    before = signal.signal(signal.SIGVTALRM, hung)
    signal.setitimer(signal.ITIMER_VIRTUAL, HANG_S, _AGAIN_S)
    try:
        yield
    finally:
        signal.signal(signal.SIGVTALRM, signal.SIG_IGN)  # first: what is on its way must not fall in here
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
