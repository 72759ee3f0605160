"""The ingest that runs or has ended: progress by tokens, its volumes, its problems."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Button, ProgressBar

from beyondrag.quantities import bytes_in_words, counted, seconds_in_words
from beyondrag.service.notices import Ingested
from beyondrag.tui.ingest_job import IngestJob, Phase, VolumeLine, VolumeState
from beyondrag.tui.widgets.plain import Plain
from beyondrag.tui.widgets.problem_list import ProblemList
from beyondrag.tui.widgets.rows_view import Column, Row, RowsView, Tone
from beyondrag.tui.wording import problem_in_words

_COLUMNS = (
    Column("name", "document", 0),
    Column("tokens", "tokens", 17, right=True),
    Column("size", "snapshot", 10, right=True, needs=60),
    Column("state", "state", 9, toned=True),
)
_WAITS = "All files are searchable. Reading begins as soon as the model is there."
_KEYS: dict[str, tuple[Phase, ...]] = {
    "pause": ("reading", "paused"),
    "cancel": ("looking", "reading", "paused"),
}
_TITLES: dict[Phase, str] = {
    "idle": "",
    "looking": "Looking at the files",
    "reading": "Reading",
    "paused": "Paused",
    "done": "Done",
    "stopped": "Cancelled: what was finished is kept",
    "failed": "It could not go on: what was finished is kept",
}
_TONES: dict[VolumeState, Tone] = {
    "waits": "muted",
    "reading": "plain",
    "paused": "warn",
    "kept": "good",
    "stopped": "muted",
}


class JobPane(Vertical, can_focus=True):
    """Shows a job; what can be done to it is said with messages.

    It has the focus itself while a job runs: an Enter too many must not press "Cancel".
    """

    DEFAULT_CSS = """
    JobPane { height: 1fr; padding: 0 1; }
    JobPane > ProgressBar { width: 1fr; height: 1; }
    JobPane > ProgressBar Bar { width: 1fr; }
    JobPane > #volumes { height: 2fr; min-height: 3; }
    JobPane > Horizontal { height: auto; dock: bottom; }
    JobPane Button { margin-right: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "pause", "Pause / go on"),
        Binding("c", "cancel", "Cancel"),
    ]

    class PauseAsked(Message):
        """Hold the reading, or go on with it."""

    class CancelAsked(Message):
        """Stop; what is finished is kept."""

    class AskWanted(Message):
        """It is done: on to the first question."""

    class MoreAsked(Message):
        """Something else shall be added."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name for it
        super().__init__(id=id)
        self._generation = -1
        self._phase: Phase = "idle"

    def compose(self) -> ComposeResult:
        yield Plain(id="job-title", classes="title")
        yield ProgressBar(show_eta=False)
        yield Plain(id="job-words")
        yield RowsView(_COLUMNS, id="volumes")
        yield ProblemList(id="job-problems")
        with Horizontal():
            yield Button("Pause (space)", id="pause", compact=True)
            yield Button("Cancel (c)", id="cancel", variant="warning", compact=True)
            yield Button("Ask now", id="ask-now", variant="success", compact=True)
            yield Button("Add more", id="more", variant="primary", compact=True)

    def show(self, job: IngestJob, *, can_read: bool) -> None:
        """Show the job as it stands; only the lines that changed are drawn again.

        `can_read` False: there is no model, so reading waits for one.
        """
        table = self.query_one("#volumes", RowsView)
        if job.generation != self._generation:
            self._generation = job.generation
            table.show_rows([_row(line) for line in job.lines.values()])
        changed = job.take_changed()
        for line in changed:
            table.update_row(_row(line))
        if changed:
            self._follow(job, table)
        table.display = bool(job.lines)
        self.query_one("#job-title", Plain).show(_TITLES[job.phase])
        self.query_one("#job-words", Plain).show(_words(job) if can_read or not job.looked else _WAITS)
        self._show_bar(job)
        if not job.running:
            self.query_one(ProblemList).show(job.problems)
        else:
            self.query_one(ProblemList).display = False
        self._offer(job, can_read=can_read)

    def _follow(self, job: IngestJob, table: RowsView) -> None:
        """The cursor goes with the volume under way unless somebody has moved it."""
        begun = [line.key for line in job.lines.values() if line.state != "waits"]
        if begun and not table.has_focus:
            table.move_to(begun[-1])

    def _show_bar(self, job: IngestJob) -> None:
        bar = self.query_one(ProgressBar)
        bar.display = job.running
        if job.reading is not None:
            bar.update(total=max(job.reading.total, 1), progress=job.reading.done)
        elif job.looking is not None and job.looking.total:
            bar.update(total=job.looking.total, progress=job.looking.done)
        else:
            bar.update(total=None)

    def _offer(self, job: IngestJob, *, can_read: bool) -> None:
        pause = self.query_one("#pause", Button)
        pause.display = job.phase in ("reading", "paused")
        pause.label = "Go on (space)" if job.phase == "paused" else "Pause (space)"
        self.query_one("#cancel", Button).display = job.running
        more = self.query_one("#more", Button)
        more.display = not job.running
        ask = self.query_one("#ask-now", Button)
        ask.display = can_read and job.phase == "done"
        focused = self.screen.focused
        nowhere = focused is None or focused is self or not focused.display
        if not job.running and nowhere and self.screen.is_current:
            (ask if ask.display else more).focus()
        if job.phase != self._phase:
            self._phase = job.phase
            self.refresh_bindings()

    # ------------------------------------------------------------------------- actions

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        event.stop()
        match event.button.id:
            case "pause":
                self.action_pause()
            case "cancel":
                self.action_cancel()
            case "ask-now":
                self.post_message(self.AskWanted())
            case "more":
                self.post_message(self.MoreAsked())

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys that would do nothing are not offered."""
        return self._phase in _KEYS[action] if action in _KEYS else True

    def action_pause(self) -> None:
        self.post_message(self.PauseAsked())

    def action_cancel(self) -> None:
        self.post_message(self.CancelAsked())


def _row(line: VolumeLine) -> Row:
    tokens = f"{line.n_tokens:,}"
    if line.state == "waits":
        tokens = f"about {tokens}"
    elif line.state != "kept":
        tokens = f"{line.done:,}/{tokens}"
    size = bytes_in_words(line.size_bytes) if line.size_bytes else "-"
    return Row(line.key, (line.name, tokens, size, line.state), _TONES[line.state])


def _words(job: IngestJob) -> str:
    """How far it is, or how it ended."""
    if job.problem is not None:
        return problem_in_words(job.problem)
    if job.result is not None:
        return result_in_words(job.result)
    reading = job.reading
    if reading is not None:
        words = [
            f"{reading.index + 1:,} of {reading.n_volumes:,}",
            f"{reading.done:,} of {reading.total:,} tokens",
            f"{reading.tokens_per_s:,.0f} tokens/s",
        ]
        if reading.eta_s is not None:
            words.append(f"{seconds_in_words(reading.eta_s)} left")
        if job.n_waiting:
            words.append(f"{job.n_waiting:,} more wait")
        if job.is_looking and job.looking is not None:
            words.append(f"{job.looking.done:,} of {job.looking.total:,} files looked at")
        return " · ".join(words)
    looking = job.looking
    if looking is not None and looking.total:
        return f"{looking.done:,} of {looking.total:,} · {looking.name}"
    return "..."


def result_in_words(result: Ingested) -> str:
    """How an ingest ended."""
    words = [f"{result.n_indexed:,} indexed", f"{result.n_read:,} read", counted(result.n_tokens, "token")]
    if result.seconds > 0 and result.n_tokens:
        words.append(f"{seconds_in_words(result.seconds)} altogether")
    if result.problems:
        words.append(f"{counted(len(result.problems), 'file')} with problems")
    return " · ".join(words)
