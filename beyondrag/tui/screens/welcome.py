"""First run: a model to be had, a folder to be chosen, a plan before anything starts."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Button

from beyondrag.service.notices import Failed, ModelMissing, Notice, Pulled, Ready
from beyondrag.tui.ingest_job import IngestJob
from beyondrag.tui.screen import NoticeScreen
from beyondrag.tui.screens.ingest import IngestScreen
from beyondrag.tui.widgets.ingest_flow import IngestFlow
from beyondrag.tui.widgets.job_pane import JobPane
from beyondrag.tui.widgets.model_pane import ModelPane
from beyondrag.tui.widgets.plain import Plain
from kvfiles.errors import BeyondragError


class WelcomeScreen(NoticeScreen[None]):
    """Stands over the first mode until a person goes on; `missing` None: the model is there.

    Whoever comes back from another mode, when there is something to ask, has gone on.
    """

    HELP = """\
Two things are needed before the first question: a model, which is downloaded once, and documents.
Each document is read once as a whole; you see how long that takes before it starts.
"""
    CSS = """
    WelcomeScreen #welcome { height: auto; padding: 0 1; margin-bottom: 1; }
    WelcomeScreen #go { display: none; margin: 0 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Go on")]

    def __init__(self, missing: ModelMissing | None) -> None:
        super().__init__()
        self._missing = missing
        self._ready = False
        self._has_documents = False
        self._has_ended = False
        self._was_left = False

    def body(self) -> ComposeResult:
        yield Plain(
            "Welcome to beyondrag. It answers questions from whole documents, offline: a model and a folder "
            "are all it needs.",
            id="welcome",
        )
        yield Button("Start asking", id="go", variant="success", compact=True)
        status = self.shell.status
        opened = "" if status.engine or self._missing else status.model
        yield ModelPane(self.service, self._missing, ready=opened)
        yield IngestFlow(self.service, IngestJob(), Path.home())

    def on_mount(self) -> None:
        flow = self.query_one(IngestFlow)
        self._ready = self._missing is None and not self.shell.status.engine
        flow.let_read(self._ready)
        if self._missing is not None and self._missing.licence:
            self.query_one("#pull", Button).focus()
        else:
            flow.focus_first()

    def on_screen_suspend(self) -> None:
        """Something is shown above it, or another mode."""
        self._was_left = self.shell.current_mode != "ask"

    def on_screen_resume(self) -> None:
        if self._was_left and self._ready and self._has_documents:
            self.action_leave()

    async def receive(self, notice: Notice) -> None:
        flow = self.query_one(IngestFlow)
        match notice:
            case Ready():
                self._ready = True
                flow.let_read(True)
                self._look()
            case ModelMissing() | Failed():
                self._ready = False
                flow.let_read(False)
        pane = self.query_one(ModelPane)
        was_there = pane.has_focus_within
        pane.receive(notice)
        flow.receive(notice)
        if isinstance(notice, Pulled | Ready) and (was_there or self.focused is None):
            flow.focus_first()  # the model is done: on to the folder
        if flow.job.phase not in ("idle", "looking"):
            self._has_documents = True
        self._offer()

    @work(exclusive=True, exit_on_error=False)
    async def _look(self) -> None:
        """Without documents there is nothing to ask."""
        try:
            totals = await asyncio.to_thread(self.service.shelf.totals)
        except BeyondragError:  # there is no library yet: an ingest makes it
            return
        if totals.n_documents:
            self._has_documents = True
            self._offer()

    def _offer(self) -> None:
        go = self.query_one("#go", Button)
        offered = self._ready and self._has_documents
        if not offered:
            return
        ended = self.query_one(IngestFlow).job.phase == "done"
        go.display = not ended  # then the job itself offers it
        if ended and not self._has_ended:
            self.query_one("#ask-now", Button).focus()
        elif not ended and self.focused is None:
            go.focus()
        self._has_ended = ended

    @on(IngestFlow.Started)
    def _started(self, event: IngestFlow.Started) -> None:
        """The mode "ingest" goes on showing it."""
        event.stop()
        screen = self.shell.mode_screens["ingest"]
        if isinstance(screen, IngestScreen):
            screen.follow(event.request)

    @on(Button.Pressed, "#go")
    def _go(self, event: Button.Pressed) -> None:
        event.stop()
        self.action_leave()

    @on(JobPane.AskWanted)
    def _ask_now(self, event: JobPane.AskWanted) -> None:
        event.stop()
        self.action_leave()

    def action_leave(self) -> None:
        """What was begun goes on: the mode "ingest" shows it."""
        self.dismiss(None)
