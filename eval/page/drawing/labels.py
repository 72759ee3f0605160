"""Where the label of a point finds room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

LABEL_PX = 12
RADIUS = 5.0
"""Of the marks that labels stand beside."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle that text, a mark or a line takes up."""

    x1: float
    y1: float
    x2: float
    y2: float

    def meets(self, other: Box) -> bool:
        return self.x1 < other.x2 and other.x1 < self.x2 and self.y1 < other.y2 and other.y1 < self.y2

    def holds(self, other: Box) -> bool:
        return self.x1 <= other.x1 and other.x2 <= self.x2 and self.y1 <= other.y1 and other.y2 <= self.y2


def mark_box(x: float, y: float) -> Box:
    return Box(x - RADIUS - 1, y - RADIUS - 1, x + RADIUS + 1, y + RADIUS + 1)


def text_box(x: float, base: float, wide: float) -> Box:
    return Box(x, base - 10, x + wide, base + 3)


def place_label(
    x: float, y: float, wide: float, area: Box, taken: Sequence[Box], lines: Sequence[Box]
) -> tuple[float, float] | None:
    """Start and baseline of a text of `wide` px beside the mark at (x, y), within `area`.

    The first place where nothing stands yet; else the first where only `lines` do; else none.
    """
    right, left = x + RADIUS + 4, x - RADIUS - 4 - wide
    places = (
        (right, y + 4),
        (left, y + 4),
        *((side, y + shift) for shift in (-8, 15) for side in (right, left)),
        (x - wide / 2, y - RADIUS - 8),
        (x - wide / 2, y + RADIUS + 16),
        *((side, y + shift) for shift in (-18, 26) for side in (right, left)),
    )
    inside = [place for place in places if area.holds(text_box(*place, wide))]
    for obstacles in ((*taken, *lines), taken):
        for place in inside:
            box = text_box(*place, wide)
            if not any(box.meets(other) for other in obstacles):
                return place
    return None
