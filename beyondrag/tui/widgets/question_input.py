"""Where questions are typed: Enter sends, ctrl+j makes a new line, up and ctrl+r bring back earlier ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import TextArea

from beyondrag.tui.safe_text import safe
from beyondrag.turn import MAX_QUESTION_CHARS


class QuestionInput(TextArea):
    """A text area that grows with its text up to six lines."""

    DEFAULT_CSS = """
    QuestionInput { height: auto; max-height: 8; border: round $border-blurred; padding: 0 1; }
    QuestionInput:focus { border: round $border; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+r", "earlier", "Earlier")]

    class Sent(Message):
        """Enter was pressed on a question."""

        def __init__(self, question: str) -> None:
            super().__init__()
            self.question = question

    class Scrolled(Message):
        """A page key was pressed: it is meant for what stands above; `pages` is -1 or 1."""

        def __init__(self, pages: int) -> None:
            super().__init__()
            self.pages = pages

    class EarlierWanted(Message):
        """A question shall be looked for among those that were asked before; `asked` are those known here,
        the last one last."""

        def __init__(self, asked: Sequence[str]) -> None:
            super().__init__()
            self.asked = tuple(asked)

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name for it
        super().__init__(
            id=id,
            soft_wrap=True,
            show_line_numbers=False,
            tab_behavior="focus",
            placeholder="Ask your documents.  Enter sends, ctrl+j makes a new line, up brings back.",
        )
        self._earlier: list[str] = []
        self._recalled: int | None = None
        self._has_history = False

    def let_look_back(self, has_history: bool) -> None:
        """Whether questions of other conversations are kept."""
        self._has_history = has_history
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Nobody is sent to look for what is not there."""
        return self._has_history or bool(self._earlier) if action == "earlier" else True

    def action_earlier(self) -> None:
        """Look for one that was asked before."""
        self.post_message(self.EarlierWanted(self._earlier))

    def remember(self, questions: Sequence[str]) -> None:
        """These can be brought back, the last one first."""
        self._earlier = list(questions)
        self._recalled = None
        self.refresh_bindings()

    def add(self, question: str) -> None:
        """One more that can be brought back."""
        if not self._earlier or self._earlier[-1] != question:
            self._earlier.append(question)
        self._recalled = None
        self.refresh_bindings()

    def put(self, text: str) -> None:
        """Replace the text; the cursor goes to its end."""
        self.text = text
        self.move_cursor(self.document.end)

    async def _on_key(self, event: events.Key) -> None:
        if event.key == "enter":
            event.stop()
            event.prevent_default()
            question = self.text.strip()
            if question:
                self.post_message(self.Sent(question))
        elif event.key == "ctrl+j":
            event.stop()
            event.prevent_default()
            self.insert("\n")
        elif event.is_printable and len(self.text) >= MAX_QUESTION_CHARS:
            event.stop()
            event.prevent_default()
            self.app.bell()
        elif event.is_printable or event.key in ("backspace", "delete"):
            self._recalled = None

    async def _on_paste(self, event: events.Paste) -> None:
        event.text = safe(event.text)[: max(MAX_QUESTION_CHARS - len(self.text), 0)]

    def action_cursor_up(self, select: bool = False) -> None:
        """An earlier question when there is nothing to lose, otherwise one line up."""
        if select or not self._may_recall():
            super().action_cursor_up(select)
        elif self._earlier:
            before = len(self._earlier) if self._recalled is None else self._recalled
            if before > 0:
                self._recall(before - 1)

    def action_cursor_down(self, select: bool = False) -> None:
        """A later question while they are being brought back, otherwise one line down."""
        if select or self._recalled is None or not self._may_recall():
            super().action_cursor_down(select)
        elif self._recalled + 1 < len(self._earlier):
            self._recall(self._recalled + 1)
        else:
            self._recalled = None
            self.put("")

    def action_cursor_page_up(self) -> None:
        """Scroll what stands above."""
        self.post_message(self.Scrolled(-1))

    def action_cursor_page_down(self) -> None:
        """Scroll what stands above."""
        self.post_message(self.Scrolled(1))

    def _may_recall(self) -> bool:
        return not self.text or self._recalled is not None

    def _recall(self, index: int) -> None:
        self.put(self._earlier[index])
        self._recalled = index
