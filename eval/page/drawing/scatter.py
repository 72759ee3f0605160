"""Points with error bars on two axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from eval.page.drawing.canvas import FONT_PX, Canvas, cut_text, slots, text_width
from eval.page.drawing.describe import axis_title, describe
from eval.page.drawing.labels import LABEL_PX, RADIUS, Box, mark_box, place_label, text_box
from eval.page.drawing.scale import Scale, fit, labelled_ticks, spaced_ticks
from eval.page.figures import Point, Scatter, Series

_ASPECT, _MIN_HEIGHT = 0.52, 300.0
_PAD = 14.0
_SIDESTEP = 7.0
"""Between points of several series that stand at the same x."""

BESIDE = "Points of several series at the same place are drawn side by side around it."


@dataclass(frozen=True, slots=True)
class _Placed:
    """A point with its colour and where it is drawn."""

    series: Series
    point: Point
    slot: int
    x: float
    y: float


def draw_scatter(figure: Scatter, width: int, names: Sequence[str] = ()) -> Canvas:
    """The figure in `width` px, the legend above it; labels that find no room are left to the table.

    Points of several series at the same x stand side by side, so that their intervals can be seen.
    """
    canvas = Canvas(width, figure.title, describe(figure))
    colours = slots([series.name for series in figure.series], names)
    top = _legend(canvas, figure, colours) + 2 * FONT_PX + 4
    bottom = top + max(_ASPECT * width, _MIN_HEIGHT)
    points = [point for series in figure.series for point in series.points]
    ys = [v for p in points for v in (p.y.value, *(p.y.interval or ()))]
    y = fit(figure.y, [*ys, *(r.value for r in figure.references)], bottom - _PAD, top)
    y_ticks = labelled_ticks(y, figure.y.quantity, int((bottom - top) / 34))
    left = max((text_width(words, LABEL_PX) for _, words in y_ticks), default=0) + 8
    x = fit(figure.x, [p.x for p in points], left + _PAD, width - _PAD)
    canvas.text("axis", 0, top - FONT_PX - 2, axis_title(figure.y.quantity, width))
    area = Box(left, top, width, bottom)
    _grid(canvas, figure, (x, y), area, y_ticks)
    placed = _placed(figure, x, y, colours)
    if any(one.x != x.at(one.point.x) for one in placed):
        canvas.remark(BESIDE)
    taken = [mark_box(one.x, one.y) for one in placed]
    whiskers = [_whisker(one, y) for one in placed]
    lines = _references(canvas, figure, y, area, taken, whiskers)
    for series in figure.series:
        path = sorted((one.x, one.y) for one in placed if one.series is series)
        if series.joined and len(path) > 1:
            canvas.group("trace", series.name, colours[series.name])
            canvas.path("trace", path)
            canvas.end_group()
    for one in placed:
        _point(canvas, figure, one, (x, y))
    for one in placed:
        wide = text_width(one.point.label, LABEL_PX)
        place = place_label(one.x, one.y, wide, area, taken, lines) if one.point.label else None
        if place:
            canvas.text("note", *place, one.point.label)
            taken.append(text_box(*place, wide))
    canvas.height = bottom + 15 + FONT_PX + 12
    canvas.write_remarks()
    return canvas


def _placed(figure: Scatter, x: Scale, y: Scale, colours: dict[str, int]) -> list[_Placed]:
    together: dict[float, list[int]] = {}
    for i, series in enumerate(figure.series):
        for point in series.points:
            members = together.setdefault(point.x, [])
            if i not in members:
                members.append(i)
    found = []
    for i, series in enumerate(figure.series):
        for point in series.points:
            members = together[point.x]
            aside = _SIDESTEP * (members.index(i) - (len(members) - 1) / 2)
            at = x.at(point.x) + aside, y.at(point.y.value)
            found.append(_Placed(series, point, colours[series.name], *at))
    return found


def _legend(canvas: Canvas, figure: Scatter, colours: dict[str, int]) -> float:
    """Draw the legend from the top; returns the height that it takes."""
    if len(figure.series) < 2:
        return 0.0
    at, line = 8.0, 12.0
    for series in figure.series:
        words = cut_text(series.name, canvas.width - 40)
        needed = 14 + text_width(words) + 18
        if at > 8.0 and at + needed - 18 > canvas.width:
            at, line = 8.0, line + 20
        canvas.group("key", series.name, colours[series.name])
        canvas.marker(colours[series.name], at, line - 4.5, RADIUS)
        canvas.text("label", at + 12, line, words)
        canvas.end_group()
        at += needed
    return line + 8


def _grid(
    canvas: Canvas,
    figure: Scatter,
    scales: tuple[Scale, Scale],
    area: Box,
    y_ticks: Sequence[tuple[float, str]],
) -> None:
    x, y = scales
    left, top, bottom = area.x1, area.y1, area.y2
    for tick, words in y_ticks:
        canvas.line("grid", left, y.at(tick), canvas.width, y.at(tick))
        canvas.text("tick", left - 6, y.at(tick) + 4, words, "end")
    quantity = figure.x.quantity
    for tick, words in spaced_ticks(x, quantity, lambda text: text_width(text, LABEL_PX)):
        canvas.line("grid", x.at(tick), top, x.at(tick), bottom)
        canvas.text("tick", x.at(tick), bottom + 15, words, "middle")
    canvas.line("zero", left, bottom, canvas.width, bottom)
    canvas.text(
        "axis",
        (left + canvas.width) / 2,
        bottom + 15 + FONT_PX + 6,
        axis_title(quantity, canvas.width - left),
        "middle",
    )


def _references(
    canvas: Canvas, figure: Scatter, y: Scale, area: Box, taken: list[Box], whiskers: list[Box]
) -> list[Box]:
    """Draw the lines to compare with, each label at an end where no point stands; returns their boxes."""
    lines = []
    for reference in figure.references:
        at = y.at(reference.value)
        words = cut_text(reference.label, area.x2 - area.x1, LABEL_PX)
        wide = text_width(words, LABEL_PX)
        canvas.line("reference", area.x1, at, area.x2, at)
        lines.append(Box(area.x1, at - 1, area.x2, at + 1))
        ends = [(x, base) for x in (area.x2 - wide, area.x1 + 4) for base in (at - 5, at + 14)]
        boxes = [text_box(x, base, wide) for x, base in ends]
        free = [not any(box.meets(other) for other in (*taken, *whiskers)) for box in boxes]
        chosen = free.index(True) if True in free else 0
        canvas.text("note quiet", *ends[chosen], words)
        taken.append(boxes[chosen])
    return lines + whiskers


def _point(canvas: Canvas, figure: Scatter, one: _Placed, scales: tuple[Scale, Scale]) -> None:
    x, y = scales
    point = one.point
    where = f"{figure.x.quantity.label} {figure.x.quantity.value(point.x)}"
    what = f"{figure.y.quantity.label} {figure.y.quantity.sentence(point.y)}"
    name = ", ".join(filter(None, (one.series.name, point.label)))
    canvas.group("point", f"{name}: {where}, {what}", one.slot)
    if point.y.interval:
        canvas.interval_y(y, point.y.interval, one.x, 4)
    canvas.marker(one.slot, one.x, one.y, RADIUS, hollow=not (x.holds(point.x) and y.holds(point.y.value)))
    canvas.end_group()


def _whisker(one: _Placed, y: Scale) -> Box:
    low, high = one.point.y.interval or (one.point.y.value, one.point.y.value)
    return Box(one.x - 4, y.at(high), one.x + 4, y.at(low))
