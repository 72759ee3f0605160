"""The limit ends the work, and nothing of it is left behind."""

from __future__ import annotations

import gc
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from ingest.parsers.time_limit import TooSlow, processor_time


def spin(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    before = signal.getsignal(signal.SIGPROF)
    yield
    assert signal.getsignal(signal.SIGPROF) is before
    assert signal.getitimer(signal.ITIMER_PROF) == (0.0, 0.0)


def test_work_within_the_limit_is_left_alone() -> None:
    with processor_time(10):
        spin(0.05)


def test_work_over_the_limit_ends() -> None:
    with pytest.raises(TooSlow), processor_time(0.1):
        spin(60)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_limit_that_falls_into_a_callback_of_the_collector_asks_again() -> None:
    def slow_callback(phase: str, info: dict[str, int]) -> None:
        del info
        if phase == "start":
            spin(0.3)  # the limit passes in here, and what it raises is dropped

    def collect_and_go_on() -> None:
        with processor_time(0.1):
            gc.collect()
            gc.callbacks.remove(slow_callback)
            spin(60)

    gc.callbacks.append(slow_callback)
    try:
        with pytest.raises(TooSlow):
            collect_and_go_on()
    finally:
        if slow_callback in gc.callbacks:
            gc.callbacks.remove(slow_callback)


def test_other_threads_have_no_limit() -> None:
    failed: list[BaseException] = []

    def work() -> None:
        try:
            with processor_time(0.01):
                spin(0.1)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert not failed
