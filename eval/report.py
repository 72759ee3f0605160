"""Tables for people, one JSON line for programs."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import orjson

_PACKAGES = ("beyondrag", "llama-cpp-python", "numpy")


def markdown_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], *, left: Sequence[int] = (0,)
) -> str:
    """A Markdown table with columns as wide as their widest cell; the columns in `left` hold words."""
    cells = [[cell.replace("|", "\\|") for cell in row] for row in (header, *rows)]
    widths = [max(3, *(len(row[i]) for row in cells)) for i in range(len(header))]

    def line(row: Sequence[str]) -> str:
        padded = [
            c.ljust(w) if i in left else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    rule = [":" + "-" * (w - 1) if i in left else "-" * (w - 1) + ":" for i, w in enumerate(widths)]
    return "\n".join([line(cells[0]), f"| {' | '.join(rule)} |", *(line(row) for row in cells[1:])])


def json_line(values: Mapping[str, Any]) -> str:
    """One line of JSON; numbers that are not finite become null."""
    return orjson.dumps(values, option=orjson.OPT_SERIALIZE_NUMPY).decode()


def versions() -> dict[str, str]:
    """What the numbers were measured with."""
    found = {"python": platform.python_version(), "machine": platform.machine()}
    for package in _PACKAGES:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[package] = importlib.metadata.version(package)
    return found
