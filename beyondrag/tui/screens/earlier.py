"""Looking for a question that was asked before, to ask it again or to change it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from beyondrag.service.interface import Shelf
from beyondrag.service.notices import Problem
from beyondrag.service.problems import problem_of
from beyondrag.tui.safe_text import safe_line
from beyondrag.tui.widgets.plain import Plain

_MAX_SHOWN = 50
_MAX_CONVERSATIONS = 30
"""Of those that hold the words, the latest are looked through."""

_TYPING_SECONDS = 0.1
"""A search starts when nothing was typed for so long."""


class EarlierScreen(ModalScreen[str | None]):
    """Gives a question of this or of any kept conversation; None when it was left."""

    CSS = """
    EarlierScreen { align: center middle; }
    EarlierScreen .dialog { height: 80%; }
    EarlierScreen OptionList { height: 1fr; border: none; }
    EarlierScreen Input { border: round $border; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Leave"),
        Binding("down,ctrl+r", "move(1)", "The one before", show=False, priority=True),
        Binding("up", "move(-1)", "The one after", show=False, priority=True),
    ]

    def __init__(self, shelf: Shelf, asked: Sequence[str]) -> None:
        """`asked`: what was asked since the app was started, the last one last."""
        super().__init__()
        self._shelf, self._asked = shelf, tuple(asked)
        self._found: list[str] = []
        self._found_for: str | None = None
        self._enter_waits = False

    def compose(self) -> ComposeResult:
        """The field, the questions, what to press."""
        with Vertical(classes="dialog"):
            yield Plain("Earlier questions", classes="title")
            yield Input(placeholder="words of the question", max_length=200)
            yield OptionList(markup=False)
            yield Plain("", id="said", classes="muted")
            yield Plain(
                "Enter takes it into the field · ctrl+r the one before · Escape leaves", classes="muted"
            )

    def on_mount(self) -> None:
        """Show the latest."""
        self._search("")

    @on(Input.Changed)
    def _typed(self, message: Input.Changed) -> None:
        self._search(message.value)

    @on(Input.Submitted)
    def _submitted(self, message: Input.Submitted) -> None:
        """Enter means what these words find, not what stood there before they were typed."""
        self._enter_waits = self._found_for != message.value
        if not self._enter_waits:
            self._take(self.query_one(OptionList).highlighted)

    @on(OptionList.OptionSelected)
    def _clicked(self, message: OptionList.OptionSelected) -> None:
        self._take(message.option_index)

    def _take(self, place: int | None) -> None:
        if place is not None:
            self.dismiss(self._found[place])

    def action_move(self, rows: int) -> None:
        """Move in the list while the field keeps the focus."""
        options = self.query_one(OptionList)
        if rows > 0:
            options.action_cursor_down()
        else:
            options.action_cursor_up()

    def action_leave(self) -> None:
        """Without one."""
        self.dismiss(None)

    @work(exclusive=True, group="search", exit_on_error=False)
    async def _search(self, words: str) -> None:
        if words:
            await asyncio.sleep(_TYPING_SECONDS)
        try:
            found = await asyncio.to_thread(earlier_questions, self._shelf, self._asked, words)
        except Exception as error:  # whatever it is, it is told in words
            self._fail(problem_of(error))
            return
        if not self.is_attached:  # left while the library was being searched
            return
        self._found, self._found_for = found, words
        options = self.query_one(OptionList)
        options.clear_options()
        options.add_options([Option(Content(safe_line(question, 200))) for question in found])
        options.highlighted = 0 if found else None
        self.query_one("#said", Plain).show("" if found else "No earlier question holds these words.")
        if self._enter_waits:
            self._enter_waits = False
            self._take(options.highlighted)

    def _fail(self, problem: Problem) -> None:
        if self.is_attached:
            self.query_one("#said", Plain).show(f"{safe_line(problem.message)}  {safe_line(problem.remedy)}")


def earlier_questions(shelf: Shelf, asked: Sequence[str], words: str) -> list[str]:
    """The questions that hold `words`, the latest first, each of them once: those of `asked` (the last one
    last), then those of kept conversations.  Raises LibraryError and StorageError."""
    wanted = words.casefold().split()
    longest = max(words.split(), key=len, default="")  # the library looks for one piece of text
    found = dict.fromkeys(question for question in reversed(asked) if _holds(question, wanted))
    for summary in shelf.conversations(longest, _MAX_CONVERSATIONS):
        if len(found) >= _MAX_SHOWN:
            break
        turns = shelf.conversation(summary.id).turns
        found |= dict.fromkeys(turn.question for turn in reversed(turns) if _holds(turn.question, wanted))
    return list(found)[:_MAX_SHOWN]


def _holds(question: str, wanted: Sequence[str]) -> bool:
    text = question.casefold()
    return all(word in text for word in wanted)
