"""A long text cut into rows of a width, so that any row can be drawn without the others.

Offsets are those of the text itself: a quote's place is found and marked by its character offsets.
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_right

from rich.cells import get_character_cell_size

_WIDE_OR_ZERO = re.compile(
    "[\u00ad\u0300-\u036f\u0483-\u0489\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0900-\u0dff\u0e31-\u0ebc"
    "\u1100-\u11ff\u200b-\u200f\u20d0-\u20f0\u231a-\u27bf\u2b1b-\u2b55\u2e80-\ud7ff\uf900-\ufaff\ufe00-\ufe6f"
    "\uff00-\uffe6\U00010000-\U0010ffff]"
)
"""Characters that may not be one cell wide; a line without any is as many cells wide as it is long."""


class WrappedText:
    """Rows of `text` in at most `width` cells, broken at spaces where there are any.

    A row is text[start:end] without its line break; `starts` ascend, and every row but the last ends where
    the next starts, or one line break before it.
    """

    def __init__(self, text: str, width: int) -> None:
        self.text = text
        self.width = max(width, 1)
        self._starts = array("q")
        self._ends = array("q")
        position = 0
        for line in text.split("\n"):
            self._wrap(line, position)
            position += len(line) + 1

    def __len__(self) -> int:
        return len(self._starts)

    def row(self, index: int) -> tuple[int, int]:
        """Where the row stands in the text: [start, end)."""
        return self._starts[index], self._ends[index]

    def row_at(self, offset: int) -> int:
        """The row that holds the character at `offset`; the last one for what is behind the text."""
        return max(bisect_right(self._starts, offset) - 1, 0)

    def _wrap(self, line: str, position: int) -> None:
        if len(line) <= self.width and (line.isascii() or not _WIDE_OR_ZERO.search(line)):
            self._starts.append(position)
            self._ends.append(position + len(line))
            return
        narrow = line.isascii() or not _WIDE_OR_ZERO.search(line)
        start = 0
        while True:
            stop = start + self.width if narrow else _fitting(line, start, self.width)
            if stop >= len(line):
                break
            space = line.rfind(" ", start, stop + 1)
            stop = min(space + 1, len(line)) if space > start else stop
            self._starts.append(position + start)
            self._ends.append(position + stop)
            start = stop
            if start == len(line):
                return
        self._starts.append(position + start)
        self._ends.append(position + len(line))


def _fitting(line: str, start: int, width: int) -> int:
    """The end of the longest piece from `start` that is at most `width` cells wide, at least a character."""
    cells = 0
    for index in range(start, len(line)):
        cells += get_character_cell_size(line[index])
        if cells > width and index > start:
            return index
    return len(line)
