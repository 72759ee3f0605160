"""Ingest: choose a folder, see what it costs, read it, and watch it being read."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from beyondrag.service.notices import Failed, ModelMissing, Notice, Ready
from beyondrag.tui.ingest_job import IngestJob
from beyondrag.tui.screen import NoticeScreen
from beyondrag.tui.widgets.ingest_flow import IngestFlow
from beyondrag.tui.widgets.job_pane import JobPane


class IngestScreen(NoticeScreen[None]):
    """The mode "ingest".  It follows an ingest wherever it was started."""

    HELP = """\
Choose a folder: first you see a plan, with files by state and what reading them costs. Reading goes on
while you ask: a question is answered in between. What is finished is kept, whatever happens.
"""
    AUTO_FOCUS = None  # `come_back` knows what is to be done
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave_field", "Back", show=False)]

    def __init__(self) -> None:
        super().__init__()
        self._job = IngestJob()

    def follow(self, request: int) -> None:
        """An ingest was asked for elsewhere."""
        self._job.started(request)

    def body(self) -> ComposeResult:
        yield IngestFlow(self.service, self._job, Path.home())

    async def receive(self, notice: Notice) -> None:
        flow = self.query_one(IngestFlow)
        match notice:
            case Ready():
                flow.let_read(True)
            case ModelMissing() | Failed():
                flow.let_read(False)
        flow.receive(notice)

    @on(JobPane.AskWanted)
    def _ask(self, event: JobPane.AskWanted) -> None:
        event.stop()
        self.shell.show_mode("ask")

    def on_screen_resume(self) -> None:
        """Shown again."""
        self.query_one(IngestFlow).come_back()

    def action_leave_field(self) -> None:
        """Out of the path, so that the keys of the modes work again."""
        self.set_focus(None)
