"""What waits for the engine thread: another model first, then questions, then reading."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from beyondrag.service.notices import Arm
from beyondrag.service.reading import ReadingJob
from beyondrag.service.ticket import Ticket
from beyondrag.turn import AskOptions


class Conversing:
    """The conversation that questions belong to; `id` is "" until its first question is taken up."""

    def __init__(self, conversation_id: str = "") -> None:
        self.id = conversation_id


@dataclass(frozen=True, slots=True)
class Question:
    """Something to answer: in a conversation, or, to compare, once for each of `arms`.

    `asked_at` is in seconds since 1970.
    """

    ticket: Ticket
    text: str
    options: AskOptions
    conversing: Conversing
    asked_at: float
    arms: Sequence[Arm] = ()


@dataclass(frozen=True, slots=True)
class NewModel:
    """This model is to be opened."""

    name: str


Work = Question | NewModel | ReadingJob


class Inbox:
    """Filled by any thread, emptied by one."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._questions: deque[Question] = deque()
        self._readings: deque[ReadingJob] = deque()
        self._model: NewModel | None = None
        self._closed = False

    # ---------------------------------------------------------------- any thread

    def put(self, work: Work) -> None:
        """Let it wait for its turn; a reading that waits already is looked at again."""
        with self._changed:
            if isinstance(work, Question):
                self._questions.append(work)
            elif isinstance(work, ReadingJob):
                if work not in self._readings:
                    self._readings.append(work)
            else:
                self._model = work
            self._changed.notify_all()

    def look_again(self) -> None:
        """A ticket was paused, let go on or stopped, or a reading has heard that nothing more comes."""
        with self._changed:
            self._changed.notify_all()

    def close(self) -> None:
        """Nothing is handed out any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def closed(self) -> bool:
        """Whether the service is closing."""
        return self._closed

    # --------------------------------------------------------- the engine thread

    def next(self, *, can_read: bool) -> Work | None:
        """What to do next, waiting for it; None when the inbox was closed.

        A question and a model are taken out; a reading stays until `finished`, so that questions can go
        before its next volume.  Without an engine (`can_read` False) only readings that are over are handed
        out.
        """
        with self._changed:
            while not self._closed:
                work = self._first(can_read)
                if work is not None:
                    return work
                self._changed.wait()
            return None

    def finished(self, reading: ReadingJob) -> None:
        """This reading has ended."""
        with self._changed:
            if reading in self._readings:
                self._readings.remove(reading)

    def readings(self) -> tuple[ReadingJob, ...]:
        """Those that have not ended."""
        with self._changed:
            return tuple(self._readings)

    def take_question(self) -> Question | None:
        """The question that has waited longest, taken out; None when none waits."""
        with self._changed:
            return self._questions.popleft() if self._questions and not self._closed else None

    @property
    def question_waits(self) -> bool:
        """Whether a question waits."""
        return bool(self._questions)

    @property
    def model_waits(self) -> bool:
        """Whether another model is to be opened."""
        return self._model is not None

    @property
    def in_a_hurry(self) -> bool:
        """Whether something waits that must not wait for what can be done later."""
        return self._closed or self.question_waits or self.model_waits

    def wait_paused(self, ticket: Ticket) -> None:
        """Wait until a paused reading has a reason to look up: any of the above, or its own ticket."""
        with self._changed:
            while ticket.paused and not (
                self._closed or ticket.stopped() or self._questions or self._model is not None
            ):
                self._changed.wait()

    def _first(self, can_read: bool) -> Work | None:
        if self._model is not None:
            model, self._model = self._model, None
            return model
        if self._questions:
            return self._questions.popleft()
        over = next((reading for reading in self._readings if reading.is_over), None)
        if over is not None or not can_read:
            return over
        due = (reading for reading in self._readings if reading.is_due and not reading.ticket.paused)
        return next(due, None)
