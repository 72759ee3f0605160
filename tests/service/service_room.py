"""A service under test with a pretended model, and a way to hold its threads at a certain point."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from listening import PATIENCE_S, Ear
from pretend_seat import Pretence

from beyondrag.service.inbox import NewModel
from beyondrag.service.reading import ReadingJob
from beyondrag.service.service import EngineService
from beyondrag.turn import AskOptions

OPTIONS = AskOptions()


@dataclass
class Room:
    """A service under test, what it pretends with, and who listens."""

    service: EngineService
    pretence: Pretence
    ear: Ear

    def ask(self, question: str = "Why?") -> int:
        return self.service.ask(question, OPTIONS)

    def read(self, *document_ids: str) -> int:
        """Have documents read as the second half of an ingest does it."""
        ticket = self.service._tickets.issue()
        job = ReadingJob(ticket, document_ids)
        job.looked(len(document_ids))
        self.service._engine.inbox.put(job)
        return ticket.number

    def begin(self, *document_ids: str) -> ReadingJob:
        """The same while files are still looked at: more may be offered, until `end_looking`."""
        job = ReadingJob(self.service._tickets.issue(), looking=True)
        self.offer(job, *document_ids)
        return job

    def offer(self, job: ReadingJob, *document_ids: str) -> None:
        job.offer(document_ids)
        self.service._engine.inbox.put(job)

    def end_looking(self, job: ReadingJob, n_indexed: int = 0, failure: Exception | None = None) -> None:
        job.looked(n_indexed, failure=failure)
        self.service._engine.inbox.look_again()

    def open_model(self, name: str) -> None:
        """What a pull does at its end."""
        self.service._engine.inbox.put(NewModel(name))


class Gate:
    """Holds a thread at a certain point until it is opened."""

    def __init__(self) -> None:
        self._reached, self._open = threading.Event(), threading.Event()

    def pass_through(self) -> None:
        self._reached.set()
        if not self._open.wait(PATIENCE_S):
            raise AssertionError("the gate was never opened")

    def wait_until_reached(self) -> None:
        assert self._reached.wait(PATIENCE_S), "nobody came to the gate"

    def open(self) -> None:
        self._open.set()
