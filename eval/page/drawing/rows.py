"""Bars from zero, and dots with intervals: one labelled row a value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from eval.page.drawing.canvas import FONT_PX, Canvas, cut_text, slots, text_width
from eval.page.drawing.describe import axis_title, describe
from eval.page.drawing.labels import LABEL_PX
from eval.page.drawing.scale import Scale, fit, spaced_ticks
from eval.page.figures import Bars, Dots, Mark, MarkGroup
from eval.page.quantities import Quantity

_ROW, _HEADING, _BAR = 24.0, 28.0, 13.0
_GAP = 10.0
_AXIS = 42.0
_LABEL_SHARE = 0.36
_SHORT_UNIT = 2


@dataclass(frozen=True, slots=True)
class _Columns:
    """Where labels end, where values end, and the plot between them, in px."""

    label: float
    value: float
    start: float
    end: float


def draw_rows(figure: Bars | Dots, width: int, names: Sequence[str] = ()) -> Canvas:
    """The figure in `width` px: labels on the left, value and sample size on the right."""
    canvas = Canvas(width, figure.title, describe(figure))
    marks = [mark for group in figure.groups for mark in group.marks]
    columns = _columns(figure, marks, width)
    scale = fit(
        figure.axis, _values(figure, marks), columns.start, columns.end, zero=isinstance(figure, Bars)
    )
    top = 18.0 if isinstance(figure, Dots) and figure.reference else 4.0
    bottom = top + sum(_head_px(group) + _ROW * len(group.marks) for group in figure.groups)
    _axis(canvas, figure, scale, top, bottom)
    colours = _colours(marks, names)
    y = top
    for group in figure.groups:
        if group.heading:
            canvas.text("heading", 0, y + 19, cut_text(group.heading, width))
        y += _head_px(group)
        for mark in group.marks:
            tooltip = f"{mark.label}: {figure.axis.quantity.sentence(mark.estimate)}"
            canvas.group("row", tooltip, colours[mark.label])
            _words(canvas, mark, figure.axis.quantity, columns, y + _ROW / 2 + 4.5)
            _mark(canvas, figure, mark, scale, y + _ROW / 2, colours[mark.label])
            canvas.end_group()
            y += _ROW
    canvas.height = bottom + _AXIS
    canvas.write_remarks()
    return canvas


def _columns(figure: Bars | Dots, marks: Sequence[Mark], width: float) -> _Columns:
    label = min(max((text_width(mark.label) for mark in marks), default=0), _LABEL_SHARE * width)
    value = max((text_width(_value(mark, figure.axis.quantity)) for mark in marks), default=0)
    sample = max((text_width(_sample(mark)) for mark in marks), default=0)
    right = width - sample - (_GAP if sample else 0)
    start = label + _GAP
    return _Columns(label, right, start, max(right - value - 1.5 * _GAP, start + 1))


def _head_px(group: MarkGroup) -> float:
    return _HEADING if group.heading else _GAP / 2


def _words(canvas: Canvas, mark: Mark, quantity: Quantity, columns: _Columns, base: float) -> None:
    canvas.text("label", columns.label, base, cut_text(mark.label, columns.label + 1), "end")
    canvas.text("value", columns.value, base, _value(mark, quantity), "end")
    canvas.text("sample", canvas.width, base, _sample(mark), "end")


def _mark(canvas: Canvas, figure: Bars | Dots, mark: Mark, scale: Scale, y: float, slot: int) -> None:
    estimate = mark.estimate
    if estimate is None:
        canvas.text("sample", scale.start + 4, y + 4.5, "not measured")
        return
    x = scale.at(estimate.value)
    interval = estimate.interval
    if isinstance(figure, Bars):
        zero = scale.at(0)
        canvas.rect("bar", min(zero, x), y - _BAR / 2, abs(x - zero), _BAR)
        if not scale.holds(estimate.value):
            canvas.marker(slot, x, y, 5, hollow=True)
        if interval:
            canvas.interval_x(scale, interval, y, 3.5)
        return
    if interval:
        canvas.interval_x(scale, interval, y, 4)
    canvas.marker(slot, x, y, 5, hollow=not scale.holds(estimate.value))


def _axis(canvas: Canvas, figure: Bars | Dots, scale: Scale, top: float, bottom: float) -> None:
    quantity = figure.axis.quantity
    for tick, text in spaced_ticks(scale, quantity, lambda text: text_width(text, LABEL_PX)):
        x = scale.at(tick)
        canvas.line("zero" if tick == 0 else "grid", x, top, x, bottom)
        canvas.text("tick", x, bottom + 15, text, "middle")
    words = axis_title(quantity, canvas.width)
    half = text_width(words) / 2
    middle = min(max((scale.start + scale.end) / 2, half), canvas.width - half)
    canvas.text("axis", middle, bottom + 15 + FONT_PX + 6, words, "middle")
    if isinstance(figure, Dots) and figure.reference:
        x = scale.at(figure.reference.value)
        half = text_width(figure.reference.label, LABEL_PX) / 2
        canvas.line("reference", x, top - 4, x, bottom)
        canvas.text("tick", min(max(x, half), canvas.width - half), top - 8, figure.reference.label, "middle")


def _values(figure: Bars | Dots, marks: Sequence[Mark]) -> list[float]:
    found = [v for m in marks if m.estimate for v in (m.estimate.value, *(m.estimate.interval or ()))]
    if isinstance(figure, Dots) and figure.reference:
        found.append(figure.reference.value)
    return found


def _value(mark: Mark, quantity: Quantity) -> str:
    """The value; a long unit is left to the axis."""
    if mark.estimate is None:
        return ""
    value = mark.estimate.value
    return quantity.value(value) if len(quantity.shown_unit) <= _SHORT_UNIT else quantity.number(value)


def _sample(mark: Mark) -> str:
    return f"n {mark.estimate.n}" if mark.estimate and mark.estimate.n is not None else ""


def _colours(marks: Sequence[Mark], names: Sequence[str]) -> dict[str, int]:
    """One colour for all rows, unless the labels are known or come again in other groups."""
    labels = Counter(mark.label for mark in marks)
    if max(labels.values(), default=1) > 1 or any(label in names for label in labels):
        return slots(list(labels), names)
    return dict.fromkeys(labels, 1)
