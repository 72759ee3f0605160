"""A label for text that others wrote."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static

from beyondrag.tui.safe_text import plain


class Plain(Static):
    """Shows text as it is: nothing in it is markup, and control characters are spelled out.

    A `Content` is shown as it was built; build it from `safe_text.plain` and `safe_text.safe`.
    """

    def __init__(
        self,
        text: str | Content = "",
        *,
        id: str | None = None,  # noqa: A002 - Textual's name for it
        classes: str | None = None,
    ) -> None:
        super().__init__(_content(text), markup=False, id=id, classes=classes)

    def show(self, text: str | Content) -> None:
        """Replace what is shown."""
        self.update(_content(text))


def _content(text: str | Content) -> Content:
    return plain(text) if isinstance(text, str) else text
