"""How fast documents are read for one question: a clock of its own, events as the engine sends them."""

from __future__ import annotations

from beyondrag.events import ReadingDocument
from beyondrag.tui.reading_pace import ReadingPace


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def reading(title: str, done: int, total: int, *, kept: bool) -> ReadingDocument:
    return ReadingDocument(title, done, total, kept=kept)


def test_rate_and_time_left_follow_the_tokens_of_all_documents() -> None:
    clock = Clock()
    pace = ReadingPace(clock)
    clock.now += 50  # choosing is not reading
    pace.begin()
    for title, done in (("a", 100), ("a", 200), ("b", 300)):
        clock.now += 2.0
        words = pace.after(reading(title, done, 1_000, kept=False))
    assert words == "50 tokens/s · 14 s left"


def test_each_document_that_gets_a_snapshot_is_counted_by_itself() -> None:
    clock = Clock()
    pace = ReadingPace(clock)
    assert pace.after(reading("a", 0, 400, kept=True)) == ""
    clock.now += 4.0
    assert pace.after(reading("a", 400, 400, kept=True)) == "100 tokens/s · 0.0 s left"
    assert pace.after(reading("b", 0, 200, kept=True)) == "100 tokens/s · 2.0 s left"
    clock.now += 1.0
    assert pace.after(reading("b", 100, 200, kept=True)) == "100 tokens/s · 1.0 s left"
