"""A document's facts and the beginning of its text."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import VerticalScroll

from beyondrag.document_state import DocumentState
from beyondrag.tui.safe_text import safe_line
from beyondrag.tui.widgets.document_table import facts
from beyondrag.tui.widgets.plain import Plain

PREVIEW_CHARS = 4000


class DocumentDetails(VerticalScroll):
    """Empty until a document is shown."""

    DEFAULT_CSS = """
    DocumentDetails { padding: 0 1; }
    DocumentDetails .section { margin-top: 1; color: $text-muted; text-style: bold; }
    """

    def compose(self) -> ComposeResult:
        yield Plain(id="details-title", classes="title")
        yield Plain(id="details-facts")
        yield Plain(id="details-section", classes="section")
        yield Plain(id="details-preview")

    def show(self, state: DocumentState | None, f16: int | None = None, preview: str = "") -> None:
        """Show a document, or nothing.  `preview` is the beginning of its text."""
        title, lines, section = "", "", ""
        if state is not None:
            title, lines = safe_line(state.document.title), facts(state, f16)
            section = "text" if preview else "text: loading ..."
        self.query_one("#details-title", Plain).show(title)
        self.query_one("#details-facts", Plain).show(lines)
        self.query_one("#details-section", Plain).show(section)
        self.query_one("#details-preview", Plain).show(preview[:PREVIEW_CHARS])
        self.scroll_home(animate=False)
