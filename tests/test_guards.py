"""The guards themselves: what is small passes, what is not fails."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable

import guards
import pytest
from guards import assert_linear, hang_guard, step_limit


def go_round(n: int) -> None:
    for _ in range(n):
        pass


def test_steps_are_counted_and_limited() -> None:
    with step_limit(1_000) as steps:
        go_round(100)
    assert 100 <= steps.n <= 300
    with pytest.raises(pytest.fail.Exception, match="more than 1,000 steps"), step_limit(1_000):
        go_round(10**12)
    assert sys.gettrace() is None or sys.gettrace().__module__ != guards.__name__


def test_a_loop_on_one_line_counts() -> None:
    with step_limit(sys.maxsize) as steps:
        work = lambda: [n for n in range(1_000)]  # noqa: C416, E731 - it is about the form
        work()
    assert steps.n >= 1_000


def test_what_grows_with_the_square_is_not_linear() -> None:
    def linear(n: int) -> Callable[[], object]:
        return lambda: go_round(n)

    def square(n: int) -> Callable[[], object]:
        return lambda: go_round(n * n)

    assert_linear(linear, 100)
    with pytest.raises(pytest.fail.Exception):
        assert_linear(square, 100)


def test_what_hangs_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guards, "HANG_S", 0.05)
    with pytest.raises(pytest.fail.Exception, match=r"0\.05 s"), hang_guard():
        go_round(10**12)
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGVTALRM) is signal.SIG_DFL
