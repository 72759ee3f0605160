"""The model on a first run: what it is and costs, its download, what went wrong."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Button, ProgressBar

from beyondrag.quantities import bytes_in_words, seconds_in_words
from beyondrag.service.interface import Service
from beyondrag.service.notices import (
    Failed,
    ModelMissing,
    Notice,
    Opening,
    Problem,
    Pulled,
    Pulling,
    Ready,
    TaskFailed,
)
from beyondrag.tui.widgets.plain import Plain
from beyondrag.tui.wording import problem_in_words


class ModelPane(Vertical):
    """Give it every notice; it asks the service for the download."""

    DEFAULT_CSS = """
    ModelPane { height: auto; padding: 0 1; border-bottom: solid $panel; }
    ModelPane > Horizontal { height: auto; }
    ModelPane Button { margin-right: 1; }
    ModelPane > ProgressBar { width: 1fr; height: 1; display: none; }
    ModelPane > ProgressBar Bar { width: 1fr; }
    ModelPane > #model-words { height: auto; max-height: 6; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("c", "cancel", "Cancel download")]

    def __init__(
        self,
        service: Service,
        missing: ModelMissing | None,
        *,
        ready: str = "",
        id: str | None = None,  # noqa: A002 - Textual's name for it
    ) -> None:
        """`missing`: what is known to be missing; `ready`: the name of a model that is open already."""
        super().__init__(id=id)
        self._service, self._missing, self._ready = service, missing, ready
        self._pull: int | None = None
        self._stopping = False

    def compose(self) -> ComposeResult:
        yield Plain(id="model-title", classes="title")
        yield Plain(id="model-words")
        yield ProgressBar(show_eta=False)
        with Horizontal():
            yield Button("Download", id="pull", variant="primary", compact=True)
            yield Button("Cancel", id="pull-cancel", variant="warning", compact=True)

    def on_mount(self) -> None:
        if self._missing is not None:
            self._offer(self._missing)
        elif self._ready:
            self._say("Model", f"{self._ready} is open")
        else:
            self._say("Model", "it is being opened ...")

    def receive(self, notice: Notice) -> None:
        """Take in what happened."""
        match notice:
            case Opening(model):
                self._say("Model", f"{model} is being opened ...")
            case Ready(model=model, open_s=open_s):
                self._say("Model", f"{model} is open ({seconds_in_words(open_s)})")
            case ModelMissing():
                self._offer(notice)
            case Failed(problem):
                self._say("The model cannot be used", problem_in_words(problem))
            case Pulling(request=request) if request == self._pull:
                if not self._stopping:
                    self._progress(notice)
            case Pulled(request=request) if request == self._pull:
                self._pull, self._stopping = None, False
                self._say("Model", f"{notice.model} is here; it is being opened ...")
            case TaskFailed(request=request, problem=problem) if request == self._pull:
                self._pull = None
                self._failed(problem)

    def _offer(self, missing: ModelMissing) -> None:
        self._missing = missing
        if not missing.licence:  # not of the catalogue: nobody here can fetch it
            self._say("The model is not here", problem_in_words(missing.problem))
            return
        self._say(
            "There is no model yet",
            f"{missing.model} · {bytes_in_words(missing.size_bytes)} · licence {missing.licence}\n"
            "It runs on this computer. Only its download uses the network.",
            pull="Download",
        )

    def _failed(self, problem: Problem) -> None:
        stopped, self._stopping = self._stopping, False
        had_focus = self.has_focus_within
        if stopped:
            self._say(
                "The download was cancelled",
                "What has arrived is kept: it goes on where it stopped.",
                pull="Go on",
            )
        else:
            self._say("The model could not be downloaded", problem_in_words(problem), pull="Try again")
        if had_focus:  # on a button that is gone now
            self.query_one("#pull", Button).focus()

    def _progress(self, notice: Pulling) -> None:
        done = bytes_in_words(notice.done_bytes)
        parts = [f"{done} of {bytes_in_words(notice.total_bytes)}" if notice.total_bytes else done]
        if notice.bytes_per_s > 0:
            parts.append(f"{bytes_in_words(notice.bytes_per_s)}/s")
            if notice.total_bytes:
                left = max(notice.total_bytes - notice.done_bytes, 0)
                parts.append(f"{seconds_in_words(left / notice.bytes_per_s)} left")
        if notice.detail:
            parts.append(notice.detail)
        name = self._missing.model if self._missing else "the model"
        self._say(f"Downloading {name}", " · ".join(parts), pulling=True)
        self.query_one(ProgressBar).update(total=notice.total_bytes, progress=notice.done_bytes)

    def _say(self, title: str, words: str, *, pull: str = "", pulling: bool = False) -> None:
        self.query_one("#model-title", Plain).show(title)
        self.query_one("#model-words", Plain).show(words)
        self.query_one(ProgressBar).display = pulling
        button = self.query_one("#pull", Button)
        button.display = bool(pull)
        if pull:
            button.label = pull
        self.query_one("#pull-cancel").display = pulling
        self.refresh_bindings()

    @on(Button.Pressed, "#pull")
    def _download(self, event: Button.Pressed) -> None:
        event.stop()
        if self._missing is None or self._pull is not None:
            return
        self._pull = self._service.pull(self._missing.model)
        self._say(f"Downloading {self._missing.model}", "beginning ...", pulling=True)
        self.query_one(ProgressBar).update(total=None)
        self.query_one("#pull-cancel", Button).focus()

    @on(Button.Pressed, "#pull-cancel")
    def _cancel(self, event: Button.Pressed) -> None:
        event.stop()
        self.action_cancel()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """There is nothing to cancel before it has begun."""
        return self._pull is not None if action == "cancel" else True

    def action_cancel(self) -> None:
        if self._pull is not None:
            self._stopping = True
            self.query_one("#model-words", Plain).show("stopping ...")
            self._service.stop(self._pull)
