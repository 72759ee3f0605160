"""The thread that owns the model: opens it, answers, reads, and lets questions go before reading."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Literal

from beyondrag.errors import ModelNotFound
from beyondrag.models import find_known
from beyondrag.service.announcer import Announcer
from beyondrag.service.answering import serve, tell_context
from beyondrag.service.door import LibraryGone
from beyondrag.service.inbox import Inbox, NewModel, Question, Work
from beyondrag.service.memory import resident_bytes
from beyondrag.service.notices import AskFailed, Failed, IngestFailed, ModelMissing, Opening, Ready, Stopped
from beyondrag.service.problems import problem_of
from beyondrag.service.reading import ReadingJob, SetAside
from beyondrag.service.seat import Seat, model_in_words
from beyondrag.service.ticket import Tickets
from beyondrag.settings import Settings
from ingest.pipeline import PendingVolume
from kvfiles.errors import Cancelled, DecodeError

_LOG = logging.getLogger(__name__)

OpenSeat = Callable[[Settings], Seat]
"""Opens library and model; called in the engine thread.  Raises ModelNotFound, model and library errors."""


class EngineThread:
    """Takes its work from `inbox`.  llama.cpp and its library object never leave this thread.

    Order: another model, questions, hot copies of what they read, then reading, one volume after another.
    A question that comes while a volume is read waits for one slice of it: then the reading is set aside,
    the question answered, and the reading goes on where it was, bit for bit.
    """

    def __init__(
        self, settings: Settings, open_seat: OpenSeat, announcer: Announcer, tickets: Tickets
    ) -> None:
        self.inbox = Inbox()
        self.profile_id: str | None = None
        self._settings, self._open_seat = settings, open_seat
        self._announcer, self._tickets = announcer, tickets
        self._seat: Seat | None = None
        self._missing = False
        self._afterwards: Literal["", "leave", "open anew"] = ""  # what to do with the seat when it is free
        self._thread = threading.Thread(target=self._run, name="beyondrag-engine", daemon=True)

    # ---------------------------------------------------------------- any thread

    def start(self) -> None:
        """Open library and model, then work."""
        self._thread.start()

    def join(self, timeout_s: float) -> bool:
        """After `inbox.close`: wait for the end; whether it came."""
        if self._thread.ident is None or self._thread is threading.current_thread():
            return True
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    @property
    def settings(self) -> Settings:
        """What is open or was last tried."""
        return self._settings

    # ---------------------------------------------------------------------- loop

    def _run(self) -> None:
        try:
            self._try_open()
            while True:
                work = self.inbox.next(can_read=not self._missing)
                if work is None:
                    break
                self._do(work)
                self._put_right()
                self._make_hot_copies()
        except Exception as error:  # nothing is known to come here; it must not be silent if it does
            self._announcer.tell(Failed(problem_of(error)))
        finally:
            for job in self.inbox.readings():
                self._finish(job, cancelled=True)
            self._leave()

    def _do(self, work: Work) -> None:
        if isinstance(work, NewModel):
            self._settings = replace(self._settings, model=work.name)
            self._afterwards = "open anew"
        elif isinstance(work, Question):
            self._answer(work)
        else:
            self._read(work)

    def _answer(self, question: Question) -> None:
        """Whatever goes wrong, it is the question that fails, not the thread."""
        try:
            if question.ticket.stopped():
                self._announcer.tell(Stopped(question.ticket.number, "", ""))
                return
            seat = self._ready_seat()
            if not serve(question, seat, self._announcer, lambda: self.inbox.closed):
                self._afterwards = "open anew"
        except Exception as error:
            self._announcer.tell(AskFailed(question.ticket.number, problem_of(error)))
        finally:
            self._tickets.done(question.ticket)

    def _make_hot_copies(self) -> None:
        """While nobody waits; whatever goes wrong with them, the thread goes on."""
        if self._seat is not None:
            try:
                self._seat.make_hot_copies(lambda: self.inbox.in_a_hurry)
            except Exception as error:
                _LOG.warning("no hot copy was made: %s", error)

    # ------------------------------------------------------------------- reading

    def _read(self, job: ReadingJob) -> None:
        """One volume of it, or its end.  One that is broken off is handed out again when it is over."""
        if job.is_over:
            if job.failure is None:
                self._finish(job, cancelled=True)
            else:
                self._fail(job, job.failure)
            return

        def cancelled() -> bool:
            return job.ticket.stopped() or self.inbox.closed

        try:
            seat = self._ready_seat()
            if seat.context_tokens():
                seat.forget()
                tell_context(self._announcer, seat, ())
            if not job.step(
                seat.reading, self._announcer, lambda pending: self._at_slice(job, pending), cancelled
            ):
                self._finish(job, cancelled=False)
        except Cancelled:
            pass
        except DecodeError:
            self._afterwards = "open anew"  # and then the job goes on
        except Exception as error:  # it is the ingest that fails, not the thread
            if not self._missing:  # otherwise it waits for the model to be pulled
                job.failure = error

    def _at_slice(self, job: ReadingJob, pending: PendingVolume) -> None:
        """Between two slices of a volume: answer what waits, wait while paused, then go on or give it up.

        Raises Cancelled, SetAside, LibraryGone; returning means that the context is as it was.
        """
        seat, put_back = self._seat, None
        assert seat is not None
        self._require_library(seat)
        while not (job.ticket.stopped() or self.inbox.closed):
            if self.inbox.model_waits:
                raise SetAside("another model is to be opened")
            if self.inbox.question_waits:
                put_back = put_back or seat.set_reading_aside()
                question = self.inbox.take_question()
                if question is not None:
                    self._answer(question)
                if self._afterwards:
                    raise SetAside("the model has to be opened anew")
            elif job.ticket.paused:
                self.inbox.wait_paused(job.ticket)
            else:
                break
        else:
            raise Cancelled("stopped")
        if put_back is None:
            return
        if seat.reading.is_read(pending):
            raise SetAside("a question needed this volume and has read it")
        seat.forget()
        tell_context(self._announcer, seat, ())  # for a question it is empty, whatever reading has in it
        put_back()

    def _finish(self, job: ReadingJob, *, cancelled: bool) -> None:
        self.inbox.finished(job)
        self._tickets.done(job.ticket)
        self._announcer.tell(job.result(cancelled=cancelled))
        self._announcer.library_changed()

    def _fail(self, job: ReadingJob, error: Exception) -> None:
        self.inbox.finished(job)
        self._tickets.done(job.ticket)
        self._announcer.tell(IngestFailed(job.ticket.number, problem_of(error)))
        self._announcer.library_changed()

    # ------------------------------------------------------------------- opening

    def _ready_seat(self) -> Seat:
        """The open seat; opened when it is not, for what was missing may be there by now.

        Raises what opening raises, and LibraryGone.
        """
        if self._seat is None:
            return self._open()
        self._require_library(self._seat)
        return self._seat

    def _require_library(self, seat: Seat) -> None:
        try:
            seat.require_library()
        except LibraryGone as error:
            self._afterwards = "leave"  # not now: a reading may still be in the middle of its slice
            self._announcer.tell(Failed(problem_of(error)))
            raise

    def _put_right(self) -> None:
        """Leave a seat that cannot be used any more, and open it anew if that may help."""
        afterwards, self._afterwards = self._afterwards, ""
        if afterwards:
            self._leave()
        if afterwards == "open anew":
            self._try_open()

    def _try_open(self) -> None:
        """Open; a failure has been told, and the next request tries again."""
        with suppress(Exception):
            self._open()

    def _open(self) -> Seat:
        """Open library and model, and tell how that went; raises what went wrong as well."""
        self._announcer.tell(Opening(model_in_words(self._settings.model)))
        self._missing = False
        try:
            self._seat = seat = self._open_seat(self._settings)
        except ModelNotFound as error:
            self._missing = True
            known = find_known(self._settings.model)
            self._announcer.tell(
                ModelMissing(
                    self._settings.model,
                    known.licence if known else "",
                    known.size_bytes if known else 0,
                    problem_of(error),
                )
            )
            raise
        except Exception as error:
            self._announcer.tell(Failed(problem_of(error)))
            raise
        facts = seat.facts
        self.profile_id = facts.profile_id
        for job in self.inbox.readings():
            job.replan()
        self._announcer.tell(
            Ready(
                facts.model,
                facts.codec,
                facts.n_ctx,
                facts.n_threads,
                facts.open_s,
                resident_bytes(),
                facts.warnings,
            )
        )
        self._announcer.library_changed()
        return seat

    def _leave(self) -> None:
        seat, self._seat = self._seat, None
        if seat is not None:
            seat.close()
