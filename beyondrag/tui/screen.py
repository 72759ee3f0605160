"""The base of every screen: it gets the service's notices and carries the status line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.screen import Screen
from textual.widgets import Footer

from beyondrag.service.interface import Service
from beyondrag.service.notices import Looking, Notice, Problem, Pulling, Reading, Said
from beyondrag.tui.messages import NoticesCame
from beyondrag.tui.widgets.mode_bar import ModeBar
from beyondrag.tui.widgets.status_line import StatusLine

if TYPE_CHECKING:
    from beyondrag.tui.app import BeyondragApp

Result = TypeVar("Result")
_PROGRESS = (Looking, Reading, Pulling)


class NoticeScreen(Screen[Result], Generic[Result]):
    """A screen of the app.

    Subclasses yield their widgets in `body`; status line and footer come below.  `receive` gets every
    notice from the moment the screen exists, one after another: what came before it was first shown is
    kept for it, except the events of questions (`Said`) and, of a row of progress of one request, all but
    the last.
    """

    HELP: ClassVar[str | None] = None
    """What the screen is for, in Markdown; the help shows it above the keys."""

    BINDINGS: ClassVar[list[BindingType]] = []

    def __init__(self, name: str | None = None, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002 - Textual's name for it
        super().__init__(name, id, classes)
        self._missed: list[Notice] = []
        self._listening = False

    @property
    def shell(self) -> BeyondragApp:
        """The app, as what it is."""
        return cast("BeyondragApp", self.app)

    @property
    def service(self) -> Service:
        """What can be asked for."""
        return self.shell.service

    def compose(self) -> ComposeResult:
        """The body, then what every screen has."""
        yield ModeBar()
        yield from self.body()
        yield StatusLine()
        yield Footer()

    def body(self) -> ComposeResult:
        """The widgets of this screen."""
        yield from ()

    async def receive(self, notice: Notice) -> None:
        """Something happened; the widgets are mounted.  Runs in the screen's own message loop."""

    def deliver(self, notices: Sequence[Notice]) -> None:
        """Called by the app only, in the UI thread: `receive` will get these."""
        if self._listening:
            self.post_message(NoticesCame(notices))
        else:
            for notice in notices:
                self._keep(notice)

    def tell(self, problem: Problem) -> None:
        """Show a failure calmly, beside what is on the screen."""
        self.shell.tell(problem)

    def _keep(self, notice: Notice) -> None:
        if isinstance(notice, Said):
            return
        last = self._missed[-1] if self._missed else None
        if isinstance(notice, _PROGRESS) and type(last) is type(notice) and last.request == notice.request:
            self._missed.pop()
        self._missed.append(notice)

    def _on_mount(self, event: object) -> None:
        self._listening = True
        missed, self._missed = self._missed, []
        if missed:
            self.post_message(NoticesCame(missed))

    @on(NoticesCame)
    async def _hand_over(self, message: NoticesCame) -> None:
        for notice in message.notices:
            await self.receive(notice)
