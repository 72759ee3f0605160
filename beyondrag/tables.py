"""Plain columns for a terminal or a file."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from beyondrag.terminal_text import escaped

_GAP = "  "
_LEAST_WIDTH = 12


def columns(
    headers: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    right: Collection[int] = (),
    flexible: int | None = None,
    width: int | None = None,
) -> list[str]:
    """Lines of a table; each cell one line of plain text, escaped.

    Args:
        headers: a title for each column.
        rows: cells, as many in each row as there are headers.
        right: the columns, from 0, that end at the same place (numbers).
        flexible: the column that is cut with "…" when the table is wider than `width`.
        width: columns of the terminal; None for no limit.
    """
    from rich.cells import cell_len

    cells = [[escaped(cell) for cell in row] for row in [headers, *rows]]
    widths = [max(cell_len(row[i]) for row in cells) for i in range(len(headers))]
    if flexible is not None and width is not None:
        excess = sum(widths) + len(_GAP) * (len(widths) - 1) - width
        if excess > 0:
            widths[flexible] = max(min(_LEAST_WIDTH, widths[flexible]), widths[flexible] - excess)
            for row in cells:
                row[flexible] = _cut(row[flexible], widths[flexible])
    lines = []
    for row in cells:
        padded = []
        for i, cell in enumerate(row):
            blank = " " * (widths[i] - cell_len(cell))
            padded.append(blank + cell if i in right else cell + blank)
        lines.append(_GAP.join(padded).rstrip())
    return lines


def _cut(cell: str, width: int) -> str:
    from rich.cells import cell_len, set_cell_size

    if cell_len(cell) <= width:
        return cell
    return set_cell_size(cell, width - 1).rstrip() + "…"
