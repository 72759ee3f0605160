"""Numbers with what a reader needs to judge them: unit, interval, sample size, and where they come from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

MISSING = "\N{EN DASH}"
"""What stands for a value that was not measured."""

_MINUS = "\N{MINUS SIGN}"
HUGE, _TINY = 1e9, 1e-5
"""Beyond these numbers are written with a power of ten."""

_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_THIN = "\N{NARROW NO-BREAK SPACE}"


@dataclass(frozen=True, slots=True)
class Estimate:
    """A measured value, the ends of its interval (both or neither) and the sample behind it.

    The interval need not contain the value: that of a percentile bootstrap may not.
    Raises ValueError for numbers that are not finite and for a reversed or half interval.
    """

    value: float
    low: float | None = None
    high: float | None = None
    n: int | None = None

    def __post_init__(self) -> None:
        given = [number for number in (self.value, self.low, self.high) if number is not None]
        if not all(math.isfinite(number) for number in given):
            raise ValueError("an estimate must be finite; leave out what was not measured")
        if (self.low is None) != (self.high is None):
            raise ValueError("an interval has two ends")
        if self.interval and self.interval[0] > self.interval[1]:
            raise ValueError("the interval is reversed")
        if self.n is not None and self.n < 0:
            raise ValueError("a sample size is not negative")

    @property
    def interval(self) -> tuple[float, float] | None:
        """Both ends, or None."""
        return None if self.low is None or self.high is None else (self.low, self.high)


@dataclass(frozen=True, slots=True)
class Quantity:
    """What a column or an axis holds, and how its numbers are written.

    `percent`: the values are shares, shown times 100, in % or in `unit` ("points" for differences).
    `digits` are decimals, or significant digits with `significant`.  `signed` puts a plus before what is
    above zero, as differences need.
    """

    label: str
    unit: str = ""
    percent: bool = False
    digits: int = 1
    significant: bool = False
    signed: bool = False
    better: Literal["higher", "lower", ""] = ""

    @property
    def title(self) -> str:
        """The label with its unit: `Time to first token (s)`."""
        return f"{self.label} ({self.shown_unit})" if self.shown_unit else self.label

    @property
    def shown_unit(self) -> str:
        """The unit of the numbers as they are written."""
        return self.unit or ("%" if self.percent else "")

    def number(self, value: float) -> str:
        """`value` without its unit, with a true minus and thousands apart."""
        shown = 100 * value if self.percent else value
        if abs(shown) >= HUGE or (self.significant and 0 < abs(shown) < _TINY):
            return power_of_ten(shown, max(self.digits - 1, 0), signed=self.signed)
        decimals = _decimals(shown, self.digits) if self.significant else self.digits
        rounded = round(shown, decimals)
        text = f"{abs(rounded):,.{max(decimals, 0)}f}".replace(",", _THIN)
        if rounded < 0:
            return _MINUS + text
        return f"+{text}" if self.signed and rounded > 0 else text

    def value(self, value: float) -> str:
        """`value` with its unit."""
        return f"{self.number(value)}{_THIN}{self.shown_unit}" if self.shown_unit else self.number(value)

    def interval(self, estimate: Estimate) -> str:
        """`48.1 to 74.9`, or nothing."""
        ends = estimate.interval
        return f"{self.number(ends[0])} to {self.number(ends[1])}" if ends else ""

    def sentence(self, estimate: Estimate | None) -> str:
        """`62.5 % (48.1 to 74.9, n 40)`."""
        if estimate is None:
            return "not measured"
        size = "" if estimate.n is None else f"n {estimate.n}"
        inside = ", ".join(filter(None, (self.interval(estimate), size)))
        return f"{self.value(estimate.value)} ({inside})" if inside else self.value(estimate.value)


@dataclass(frozen=True, slots=True)
class Basis:
    """What a table or figure rests on; every one has it.

    n: the number of `unit` ("questions") measured in all.
    interval: what the intervals are ("95 % percentile bootstrap over questions, seed 7"); empty where
        there are none, which is then said.
    command: the command that gives these numbers again.
    """

    n: int
    unit: str
    interval: str
    command: str

    @property
    def sentence(self) -> str:
        """`n = 40 questions; intervals: 95 % Wilson.`"""
        intervals = f"intervals: {self.interval}" if self.interval else "no intervals"
        return f"n = {self.n:,} {self.unit}; {intervals}."


def power_of_ten(value: float, decimals: int, *, signed: bool = False) -> str:
    """`2.5·10⁻⁶`; a bare power of ten for 1 without decimals."""
    mantissa, _, exponent = f"{abs(value):.{decimals}e}".partition("e")
    sign = _MINUS if value < 0 else "+" if signed else ""
    power = "10" + str(int(exponent)).translate(_SUPERSCRIPT)
    return sign + (power if mantissa == "1" else f"{mantissa}·{power}")


def _decimals(value: float, digits: int) -> int:
    """Decimals that show `digits` significant digits of `value`; negative left of the point."""
    return digits - 1 if value == 0 else digits - 1 - math.floor(math.log10(abs(value)))
