"""A mode that is a list: a field to search in it, words when it is empty, below it what was done."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.containers import Horizontal
from textual.widgets import Input

from beyondrag.service.problems import problem_of
from beyondrag.tui.screen import NoticeScreen
from beyondrag.tui.widgets.outcome import Outcome
from beyondrag.tui.widgets.plain import Plain
from beyondrag.tui.widgets.rows_view import RowsView

TYPING_S = 0.12
"""What stands in the field, or below the cursor, is looked up when nothing was typed for this long."""


class ListScreen(NoticeScreen[None]):
    """Subclasses yield a `RowsView` and what stands beside it in `parts`, and show in `look_up` what is
    searched for.  They bind a key to `search` and call `fetch` when the list is out of date."""

    SEARCH: ClassVar[str] = ""
    """What stands in the empty field."""

    DEFAULT_CSS = """
    ListScreen #search { border: none; height: 1; background: $panel; padding: 0 1; }
    ListScreen #list { height: 1fr; }
    ListScreen #empty { height: 1fr; padding: 1 2; display: none; }
    ListScreen.-empty #empty { display: block; }
    ListScreen.-empty #list { display: none; }
    ListScreen #count { height: auto; padding: 0 1; color: $text-muted; }
    """
    AUTO_FOCUS = "#list RowsView"

    def __init__(self) -> None:
        super().__init__()
        self.stale = True

    def body(self) -> ComposeResult:
        yield Input(placeholder=self.SEARCH, id="search")
        with Horizontal(id="list"):
            yield from self.parts()
        yield Plain(id="empty")
        yield Outcome()
        yield Plain(id="count")

    def parts(self) -> ComposeResult:
        """The list and what stands beside it."""
        yield from ()

    async def look_up(self, contains: str) -> None:
        """Fetch what contains these words ("": everything) without keeping the UI thread, and show it.

        What this raises is told in words.
        """

    @work(exclusive=True, group="list", exit_on_error=False)
    async def fetch(self, wait_s: float = 0.0) -> None:
        """Look the list up in `wait_s` seconds; asked for again, what was asked for before is left."""
        await asyncio.sleep(wait_s)
        self.stale = False
        try:
            await self.look_up(self.query_one("#search", Input).value.strip())
        except Exception as error:
            self.outcome.show_problem(problem_of(error))

    @property
    def outcome(self) -> Outcome:
        """What was done, or why it failed."""
        return self.query_one(Outcome)

    def show_count(self, n: int, words: str, empty: str) -> None:
        """`words` about the `n` rows; without rows `empty` takes their place."""
        self.set_class(n == 0, "-empty")
        self.query_one("#empty", Plain).show(empty)
        self.query_one("#count", Plain).show(words)

    def on_screen_resume(self) -> None:
        """Shown again: what has changed in the meantime is fetched."""
        if self.stale:
            self.fetch()

    @on(Input.Changed, "#search")
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        self.fetch(TYPING_S)

    @on(Input.Submitted, "#search")
    def _searched(self, event: Input.Submitted) -> None:
        event.stop()
        self._focus_list()

    def action_search(self) -> None:
        """To the field."""
        self.query_one("#search", Input).focus()

    def action_back(self) -> None:
        """Put away what is shown on top: the outcome, then the search."""
        if self.outcome.put_away():
            return
        self.query_one("#search", Input).value = ""
        self._focus_list()

    def _focus_list(self) -> None:
        self.query_one(self.AUTO_FOCUS, RowsView).focus()
