"""`exact` on the real service with the small model: how far it is, and that it stops between two slices."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from guards import PATIENCE_S

from beyondrag.events import ReadingDocument
from beyondrag.service.notices import Answered, Ingested, Notice, Ready, Said, Stopped
from beyondrag.service.service import EngineService
from beyondrag.settings import Settings
from beyondrag.turn import AskOptions
from kvfiles.runtime.context import SLICE_TOKENS

pytestmark = [pytest.mark.model]

BELL = "School log\n\n" + "".join(
    f"On day {n} the bell of Fern Hill rang {n % 7} times.\n" for n in range(18)
)
EXACT = AskOptions(exact=True, check=False, max_tokens=4)


class Heard:
    """What the service has said; while `stops` every question is stopped when it tells of a reading."""

    def __init__(self) -> None:
        self.notices: list[Notice] = []
        self.changed = threading.Condition()
        self.service: EngineService | None = None
        self.stops = False

    def __call__(self, notice: Notice) -> None:
        with self.changed:
            self.notices.append(notice)
            self.changed.notify_all()
        if self.stops and isinstance(notice, Said) and isinstance(notice.event, ReadingDocument):
            assert self.service is not None
            self.service.stop(notice.request)

    def wait(self, kind: type, request: int | None = None) -> None:
        def came() -> bool:
            return any(isinstance(n, kind) and getattr(n, "request", None) == request for n in self.notices)

        with self.changed:
            assert self.changed.wait_for(came, PATIENCE_S), self.notices[-3:]

    def readings(self, request: int) -> list[ReadingDocument]:
        said = [n for n in self.notices if isinstance(n, Said) and n.request == request]
        return [n.event for n in said if isinstance(n.event, ReadingDocument)]


@pytest.fixture
def heard(tmp_path: Path, small_model_path: Path) -> Iterator[Heard]:
    """A service with one document that is indexed and not read."""
    (tmp_path / "school.txt").write_text(BELL)
    model = str(small_model_path)
    service = EngineService(
        Settings(tmp_path / "library", tmp_path / "models", model, 2048, 1, "k4v4", "f16")
    )
    heard = Heard()
    heard.service = service
    try:
        service.start(heard)
        heard.wait(Ready)
        heard.wait(Ingested, service.ingest([tmp_path / "school.txt"], read=False))
        yield heard
    finally:
        service.close()


def test_exact_reading_tells_how_far_all_of_it_is_and_stops_at_the_next_slice(heard: Heard) -> None:
    service = heard.service
    assert service is not None
    request = service.ask("How often did the bell ring on day 3?", EXACT)
    heard.wait(Answered, request)
    told = heard.readings(request)
    assert len(told) >= 3
    assert not any(reading.kept for reading in told), "no snapshot is made"
    assert {reading.total for reading in told} == {told[0].total}, "tokens of everything that is read"
    done = [reading.done for reading in told]
    assert done == sorted(set(done))
    assert all(0 < b - a <= SLICE_TOKENS for a, b in pairwise(done))
    assert told[-1].title == "School log"

    heard.stops = True
    service.new_conversation()
    request = service.ask("How often did the bell ring on day 4?", EXACT)
    heard.wait(Stopped, request)
    assert len(heard.readings(request)) == 1
