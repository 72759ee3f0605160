"""The questions of a conversation, one below the other, the latest at the bottom."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll

from beyondrag.tui.widgets.plain import Plain
from beyondrag.tui.widgets.turn_view import TurnView

MAX_TURNS_SHOWN = 40
"""Of a long day's questions; the earlier ones are in the history."""

_EARLIER = "Earlier questions are kept in the history (f5)."


class Transcript(VerticalScroll):
    """Turns, or words that say what can be done while there are none.

    Stays at the bottom while text comes in, until somebody scrolls up.
    """

    DEFAULT_CSS = """
    Transcript { height: 1fr; padding: 0 1; }
    Transcript #turns { height: auto; min-height: 100%; align-vertical: bottom; }
    Transcript #hint { padding: 1 2; color: $text-muted; }
    Transcript .hidden { display: none; }
    """

    def compose(self) -> ComposeResult:
        """A column that fills the height, so that a short conversation stands at the bottom too."""
        with Vertical(id="turns"):
            yield Plain(id="hint")

    @property
    def turns(self) -> list[TurnView]:
        """The latest last."""
        return list(self.query(TurnView))

    def hint(self, words: str) -> None:
        """What to say while there are no turns."""
        if not self.turns:
            self._hint.show(words)

    async def add(self, turn: TurnView) -> None:
        """A turn at the bottom; the first one goes when there are too many."""
        turns = self.turns
        full = len(turns) >= MAX_TURNS_SHOWN
        if full:
            await turns[0].remove()
            self._hint.show(_EARLIER)
        self._hint.set_class(not full, "hidden")
        await self.query_one("#turns").mount(turn)
        self.anchor()

    async def clear(self) -> None:
        """Take all turns away."""
        await self.query(TurnView).remove()
        self._hint.remove_class("hidden")

    @property
    def _hint(self) -> Plain:
        return self.query_one("#hint", Plain)
