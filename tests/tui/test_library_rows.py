"""The table of many rows: what is in view, the cursor, hostile cells."""

from __future__ import annotations

import pytest
from guards import step_limit
from samples import HOSTILE
from textual.app import App, ComposeResult

from beyondrag.tui.widgets.rows_view import Column, Row, RowsView

COLUMNS = (
    Column("name", "name", 0),
    Column("size", "size", 8, right=True, needs=40),
    Column("state", "state", 7),
)


class Table(App[None]):
    def __init__(self) -> None:
        super().__init__()
        self.heard: list[object] = []

    def compose(self) -> ComposeResult:
        yield RowsView(COLUMNS)

    @property
    def rows(self) -> RowsView:
        return self.query_one(RowsView)

    def lines(self) -> list[str]:
        return [self.rows.render_line(y).text.rstrip() for y in range(self.rows.size.height)]

    def on_rows_view_highlighted(self, event: RowsView.Highlighted) -> None:
        self.heard.append(event.key)

    def on_rows_view_opened(self, event: RowsView.Opened) -> None:
        self.heard.append(("open", event.key))

    def on_rows_view_header_clicked(self, event: RowsView.HeaderClicked) -> None:
        self.heard.append(("sort", event.column))


def many(n: int) -> list[Row]:
    return [Row(str(i), (f"document {i}", f"{i}", "ready")) for i in range(n)]


async def test_lines_show_the_header_and_the_rows_in_view() -> None:
    app = Table()
    async with app.run_test(size=(50, 6)) as pilot:
        app.rows.show_rows(many(20))
        await pilot.pause()
        lines = app.lines()
        assert lines[0].split() == ["name", "size", "state"]
        assert [line.split()[-3] for line in lines[1:]] == ["0", "1", "2", "3", "4"]
        assert lines[1].startswith("› document 0")
        assert all(len(app.rows.render_line(y).text) == app.rows.size.width for y in range(6))


async def test_the_cursor_is_never_hidden_by_the_header_or_the_end() -> None:
    app = Table()
    async with app.run_test(size=(50, 6)) as pilot:
        app.rows.show_rows(many(20))
        for key, stands in (("end", 19), ("up", 18), ("pageup", 14), ("home", 0), ("down", 1)):
            await pilot.press(key)
            await pilot.pause()
            assert app.rows.cursor_key == str(stands)
            marked = [line for line in app.lines()[1:] if line.startswith("›")]
            assert len(marked) == 1
            assert f"document {stands} " in marked[0]


async def test_the_cursor_stays_on_its_row_when_the_rows_change() -> None:
    app = Table()
    async with app.run_test(size=(50, 8)) as pilot:
        app.rows.show_rows(many(20))
        app.rows.move_to("7")
        await pilot.pause()
        app.rows.show_rows(list(reversed(many(20))))
        assert app.rows.cursor_key == "7"
        app.rows.show_rows(many(3))
        await pilot.pause()
        assert app.rows.cursor_key == "2"
        app.rows.show_rows([])
        await pilot.pause()
        assert app.rows.cursor_key is None
        assert app.heard[-1] is None
        await pilot.press("down", "enter", "end")
        assert app.rows.cursor_key is None


async def test_a_changed_row_is_drawn_again_and_a_new_one_is_followed() -> None:
    app = Table()
    async with app.run_test(size=(50, 5)) as pilot:
        for row in many(10):
            app.rows.update_row(row)
        await pilot.pause()
        assert app.rows.cursor_key == "9"
        app.rows.update_row(Row("9", ("changed", "1", "kept")))
        await pilot.pause()
        assert "changed" in app.lines()[-1]
        app.rows.move_to("4")
        app.rows.update_row(Row("10", ("new", "1", "kept")))
        assert app.rows.cursor_key == "4"
        assert len(app.rows.rows) == 11


async def test_clicks_choose_open_and_sort() -> None:
    app = Table()
    async with app.run_test(size=(50, 8)) as pilot:
        app.rows.show_rows(many(5))
        await pilot.click(RowsView, offset=(5, 3))
        assert app.rows.cursor_key == "2"
        await pilot.click(RowsView, offset=(5, 3))
        await pilot.click(RowsView, offset=(5, 7))  # below the last row
        await pilot.click(RowsView, offset=(45, 0))
        await pilot.pause()
        assert app.heard == ["0", "2", ("open", "2"), ("sort", "state")]


@pytest.mark.parametrize("width", [1, 12, 39, 50, 200])
async def test_hostile_cells_neither_act_nor_break_the_lines(width: int) -> None:
    app = Table()
    async with app.run_test(size=(width, 5)) as pilot:
        wide = "漢字" * 200
        app.rows.show_rows([Row("a", (HOSTILE, "1", "x")), Row("b", (wide, "\n\t", "\u202e"))])
        await pilot.pause()
        for y in range(5):
            strip = app.rows.render_line(y)
            assert strip.cell_length == width
            assert strip.text.isprintable()
        assert ("size" in app.lines()[0]) == (width >= 40)
        if width == 200:
            assert r"[/] [bold]x[/bold] \x1b[31mred" in app.lines()[1]


async def test_ten_thousand_rows_hold_nothing_up() -> None:
    app = Table()
    async with app.run_test(size=(120, 40)) as pilot:
        rows = many(10_000)
        with step_limit(100_000):  # a few for each row; to build or draw one takes a hundred
            app.rows.show_rows(rows)
            app.rows.update_row(Row("9999", ("changed", "", "")))
            for y in range(40):
                app.rows.render_line(y)
        await pilot.press("end")
        await pilot.pause()
        assert "changed" in app.lines()[-1]
