"""Figures in words and numbers: for those who do not see them, and for those who want the figures."""

from __future__ import annotations

from eval.page.drawing.canvas import text_width
from eval.page.figures import Figure, HeatMap, Scatter
from eval.page.model import Table
from eval.page.quantities import Quantity

_MAX_DESCRIPTION_CHARS = 600


def axis_title(quantity: Quantity, width: float) -> str:
    """The axis label with its unit, and which way is better when there is room to say so."""
    if not quantity.better:
        return quantity.title
    words = f"{quantity.title}, {quantity.better} is better"
    return words if text_width(words) <= width else quantity.title


def describe(figure: Figure) -> str:
    """The values of a figure in one paragraph, cut after some hundred characters."""
    table = numbers(figure)
    sentences = []
    for row in table.rows:
        words = [value for value in row if isinstance(value, str) and value]
        values = [
            column.sentence(value)
            for column, value in zip(table.columns, row, strict=True)
            if isinstance(column, Quantity) and not isinstance(value, str | float | int)
        ]
        sentences.append(f"{', '.join(words)}: {'; '.join(values)}")
    text = ". ".join(sentences)
    if len(text) <= _MAX_DESCRIPTION_CHARS:
        return text
    return f"{text[:_MAX_DESCRIPTION_CHARS]}… The table below the figure has all numbers."


def numbers(figure: Figure) -> Table:
    """The table of what a figure shows."""
    if isinstance(figure, Scatter):
        return Table(
            figure.title,
            ("Series", "Point", figure.x.quantity, figure.y.quantity),
            tuple((s.name, p.label, p.x, p.y) for s in figure.series for p in s.points),
            figure.basis,
        )
    if isinstance(figure, HeatMap):
        columns = (figure.y_label, figure.x_label, figure.scale.quantity)
        return Table(
            figure.title,
            (*columns, "Framed") if figure.flag else columns,
            tuple(
                (row, column, cell.estimate, *((("yes" if cell.flagged else "no"),) if figure.flag else ()))
                for row, cells in figure.rows
                for column, cell in zip(figure.columns, cells, strict=True)
            ),
            figure.basis,
        )
    grouped = any(group.heading for group in figure.groups)
    return Table(
        figure.title,
        (*(("Group",) if grouped else ()), "Row", figure.axis.quantity),
        tuple(
            (*((group.heading,) if grouped else ()), mark.label, mark.estimate)
            for group in figure.groups
            for mark in group.marks
        ),
        figure.basis,
    )
