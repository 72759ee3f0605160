"""The time that a run will still take."""

from __future__ import annotations

import pytest

from eval.pace import Pace


def test_the_time_left_knows_that_kinds_differ() -> None:
    now = [0.0]
    pace = Pace(["slow", "fast"], 4, lambda: now[0])
    assert str(pace) == "0 of 8"
    pace.known("fast", 1)
    for kind, took in (("slow", 100.0), ("fast", 10.0), ("fast", 30.0)):
        now[0] += took
        pace.done(kind)
    assert pace.seconds_left() == pytest.approx(3 * 100 + 1 * 20)
    assert str(pace) == "4 of 8, about 5 min left"
