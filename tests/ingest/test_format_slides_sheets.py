"""PPTX, XLSX and CSV: slides and rows to cite, tables that can be read."""

from __future__ import annotations

import csv
import datetime
import io

import openpyxl
import pytest
from format_files import pages, parse, text_of
from hypothesis import given
from hypothesis import strategies as st
from pptx import Presentation

from ingest.errors import ParseFailure
from ingest.parsers import spreadsheet
from ingest.parsers.delimited import find_delimiter

CELL = st.text(alphabet=st.sampled_from('abc 12,;|"\n\té'), max_size=6)


def presentation() -> bytes:
    show = Presentation()
    for number, title in enumerate(("Plan", "", "Costs"), start=1):
        slide = show.slides.add_slide(show.slide_layouts[1])
        slide.shapes.title.text = title
        frame = slide.placeholders[1].text_frame
        frame.text = f"point {number}"
        frame.add_paragraph().text = "detail"
        frame.paragraphs[1].level = 1
    slide.notes_slide.notes_text_frame.text = "Say it slowly."
    table = slide.shapes.add_table(2, 2, 0, 0, 100, 100).table
    for (row, column), text in {(0, 0): "Item", (0, 1): "Cost", (1, 0): "rent", (1, 1): "5"}.items():
        table.cell(row, column).text = text
    show.slides._sldIdLst.append(show.slides._sldIdLst[0])  # the first slide moves to the end
    show.slides[0]._element.set("show", "0")
    buffer = io.BytesIO()
    show.save(buffer)
    return buffer.getvalue()


def test_slides_come_in_the_order_of_the_show_with_notes_and_tables() -> None:
    document = parse(".pptx", presentation())
    assert document.title == "Costs"
    assert pages(document) == {
        "slide 1 (hidden)": "point 2\n- detail",
        "slide 2: Costs": "Costs\n\npoint 3\n- detail\n\n| Item | Cost |\n| --- | --- |\n| rent | 5 |\n\n"
        "Notes:\nSay it slowly.",
        "slide 3: Plan": "Plan\n\npoint 1\n- detail",
    }


def workbook(*sheets: tuple[str, list[list[object]]]) -> bytes:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets:
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def test_sheets_are_tables_with_their_rows() -> None:
    day = datetime.date(2021, 3, 4)
    moment = datetime.datetime(2021, 3, 4, 5, 6)
    book = workbook(
        (
            "Budget",
            [
                ["Item", "Cost", None, "Paid"],
                ["rent", 0.1 + 0.2, None, day],
                [],
                ["a|b\nc", True, None, moment],
            ],
        ),
        ("Empty", []),
        ("Long", [["n", "square"], *([n, n * n] for n in range(1, 100))]),
    )
    found = pages(parse(".xlsx", book, stem="accounts"))
    assert list(found) == ["sheet Budget, rows 1-4", "sheet Long, rows 1-60", "sheet Long, rows 61-100"]
    assert found["sheet Budget, rows 1-4"] == (
        "| Item | Cost | Paid |\n| --- | --- | --- |\n| rent | 0.3 | 2021-03-04 |\n"
        "| a\\|b c | True | 2021-03-04 05:06 |"
    )
    later = found["sheet Long, rows 61-100"].split("\n")
    assert later[:3] == ["| n | square |", "| --- | --- |", "| 60 | 3600 |"]
    assert later[-1] == "| 99 | 9801 |"
    assert parse(".xlsx", book, stem="accounts").title == "accounts"


def test_a_first_row_of_numbers_is_no_heading() -> None:
    found = pages(parse(".xlsx", workbook(("S", [[n, n + 1] for n in range(61)]))))
    assert found["sheet S, rows 1-60"].startswith("| 0 | 1 |\n| 1 | 2 |")
    assert found["sheet S, row 61"] == "| 60 | 61 |"


def test_formulas_without_a_result_are_counted() -> None:
    document = parse(".xlsx", workbook(("S", [["x", 1, "=B1+1", "=B1+2"]])))
    assert document.warnings[0].startswith("2 formulas have no stored result")


def test_the_cells_read_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spreadsheet, "MAX_CELLS", 30)
    document = parse(".xlsx", workbook(("A", [["a", "b"]] * 20), ("B", [["c"]])))
    assert list(pages(document)) == ["sheet A, rows 1-10"]
    assert document.warnings == (
        "sheet A was read up to row 10: there are too many cells",
        "sheet B was read up to row 0: there are too many cells",
    )


def test_a_lone_cell_far_out_is_bounded() -> None:
    book = openpyxl.Workbook()
    book.active["XFD3"] = "far"
    buffer = io.BytesIO()
    book.save(buffer)
    assert pages(parse(".xlsx", buffer.getvalue())) == {"sheet Sheet, row 3": "| far |"}


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters_are_found(delimiter: str) -> None:
    rows = [["name", "note", "sum"], ["Ann", "x, y; z", "3"], ["Bo", 'said "no"', "4"]]
    buffer = io.StringIO()
    csv.writer(buffer, delimiter=delimiter).writerows(rows)
    document = parse(".csv", buffer.getvalue().encode())
    assert pages(document) == {
        "rows 1-3": "| name | note | sum |\n| --- | --- | --- |\n"
        '| Ann | x, y; z | 3 |\n| Bo | said "no" | 4 |'
    }


@given(st.lists(st.lists(CELL, min_size=3, max_size=3), min_size=2, max_size=8))
def test_every_cell_of_a_table_survives(rows: list[list[str]]) -> None:
    rows = [["first", "second", "third"], *rows]
    buffer = io.StringIO()
    csv.writer(buffer, quoting=csv.QUOTE_ALL).writerows(rows)
    if find_delimiter(buffer.getvalue()) != ",":
        return  # cells of nothing but other delimiters may win
    text = text_of(parse(".csv", buffer.getvalue().encode()))
    for row in rows:
        for cell in row:
            assert " ".join(cell.split()).replace("|", "\\|") in text


def test_what_is_no_table_stays_as_lines() -> None:
    assert pages(parse(".csv", b"only words\nhere, and there\n\nend")) == {
        "lines 1-4": "only words\nhere, and there\n\nend"
    }
    document = parse(".csv", b"a,b\n1," + b"x" * 200_000 + b"\n3,4\n")
    assert list(pages(document)) == ["lines 1-3"]
    assert "no table" in document.warnings[0]


def test_a_table_in_another_encoding() -> None:
    document = parse(".csv", "Straße;Größe\nÄußere Gasse;3\nMühlenstraße;4\n".encode("cp1252"))
    assert "| Mühlenstraße | 4 |" in text_of(document)
    with pytest.raises(ParseFailure):
        parse(".csv", bytes(100))
