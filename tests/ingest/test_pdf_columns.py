"""Tables of a page keep their columns; everything else stays as it was."""

from __future__ import annotations

import re
import signal
from pathlib import Path
from typing import Any

import pytest
from guards import hang_guard
from hypothesis import given
from hypothesis import strategies as st
from pdf_files import PROSE, drawn_pdf, table_pdf, two_column_pdf
from pypdf import PageObject

from ingest.parsers.base import Limits
from ingest.parsers.pdf import PdfParser
from ingest.parsers.pdf_columns import GAP, with_columns

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


def page_text(data: bytes) -> str:
    return "".join(page.text for page in PdfParser().parse(data, "stem", Limits()).pages)


def cells(line: str) -> list[str]:
    return re.split(rf" {{{GAP},}}", line.strip())


def test_rows_and_empty_cells_survive() -> None:
    rows = [
        ("Region", "Orders", "Returns", "Share"),
        ("North", "1,204", "", "12 %"),
        ("South coast", "", "17", ""),
        ("West", "88", "4", "1 %"),
    ]
    lines = page_text(table_pdf(rows, "Results by region.", "All figures are final.")).split("\n")
    start = next(index for index, line in enumerate(lines) if line.startswith("Region"))
    table = lines[start : start + 4]
    for line, row in zip(table, rows, strict=True):
        assert cells(line) == [cell for cell in row if cell]
    # What stands in a column starts where its heading does: an empty cell cannot be mistaken.
    for line, row in zip(table[1:], rows[1:], strict=True):
        for heading, cell in zip(rows[0][1:], row[1:], strict=True):
            if cell:
                assert line.index(cell) == table[0].index(heading)
    assert lines[0] == "Results by region."
    assert "All figures are final." in lines


def test_a_cell_of_two_lines_stays_in_its_column() -> None:
    long = "Tighten all terminals and measure the insulation of every cable that is longer than ten metres"
    rows = [("Every month", "Look at the display"), ("Every year", long), ("Never", "Open the box")]
    lines = page_text(table_pdf(rows)).split("\n")
    at = next(index for index, line in enumerate(lines) if line.startswith("Every year"))
    place = lines[at].index("Tighten")
    wrapped = [line for line in lines[at + 1 :] if line.startswith(" " * place)]
    assert " ".join([lines[at][place:], *(line[place:] for line in wrapped)]) == long


def test_two_columns_of_prose_are_read_one_after_the_other() -> None:
    left, right = PROSE * 3, PROSE.replace("steel", "copper").upper() * 2
    text = " ".join(page_text(two_column_pdf(left, right)).split())
    assert text == " ".join(f"{left} {right}".split())


def test_prose_stays_plain() -> None:
    plain = "A line of text that ends\nand another one here\nand a third"
    fixed = f"      {plain.replace(chr(10), chr(10) * 3)}"
    assert with_columns(plain, fixed) == plain


def test_words_that_the_fixed_form_lacks_are_not_given_up() -> None:
    fixed = "a1     b1\na2     b2\na3     b3"
    assert with_columns("a1 b1\na2 b2\na3 b3", fixed) == "a1   b1\na2   b2\na3   b3"
    plain = "a1 b1\na2 b2\na3 b3\nturned text at the margin"
    assert with_columns(plain, fixed) == plain


# Hypothesis looks on when memory is collected, and what is raised there is dropped with a warning.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_page_drawn_to_waste_time_is_read_plainly_and_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.parsers.pdf_pages._MAX_FIXED_S", 0.3)
    far = b"BT /F1 11 Tf 50 700 Td " + b"(a) Tj 90000 0 Td " * 8_000 + b"ET"
    tried = []
    extract = PageObject.extract_text

    def counted(page: PageObject, **options: Any) -> str:
        tried.append(options.get("extraction_mode", "plain"))
        return extract(page, **options)

    monkeypatch.setattr(PageObject, "extract_text", counted)
    with hang_guard():
        text = page_text(drawn_pdf([far, far]))
    assert text.count("a") == 16_000
    assert tried == ["plain", "layout", "plain"], "after one page, columns are looked for no more"
    assert signal.getsignal(signal.SIGPROF) is signal.SIG_DFL
    assert signal.getitimer(signal.ITIMER_PROF) == (0.0, 0.0)


WORD = st.text("abcdefgh", min_size=1, max_size=8)


@given(
    st.lists(st.lists(WORD | st.just(""), min_size=3, max_size=3), min_size=3, max_size=12),
    st.integers(4, 40),
)
def test_no_character_is_lost_and_columns_stay_apart(rows: list[list[str]], gap: int) -> None:
    widths = [max(1, *(len(row[column]) for row in rows)) + gap for column in range(3)]
    fixed = "\n".join("".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows)
    plain = "\n".join(" ".join(filter(None, row)) for row in rows)
    shown = with_columns(plain, fixed)
    assert shown.split() == plain.split()
    if shown != plain and all(all(row) for row in rows):
        assert [cells(line) for line in shown.split("\n")] == rows


def test_the_tables_of_the_example_company_survive_row_by_row() -> None:
    """Every row of every table in the sources is a line whose cells can be told apart."""
    n_rows = n_found = 0
    for source in sorted((EXAMPLES / "pdf_sources").glob("*.md")):
        lines = page_text((EXAMPLES / "documents" / f"{source.stem}.pdf").read_bytes()).split("\n")
        shown = [cells(line) for line in lines]
        for line in source.read_text("utf-8").split("\n"):
            if line.startswith("|") and not re.fullmatch(r"[|\s:-]+", line):
                row = [cell.strip() for cell in line.strip("| ").split("|")]
                n_rows += 1
                n_found += row in shown
    assert n_rows > 50
    assert n_found >= 0.95 * n_rows  # cells of two lines are torn at the line end
