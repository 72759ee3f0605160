"""A model that is calibrated in a second, and texts for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from tiny_gguf import TinySpec, write_model

from beyondrag.calibration.texts import CalibrationText

TINY = TinySpec(n_layer=2, context=256)


def tiny_model(path: Path, **changes: Any) -> Path:
    """A random model of two layers."""
    return write_model(path, replace(TINY, **changes))


def short_texts() -> tuple[CalibrationText, ...]:
    """Two texts of a hundred tokens or so."""
    one = "The keeper at Skerry Point was 48 years old. The lamp is lit. " * 2
    two = "The oven of Mill Lane was built in 1921; it burns beech wood." * 2
    return CalibrationText("one", one, shipped=True), CalibrationText("two", two, shipped=True)
