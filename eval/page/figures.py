"""What figures show: data and labels, no geometry (`eval.page.drawing` has that)."""

from __future__ import annotations

from dataclasses import dataclass

from eval.page.quantities import Basis, Estimate, Quantity


@dataclass(frozen=True, slots=True)
class Axis:
    """What runs along an axis; where it ends when `low` and `high` do not say follows from the data.

    Raises ValueError for a reversed axis and for a logarithmic one that does not start above zero.
    """

    quantity: Quantity
    log: bool = False
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        if self.low is not None and self.high is not None and self.low >= self.high:
            raise ValueError(f"{self.quantity.label}: the axis is reversed")
        if self.log and any(end is not None and end <= 0 for end in (self.low, self.high)):
            raise ValueError(f"{self.quantity.label}: a logarithmic axis starts above zero")


@dataclass(frozen=True, slots=True)
class Reference:
    """A line to compare with, such as a limit or zero difference."""

    value: float
    label: str


@dataclass(frozen=True, slots=True)
class Mark:
    """One row of a bar or dot figure; its label also decides its colour."""

    label: str
    estimate: Estimate | None


@dataclass(frozen=True, slots=True)
class MarkGroup:
    """Rows under a heading; none when it is empty."""

    heading: str
    marks: tuple[Mark, ...]


@dataclass(frozen=True, slots=True)
class Bars:
    """Horizontal bars from zero with intervals.  Raises ValueError for an axis that cannot start at zero."""

    title: str
    axis: Axis
    groups: tuple[MarkGroup, ...]
    basis: Basis
    note: str = ""

    def __post_init__(self) -> None:
        if self.axis.log or (self.axis.low or 0) > 0 or (self.axis.high or 0) < 0:
            raise ValueError(f"{self.title}: bars start at zero")


@dataclass(frozen=True, slots=True)
class Dots:
    """A dot and an interval a row, for comparing systems or for differences against `reference`."""

    title: str
    axis: Axis
    groups: tuple[MarkGroup, ...]
    basis: Basis
    reference: Reference | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Point:
    """A point of a scatter or line figure; the interval is along y."""

    x: float
    y: Estimate
    label: str = ""


@dataclass(frozen=True, slots=True)
class Series:
    """Points of one name; `joined` draws the line between them in the order of x."""

    name: str
    points: tuple[Point, ...]
    joined: bool = False


@dataclass(frozen=True, slots=True)
class Scatter:
    """Points with error bars on two axes; what is at or below zero stands hollow at a log axis's foot."""

    title: str
    x: Axis
    y: Axis
    series: tuple[Series, ...]
    basis: Basis
    references: tuple[Reference, ...] = ()
    note: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a heat map; a flagged one is framed."""

    estimate: Estimate | None
    flagged: bool = False


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Values by row and column.  `scale` gives the quantity and the ends of the colours.

    `flag` says what a frame means.  Raises ValueError when rows and labels do not fit.
    """

    title: str
    x_label: str
    y_label: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]
    scale: Axis
    basis: Basis
    flag: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        if any(len(cells) != len(self.columns) for _, cells in self.rows):
            raise ValueError(f"{self.title}: a row does not fit the columns")


Figure = Bars | Dots | Scatter | HeatMap
