"""From a folder to documents that are read: choose, plan, read.  Used where documents are added."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Button, ContentSwitcher

from beyondrag.service.interface import Service
from beyondrag.service.notices import Ingested, IngestFailed, Looking, Notice, Plan, TaskFailed
from beyondrag.tui.ingest_job import IngestJob
from beyondrag.tui.widgets.folder_picker import FolderPicker
from beyondrag.tui.widgets.job_pane import JobPane, result_in_words
from beyondrag.tui.widgets.outcome import Outcome
from beyondrag.tui.widgets.plain import Plain
from beyondrag.tui.widgets.plan_pane import PlanPane
from beyondrag.tui.wording import path_in_words

Step = Literal["choose", "look", "plan", "job"]


class IngestFlow(Vertical):
    """Give it every notice; an ingest that was started elsewhere is shown too."""

    DEFAULT_CSS = """
    IngestFlow { height: 1fr; }
    IngestFlow > ContentSwitcher { height: 1fr; }
    IngestFlow #look { padding: 0 1; }
    IngestFlow #choose-title { padding: 0 1; height: auto; }
    """

    class Changed(Message):
        """The flow stands at another step."""

        def __init__(self, step: Step) -> None:
            super().__init__()
            self.step = step

    class Started(Message):
        """An ingest was asked for under this number."""

        def __init__(self, request: int) -> None:
            super().__init__()
            self.request = request

    def __init__(
        self,
        service: Service,
        job: IngestJob,
        start: Path,
        *,
        id: str | None = None,  # noqa: A002 - Textual's name for it
    ) -> None:
        super().__init__(id=id)
        self._service, self._start = service, start
        self._plan_request: int | None = None
        self._step: Step = "choose"
        self._can_read = False
        self.job = job

    def compose(self) -> ComposeResult:
        yield Outcome()
        with ContentSwitcher(initial="choose"):
            with Vertical(id="choose"):
                yield Plain(
                    "Which folder shall be read? Nothing is read before you have seen the plan.",
                    id="choose-title",
                )
                yield FolderPicker(self._start)
            with Vertical(id="look"):
                yield Plain("Looking at the files", classes="title")
                yield Plain(id="look-words")
                yield Button("Stop", id="look-stop", compact=True)
            yield PlanPane(id="plan")
            yield JobPane(id="job")

    @property
    def step(self) -> Step:
        """What is shown."""
        return self._step

    def let_read(self, can_read: bool) -> None:
        """Whether there is a model to read with; without one reading waits for it."""
        self._can_read = can_read
        self._show_job()
        self.query_one(PlanPane).let_read(can_read)

    def focus_first(self) -> None:
        """Put the cursor where something can be done."""
        if self.step == "job" and self.job.running:
            self.query_one(JobPane).focus()
            return
        for widget in self.query_one(f"#{self.step}").query(Widget):
            if widget.focusable and all(above.display for above in widget.ancestors_with_self):
                widget.focus()
                return

    def come_back(self) -> None:
        """The screen is shown again: what runs goes before what could be started."""
        if self.job.running and self.step == "choose":
            self._go("job")
        if self.screen.focused is None:
            self.focus_first()

    # ------------------------------------------------------------------------- notices

    def receive(self, notice: Notice) -> None:
        """Take in what happened."""
        match notice:
            case Plan(request=request) if request == self._plan_request:
                self._plan_request = None
                self.query_one(PlanPane).show(notice)
                self._go("plan")
                return
            case Looking(request=request) if request == self._plan_request:
                counted = f"{notice.done:,} of {notice.total:,} · " if notice.total else ""
                self.query_one("#look-words", Plain).show(f"{counted}{notice.name}")
                return
            case TaskFailed(request=request) | IngestFailed(request=request) if request == self._plan_request:
                self._plan_request = None
                self.query_one(Outcome).show_problem(notice.problem)
                self._go("choose")
                return
        if self.job.receive(notice):
            self._show_job()
        elif isinstance(notice, Ingested | IngestFailed):
            self._another_ended(notice)
            self._show_job()

    def _another_ended(self, notice: Ingested | IngestFailed) -> None:
        """One that is not shown: it was only to be made searchable, or it went past one that is paused."""
        outcome = self.query_one(Outcome)
        if isinstance(notice, IngestFailed):
            outcome.show_problem(notice.problem)
        else:
            outcome.show([result_in_words(notice)])

    def _show_job(self) -> None:
        """A running job is shown unless a person is just choosing what comes next."""
        self.query_one(JobPane).show(self.job, can_read=self._can_read)
        if self.job.phase == "idle" and self.step == "job":
            self._go("choose")
        elif self.job.phase != "idle" and self.step == "choose" and not self._choosing:
            self._go("job")

    @property
    def _choosing(self) -> bool:
        """A path is being typed or looked for."""
        return self.screen.is_current and self.query_one(FolderPicker).path is not None

    # ------------------------------------------------------------------------- actions

    @on(FolderPicker.Chosen)
    def _chosen(self, event: FolderPicker.Chosen) -> None:
        event.stop()
        self.plan([event.path])

    def plan(self, paths: list[Path]) -> None:
        """Look what an ingest of these would do; the plan is shown when it is there."""
        self.query_one(Outcome).put_away()
        self._plan_request = self._service.plan(paths)
        self.query_one(FolderPicker).clear()
        self.query_one("#look-words", Plain).show(", ".join(map(path_in_words, paths)))
        self._go("look")
        self.query_one("#look-stop", Button).focus()

    @on(Button.Pressed, "#look-stop")
    def _stop_looking(self, event: Button.Pressed) -> None:
        event.stop()
        if self._plan_request is not None:
            self._service.stop(self._plan_request)
        self._plan_request = None
        self._go("choose")
        self.focus_first()

    @on(PlanPane.Decided)
    def _decided(self, event: PlanPane.Decided) -> None:
        event.stop()
        if event.read is None:
            self._go("choose")
            self.focus_first()
            return
        request = self._service.ingest(event.plan.paths, read=event.read)
        self.job.started(request)
        self.post_message(self.Started(request))
        self._show_job()
        self._go("job")
        self.focus_first()

    @on(JobPane.PauseAsked)
    def _pause(self, event: JobPane.PauseAsked) -> None:
        event.stop()
        if self.job.request is not None and self.job.phase in ("reading", "paused"):
            self._service.pause(self.job.request, self.job.phase == "reading")

    @on(JobPane.CancelAsked)
    def _cancel(self, event: JobPane.CancelAsked) -> None:
        event.stop()
        if self.job.request is not None and self.job.running:
            self._service.stop(self.job.request)

    @on(JobPane.MoreAsked)
    def _more(self, event: JobPane.MoreAsked) -> None:
        event.stop()
        self._go("choose")
        self.focus_first()

    def _go(self, step: Step) -> None:
        if step != self._step:
            self._step = step
            self.query_one(ContentSwitcher).current = step
            self.post_message(self.Changed(step))
