"""The areas of the app, in the order of their numbers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mode:
    """An area: `number` and `key` lead to it, `title` is its name."""

    name: str
    title: str
    number: str
    key: str


MODES = (
    Mode("ask", "Ask", "1", "f2"),
    Mode("library", "Library", "2", "f3"),
    Mode("ingest", "Ingest", "3", "f4"),
    Mode("history", "History", "4", "f5"),
    Mode("compare", "Compare", "5", "f6"),
)
