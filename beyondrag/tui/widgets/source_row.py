"""A source: where it stands, and the quote; a key opens it."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message

from beyondrag.events import Source
from beyondrag.tui.safe_text import safe_line
from beyondrag.tui.widgets.plain import Plain
from beyondrag.tui.wording import place_in_words

_QUOTE_LIMIT = 600


class SourceRow(Plain, can_focus=True):
    """One source of an answer; Enter, `o` or a click opens it."""

    DEFAULT_CSS = """
    SourceRow { padding: 0 1; height: auto; }
    SourceRow:focus { background: $primary 30%; text-style: bold; }
    SourceRow:hover { background: $boost; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,o", "open", "Open source"),
        Binding("down,j", "app.focus_next", "Next source", show=False),
        Binding("up,k", "app.focus_previous", "Previous source", show=False),
    ]

    class Opened(Message):
        """The source shall be shown in its document."""

        def __init__(self, source: Source) -> None:
            super().__init__()
            self.source = source

    def __init__(self, source: Source, number: int) -> None:
        self.source = source
        heading = Content(f"{number} {place_in_words(source.title, source.page)}").stylize("bold")
        quote = Content(f"\n  “{safe_line(source.quote, _QUOTE_LIMIT)}”")
        super().__init__(heading + quote)

    def action_open(self) -> None:
        """From a key."""
        self.post_message(self.Opened(self.source))

    def on_click(self) -> None:
        """From a mouse."""
        self.action_open()
