"""From data to pixels, and where the ticks stand."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise

from eval.page.figures import Axis
from eval.page.quantities import HUGE, Quantity, power_of_ten

_STEPS = (1, 2, 5, 10)
_ROUNDING = 1e-9
_SMALLEST = 1e-290
_ROOM = 0.5
"""Around a single value, as a share of it, or as it is around zero."""

_MOST_TICKS, _TICK_GAP = 11, 18.0


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps `low`..`high` to `start`..`end` px, linearly or by the logarithm."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """The position in px; what lies outside stands at the end that it is beyond."""
        if value <= self.low:
            return self.start
        if value >= self.high:
            return self.end
        share = (
            math.log(value / self.low) / math.log(self.high / self.low)
            if self.log
            else (value - self.low) / (self.high - self.low)
        )
        return self.start + share * (self.end - self.start)

    def holds(self, value: float) -> bool:
        """Whether `value` is drawn where it belongs."""
        slack = _ROUNDING * (self.high - self.low)
        return self.low - slack <= value <= self.high + slack

    def ticks(self, most: int) -> list[float]:
        """Round values inside in rising order: about `most` of them, and two if there must be more for it."""
        if self.log:
            return _log_ticks(self.low, self.high, most)
        first = last = 0
        step = _step((self.high - self.low) / max(most, 1))
        for finer in range(max(most, 1), max(most, 1) + 6):
            step = _step((self.high - self.low) / finer)
            first = math.ceil(self.low / step - _ROUNDING)
            last = math.floor(self.high / step + _ROUNDING)
            if last > first:
                break
        return [i * step for i in range(first, last + 1)]


def fit(axis: Axis, values: Iterable[float], start: float, end: float, *, zero: bool = False) -> Scale:
    """A scale that shows all `values` and ends at round numbers, unless the axis says where it ends.

    `zero`: zero is shown too.  A share never goes beyond 100 % by rounding.
    """
    known = [value for value in values if value > 0 or not axis.log]
    known += [0.0] if zero else []
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    if axis.log:
        low, high = (_round_down(low), _round_up(high)) if known else (0.1, 1.0)
        low, high = axis.low or low, axis.high or high
        return Scale(low, high if high > low else 10 * low, start, end, log=True)
    low, high = (low if axis.low is None else axis.low), (high if axis.high is None else axis.high)
    largest = max(abs(low), abs(high))
    if high - low <= _ROUNDING * largest or high - low < _SMALLEST:
        room = _ROOM * largest if largest >= _SMALLEST else _ROOM
        low, high = (low if axis.low is not None or zero else low - room), max(low, high) + room
    step = _step((high - low) / 5)
    whole = axis.quantity.percent
    if axis.low is None:
        rounded = step * math.floor(low / step + _ROUNDING)
        low = max(rounded, -1.0) if whole and low >= -1 else rounded
    if axis.high is None:
        rounded = step * math.ceil(high / step - _ROUNDING)
        high = min(rounded, 1.0) if whole and high <= 1 else rounded
    return Scale(low, high, start, end)


def labelled_ticks(scale: Scale, quantity: Quantity, most: int) -> list[tuple[float, str]]:
    """About `most` ticks with their numbers, without a unit."""
    ticks = scale.ticks(most)
    step = ticks[1] - ticks[0] if len(ticks) > 1 else scale.high - scale.low
    return [(tick, _tick_text(tick, step, quantity, log=scale.log)) for tick in ticks]


def spaced_ticks(
    scale: Scale, quantity: Quantity, width_of: Callable[[str], float]
) -> list[tuple[float, str]]:
    """As many ticks along x as have room for their numbers, which are `width_of` px wide; two at least."""
    for most in range(_MOST_TICKS, 1, -1):
        found = labelled_ticks(scale, quantity, most)
        widest = max((width_of(text) for _, text in found), default=0)
        if all(scale.at(b) - scale.at(a) >= widest + _TICK_GAP for (a, _), (b, _) in pairwise(found)):
            return found
    return labelled_ticks(scale, quantity, 1)


def _tick_text(value: float, step: float, quantity: Quantity, *, log: bool) -> str:
    per_unit = 100 if quantity.percent else 1
    shown = value * per_unit
    # A logarithmic tick has one digit of its own; linear ones share the decimals of their step.
    exponent = _exponent(shown if log else step * per_unit)
    if log and not -4 <= exponent <= 4:
        return power_of_ten(shown, 0)
    if abs(shown) >= HUGE:
        return power_of_ten(shown, max(_exponent(shown) - exponent, 0), signed=quantity.signed)
    decimals = max(-exponent, 0)
    return Quantity("", percent=quantity.percent, digits=decimals, signed=quantity.signed).number(value)


def _exponent(value: float) -> int:
    return math.floor(math.log10(abs(value)) + _ROUNDING) if value else 0


def _step(raw: float) -> float:
    """The round number (1, 2 or 5 times a power of ten) that is not below `raw`."""
    power = 10.0 ** math.floor(math.log10(raw))
    return next(power * step for step in _STEPS if power * step >= raw * (1 - _ROUNDING))


def _log_ticks(low: float, high: float, most: int) -> list[float]:
    decades = range(math.floor(math.log10(low) + _ROUNDING), math.ceil(math.log10(high) - _ROUNDING) + 1)
    choices = ((1, 2, 5), (1,))
    for digits in choices:
        ticks = [digit * 10.0**exponent for exponent in decades for digit in digits]
        inside = [tick for tick in ticks if low * (1 - _ROUNDING) <= tick <= high * (1 + _ROUNDING)]
        if len(inside) <= most or digits == choices[-1]:
            break
    return inside[:: -(-len(inside) // max(most, 1))]


def _round_down(value: float) -> float:
    power = 10.0 ** math.floor(math.log10(value) + _ROUNDING)
    return max(power * step for step in _STEPS[:3] if power * step <= value * (1 + _ROUNDING))


def _round_up(value: float) -> float:
    power = 10.0 ** math.floor(math.log10(value))
    return next(power * step for step in _STEPS if power * step >= value * (1 - _ROUNDING))
