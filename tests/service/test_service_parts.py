"""The small parts of the service: joining text, rates, tickets, announcing, memory, opening the library."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beyondrag.events import AnswerDelta, Event, EvidenceChecked, EvidenceDelta
from beyondrag.service.announcer import Announcer
from beyondrag.service.deltas import MIN_GAP_S, coalesced
from beyondrag.service.door import Borrowed, Door, LibraryGone
from beyondrag.service.memory import resident_bytes
from beyondrag.service.notices import LibraryChanged, Notice, Opening
from beyondrag.service.pace import Pace, Throttle
from beyondrag.service.ticket import Tickets
from kvfiles.errors import Cancelled
from library.errors import LibraryError
from library.store import Library


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


EVENTS = st.lists(
    st.tuples(
        st.one_of(
            st.builds(AnswerDelta, st.text(max_size=3)),
            st.builds(EvidenceDelta, st.text(max_size=3)),
            st.just(EvidenceChecked("line", None)),
        ),
        st.floats(0, 0.1),
    ),
    max_size=40,
)


@given(EVENTS)
def test_joined_events_say_the_same_in_the_same_order(timed: list[tuple[Event, float]]) -> None:
    clock = Clock()

    def events() -> Iterator[Event]:
        for event, gap_s in timed:
            clock.now += gap_s
            yield event

    def joined(found: list[Event]) -> list[tuple[type, str | None]]:
        runs: list[tuple[type, str | None]] = []
        for event in found:
            text = event.text if isinstance(event, AnswerDelta | EvidenceDelta) else None
            if runs and runs[-1][0] is type(event) and text is not None:
                runs[-1] = (type(event), (runs[-1][1] or "") + text)
            else:
                runs.append((type(event), text))
        return runs

    told = list(coalesced(events(), clock))
    assert joined(told) == joined([event for event, _ in timed])


@pytest.mark.parametrize("per_s", [30, 100, 1000])
def test_a_fast_model_does_not_flood_the_listener(per_s: int) -> None:
    clock = Clock()

    def events() -> Iterator[Event]:
        for _ in range(2 * per_s):
            clock.now += 1 / per_s
            yield AnswerDelta("x")

    told = list(coalesced(events(), clock))
    assert len(told) <= 2 / MIN_GAP_S + 2
    assert sum(len(event.text) for event in told if isinstance(event, AnswerDelta)) == 2 * per_s


def test_text_is_not_lost_when_the_events_end_in_an_error() -> None:
    def events() -> Iterator[Event]:
        yield AnswerDelta("a")
        yield AnswerDelta("b")
        raise Cancelled("stopped")

    told: list[Event] = []
    with pytest.raises(Cancelled):
        told.extend(event for event in coalesced(events(), Clock()))
    assert told == [AnswerDelta("a"), AnswerDelta("b")]


def test_leaving_early_closes_the_events_behind() -> None:
    closed = []

    def events() -> Iterator[Event]:
        try:
            yield AnswerDelta("a")
            yield AnswerDelta("b")
        finally:
            closed.append(True)

    generator = coalesced(events(), Clock())
    next(generator)
    del generator
    assert closed == [True]


def test_a_steady_pace_is_measured_exactly_and_a_new_one_takes_over() -> None:
    pace = Pace()
    assert (pace.tokens_per_s, pace.seconds_for(10)) == (0.0, None)
    for _ in range(100):
        pace.add(128, 1.0)
    assert pace.tokens_per_s == pytest.approx(128)
    assert pace.seconds_for(1280) == pytest.approx(10)
    for _ in range(15):  # one half-life
        pace.add(64, 1.0)
    assert pace.tokens_per_s == pytest.approx(96, rel=0.02)


def test_a_throttle_lets_through_now_and_then() -> None:
    throttle = Throttle(1.0)
    assert [throttle.due(now) for now in (0.0, 0.5, 1.0, 1.9, 2.5)] == [True, False, True, False, True]


def test_tickets_are_numbered_from_one_and_forgotten_when_done() -> None:
    tickets = Tickets()
    first, second = tickets.issue(), tickets.issue()
    assert (first.number, second.number, tickets.find(2)) == (1, 2, second)
    tickets.done(first)
    assert tickets.find(1) is None
    tickets.stop_all()
    assert (first.stopped(), second.stopped()) == (False, True)


def test_changes_of_the_library_are_announced_now_and_then_and_at_the_end() -> None:
    heard: list[Notice] = []
    announcer = Announcer()
    announcer.tell(Opening("before anybody listens"))
    announcer.listen(heard.append)
    for _ in range(50):
        announcer.library_changed(settled=False)
    announcer.library_changed()
    assert heard == [LibraryChanged(), LibraryChanged()]
    announcer.end()
    announcer.library_changed()
    assert len(heard) == 2


def test_resident_memory_grows_by_what_is_allocated() -> None:
    before = resident_bytes()
    block = bytearray(os.urandom(1)) * (64 << 20)
    grown = resident_bytes() - before
    assert (48 << 20) < grown < (96 << 20)
    assert len(block) == 64 << 20


# -------------------------------------------------------------------------- the door


def test_only_the_first_opening_makes_a_library(tmp_path: Path) -> None:
    door = Door(tmp_path / "library")
    opened = door.open()
    opened.require()
    opened.close()
    shutil.rmtree(tmp_path / "library")
    with pytest.raises(LibraryError, match="no library"):
        door.open()
    assert not (tmp_path / "library").exists()


def test_a_removed_and_an_exchanged_library_are_noticed(tmp_path: Path) -> None:
    root = tmp_path / "library"
    opened = Door(root).open()
    root.rename(tmp_path / "away")
    with pytest.raises(LibraryGone, match="is gone") as caught:
        opened.require()
    assert caught.value.remedy
    Library.create_or_open(root).close()
    with pytest.raises(LibraryGone, match="another library"):
        opened.require()
    shutil.rmtree(root)
    (tmp_path / "away").rename(root)
    opened.require()
    opened.close()


def test_a_borrowed_library_is_opened_anew_after_it_was_exchanged(tmp_path: Path) -> None:
    root = tmp_path / "library"
    borrowed = Borrowed(Door(root))
    first = borrowed.get()
    assert borrowed.get() is first
    root.rename(tmp_path / "away")
    Library.create_or_open(root).close()
    with pytest.raises(LibraryGone):
        borrowed.get()
    second = borrowed.get()
    assert second is not first
    assert second.count() == 0
    borrowed.close()
    borrowed.close()
