"""History: what was asked before, to be read, continued, exported or deleted."""

from __future__ import annotations

import asyncio
import re
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from beyondrag.quantities import counted, moment_in_words
from beyondrag.service.interface import ConversationSummary
from beyondrag.service.notices import Answered, Notice, Ready, Stopped
from beyondrag.service.problems import problem_of
from beyondrag.tui.list_screen import TYPING_S, ListScreen
from beyondrag.tui.screens.confirm import ConfirmScreen, LineScreen
from beyondrag.tui.widgets.conversation_pane import ConversationPane
from beyondrag.tui.widgets.folder_picker import path_from
from beyondrag.tui.widgets.rows_view import Column, Row, RowsView
from beyondrag.tui.wording import path_in_words

MAX_LISTED = 200
"""The latest ones; a search finds the others."""

_COLUMNS = (
    Column("title", "first question", 0),
    Column("turns", "questions", 9, right=True, needs=50),
    Column("last", "last", 16),
)


class ConversationTable(RowsView):
    """A row for each conversation; Enter is what most people come for, so the footer names it."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "open", "Go on")]


class HistoryScreen(ListScreen):
    """The mode "history"."""

    HELP = """\
Conversations are kept in the library. The search looks into questions and answers; Enter goes on with a
conversation; an export is a Markdown file with the sources.
"""
    CSS = """
    HistoryScreen #conversation { width: 50%; border-left: solid $panel; display: none; }
    HistoryScreen.-normal #conversation, HistoryScreen.-wide #conversation { display: block; }
    """
    SEARCH = "search in questions and answers"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "search", "Search"),
        Binding("e", "export", "Export"),
        Binding("d,delete", "delete", "Delete"),
        Binding("escape", "back", "Back", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._kept: dict[str, ConversationSummary] = {}

    def parts(self) -> ComposeResult:
        yield ConversationTable(_COLUMNS, id="conversations")
        yield ConversationPane(id="conversation")

    async def receive(self, notice: Notice) -> None:
        if isinstance(notice, Answered | Stopped | Ready):
            self.stale = True
            if self.is_current:
                self.fetch(TYPING_S)

    # ---------------------------------------------------------------------------- list

    async def look_up(self, contains: str) -> None:
        kept = await asyncio.to_thread(self.service.shelf.conversations, contains, MAX_LISTED)
        self._show(kept, contains)

    def _show(self, kept: list[ConversationSummary], contains: str) -> None:
        self._kept = {summary.id: summary for summary in kept}
        table = self.query_one("#conversations", RowsView)
        before = table.cursor_key
        table.show_rows(
            [
                Row(
                    summary.id,
                    (
                        " ".join(summary.title.split()),
                        f"{summary.n_turns:,}",
                        moment_in_words(summary.last_at),
                    ),
                )
                for summary in self._kept.values()
            ]
        )
        count = counted(len(kept), "conversation")
        if len(kept) == MAX_LISTED:
            count = f"the latest {MAX_LISTED:,} conversations; / finds others"
        self.show_count(
            len(kept),
            count,
            f"No question and no answer contains “{contains}”.\nescape shows everything again"
            if contains
            else "Nothing has been asked yet.\n\nf2  asks the first question",
        )
        if table.cursor_key == before:  # otherwise the table says so itself
            self._preview(before)

    @on(RowsView.Highlighted, "#conversations")
    def _highlighted(self, event: RowsView.Highlighted) -> None:
        self._preview(event.key)

    @work(exclusive=True, group="preview", exit_on_error=False)
    async def _preview(self, key: str | None) -> None:
        pane = self.query_one(ConversationPane)
        if not pane.display:
            return
        if key is None:
            pane.clear()
            return
        await asyncio.sleep(TYPING_S)  # the cursor may be moving on
        try:
            conversation = await asyncio.to_thread(self.service.shelf.conversation, key)
        except Exception as error:
            pane.say(problem_of(error).message)
            return
        pane.show(conversation)

    # ------------------------------------------------------------------------- actions

    @property
    def _chosen(self) -> ConversationSummary | None:
        return self._kept.get(self.query_one("#conversations", RowsView).cursor_key or "")

    @on(RowsView.Opened, "#conversations")
    def _opened(self, event: RowsView.Opened) -> None:
        self.shell.open_conversation(event.key)

    def action_export(self) -> None:
        summary = self._chosen
        if summary is None:
            return
        proposed = f"{file_name(summary.title)}.md"
        self.app.push_screen(
            LineScreen("Write the conversation as Markdown to", f"~/{proposed}"),
            lambda line: self._export_to(summary, line),
        )

    def _export_to(self, summary: ConversationSummary, line: str | None) -> None:
        if line:
            self._export(summary.id, line)

    @work(group="export", exit_on_error=False)
    async def _export(self, conversation_id: str, line: str) -> None:
        outcome = self.outcome
        path = path_from(line)
        if path is None:
            outcome.show([f"{line} is no path; nothing was written"])
            return
        try:
            await asyncio.to_thread(self.service.shelf.export_conversation, conversation_id, path)
        except Exception as error:
            outcome.show_problem(problem_of(error))
            return
        outcome.show([f"written to {path_in_words(path)}"])

    def action_delete(self) -> None:
        summary = self._chosen
        if summary is None:
            return
        questions = counted(summary.n_turns, "question")
        self.app.push_screen(
            ConfirmScreen(
                f"Delete “{summary.title}”?", f"{questions} and the answers are forgotten.", "Delete"
            ),
            lambda yes: self._delete_if(summary, yes),
        )

    def _delete_if(self, summary: ConversationSummary, yes: bool | None) -> None:
        if yes:
            self._delete(summary)

    @work(group="delete", exit_on_error=False)
    async def _delete(self, summary: ConversationSummary) -> None:
        try:
            await asyncio.to_thread(self.service.shelf.delete_conversation, summary.id)
        except Exception as error:
            self.outcome.show_problem(problem_of(error))
            return
        self.fetch()


def file_name(title: str) -> str:
    """A file's name for a question: letters and digits of any script, at most 60 characters."""
    words = re.findall(r"\w+", title.casefold())
    return "-".join(words)[:60].strip("-_") or "conversation"
