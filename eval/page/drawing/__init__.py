"""Figures as inline SVG: geometry from data, colours from the page's style sheet."""

from __future__ import annotations

from collections.abc import Sequence

from eval.page.drawing.canvas import Canvas
from eval.page.drawing.heat import draw_heat_map
from eval.page.drawing.rows import draw_rows
from eval.page.drawing.scatter import draw_scatter
from eval.page.figures import Figure, HeatMap, Scatter

__all__ = ["NARROW", "WIDE", "draw"]

WIDE, NARROW = 760, 360
"""The widths in px at which each figure is drawn: text must not shrink with the window."""


def draw(figure: Figure, width: int, names: Sequence[str] = ()) -> Canvas:
    """`figure` in `width` px; `names` keep their colours (`eval.page.model.Page.names`)."""
    if isinstance(figure, Scatter):
        return draw_scatter(figure, width, names)
    if isinstance(figure, HeatMap):
        return draw_heat_map(figure, width)
    return draw_rows(figure, width, names)
