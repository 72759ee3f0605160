"""A heat map whose cells also say their values."""

from __future__ import annotations

from eval.page.drawing.canvas import FONT_PX, Canvas, cut_text, text_width
from eval.page.drawing.describe import describe
from eval.page.drawing.scale import Scale, fit
from eval.page.figures import Cell, HeatMap

N_STEPS = 9
"""Colours from the low end to the high end."""

_MAX_CELL, _CELL_HEIGHT, _GAP = 104.0, 46.0, 2.0
_SMALL = 11
_KEY_HEIGHT = 10.0


def draw_heat_map(figure: HeatMap, width: int) -> Canvas:
    """The figure in `width` px: column labels on top, the scale of colours below."""
    canvas = Canvas(width, figure.title, describe(figure))
    left = min(max((text_width(label) for label, _ in figure.rows), default=0), 0.3 * width) + 10
    cell = min((width - left) / max(len(figure.columns), 1), _MAX_CELL)
    scale = colour_scale(figure)
    canvas.text("axis", 0, FONT_PX, cut_text(f"{figure.y_label} ↓", width / 2))
    canvas.text("axis", left, 2 * FONT_PX + 8, cut_text(f"{figure.x_label} →", width - left))
    top = 2 * FONT_PX + 34
    for i, label in enumerate(figure.columns):
        words = cut_text(label, cell - 4)
        canvas.text("label", left + (i + 0.5) * cell, top - 8, words, "middle")
    for r, (label, cells) in enumerate(figure.rows):
        y = top + r * _CELL_HEIGHT
        canvas.text("label", left - 10, y + _CELL_HEIGHT / 2 + 4.5, cut_text(label, left - 9), "end")
        for c, one in enumerate(cells):
            quantity = figure.scale.quantity
            where = f"{figure.y_label} {label}, {figure.x_label} {figure.columns[c]}"
            canvas.group("cell", f"{where}: {quantity.sentence(one.estimate)}")
            _cell(canvas, figure, one, scale, (left + c * cell, y, cell))
            canvas.end_group()
    _key(canvas, figure, scale, left, top + len(figure.rows) * _CELL_HEIGHT + 18)
    return canvas


def colour_scale(figure: HeatMap) -> Scale:
    """From the quantity to 0..1; the ends follow from the values where the figure does not say them."""
    values = [cell.estimate.value for _, cells in figure.rows for cell in cells if cell.estimate]
    return fit(figure.scale, values, 0, 1)


def step_of(value: float, scale: Scale) -> int:
    """Which of the N_STEPS colours `value` has."""
    return min(int(scale.at(value) * N_STEPS), N_STEPS - 1)


def _cell(canvas: Canvas, figure: HeatMap, cell: Cell, scale: Scale, box: tuple[float, float, float]) -> None:
    x, y, width = box
    inner = (x + _GAP / 2, y + _GAP / 2, width - _GAP, _CELL_HEIGHT - _GAP)
    middle = x + width / 2
    if cell.estimate is None:
        canvas.rect("empty", *inner)
        canvas.text("sample", middle, y + _CELL_HEIGHT / 2 + 4.5, "–", "middle")
        return
    step = step_of(cell.estimate.value, scale)
    canvas.rect(f"h{step}", *inner)
    if cell.flagged:
        canvas.rect("frame", inner[0] + 1.5, inner[1] + 1.5, inner[2] - 3, inner[3] - 3)
    quantity = figure.scale.quantity
    ends = cell.estimate.interval
    below = f"{quantity.number(ends[0])}–{quantity.number(ends[1])}" if ends else ""
    shows = below and text_width(below, _SMALL) <= width - 6
    canvas.text(
        f"on{step} value",
        middle,
        y + _CELL_HEIGHT / 2 + (-1 if shows else 4.5),
        quantity.number(cell.estimate.value),
        "middle",
    )
    if shows:
        canvas.text(f"on{step} ends", middle, y + _CELL_HEIGHT / 2 + 14, below, "middle")


def _key(canvas: Canvas, figure: HeatMap, scale: Scale, left: float, y: float) -> None:
    quantity = figure.scale.quantity
    length = min(240.0, canvas.width - left)
    for step in range(N_STEPS):
        canvas.rect(f"h{step}", left + step * length / N_STEPS, y, length / N_STEPS, _KEY_HEIGHT)
    canvas.text("tick", left, y + _KEY_HEIGHT + 15, quantity.value(scale.low))
    canvas.text("tick", left + length, y + _KEY_HEIGHT + 15, quantity.value(scale.high), "end")
    y += _KEY_HEIGHT + 34
    better = f", {quantity.better} is better" if quantity.better else ""
    y = canvas.paragraph("axis", left, y, quantity.title + better)
    if figure.flag:
        y += 24
        canvas.rect("frame", left + 1, y - 11, 16, 12)
        y = canvas.paragraph("label", left + 26, y, figure.flag)
    canvas.height = y + 8
