"""A kept conversation to be read through."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.content import Content

from beyondrag.quantities import moment_in_words
from beyondrag.service.interface import Conversation, Turn
from beyondrag.tui.safe_text import plain
from beyondrag.tui.widgets.plain import Plain
from beyondrag.tui.wording import answer_as_text

_MAX_TURNS = 50


class ConversationPane(VerticalScroll):
    """Questions and answers as plain text, with the sources."""

    DEFAULT_CSS = """
    ConversationPane { padding: 0 1; }
    """

    def compose(self) -> ComposeResult:
        yield Plain(id="conversation-text")

    def show(self, conversation: Conversation) -> None:
        """Show its last turns."""
        turns = conversation.turns[-_MAX_TURNS:]
        parts = [_turn(turn) for turn in turns]
        if len(turns) < len(conversation.turns):
            parts.insert(0, plain(f"({len(conversation.turns) - len(turns):,} earlier questions)", "dim"))
        self._set(Content("\n\n").join(parts))

    def say(self, text: str) -> None:
        """Show a message instead."""
        self._set(plain(text))

    def clear(self) -> None:
        """Show nothing."""
        self._set(Content(""))

    def _set(self, content: Content) -> None:
        self.query_one("#conversation-text", Plain).show(content)
        self.scroll_home(animate=False)


def _turn(turn: Turn) -> Content:
    asked = plain(f"{moment_in_words(turn.asked_at)}  ", "dim") + plain(turn.question, "bold")
    if turn.answer is not None:
        return asked + plain("\n" + answer_as_text(turn.answer, sources=True))
    return asked + plain(f"\n{turn.partial}") + plain("\n(stopped; this was not checked)", "dim")
