"""The real service: an engine thread, a thread for files, a thread for downloads, and the shelf."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from beyondrag.calibration.store import CalibrationStore
from beyondrag.service.announcer import Announcer
from beyondrag.service.door import Borrowed, Door
from beyondrag.service.downloads import pull_model
from beyondrag.service.engine_seat import known_profile, open_engine_seat
from beyondrag.service.engine_thread import EngineThread, OpenSeat
from beyondrag.service.files import FileTasks, require_paths
from beyondrag.service.inbox import Conversing, NewModel, Question
from beyondrag.service.interface import Listener
from beyondrag.service.notices import Arm, IngestFailed, Notice, Problem, TaskFailed
from beyondrag.service.problems import problem_of
from beyondrag.service.reading import ReadingJob
from beyondrag.service.shelf import LibraryShelf
from beyondrag.service.ticket import Ticket, Tickets
from beyondrag.service.worker import Worker
from beyondrag.settings import Settings
from beyondrag.turn import AskOptions

CLOSE_S = 30.0
"""How long `close` waits at most for slices, commits and a model that is just being loaded."""

FileJob = Callable[[FileTasks], Notice | None]
"""Returns the notice that ends its request, or None when the request goes on elsewhere."""


class EngineService:
    """Implements `interface.Service`.

    Args:
        settings: library, model and so on; `pull` exchanges the model.
        open_seat: opens what the engine thread works with; for tests.
    """

    def __init__(self, settings: Settings, *, open_seat: OpenSeat | None = None) -> None:
        door = Door(settings.library)
        self._announcer = Announcer()
        self._tickets = Tickets()
        self._engine = EngineThread(
            settings, open_seat or partial(open_engine_seat, door=door), self._announcer, self._tickets
        )
        self._library = Borrowed(door)  # of the files thread
        self._files = Worker("beyondrag-files", at_end=self._library.close)
        self._downloads = Worker("beyondrag-downloads", at_end=lambda: None)
        self._shelf = LibraryShelf(door, self._profile_id)
        self._conversing = Conversing()

    @property
    def shelf(self) -> LibraryShelf:
        """The library to read from."""
        return self._shelf

    def start(self, listener: Listener) -> None:
        """Open library and model in the background; `Ready`, `ModelMissing` or `Failed` follows."""
        self._announcer.listen(listener)
        for thread in (self._engine, self._files, self._downloads):
            thread.start()

    def close(self) -> None:
        """Stop everything, wait for it, free the model.  Closing twice is harmless.

        What does not end in `CLOSE_S` seconds (a disk that hangs) is left to end with the process.
        """
        self._engine.inbox.close()
        self._tickets.stop_all()
        self._files.finish()
        self._downloads.finish()
        deadline = time.monotonic() + CLOSE_S
        for thread in (self._engine, self._files, self._downloads):
            thread.join(max(deadline - time.monotonic(), 0.0))
        self._announcer.end()
        self._shelf.close()

    # -------------------------------------------------------------------- asking

    def new_conversation(self) -> None:
        """The next question starts a conversation of its own."""
        self._conversing = Conversing()

    def open_conversation(self, conversation_id: str) -> None:
        """The next question continues this one."""
        self._conversing = Conversing(conversation_id)

    def ask(self, question: str, options: AskOptions) -> int:
        """Answer; pinned documents stand in `options`.  `Asked`, `Said`..., then an end follow."""
        ticket = self._tickets.issue()
        self._engine.inbox.put(Question(ticket, question, options, self._conversing, time.time()))
        return ticket.number

    def compare(self, question: str, arms: Sequence[Arm], options: AskOptions) -> int:
        """Answer once per arm, one after another; an `Answered` for each of them follows."""
        ticket = self._tickets.issue()
        self._engine.inbox.put(Question(ticket, question, options, Conversing(), time.time(), tuple(arms)))
        return ticket.number

    def stop(self, request: int) -> None:
        """End it at the next token, slice or file; see `interface.Service.stop`."""
        ticket = self._tickets.find(request)
        if ticket is not None:
            ticket.stop()
            self._engine.inbox.look_again()

    # -------------------------------------------------------------------- ingest

    def plan(self, paths: Sequence[Path]) -> int:
        """Look what an ingest would do; `Looking`..., `Plan` follow.  Nothing is changed."""
        ticket = self._tickets.issue()

        def job(files: FileTasks) -> Notice:
            return files.plan(ticket, require_paths(paths), self._engine.settings, self._profile_id())

        return self._do(ticket, job)

    def ingest(self, paths: Sequence[Path], *, read: bool = True) -> int:
        """Index, and read with the model if `read`; `Looking`... and `Reading`..., `Ingested` follow.

        The first documents are read while the next files are parsed.  Without a model the reading waits until
        one was pulled.
        """
        ticket, started = self._tickets.issue(), time.monotonic()

        def job(files: FileTasks) -> Notice | None:
            reading = ReadingJob(ticket, looking=True, started=started)

            def on_documents(document_ids: Iterable[str]) -> None:
                if read and reading.offer(document_ids):
                    self._engine.inbox.put(reading)

            try:
                indexed = files.index(ticket, require_paths(paths), on_documents)
            except Exception as error:
                if not reading.was_offered:
                    raise
                reading.looked(failure=error)
            else:
                reading.looked(indexed.n_added, indexed.problems)
                if not reading.was_offered:
                    return reading.result(cancelled=indexed.cancelled)
            self._engine.inbox.look_again()
            return None

        return self._do(ticket, job, failed=IngestFailed)

    def pause(self, request: int, paused: bool) -> None:
        """Hold or go on with the reading of an ingest; questions are answered in between either way."""
        ticket = self._tickets.find(request)
        if ticket is None or ticket.paused == paused:
            return
        ticket.paused = paused
        self._engine.inbox.look_again()
        for reading in self._engine.inbox.readings():
            if reading.ticket is ticket and reading.last is not None:
                self._announcer.tell(replace(reading.last, paused=paused))

    def reread(self, document_ids: Sequence[str]) -> int:
        """Drop these documents' snapshots and read them again; the notices of an ingest follow."""
        ticket = self._tickets.issue()
        self._engine.inbox.put(ReadingJob(ticket, tuple(document_ids), again=True))
        return ticket.number

    # --------------------------------------------------------------------- tasks

    def remove(self, document_ids: Sequence[str]) -> int:
        """Remove documents (never the files) from the library; `TaskDone` and `LibraryChanged` follow."""
        ticket = self._tickets.issue()
        return self._do(ticket, lambda files: files.remove(ticket, document_ids))

    def verify(self, document_ids: Sequence[str] = (), *, deep: bool = True) -> int:
        """Check these documents, or the whole library; see `interface.Service.verify`."""
        ticket = self._tickets.issue()
        return self._do(ticket, lambda files: files.verify(ticket, document_ids, deep=deep))

    def pull(self, model: str) -> int:
        """Download a model of the catalogue, then open it; `Pulling`..., `Pulled` follow."""
        ticket = self._tickets.issue()

        def job() -> None:
            try:
                name = pull_model(ticket, model, self._engine.settings, self._announcer)
            except Exception as error:
                self._announcer.tell(TaskFailed(ticket.number, problem_of(error)))
            else:
                self._engine.inbox.put(NewModel(name))
            finally:
                self._tickets.done(ticket)

        self._downloads.put(job)
        return ticket.number

    # -------------------------------------------------------------------- inside

    def _do(self, ticket: Ticket, job: FileJob, failed: Callable[[int, Problem], Notice] = TaskFailed) -> int:
        """Let `job` wait for the files thread; what it raises is told as `failed`."""

        def run() -> None:
            ending: Notice | None
            try:
                calibrations = CalibrationStore(self._engine.settings.models)
                ending = job(FileTasks(self._library.get(), calibrations, self._announcer))
            except Exception as error:  # it is the task that fails, not the thread
                ending = failed(ticket.number, problem_of(error))
            if ending is not None:
                self._tickets.done(ticket)
                self._announcer.tell(ending)

        self._files.put(run)
        return ticket.number

    def _profile_id(self) -> str | None:
        """Of the open model; before it is open of the configured one, if that costs no reading of it."""
        return self._engine.profile_id or known_profile(self._engine.settings)
