"""A table of many rows of which only those in view are drawn.

Textual's `DataTable` builds and measures every row on the UI thread: 1.7 s for 10,000 documents on the
machine this was written on.  Here a table costs what is visible.  Cells are plain text, never markup.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from beyondrag.terminal_text import escaped

Tone = Literal["plain", "good", "warn", "bad", "muted"]

_GAP = 2
_MARK = "› "


@dataclass(frozen=True, slots=True)
class Column:
    """`width` in terminal cells; 0 for the one column that takes what is left.

    The column is left out where the table is narrower than `needs`; `toned` columns show the row's tone.
    """

    key: str
    title: str
    width: int
    right: bool = False
    needs: int = 0
    toned: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """`cells` in the order of the columns; `key` is unique in a table."""

    key: str
    cells: tuple[str, ...]
    tone: Tone = "plain"


class RowsView(ScrollView, can_focus=True):
    """Rows with a cursor; the header stays in place, and a click on it asks for another order."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "rows--header",
        "rows--cursor",
        "rows--good",
        "rows--warn",
        "rows--bad",
        "rows--muted",
    }
    DEFAULT_CSS = """
    RowsView { height: 1fr; overflow-x: hidden; }
    RowsView > .rows--header { text-style: bold; color: $text-muted; }
    RowsView > .rows--cursor { background: $block-cursor-blurred-background; }
    RowsView:focus > .rows--cursor { background: $block-cursor-background; color: $block-cursor-foreground; }
    RowsView > .rows--good { color: $text-success; }
    RowsView > .rows--warn { color: $text-warning; }
    RowsView > .rows--bad { color: $text-error; }
    RowsView > .rows--muted { color: $text-muted; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up", show=False),
        Binding("down,j", "move(1)", "Down", show=False),
        Binding("pageup", "page(-1)", "Page up", show=False),
        Binding("pagedown", "page(1)", "Page down", show=False),
        Binding("home", "to(0)", "First", show=False),
        Binding("end", "to(-1)", "Last", show=False),
        Binding("enter", "open", "Open", show=False),
    ]

    class Highlighted(Message):
        """The cursor stands on another row, or on none (`key` None)."""

        def __init__(self, rows: RowsView, key: str | None) -> None:
            super().__init__()
            self.rows, self.key = rows, key

        @property
        def control(self) -> RowsView:
            return self.rows

    class Opened(Message):
        """Enter, or a click on the row under the cursor."""

        def __init__(self, rows: RowsView, key: str) -> None:
            super().__init__()
            self.rows, self.key = rows, key

        @property
        def control(self) -> RowsView:
            return self.rows

    class Viewed(Message):
        """Other rows came into view: those at places first .. after-1."""

        def __init__(self, rows: RowsView, first: int, after: int) -> None:
            super().__init__()
            self.rows, self.first, self.after = rows, first, after

        @property
        def control(self) -> RowsView:
            return self.rows

    class HeaderClicked(Message):
        """A click on the title of a column."""

        def __init__(self, rows: RowsView, column: str) -> None:
            super().__init__()
            self.rows, self.column = rows, column

        @property
        def control(self) -> RowsView:
            return self.rows

    def __init__(self, columns: Sequence[Column], *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._columns = tuple(columns)
        self._rows: list[Row] = []
        self._places: dict[str, int] = {}
        self._cursor = 0
        self._sorted_by: tuple[str, bool] | None = None
        self._viewed = (0, 0)

    # ------------------------------------------------------------------------- content

    @property
    def rows(self) -> Sequence[Row]:
        return self._rows

    @property
    def viewed(self) -> tuple[int, int]:
        """The places first .. after-1 that are in view, whether or not there are so many rows."""
        first = round(self.scroll_y)
        return first, first + self.size.height

    @property
    def cursor_key(self) -> str | None:
        """The key of the row under the cursor; None when there is no row."""
        return self._rows[self._cursor].key if self._rows else None

    def show_rows(self, rows: Sequence[Row]) -> None:
        """Show other rows; the cursor stays on its row where that is still there."""
        before = self.cursor_key
        self._rows = list(rows)
        self._places = {row.key: place for place, row in enumerate(self._rows)}
        place = self._places.get(before, self._cursor) if before is not None else 0
        self._cursor = max(0, min(place, len(self._rows) - 1))
        self.virtual_size = Size(0, len(self._rows) + 1)
        self.refresh()
        if self.cursor_key != before:
            self.post_message(self.Highlighted(self, self.cursor_key))
        self._viewed = (0, 0)
        self.call_after_refresh(self._keep_cursor_in_view)  # only then it is known how far one can scroll
        self.call_after_refresh(self._tell_view)

    def update_row(self, row: Row) -> None:
        """Show a row again that has changed, or add it; a cursor at the end stays at the end."""
        place = self._places.get(row.key)
        if place is None:
            follows = self._cursor == len(self._rows) - 1
            self._places[row.key] = len(self._rows)
            self._rows.append(row)
            self.virtual_size = Size(0, len(self._rows) + 1)
            self.refresh()
            if follows:
                self._go(len(self._rows) - 1)
                self.call_after_refresh(self._keep_cursor_in_view)
            elif len(self._rows) == 1:
                self.post_message(self.Highlighted(self, row.key))
        elif self._rows[place] != row:
            self._rows[place] = row
            self.refresh_line(place + 1)

    def mark_order(self, column: str, descending: bool) -> None:
        """Show in the header by which column the rows are ordered."""
        self._sorted_by = (column, descending)
        self.refresh()

    def move_to(self, key: str) -> None:
        """Put the cursor on a row; nothing happens when there is no such row."""
        place = self._places.get(key)
        if place is not None:
            self._go(place)

    # -------------------------------------------------------------------------- cursor

    def action_move(self, by: int) -> None:
        self._go(self._cursor + by)

    def action_page(self, by: int) -> None:
        self._go(self._cursor + by * max(self.size.height - 2, 1))

    def action_to(self, place: int) -> None:
        self._go(place if place >= 0 else len(self._rows) - 1)

    def action_open(self) -> None:
        if self._rows:
            self.post_message(self.Opened(self, self._rows[self._cursor].key))

    def _go(self, place: int) -> None:
        place = max(0, min(place, len(self._rows) - 1))
        if place == self._cursor or not self._rows:
            return
        self.refresh_line(self._cursor + 1)
        self._cursor = place
        self.refresh_line(place + 1)
        self._keep_cursor_in_view()
        self.post_message(self.Highlighted(self, self.cursor_key))

    def _keep_cursor_in_view(self) -> None:
        """The header covers the first line of the view, so a row must lie below it."""
        top, height = round(self.scroll_y), self.size.height
        if self._cursor < top:
            self.scroll_to(y=self._cursor, animate=False)
        elif height > 1 and self._cursor > top + height - 2:
            self.scroll_to(y=self._cursor - height + 2, animate=False)

    def on_resize(self) -> None:
        self._keep_cursor_in_view()
        self._tell_view()
        self.refresh()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        super().watch_scroll_y(old_value, new_value)
        self._tell_view()

    def _tell_view(self) -> None:
        """Say so when other rows are in view than when it was last said."""
        first = min(round(self.scroll_y), len(self._rows))
        viewed = first, min(first + self.size.height, len(self._rows))
        if viewed != self._viewed:
            self._viewed = viewed
            self.post_message(self.Viewed(self, *viewed))

    def on_click(self, event: events.Click) -> None:
        line = event.y
        if line == 0:
            column = self._column_at(event.x)
            if column is not None:
                self.post_message(self.HeaderClicked(self, column.key))
            return
        place = round(self.scroll_y) + line - 1
        if place == self._cursor:
            self.action_open()
        elif place < len(self._rows):
            self._go(place)

    # ------------------------------------------------------------------------- drawing

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if y == 0:
            style = self.get_component_rich_style("rows--header")
            titles = tuple(self._title(column) for column in self._columns)
            return Strip(self._segments(titles, " " * len(_MARK), width, [style] * len(titles), style), width)
        place = round(self.scroll_y) + y - 1
        if not 0 <= place < len(self._rows):
            return Strip.blank(width, self.rich_style)
        row = self._rows[place]
        if place == self._cursor:
            style = self.get_component_rich_style("rows--cursor")
            return Strip(self._segments(row.cells, _MARK, width, [style] * len(row.cells), style), width)
        style = self.rich_style
        tone = style if row.tone == "plain" else self.get_component_rich_style(f"rows--{row.tone}")
        styles = [tone if column.toned else style for column in self._columns]
        return Strip(self._segments(row.cells, " " * len(_MARK), width, styles, style), width)

    def _segments(
        self, cells: Sequence[str], mark: str, width: int, styles: Sequence[Style], base: Style
    ) -> list[Segment]:
        segments = [Segment(mark, base)]
        used = len(mark)
        for place, cell_width in self._layout(width):
            text = _fit(escaped(cells[place][: 4 * cell_width]), cell_width, self._columns[place].right)
            segments += [Segment(text, styles[place]), Segment(" " * _GAP, base)]
            used += cell_width + _GAP
        return Segment.adjust_line_length(segments, width, base)

    def _layout(self, width: int) -> list[tuple[int, int]]:
        """The columns that are shown, by place, with their widths in cells."""
        shown = [place for place, column in enumerate(self._columns) if width >= column.needs]
        fixed = sum(self._columns[place].width + _GAP for place in shown)
        rest = max(width - len(_MARK) - fixed, 1)
        return [(place, self._columns[place].width or rest) for place in shown]

    def _title(self, column: Column) -> str:
        if self._sorted_by is None or self._sorted_by[0] != column.key:
            return column.title
        return f"{column.title} {'▾' if self._sorted_by[1] else '▴'}"

    def _column_at(self, x: int) -> Column | None:
        left = len(_MARK)
        for place, cell_width in self._layout(self.size.width):
            if left <= x < left + cell_width:
                return self._columns[place]
            left += cell_width + _GAP
        return None


def _fit(text: str, width: int, right: bool) -> str:
    """`text` in exactly `width` cells."""
    if cell_len(text) > width:
        text = set_cell_size(text, max(width - 1, 0)) + "…"
        return set_cell_size(text, width)
    blank = " " * (width - cell_len(text))
    return blank + text if right else text + blank
