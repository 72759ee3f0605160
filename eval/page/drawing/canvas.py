"""A drawing of simple shapes that becomes SVG; every text is escaped by the XML writer."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from typing import Literal
from xml.etree import ElementTree as ET

from eval.page.drawing.scale import Scale
from eval.page.text import visible

FONT_PX = 13
LINE_PX = 18
HOLLOW = "A hollow mark stands at the end of an axis that does not reach its value."
N_SLOTS = 8
"""Colours and shapes that can be told apart; slot 0 is neutral."""

_EM = 0.62
"""Mean width of a character in em: that of DejaVu Sans, the widest of the page's fonts."""


class Canvas:
    """A picture of `width` px, as high as it turns out; `title` and `description` are read aloud."""

    def __init__(self, width: int, title: str, description: str) -> None:
        self.width = width
        self.height = 0.0
        self._root = ET.Element("svg", {"role": "img"})
        self._title = ET.SubElement(self._root, "title")
        self._description = ET.SubElement(self._root, "desc")
        self._title.text, self._description.text = visible(title), visible(description)
        self._at = self._root
        self._remarks: list[str] = []

    def markup(self, ident: str) -> str:
        """The SVG element; `ident` must be unique in the page."""
        size = f"0 0 {self.width} {math.ceil(self.height)}"
        self._title.set("id", f"{ident}-title")
        self._description.set("id", f"{ident}-desc")
        self._root.set("viewBox", size)
        self._root.set("aria-labelledby", f"{ident}-title")
        self._root.set("aria-describedby", f"{ident}-desc")
        return ET.tostring(self._root, encoding="unicode")

    def group(self, kind: str, tooltip: str, slot: int | None = None) -> None:
        """What is drawn from here on belongs together and shows `tooltip`, until `end_group`."""
        classes = kind if slot is None else f"{kind} s{slot}"
        self._at = ET.SubElement(self._root, "g", {"class": classes})
        ET.SubElement(self._at, "title").text = visible(tooltip)

    def remark(self, words: str) -> None:
        """What a reader must know of how this is drawn; said once, below the picture."""
        if words not in self._remarks:
            self._remarks.append(words)

    def write_remarks(self) -> None:
        """Put the remarks below all that was drawn."""
        for words in self._remarks:
            self.height = self.paragraph("quiet", 0, self.height + 16, words) + 8

    def end_group(self) -> None:
        self._at = self._root

    def line(self, kind: str, x1: float, y1: float, x2: float, y2: float) -> None:
        ends = {"x1": _px(x1), "y1": _px(y1), "x2": _px(x2), "y2": _px(y2)}
        ET.SubElement(self._at, "line", {"class": kind, **ends})

    def rect(self, kind: str, x: float, y: float, width: float, height: float) -> None:
        box = {"x": _px(x), "y": _px(y), "width": _px(width), "height": _px(height)}
        ET.SubElement(self._at, "rect", {"class": kind, **box})

    def path(self, kind: str, points: Sequence[tuple[float, float]]) -> None:
        """Straight lines through `points`."""
        ET.SubElement(self._at, "polyline", {"class": kind, "points": _points(points)})

    def marker(self, slot: int, x: float, y: float, radius: float, *, hollow: bool = False) -> None:
        """The shape of `slot` around a point."""
        kind = "mark hollow" if hollow else "mark"
        if hollow:
            self.remark(HOLLOW)
        corners = _SHAPES[slot % len(_SHAPES)]
        if not corners:
            ET.SubElement(self._at, "circle", {"class": kind, "cx": _px(x), "cy": _px(y), "r": _px(radius)})
            return
        points = [(x + radius * dx, y + radius * dy) for dx, dy in corners]
        ET.SubElement(self._at, "polygon", {"class": kind, "points": _points(points)})

    def text(
        self, kind: str, x: float, y: float, words: str, anchor: Literal["start", "middle", "end"] = "start"
    ) -> None:
        """One line of text on the baseline `y`; nothing for no words."""
        if not words:
            return
        place = {"class": kind, "x": _px(x), "y": _px(y)}
        if anchor != "start":
            place["text-anchor"] = anchor
        ET.SubElement(self._at, "text", place).text = visible(words).replace("\n", " ")

    def interval_x(self, scale: Scale, ends: tuple[float, float], y: float, cap: float) -> None:
        """A horizontal whisker with caps of half height `cap`; no cap where it goes on beyond the axis."""
        self.line("whisker", scale.at(ends[0]), y, scale.at(ends[1]), y)
        for x in (scale.at(end) for end in ends if scale.holds(end)):
            self.line("cap", x, y - cap, x, y + cap)

    def interval_y(self, scale: Scale, ends: tuple[float, float], x: float, cap: float) -> None:
        """A vertical whisker with caps of half width `cap`; no cap where it goes on beyond the axis."""
        self.line("whisker", x, scale.at(ends[0]), x, scale.at(ends[1]))
        for y in (scale.at(end) for end in ends if scale.holds(end)):
            self.line("cap", x - cap, y, x + cap, y)

    def paragraph(self, kind: str, x: float, y: float, words: str) -> float:
        """Text in as many lines as it needs, the first on the baseline `y`; returns the last baseline."""
        for i, line in enumerate(wrap_text(words, self.width - x)):
            y += LINE_PX if i else 0
            self.text(kind, x, y, line)
        return y


def text_width(words: str, size: float = FONT_PX) -> float:
    """About how wide a line of text is, in px."""
    return size * sum(1.0 if unicodedata.east_asian_width(c) in "WF" else _EM for c in words)


def cut_text(words: str, width: float, size: float = FONT_PX) -> str:
    """`words`, or as many of their characters as fit into `width` px with an ellipsis."""
    words = " ".join(words.split())
    if text_width(words, size) <= width:
        return words
    while words and text_width(f"{words}…", size) > width:
        words = words[:-1]
    return f"{words.rstrip()}…"


def wrap_text(words: str, width: float, size: float = FONT_PX) -> list[str]:
    """Lines of at most `width` px, broken between words; a longer word has a line of its own, cut."""
    lines: list[str] = []
    for word in words.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(longer, size) <= width:
            lines[-1] = longer
        else:
            lines.append(cut_text(word, width, size))
    return lines


def slots(names: Sequence[str], known: Sequence[str]) -> dict[str, int]:
    """A slot for each of `names`: the place among `known`, or else the next one that is free; 0 when
    there are more names than slots."""
    found = {name: known.index(name) + 1 for name in names if name in known[:N_SLOTS]}
    free = iter([slot for slot in range(1, N_SLOTS + 1) if slot not in found.values()])
    for name in names:
        if name not in found:
            found[name] = 0 if name in known else next(free, 0)
    return found


def _px(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{_px(x)},{_px(y)}" for x, y in points)


def _polygon(n: int, turn: float, *radii: float) -> tuple[tuple[float, float], ...]:
    """The corners of a polygon whose radii alternate, the first at `turn` of a circle from the right."""
    angles = [2 * math.pi * (i / n + turn) for i in range(n)]
    return tuple(
        (radii[i % len(radii)] * math.cos(a), radii[i % len(radii)] * math.sin(a))
        for i, a in enumerate(angles)
    )


_SHAPES: tuple[tuple[tuple[float, float], ...], ...] = (
    (),  # the neutral slot and the first are circles
    (),
    _polygon(4, 1 / 8, 1.2),  # square
    _polygon(3, -1 / 4, 1.35),  # triangle
    _polygon(4, 0, 1.3),  # diamond
    _polygon(3, 1 / 4, 1.35),  # triangle pointing down
    _polygon(10, -1 / 4, 1.45, 0.65),  # star
    _polygon(6, 0, 1.15),  # hexagon
    _polygon(8, 0, 1.4, 0.55),  # star of four points
)
