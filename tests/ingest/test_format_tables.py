"""One table in every format that has tables: rows are lines, cells can be told apart, the place is named."""

from __future__ import annotations

import io

import openpyxl
import pytest
from docx import Document
from format_files import epub, odt, parse
from pdf_files import table_pdf
from pptx import Presentation

ROWS = [
    ["Part", "Number", "Life"],
    ["Door seal", "BM4-310", "five years"],
    ["Test plug", "BM4-405", "ten years"],
]
MARKDOWN = "\n".join(["| Part | Number | Life |", *(f"| {' | '.join(row)} |" for row in ROWS[1:])])
HTML = (
    "<table>"
    + "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in ROWS)
    + "</table>"
)


def word() -> bytes:
    document, buffer = Document(), io.BytesIO()
    table = document.add_table(rows=3, cols=3)
    for cells, row in zip(table.rows, ROWS, strict=True):
        for cell, text in zip(cells.cells, row, strict=True):
            cell.text = text
    document.save(buffer)
    return buffer.getvalue()


def slides() -> bytes:
    show, buffer = Presentation(), io.BytesIO()
    table = show.slides.add_slide(show.slide_layouts[6]).shapes.add_table(3, 3, 0, 0, 100, 100).table
    for r, row in enumerate(ROWS):
        for c, text in enumerate(row):
            table.cell(r, c).text = text
    show.save(buffer)
    return buffer.getvalue()


def workbook() -> bytes:
    book, buffer = openpyxl.Workbook(), io.BytesIO()
    for row in ROWS:
        book.active.append(row)
    book.save(buffer)
    return buffer.getvalue()


def writer() -> bytes:
    rows = "".join(
        "<table:table-row>"
        + "".join(f"<table:table-cell><text:p>{cell}</text:p></table:table-cell>" for cell in row)
        + "</table:table-row>"
        for row in ROWS
    )
    return odt(f"<table:table>{rows}</table:table>")


@pytest.mark.parametrize(
    ("suffix", "data", "label"),
    [
        (".md", MARKDOWN.encode(), "lines 1-3"),
        (".html", HTML.encode(), "paragraph 1"),
        (".csv", "\n".join(map(",".join, ROWS)).encode(), "rows 1-3"),
        (".xlsx", workbook(), "sheet Sheet, rows 1-3"),
        (".docx", word(), "paragraph 1"),
        (".pptx", slides(), "slide 1"),
        (".odt", writer(), "paragraph 1"),
        (".epub", epub({"one.xhtml": f"<html><body>{HTML}</body></html>"}), "part 1"),
        (".pdf", table_pdf(ROWS), "1"),
        (".eml", f"Subject: Parts\nContent-Type: text/html\n\n{HTML}\n".encode(), "message (Parts)"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.startswith(".") else "",
)
def test_the_table_can_be_read_and_cited(suffix: str, data: bytes, label: str) -> None:
    (page,) = (page for page in parse(suffix, data).pages if "BM4-310" in page.text)
    assert page.label == label
    lines = [line for line in page.text.split("\n") if line.strip() and not set(line) <= set("| -")]
    mark = "   " if suffix == ".pdf" else "|"
    shown = [[cell.strip() for cell in line.strip("| ").split(mark) if cell.strip()] for line in lines]
    assert [row for row in shown if len(row) == 3] == ROWS
