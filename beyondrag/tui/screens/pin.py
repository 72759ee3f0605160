"""Choosing by hand which documents are read."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from beyondrag.service.interface import Service
from beyondrag.service.notices import Problem
from beyondrag.service.problems import problem_of
from beyondrag.tui.safe_text import safe_line
from beyondrag.tui.widgets.plain import Plain

_MAX_SHOWN = 50
_TYPING_SECONDS = 0.1
"""A search starts when nothing was typed for so long."""


@dataclass(frozen=True, slots=True)
class Pinned:
    """A document that is read whatever the search says."""

    document_id: str
    title: str


class PinScreen(ModalScreen[tuple[Pinned, ...]]):
    """Gives the pinned documents; search as you type, Enter pins and unpins."""

    CSS = """
    PinScreen { align: center middle; }
    PinScreen .dialog { height: 80%; }
    PinScreen OptionList { height: 1fr; border: none; }
    PinScreen Input { border: round $border; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "done", "Done"),
        Binding("ctrl+o", "only", "Only this one"),
        Binding("ctrl+x", "none", "Unpin all", priority=True),
        Binding("down", "move(1)", show=False),
        Binding("up", "move(-1)", show=False),
    ]

    def __init__(self, service: Service, pinned: tuple[Pinned, ...]) -> None:
        super().__init__()
        self._service = service
        self._pinned = {one.document_id: one for one in pinned}
        self._found: list[Pinned] = []
        self._found_for: str | None = None
        self._enter_waits = False

    def compose(self) -> ComposeResult:
        """The field, the documents, what to press."""
        with Vertical(classes="dialog"):
            yield Plain("Read only these documents", classes="title")
            yield Input(placeholder="words of the title or the text", max_length=200)
            yield OptionList(markup=False)
            yield Plain("", id="said", classes="muted")
            yield Plain(
                "Enter pins, unpins · ctrl+o only this · ctrl+x unpins all · Escape: done",
                classes="muted",
            )

    def on_mount(self) -> None:
        """Show the library."""
        self._search("")

    @on(Input.Changed)
    def _typed(self, message: Input.Changed) -> None:
        self._search(message.value)

    @on(Input.Submitted)
    def _submitted(self, message: Input.Submitted) -> None:
        """Enter means what these words find, not what stood there before they were typed."""
        self._enter_waits = self._found_for != message.value
        if not self._enter_waits:
            self.query_one(OptionList).action_select()

    @on(OptionList.OptionSelected)
    def _toggle(self, message: OptionList.OptionSelected) -> None:
        one = self._found[message.option_index]
        if self._pinned.pop(one.document_id, None) is None:
            self._pinned[one.document_id] = one
        self._show()

    def action_move(self, rows: int) -> None:
        """Move in the list while the field keeps the focus."""
        options = self.query_one(OptionList)
        if rows > 0:
            options.action_cursor_down()
        else:
            options.action_cursor_up()

    def action_only(self) -> None:
        """Pin the document under the cursor and unpin all others."""
        index = self.query_one(OptionList).highlighted
        if index is not None:
            one = self._found[index]
            self.dismiss((one,))

    def action_none(self) -> None:
        """Let the search choose again."""
        self._pinned.clear()
        self._show()

    def action_done(self) -> None:
        """Give what is pinned."""
        self.dismiss(tuple(self._pinned.values()))

    @work(exclusive=True, group="search", exit_on_error=False)
    async def _search(self, words: str) -> None:
        if words:
            await asyncio.sleep(_TYPING_SECONDS)
        try:
            found = await asyncio.to_thread(_look, self._service, words)
        except Exception as error:  # whatever it is, it is told in words
            self._fail(problem_of(error))
        else:
            self._came(words, found)

    def _came(self, words: str, found: list[Pinned]) -> None:
        if not self.is_attached:  # left while the library was being searched
            return
        others = [one for one in self._pinned.values() if one not in found]
        self._found = [*others, *found][:_MAX_SHOWN]
        self._found_for = words
        self._show(len(others))
        if self._enter_waits:
            self._enter_waits = False
            self.query_one(OptionList).action_select()

    def _fail(self, problem: Problem) -> None:
        if self.is_attached:
            self.query_one("#said", Plain).show(f"{safe_line(problem.message)}  {safe_line(problem.remedy)}")

    def _show(self, at: int | None = None) -> None:
        """List what was found, with the cursor at the place `at`, or where it was."""
        options = self.query_one(OptionList)
        at = options.highlighted if at is None else at
        options.clear_options()
        for one in self._found:
            mark = "[x] " if one.document_id in self._pinned else "[ ] "
            options.add_option(Option(Content(mark + safe_line(one.title, 200))))
        if self._found:
            options.highlighted = min(at or 0, len(self._found) - 1)
        n = len(self._pinned)
        said = (
            "Nothing fits." if not self._found else f"{n} pinned" if n else "none pinned: the search chooses"
        )
        self.query_one("#said", Plain).show(said)


def _look(service: Service, words: str) -> list[Pinned]:
    """Documents whose title or path holds the words, then those whose text does."""
    found = {
        state.document.id: Pinned(state.document.id, state.document.title)
        for state in service.shelf.states(words, "title", limit=_MAX_SHOWN)
    }
    if words.strip():
        for hit in service.shelf.search(words, 10):
            found.setdefault(hit.document.id, Pinned(hit.document.id, hit.document.title))
    return list(found.values())
