"""The geometry of figures, computed again from the data and the ticks that are drawn."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from itertools import pairwise
from xml.etree import ElementTree as ET

import page_demo
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.page import (
    Axis,
    Bars,
    Basis,
    Cell,
    Dots,
    Estimate,
    Figure,
    HeatMap,
    Mark,
    MarkGroup,
    Point,
    Quantity,
    Reference,
    Scatter,
    Series,
)
from eval.page.drawing import NARROW, WIDE, draw
from eval.page.drawing.canvas import HOLLOW, cut_text, slots, text_width, wrap_text
from eval.page.drawing.scale import Scale, fit, labelled_ticks, spaced_ticks
from eval.page.drawing.scatter import BESIDE

BASIS = Basis(9, "things", "95 %", "command")
WIDTHS = (WIDE, NARROW)


def drawn(figure: Figure, width: int = WIDE, names: tuple[str, ...] = ()) -> ET.Element:
    return ET.fromstring(draw(figure, width, names).markup("f"))


def of_class(root: ET.Element, tag: str, name: str) -> Iterator[ET.Element]:
    return (node for node in root.iter(tag) if name in node.get("class", "").split())


def number(node: ET.Element, name: str) -> float:
    return float(node.attrib[name])


def linear_ticks(root: ET.Element, along: str) -> tuple[float, float]:
    """Offset and px a unit, from the labels of the axis: what a reader with a ruler would find."""
    anchor = "middle" if along == "x" else "end"
    ticks = [t for t in of_class(root, "text", "tick") if t.get("text-anchor") == anchor]
    known = []
    for tick in ticks:
        text = (tick.text or "").replace("−", "-").replace("+", "")
        if re.fullmatch(r"-?[\d.]+", text):
            known.append((float(text), number(tick, along)))
    (v1, p1), (v2, p2) = known[0], known[-1]
    slope = (p2 - p1) / (v2 - v1)
    for value, place in known:
        assert place == pytest.approx(p1 + slope * (value - v1), abs=0.05)
    return p1 - slope * v1, slope


def rows_of(figure: Bars | Dots) -> list[Mark]:
    return [mark for group in figure.groups for mark in group.marks]


@pytest.mark.parametrize("width", WIDTHS)
def test_bars_are_as_long_as_their_values_and_whiskers_end_at_the_interval(width: int) -> None:
    figure = page_demo.bars()
    root = drawn(figure, width)
    offset, slope = linear_ticks(root, "x")
    groups = list(of_class(root, "g", "row"))
    assert len(groups) == len(rows_of(figure)) == 15
    for group, mark in zip(groups, rows_of(figure), strict=True):
        bars = list(of_class(group, "rect", "bar"))
        if mark.estimate is None:
            assert not bars
            assert "not measured" in "".join(group.itertext())
            continue
        (bar,), (whisker,) = bars, list(of_class(group, "line", "whisker"))
        assert number(bar, "x") == pytest.approx(offset, abs=0.05)
        assert number(bar, "width") == pytest.approx(100 * mark.estimate.value * slope, abs=0.05)
        ends = mark.estimate.interval
        assert ends
        assert number(whisker, "x1") == pytest.approx(offset + 100 * ends[0] * slope, abs=0.05)
        assert number(whisker, "x2") == pytest.approx(offset + 100 * ends[1] * slope, abs=0.05)


@pytest.mark.parametrize("width", WIDTHS)
def test_dots_stand_at_their_values_and_the_reference_at_its_own(width: int) -> None:
    figure = page_demo.dots()
    root = drawn(figure, width)
    offset, slope = linear_ticks(root, "x")
    (line,) = of_class(root, "line", "reference")
    assert number(line, "x1") == pytest.approx(offset, abs=0.05)
    for group, mark in zip(of_class(root, "g", "row"), rows_of(figure), strict=True):
        assert mark.estimate
        (whisker,) = of_class(group, "line", "whisker")
        middle = (number(whisker, "x1") + number(whisker, "x2")) / 2
        assert middle == pytest.approx(offset + 100 * mark.estimate.value * slope, abs=0.05)
        shape = next(node for node in group.iter() if "mark" in node.get("class", ""))
        assert _centre(shape)[0] == pytest.approx(middle, abs=2.0)


def test_negative_bars_go_to_the_left_of_zero() -> None:
    marks = (Mark("a", Estimate(-2.0)), Mark("b", Estimate(1.0)))
    root = drawn(Bars("t", Axis(Quantity("q")), (MarkGroup("", marks),), BASIS))
    (zero,) = of_class(root, "line", "zero")
    a, b = of_class(root, "rect", "bar")
    assert number(a, "x") + number(a, "width") == pytest.approx(number(zero, "x1"), abs=0.02)
    assert number(b, "x") == pytest.approx(number(zero, "x1"), abs=0.02)
    assert number(a, "width") == pytest.approx(2 * number(b, "width"), abs=0.02)


@pytest.mark.parametrize("width", WIDTHS)
def test_a_logarithmic_axis_gives_each_decade_the_same_room(width: int) -> None:
    figure = page_demo.scatter()
    root = drawn(figure, width)
    ticks = {
        float(t.text or ""): number(t, "y") - 4  # the baseline stands below the line
        for t in of_class(root, "text", "tick")
        if t.get("text-anchor") == "end"
    }
    assert {0.01, 0.1, 1, 10} <= set(ticks)
    decade = ticks[0.01] - ticks[0.1]
    assert ticks[0.1] - ticks[1] == pytest.approx(decade, abs=0.05)
    points = [(s, p) for s in figure.series for p in s.points]
    x_offset, x_slope = linear_ticks(root, "x")
    for group, (_, point) in zip(of_class(root, "g", "point"), points, strict=True):
        (whisker,) = of_class(group, "line", "whisker")
        assert number(whisker, "x1") == pytest.approx(x_offset + x_slope * point.x, abs=0.05)
        ends = point.y.interval
        assert ends
        for end, name in zip(ends, ("y1", "y2"), strict=True):
            assert number(whisker, name) == pytest.approx(ticks[1] - decade * math.log10(end), abs=0.1)
        shape = next(node for node in group.iter() if "mark" in node.get("class", ""))
        assert _centre(shape)[1] == pytest.approx(ticks[1] - decade * math.log10(point.y.value), abs=2.0)


def test_what_a_logarithmic_axis_cannot_hold_is_drawn_hollow_and_said() -> None:
    points = (Point(1, Estimate(0.0, -0.1, 0.2)), Point(2, Estimate(0.1)), Point(3, Estimate(10.0)))
    axis = Axis(Quantity("y"), log=True)
    root = drawn(Scatter("t", Axis(Quantity("x")), axis, (Series("s", points),), BASIS))
    hollow = list(of_class(root, "circle", "hollow"))
    assert len(hollow) == 1
    lowest = max(
        number(line, "y1") for line in of_class(root, "line", "grid") if line.get("y1") == line.get("y2")
    )
    assert number(hollow[0], "cy") == pytest.approx(lowest, abs=0.02)
    (first, *_) = of_class(root, "g", "point")
    assert len(list(of_class(first, "line", "cap"))) == 1  # the lower end goes on beyond the axis
    assert HOLLOW in "".join(" ".join(t.text or "" for t in root.iter("text")))


def test_points_at_the_same_x_stand_side_by_side_around_it() -> None:
    series = tuple(
        Series(name, (Point(1, Estimate(0.5, 0.2, 0.8)), Point(alone, Estimate(0.5, 0.2, 0.8))))
        for name, alone in (("a", 2), ("b", 3), ("c", 4))
    )
    root = drawn(Scatter("t", Axis(Quantity("x")), Axis(Quantity("y")), series, BASIS))
    offset, slope = linear_ticks(root, "x")
    xs = [number(line, "x1") for line in of_class(root, "line", "whisker")]
    assert xs[1::2] == pytest.approx([offset + slope * x for x in (2, 3, 4)], abs=0.05)
    centre = offset + slope
    assert xs[0::2] == pytest.approx([centre - 7, centre, centre + 7], abs=0.05)
    assert BESIDE in " ".join(t.text or "" for t in of_class(root, "text", "quiet"))
    assert BESIDE not in " ".join(drawn(page_demo.scatter()).itertext())


def test_labels_of_points_stay_inside_and_apart() -> None:
    for width in WIDTHS:
        root = drawn(page_demo.scatter(), width)
        boxes = []
        for text in of_class(root, "text", "note"):
            x, wide = number(text, "x"), text_width(text.text or "", 12)
            boxes.append((x, number(text, "y"), wide))
            assert x >= 0
            assert x + wide <= width + 0.01
        for i, (x1, y1, w1) in enumerate(boxes):
            for x2, y2, w2 in boxes[i + 1 :]:
                assert x1 + w1 <= x2 or x2 + w2 <= x1 or abs(y1 - y2) >= 12


@pytest.mark.parametrize("width", WIDTHS)
def test_heat_map_cells_stand_in_their_row_and_column_and_darken_with_the_value(width: int) -> None:
    figure = page_demo.heat_map()
    root = drawn(figure, width)
    groups = list(of_class(root, "g", "cell"))
    cells = [cell for _, row in figure.rows for cell in row]
    assert len(groups) == len(cells) == 25
    places, steps = [], []
    for group, cell in zip(groups, cells, strict=True):
        rect = group.findall("rect")[0]
        places.append((number(rect, "x"), number(rect, "y")))
        assert (len(group.findall("rect")) == 2) == cell.flagged
        if cell.estimate is None:
            assert rect.get("class") == "empty"
            continue
        steps.append((cell.estimate.value, int(rect.attrib["class"][1:])))
        assert (group.findall("text")[0].text or "") == f"{100 * cell.estimate.value:.0f}"
    assert steps == [(value, min(int(value * 9), 8)) for value, _ in steps]
    columns, lines = sorted({x for x, _ in places}), sorted({y for _, y in places})
    assert places == [(x, y) for y in lines for x in columns]
    gaps = [b - a for a, b in pairwise(columns)]
    assert gaps == pytest.approx([gaps[0]] * 4, abs=0.03)


def test_every_picture_has_title_description_and_room_for_what_it_shows() -> None:
    for figure in (page_demo.bars(), page_demo.dots(), page_demo.scatter(), page_demo.heat_map()):
        for width in WIDTHS:
            root = drawn(figure, width)
            assert root.get("role") == "img"
            assert root.findtext("title") == figure.title
            assert len(root.findtext("desc") or "") > 40
            _, _, w, h = map(float, root.attrib["viewBox"].split())
            assert w == width
            for text in root.iter("text"):
                assert 0 < number(text, "y") <= h
                assert 0 <= number(text, "x") <= w


def test_axis_labels_name_unit_and_direction() -> None:
    words = [t.text for t in of_class(drawn(page_demo.scatter()), "text", "axis")]
    assert words == ["Mean KL divergence (nats), lower is better", "Bits per value"]
    words = [t.text for t in of_class(drawn(page_demo.bars()), "text", "axis")]
    assert words == ["Right answers (%), higher is better"]


def test_empty_figures_are_drawn() -> None:
    axis = Axis(Quantity("q"))
    log = Axis(Quantity("q"), log=True)
    for figure in (
        Bars("t", axis, (), BASIS),
        Bars("t", axis, (MarkGroup("g", (Mark("a", None),)),), BASIS),
        Dots("t", log, (MarkGroup("", (Mark("a", Estimate(0.0)),)),), BASIS),
        Scatter("t", axis, log, (), BASIS),
        HeatMap("t", "x", "y", (), (), axis, BASIS),
        HeatMap("t", "x", "y", ("a",), (("b", (Cell(None),)),), axis, BASIS),
    ):
        for width in WIDTHS:
            assert drawn(figure, width).get("viewBox")


def test_figures_that_would_mislead_are_refused() -> None:
    quantity = Quantity("q")
    for axis in (Axis(quantity, log=True), Axis(quantity, low=1.0), Axis(quantity, high=-1.0)):
        with pytest.raises(ValueError, match="bars start at zero"):
            Bars("t", axis, (), BASIS)
    with pytest.raises(ValueError, match="above zero"):
        Axis(quantity, log=True, low=0)
    with pytest.raises(ValueError, match="reversed"):
        Axis(quantity, low=2, high=1)
    with pytest.raises(ValueError, match="does not fit"):
        HeatMap("t", "x", "y", ("a",), (("b", ()),), Axis(quantity), BASIS)
    for value, low, high in ((math.nan, None, None), (1, 0, None), (1, 2, 0), (1, 0, math.inf)):
        with pytest.raises(ValueError, match=r"finite|interval"):
            Estimate(value, low, high)


def test_a_name_keeps_its_colour_in_every_figure() -> None:
    known = ("doc", "oracle", "chunk")
    assert slots(("chunk", "other", "doc"), known) == {"chunk": 3, "other": 2, "doc": 1}
    many = [str(i) for i in range(10)]
    assert sorted(slots(many, ()).values()) == [0, 0, *range(1, 9)]
    assert slots(many, many)["9"] == 0


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=8),
    st.booleans(),
    st.integers(2, 12),
)
def test_linear_scales_hold_all_values_and_their_ticks(values: list[float], zero: bool, most: int) -> None:
    scale = fit(Axis(Quantity("q")), values, 0, 100, zero=zero)
    assert all(scale.holds(value) and 0 <= scale.at(value) <= 100 for value in values)
    ticks = scale.ticks(most)
    assert ticks == sorted(ticks)
    assert all(scale.holds(tick) for tick in ticks)
    assert 2 <= len(ticks) <= max(most + 1, 5)
    if zero:
        assert scale.holds(0)


@given(st.lists(st.floats(1e-9, 1e9), min_size=1, max_size=8), st.integers(2, 12))
def test_logarithmic_scales_hold_all_values_and_label_ticks_truly(values: list[float], most: int) -> None:
    scale = fit(Axis(Quantity("q"), log=True), values, 0, 100)
    assert all(scale.holds(value) for value in values)
    ticks = labelled_ticks(scale, Quantity("q"), most)
    assert ticks
    for tick, text in ticks:
        assert _read(text) == pytest.approx(tick)


@given(st.floats(-1e12, 1e12), st.floats(1e-4, 1e12), st.integers(2, 12), st.booleans())
def test_linear_ticks_are_labelled_truly(low: float, length: float, most: int, percent: bool) -> None:
    scale = fit(Axis(Quantity("q")), (low, low + length), 0, 100)
    for tick, text in labelled_ticks(scale, Quantity("q", percent=percent), most):
        assert _read(text) == pytest.approx((100 if percent else 1) * tick, rel=1e-7, abs=1e-9 * length)


def test_an_axis_that_ends_before_the_data_is_drawn_all_the_same() -> None:
    for low, values in ((100.0, (3.0,)), (5.0, (5.0,)), (-1.0, ())):
        scale = fit(Axis(Quantity("q"), low=low), values, 0, 100)
        assert scale.low == low < scale.high
        assert len(scale.ticks(4)) >= 2
    assert not fit(Axis(Quantity("q"), low=100), (3.0,), 0, 100).holds(3)


def _read(text: str) -> float:
    """The number that a person reads in a label."""
    plain = text.replace("\u202f", "").replace("−", "-")
    mantissa, _, power = plain.rpartition("10") if re.search("[⁰¹²³⁴⁵⁶⁷⁸⁹]", plain) else (plain, "", "")
    digits = power.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789"))
    mantissa = f"{mantissa}1" if mantissa in ("", "-") else mantissa.rstrip("·")
    return float(mantissa) * 10.0 ** int(digits or 0)


def test_tick_labels() -> None:
    shares = labelled_ticks(Scale(0, 0.5, 0, 1), Quantity("q", percent=True), 5)
    assert [text for _, text in shares] == ["0", "10", "20", "30", "40", "50"]
    halves = labelled_ticks(Scale(1, 3, 0, 1), Quantity("q"), 4)
    assert [text for _, text in halves] == ["1.0", "1.5", "2.0", "2.5", "3.0"]
    signed = labelled_ticks(Scale(-0.5, 0.5, 0, 1), Quantity("q", signed=True), 2)
    assert [text for _, text in signed] == ["−0.5", "0.0", "+0.5"]
    decades = labelled_ticks(Scale(1e-6, 1e6, 0, 1, log=True), Quantity("q"), 4)
    assert [text for _, text in decades] == ["10⁻⁶", "0.01", "100", "10⁶"]
    few = labelled_ticks(Scale(1e-5, 1e-4, 0, 1, log=True), Quantity("q"), 4)
    assert [text for _, text in few] == ["10⁻⁵", "2·10⁻⁵", "5·10⁻⁵", "0.0001"]
    crowded = spaced_ticks(Scale(0, 100_000, 0, 100), Quantity("q", digits=0), text_width)
    assert [text for _, text in crowded] == ["0", "100\u202f000"]


def test_numbers_are_written_with_their_digits() -> None:
    assert Quantity("q", digits=2, significant=True).number(0.006349) == "0.0063"
    assert Quantity("q", digits=2, significant=True).number(5.96) == "6.0"
    assert Quantity("q", digits=2, significant=True).number(23159) == "23\u202f000"
    assert Quantity("q", percent=True, signed=True).value(-0.001) == "−0.1\u202f%"
    assert Quantity("q", percent=True, digits=0, signed=True).number(-0.001) == "0"
    assert Quantity("q", digits=2, significant=True).number(-1.23e-9) == "−1.2·10⁻⁹"
    assert len(Quantity("q").number(1e300)) < 12
    points = Quantity("Difference", unit="points", percent=True, signed=True)
    assert points.title == "Difference (points)"
    assert points.sentence(Estimate(0.1, -0.05, 0.25, 40)) == "+10.0\u202fpoints (−5.0 to +25.0, n 40)"


def test_long_words_are_cut_and_long_lines_wrapped() -> None:
    assert cut_text("short", 100) == "short"
    cut = cut_text("a very long label indeed", 60)
    assert cut.endswith("…")
    assert text_width(cut) <= 60
    lines = wrap_text("a very long label indeed", 90)
    assert " ".join(lines) == "a very long label indeed"
    assert all(text_width(line) <= 90 for line in lines)
    assert text_width("文書") > text_width("ab")


@pytest.mark.parametrize("words", [page_demo.HOSTILE, "\x07\u202e\ud800<b>"])
def test_text_in_pictures_is_escaped(words: str) -> None:
    axis = Axis(Quantity(words))
    group = MarkGroup(words, (Mark(words, Estimate(1.0)),))
    series = (Series(words, (Point(1, Estimate(1), words),)), Series("b", ()))
    for figure in (
        Dots(words, axis, (group,), BASIS, Reference(0, words)),
        Scatter(words, axis, axis, series, BASIS, (Reference(0, words),)),
        HeatMap(words, words, words, (words,), ((words, (Cell(Estimate(1)),)),), axis, BASIS, words),
    ):
        root = drawn(figure)
        assert {node.tag for node in root.iter()} <= {
            "svg",
            "title",
            "desc",
            "g",
            "line",
            "text",
            "circle",
            "rect",
            "polygon",
        }
        assert not re.search("[\x00-\x08\u202e\ud800]", "".join(root.itertext()))


def _centre(shape: ET.Element) -> tuple[float, float]:
    if shape.tag == "circle":
        return number(shape, "cx"), number(shape, "cy")
    points = [tuple(map(float, point.split(","))) for point in shape.attrib["points"].split()]
    return sum(x for x, _ in points) / len(points), sum(y for _, y in points) / len(points)
