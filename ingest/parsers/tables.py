"""Tables as text: one line a row, in the form of Markdown, which readers and models know."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from ingest.parsers.base import ParsedPage
from ingest.parsers.text import span_label

MAX_SPAN = 64  # columns that one merged cell may stand for
ROWS_PER_PAGE = 60
_NUMBER = re.compile(r"[-+(]?[\d.,:/ -]{1,40}[%)]?")


def row_text(cells: Sequence[str]) -> str:
    """``| a | b |``; line ends in a cell become spaces, a bar is written ``\\|``."""
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"


def trimmed(cells: Sequence[str]) -> list[str]:
    """`cells` without the empty ones at the end."""
    n_cells = len(cells)
    while n_cells and not cells[n_cells - 1].strip():
        n_cells -= 1
    return list(cells[:n_cells])


def table_text(rows: Iterable[Sequence[str]]) -> str:
    """All rows under each other; a rule stands under the first one, the usual place of the headings.

    Rows without any text are left out, and cells that are empty at the end of a row.
    """
    filled = [cells for row in rows if (cells := trimmed(row))]
    lines = [row_text(cells) for cells in filled]
    if len(lines) > 1:
        lines.insert(1, _rule(len(filled[0])))
    return "\n".join(lines)


def row_pages(rows: Iterable[Sequence[str]], place: str = "") -> Iterator[ParsedPage]:
    """A long table in pages of `ROWS_PER_PAGE` rows, labelled ``rows 61-120`` after `place`.

    Where the first row of several cells looks like column headings, it has a rule below and is repeated on
    every page, for a page is often read alone.  Empty rows and columns that are empty on the
    whole page are left out; the numbers in the labels count them all.
    """
    run: list[Sequence[str]] = []
    headings: Sequence[str] | None = None
    is_searched = False
    first = last = 0
    for number, row in enumerate(rows, start=1):
        if not any(cell.strip() for cell in row):
            continue
        if not is_searched and len(trimmed(row)) > 1:
            is_searched = True
            headings = row if _looks_like_headings(trimmed(row)) else None
        first = first if run else number
        last = number
        run.append(row)
        if len(run) == ROWS_PER_PAGE:
            yield ParsedPage(place + span_label("row", first, last), _page_text(run, headings))
            run = []
    if run:
        yield ParsedPage(place + span_label("row", first, last), _page_text(run, headings))


def _page_text(run: list[Sequence[str]], headings: Sequence[str] | None) -> str:
    rows = run if headings is None or any(row is headings for row in run) else [headings, *run]
    # Repeated headings over a column that is empty on this page are left out with it.
    width = max(map(len, rows))
    used = [
        column for column in range(width) if any(column < len(row) and row[column].strip() for row in run)
    ]
    lines: list[str] = []
    for row in rows:
        cells = trimmed([row[column] if column < len(row) else "" for column in used])
        if cells:
            lines.append(row_text(cells))
        if row is headings and len(rows) > 1:
            lines.append(_rule(len(cells)))
    return "\n".join(lines) + "\n\n"


def _looks_like_headings(cells: Sequence[str]) -> bool:
    filled = [cell.strip() for cell in cells if cell.strip()]
    return 2 * len(filled) > len(cells) and not any(map(_NUMBER.fullmatch, filled))


def _rule(n_columns: int) -> str:
    return "|" + " --- |" * n_columns
