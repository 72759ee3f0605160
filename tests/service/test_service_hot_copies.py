"""Hot copies are made by the engine thread when nobody waits for it."""

from __future__ import annotations

import threading
from collections.abc import Callable

from guards import PATIENCE_S
from service_room import Room

from beyondrag.events import Attached, ChosenDocument, PlacedPart
from beyondrag.service.notices import Answered, Ingested, WhatWasRead
from beyondrag.service.plain_json import from_json, to_json
from beyondrag.service.what_was_read import ContextFollower
from beyondrag.tui.wording import part_in_words


class Copying:
    """The first time it copies until it is told to stop."""

    def __init__(self) -> None:
        self.began = threading.Event()
        self.stopped = threading.Event()
        self.n_times = 0

    def __call__(self, cancelled: Callable[[], bool]) -> None:
        self.n_times += 1
        if self.n_times > 1:
            return
        self.began.set()
        for _ in range(int(PATIENCE_S * 1000)):
            if cancelled():
                self.stopped.set()
                return
            threading.Event().wait(0.001)


def test_a_question_stops_the_copying_for_the_answer_before(room: Room) -> None:
    copying = room.pretence.copies = Copying()
    first = room.ask("first")
    room.ear.wait(Answered, first)
    assert copying.began.wait(PATIENCE_S), "after the answer, not before it"
    second = room.ask("second")
    room.ear.wait(Answered, second)
    assert copying.stopped.is_set()


def test_closing_does_not_wait_for_copies(room: Room) -> None:
    copying = room.pretence.copies = Copying()
    room.ear.wait(Answered, room.ask("first"))
    assert copying.began.wait(PATIENCE_S)
    room.service.close()
    assert copying.stopped.is_set()


def test_another_model_does_not_wait_for_copies(room: Room) -> None:
    copying = room.pretence.copies = Copying()
    room.ear.wait(Answered, room.ask("first"))
    assert copying.began.wait(PATIENCE_S)
    room.open_model("other")
    assert copying.stopped.wait(PATIENCE_S)


def test_reading_goes_on_after_copies_and_failures_of_them(room: Room) -> None:
    """Whatever goes wrong there, questions are answered and documents read."""
    n_times = 0

    def fails(_cancelled: Callable[[], bool]) -> None:
        nonlocal n_times
        n_times += 1
        raise ValueError("nobody thought of this")

    room.pretence.copies = fails
    room.ear.wait(Answered, room.ask("first"))
    reading = room.read("a", "b")
    assert room.ear.wait(Ingested, reading).n_read == 2
    room.ear.wait(Answered, room.ask("second"))
    assert n_times >= 2


def test_what_was_read_says_which_file_was_attached() -> None:
    chosen = ChosenDocument("d", "/d.txt", "D", 0, "", 5, 1.0, "snapshot", ())
    follower = ContextFollower(100)
    hot, archive = (
        PlacedPart(chosen, 1, 6, "snapshot", "k6v6", 6.16, hot=True),
        PlacedPart(chosen, 6, 11, "snapshot", "archive", 1.02),
    )
    follower.see(Attached(11, 0.1, (hot, archive)))
    assert [part.hot for part in follower.read.parts] == [True, False]
    shown = [part_in_words(part)[-1] for part in follower.read.parts]
    assert shown == ["hot copy k6v6 · 6.16 bits", "snapshot archive · 1.02 bits"]
    kept = to_json(follower.read)
    assert from_json(WhatWasRead, kept) == follower.read
    older = from_json(WhatWasRead, kept.replace(',"hot":true', "").replace(',"hot":false', ""))
    assert not any(part.hot for part in older.parts), "turns that were kept before there were copies"
