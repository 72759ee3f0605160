"""A document's whole text, drawn row by row: two megabytes open as fast as two pages."""

from __future__ import annotations

import asyncio
from bisect import bisect_left, bisect_right
from itertools import pairwise
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import work
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from beyondrag.tui.finding import find_all
from beyondrag.tui.safe_text import safe_line, same_length
from beyondrag.tui.wrapping import WrappedText
from library.records import DocumentText, PageSpan

_MAX_GUTTER = 10
_AIR = 1
"""Columns between the text and the scroll bar."""

_LEAD = 4
"""What was jumped to stands this fraction of the height, 1 / _LEAD, below the top."""

Range = tuple[int, int]


class DocumentView(ScrollView, can_focus=True):
    """Shows a text with its pages in a gutter, a marked quote, and the matches of a search."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "document-view--gutter",
        "document-view--quote",
        "document-view--match",
        "document-view--current",
    }
    DEFAULT_CSS = """
    DocumentView {
        height: 1fr; background: $surface; padding: 0 0 0 1; overflow-x: hidden; overflow-y: scroll;
    }
    DocumentView > .document-view--gutter { color: $text-muted; }
    DocumentView > .document-view--quote { background: $success 40%; text-style: bold; }
    DocumentView > .document-view--match { background: $warning 40%; }
    DocumentView > .document-view--current {
        background: $warning; color: $background; text-style: bold underline;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,j", "scroll_down", "Down", show=False),
        Binding("up,k", "scroll_up", "Up", show=False),
        Binding("pagedown,space", "page_down", "A screen down", show=False),
        Binding("pageup,b", "page_up", "A screen up", show=False),
        Binding("home,g", "scroll_home", "Start of the document", show=False),
        Binding("end,G", "scroll_end", "End of the document", show=False),
        Binding("right_square_bracket", "turn_page(1)", "Next page", show=False),
        Binding("left_square_bracket", "turn_page(-1)", "Page before", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._document = DocumentText("", ())
        self._text: str | None = ""
        self._rows = WrappedText("", 1)
        self._gutter = 0
        self._quote: Range = (0, 0)
        self._matches: list[Range] = []
        self._current = -1

    class Moved(Message):
        """Another row is at the top."""

    # -- what is shown

    def show(self, document: DocumentText, start: int = 0, end: int = 0) -> None:
        """Show `document` at `start` with [start:end] marked; a range outside of it marks nothing."""
        self._document = document
        self._text = None
        self._quote = (start, end) if 0 <= start < end <= len(document.text) else (0, 0)
        self._matches, self._current = [], -1
        longest = max((len(_label(page)) for page in document.pages), default=0)
        self._gutter = min(longest, _MAX_GUTTER) + 1 if longest else 0
        self._arrange(document, self._quote[0])

    def on_resize(self) -> None:
        """Wrap anew; the text that stands at the top stays there."""
        if self._text is None:
            self._arrange(self._document, self._quote[0])
        else:
            self._arrange(self._document, self._top()[0], at_top=True)

    @work(exclusive=True, group="wrap")
    async def _arrange(self, document: DocumentText, offset: int, *, at_top: bool = False) -> None:
        """Wrap in a thread: two megabytes take tenths of a second in some scripts."""
        width = self.scrollable_content_region.width - self._gutter - _AIR
        if width <= 0:
            return  # it has no size yet; a resize follows
        text = self._text
        if text is None:
            text = await asyncio.to_thread(same_length, document.text)
        rows = await asyncio.to_thread(WrappedText, text, width)
        self._text, self._rows = text, rows
        self.virtual_size = Size(self._gutter + width, len(rows))
        self.refresh()
        self.call_after_refresh(self._arrived, offset, at_top)

    def _arrived(self, offset: int, at_top: bool) -> None:
        self.go_to(offset, at_top=at_top)
        self.post_message(self.Moved())

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """Tell where one is."""
        super().watch_scroll_y(old_value, new_value)
        self.post_message(self.Moved())

    # -- where one is

    def go_to(self, offset: int, *, at_top: bool = False) -> None:
        """Scroll so that the character at `offset` is at the top, or a little below it."""
        lead = 0 if at_top else self.size.height // _LEAD
        self.scroll_to(y=max(self._rows.row_at(offset) - lead, 0), animate=False, immediate=True)

    def place(self) -> tuple[str, str, int]:
        """The labels of the first and the last page in sight ("" without pages), and how far down in
        percent."""
        if not self._text:
            return "", "", 0
        share = 100 if self.max_scroll_y <= 0 else round(100 * self.scroll_y / self.max_scroll_y)
        bottom = min(round(self.scroll_y) + max(self.size.height, 1), len(self._rows)) - 1
        pages = [self._document.page_at(offset) for offset in (self._top()[0], self._rows.row(bottom)[0])]
        return _label(pages[0]), _label(pages[1]), share

    def _top(self) -> Range:
        """Where the row at the top stands in the text."""
        return self._rows.row(min(round(self.scroll_y), len(self._rows) - 1))

    def action_turn_page(self, pages: int) -> None:
        """To the start of the next page, or of this one, or of the one before."""
        starts = [page.start for page in self._document.pages]
        top = self._top()[0]
        index = bisect_right(starts, top) if pages > 0 else bisect_left(starts, top) - 1
        if 0 <= index < len(starts):
            self.go_to(starts[index], at_top=True)

    # -- searching

    def search(self, words: str) -> int:
        """Mark every place of `words` and go to the first one from here on; how many there are."""
        self._matches = find_all(self._text or "", words)
        self._current = bisect_left(self._matches, (self._top()[0], 0)) - 1
        self.step(1)
        self.refresh()
        return len(self._matches)

    def step(self, steps: int) -> int:
        """Go `steps` matches on, round the end; the number of the match, from 1, 0 without any."""
        if not self._matches:
            return 0
        self._current = (self._current + steps) % len(self._matches)
        self.go_to(self._matches[self._current][0])
        self.refresh()
        return self._current + 1

    @property
    def n_matches(self) -> int:
        """How many places the last search found."""
        return len(self._matches)

    # -- drawing

    def render_line(self, y: int) -> Strip:
        """One row: gutter and text."""
        width = self.scrollable_content_region.width
        index = y + round(self.scroll_y)
        base = self.rich_style
        if index >= len(self._rows) or not self._text:
            return Strip.blank(width, base)
        start, end = self._rows.row(index)
        segments = []
        if self._gutter:
            label = self._page_started_at(start, end)
            gutter = self.get_component_rich_style("document-view--gutter")
            segments.append(Segment(label[: self._gutter - 1].ljust(self._gutter), gutter))
        segments += self._styled(self._text, start, end, base)
        return Strip(segments).adjust_cell_length(width, base)

    def _page_started_at(self, start: int, end: int) -> str:
        pages = self._document.pages
        index = bisect_left(pages, start, key=lambda page: page.start)
        if index < len(pages) and pages[index].start < max(end, start + 1):
            return _label(pages[index])
        return ""

    def _styled(self, text: str, start: int, end: int, base: Style) -> list[Segment]:
        """text[start:end] in pieces of one style; a later mark lies over an earlier one."""
        marks: list[tuple[Range, str]] = [(self._quote, "document-view--quote")]
        first = max(bisect_left(self._matches, (start, 0)) - 1, 0)
        for number in range(first, len(self._matches)):
            match = self._matches[number]
            if match[0] >= end:
                break
            name = "document-view--current" if number == self._current else "document-view--match"
            marks.append((match, name))
        here = [(max(a, start), min(b, end), name) for (a, b), name in marks if a < end and b > start]
        edges = sorted({start, end, *(a for a, _, _ in here), *(b for _, b, _ in here)})
        pieces = []
        for left, right in pairwise(edges):
            style = base
            for a, b, name in here:
                if a <= left and right <= b:
                    style = base + self.get_component_rich_style(name)
            pieces.append(Segment(text[left:right], style))
        return pieces


def _label(page: PageSpan) -> str:
    return f"p.{page.label}" if page.label.isdigit() else safe_line(page.label, _MAX_GUTTER)
