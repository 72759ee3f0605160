"""Estimates of `eval.stats` as a page shows them."""

from __future__ import annotations

import math

from eval.page.quantities import Estimate
from eval.stats import Estimate as Measured


def shown(measured: Measured | None) -> Estimate | None:
    """`measured` without what is NaN: None when nothing was measured, no interval where there is none."""
    if measured is None or not math.isfinite(measured.value):
        return None
    if not (math.isfinite(measured.low) and math.isfinite(measured.high)):
        return Estimate(measured.value, n=measured.n)
    return Estimate(measured.value, measured.low, measured.high, measured.n)
