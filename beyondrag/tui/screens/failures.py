"""The files that could not be read: which, why, and what helps."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from beyondrag.quantities import counted
from beyondrag.service.notices import FileProblem, LibraryChanged, Notice
from beyondrag.service.problems import problem_of
from beyondrag.tui.screen import NoticeScreen
from beyondrag.tui.widgets.outcome import Outcome
from beyondrag.tui.widgets.plain import Plain
from beyondrag.tui.widgets.problem_list import ProblemList
from beyondrag.tui.widgets.rows_view import RowsView


class FailuresScreen(NoticeScreen[None]):
    """Opened from the library; follows it."""

    HELP = """\
These files are in the folders that were ingested, and nothing could be read from them. A file is tried again
when it changes, or when its folder is added once more.
"""
    CSS = """
    FailuresScreen #count { padding: 0 1; height: 1; text-style: bold; }
    FailuresScreen #space { height: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q", "leave", "Back")]

    def body(self) -> ComposeResult:
        yield Plain("files that could not be read: looking ...", id="count")
        yield Outcome()
        yield ProblemList()

    def on_mount(self) -> None:
        self._fetch()

    async def receive(self, notice: Notice) -> None:
        if isinstance(notice, LibraryChanged):
            self._fetch()

    @work(exclusive=True, exit_on_error=False)
    async def _fetch(self) -> None:
        try:
            found = await asyncio.to_thread(self.service.shelf.failures)
        except Exception as error:
            self.query_one(Outcome).show_problem(problem_of(error))
            return
        self._show(found)

    def _show(self, found: list[FileProblem]) -> None:
        words = f"{counted(len(found), 'file')} could not be read" if found else "Every file could be read."
        self.query_one("#count", Plain).show(words)
        problems = self.query_one(ProblemList)
        problems.show(found)
        if found and self.focused is None:
            problems.query_one(RowsView).focus()

    def action_leave(self) -> None:
        """To the library."""
        self.dismiss()
