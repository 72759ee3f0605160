"""A question with yes or no, one with several answers, and one with a line of text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Input

from beyondrag.tui.widgets.plain import Plain


class ConfirmScreen(ModalScreen[bool]):
    """Answers True only for a clear yes.  `question` and `detail` are plain text."""

    CSS = """
    ConfirmScreen Horizontal { height: auto; align-horizontal: right; margin-top: 1; }
    ConfirmScreen Button { margin-left: 2; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "Yes"),
        Binding("n,escape", "answer(False)", "No"),
        Binding("left,right", "app.focus_next", show=False),
    ]

    def __init__(self, question: str, detail: str = "", yes: str = "Yes") -> None:
        super().__init__()
        self._question, self._detail, self._yes = question, detail, yes

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Plain(self._question, classes="title")
            if self._detail:
                yield Plain(self._detail)
            with Horizontal():
                yield Button("No (n)", id="no", compact=True)
                yield Button(f"{self._yes} (y)", id="yes", variant="error", compact=True)

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        event.stop()
        self.dismiss(event.button.id == "yes")

    def action_answer(self, yes: bool) -> None:
        self.dismiss(yes)


class ChoiceScreen(ModalScreen[str | None]):
    """Answers the key of what was chosen, None when nothing was; the first letter of a key chooses it."""

    CSS = """
    ChoiceScreen Horizontal { height: auto; align-horizontal: right; margin-top: 1; }
    ChoiceScreen Button { margin-left: 2; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Cancel"),
        Binding("left", "app.focus_previous", show=False),
        Binding("right", "app.focus_next", show=False),
    ]

    def __init__(self, question: str, detail: str, choices: Mapping[str, str]) -> None:
        """`choices`: what can be answered, and its label; the first one has the cursor."""
        super().__init__()
        self._question, self._detail, self._choices = question, detail, choices

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Plain(self._question, classes="title")
            yield Plain(self._detail)
            with Horizontal():
                for key, label in self._choices.items():
                    yield Button(label, id=key, compact=True)
                yield Button("Cancel (escape)", id="cancel", compact=True)

    def on_key(self, event: events.Key) -> None:
        for key in self._choices:
            if event.character == key[0]:
                event.stop()
                self.dismiss(key)
                return

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        event.stop()
        self.dismiss(event.button.id if event.button.id in self._choices else None)

    def action_leave(self) -> None:
        self.dismiss(None)


class LineScreen(ModalScreen[str | None]):
    """Asks for one line of text; None when it was left with escape or empty."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Cancel")]

    def __init__(self, question: str, value: str = "") -> None:
        super().__init__()
        self._question, self._value = question, value

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Plain(self._question, classes="title")
            yield Input(self._value, id="line")
            yield Plain("Enter goes on, escape cancels", classes="muted")

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.dismiss(event.value.strip() or None)

    def action_leave(self) -> None:
        self.dismiss(None)
