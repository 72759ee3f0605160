"""Timing: medians of repeated runs, and the bandwidth that no copy can beat."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

_COPY_BYTES = 128 << 20
"""More than any cache, so that memory is measured."""

_COPIES = 7


def seconds(action: Callable[[], object]) -> float:
    """Wall-clock seconds that `action` takes."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def repeated(action: Callable[[], object], repeats: int) -> list[float]:
    """Seconds of each of `repeats` runs after one that is not counted."""
    action()
    return [seconds(action) for _ in range(repeats)]


def median(values: Sequence[float]) -> float:
    """The median."""
    return float(np.median(values))


def copy_bandwidth() -> float:
    """Bytes a second that one thread copies from memory to memory; the best of several runs."""
    source, target = np.ones(_COPY_BYTES, np.uint8), np.empty(_COPY_BYTES, np.uint8)
    return _COPY_BYTES / min(repeated(lambda: np.copyto(target, source), _COPIES))
