"""Collects running text as blocks: what HTML, Word and OpenDocument files have in common.

A reader of such a format walks through its file and tells a `Flow` what it meets; white space, tables and
notes come out alike for all of them, and `section_pages` cuts the blocks into pages to cite.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ingest.parsers.base import ParsedPage
from ingest.parsers.sections import PREAMBLE_LABEL, HeadingPath
from ingest.parsers.tables import MAX_SPAN, table_text
from ingest.parsers.text import span_label

PARAGRAPHS_PER_PAGE = 40
_SPACE = re.compile(r"[ \t\n\r\f]+")
_BLOCK_END = "\n\n"


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, heading, list item or table.

    `level` is 1 to 9 for a heading, else 0.  `tight` blocks that follow each other stand on lines
    of their own without a blank line between them.  `page` counts the page breaks before it, from 1.
    """

    text: str
    level: int = 0
    tight: bool = False
    page: int = 1


class Flow:
    """The blocks met so far, and the one that is being written."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self._inline: list[str] = []
        self._level = 0
        self._prefix = ""
        self._tight = False
        self._page = self._begun_on = 1
        self._notes: list[str] = []
        self._n_tables = 0  # how deep in tables; only the outermost has rows, inner ones are its cells' text
        self._rows: list[list[str]] = []
        self._cell: list[str] = []
        self._is_in_cell = False
        self._outside: list[str] = []  # text of the table outside of cells, such as its caption
        self._span = 1

    @property
    def is_at_bullet(self) -> bool:
        """Whether the current block is a list item of which only the bullet is there."""
        return bool(self._prefix) and not "".join(self._inline).strip()

    @property
    def is_heading(self) -> bool:
        """Whether the current block is a heading."""
        return bool(self._level)

    def write(self, text: str) -> None:
        """Text of the current block, taken as it is."""
        if not self._inline:
            self._begun_on = self._page
        self._inline.append(text)

    def write_collapsed(self, text: str) -> None:
        """Text of the current block in which a run of white space counts as one space, as in HTML."""
        collapsed = _SPACE.sub(" ", text)
        if collapsed.startswith(" ") and (not self._inline or self._inline[-1][-1:] in (" ", "\n")):
            collapsed = collapsed[1:]
        if collapsed:
            self.write(collapsed)

    def note(self, text: str) -> None:
        """A foot- or endnote: it is put after the block or table that refers to it."""
        if text.strip():
            self._notes.append(text)

    def page_break(self) -> None:
        """What follows is on the next page."""
        self._page += 1

    def begin(self, *, level: int = 0, prefix: str = "", tight: bool = False) -> None:
        """End the current block and begin another one."""
        self.end()
        self.style(level=level, prefix=prefix, tight=tight)

    def style(self, *, level: int = 0, prefix: str = "", tight: bool = False) -> None:
        """What kind of block the current one is."""
        self._level, self._prefix, self._tight = level, prefix, tight

    def end(self) -> None:
        """End the current block; one without text leaves no trace."""
        # Line by line: a search for space at line ends would take quadratic time on long runs of it.
        text = "\n".join(line.rstrip() for line in "".join(self._inline).split("\n")).strip("\n")
        self._inline = []
        if text.strip():
            if self._n_tables:
                self._cell.append(self._prefix + text)
            else:
                level = self._level
                if level:
                    text = " ".join(text.split())
                self.blocks.append(Block(self._prefix + text, level, self._tight, self._begun_on))
                self._prefix = ""
        if not self._n_tables:
            self._put_notes()
        self._level, self._prefix, self._tight = 0, "", False

    def _put_notes(self) -> None:
        self.blocks += [Block(note, tight=True, page=self._page) for note in self._notes]
        self._notes = []

    def open_table(self) -> None:
        """A table begins; within a table it is text of the cell."""
        self.end()
        self._n_tables += 1
        if self._n_tables == 1:
            self._rows = []

    def open_row(self) -> None:
        """A row begins."""
        self.end()
        if self._n_tables == 1:
            self._rows.append([])

    def open_cell(self, span: int = 1) -> None:
        """A cell begins that takes `span` columns."""
        self.end()
        if self._n_tables == 1:
            self._leave_cell()
            self._is_in_cell = True
            self.span(span)

    def span(self, n_columns: int) -> None:
        """The open cell takes `n_columns` columns."""
        if self._n_tables == 1:
            self._span = min(max(n_columns, 1), MAX_SPAN)

    def close_cell(self) -> None:
        """The cell ends."""
        self.end()
        if self._n_tables == 1:
            self._leave_cell()

    def _leave_cell(self) -> None:
        if self._is_in_cell:
            if not self._rows:
                self._rows.append([])
            self._rows[-1] += ["\n\n".join(self._cell), *[""] * (self._span - 1)]
        else:
            self._outside += self._cell
        self._cell = []
        self._is_in_cell = False

    def close_table(self) -> None:
        """The table ends.  One of a single column is only a frame: its cells become paragraphs."""
        if not self._n_tables:
            return
        self.end()
        self._n_tables -= 1
        if self._n_tables:
            return
        self._leave_cell()
        if max(map(len, self._rows), default=0) > 1:
            texts = [table_text(self._rows)]
        else:
            texts = [cell for row in self._rows for cell in row]
        texts = [text for text in (*self._outside, *texts) if text.strip()]
        self.blocks += [Block(text, page=self._page) for text in texts]
        self._rows, self._outside = [], []
        self._put_notes()

    def finish(self) -> list[Block]:
        """All blocks, with what was left open closed."""
        while self._n_tables:
            self.close_table()
        self.end()
        return self.blocks


def join_blocks(blocks: Sequence[Block]) -> str:
    """The text of `blocks`, ended by a blank line; "" for none."""
    pieces: list[str] = []
    for index, block in enumerate(blocks):
        following = blocks[index + 1] if index + 1 < len(blocks) else None
        pieces.append(block.text)
        pieces.append("\n" if block.tight and following is not None and following.tight else _BLOCK_END)
    return "".join(pieces)


def section_pages(blocks: Sequence[Block], opening: str = PREAMBLE_LABEL) -> Iterator[ParsedPage]:
    """Pages of `blocks`: by headings; without any, by page breaks; without any, by paragraphs.

    `opening` labels what stands before the first heading.
    """
    headings = [block.level for block in blocks if block.level]
    if headings:
        yield from _by_headings(blocks, headings, opening)
    elif blocks and blocks[-1].page > 1:
        yield from _by_page_breaks(blocks)
    else:
        for start in range(0, len(blocks), PARAGRAPHS_PER_PAGE):
            part = blocks[start : start + PARAGRAPHS_PER_PAGE]
            yield ParsedPage(span_label("paragraph", start + 1, start + len(part)), join_blocks(part))


def _by_headings(blocks: Sequence[Block], levels: Sequence[int], opening: str) -> Iterator[ParsedPage]:
    path = HeadingPath(levels)
    label, start = opening, 0
    for index, block in enumerate(blocks):
        if block.level:
            if index > start:
                yield ParsedPage(label, join_blocks(blocks[start:index]))
            label, start = path.enter(block.level, block.text), index
    yield ParsedPage(label, join_blocks(blocks[start:]))


def _by_page_breaks(blocks: Sequence[Block]) -> Iterator[ParsedPage]:
    start = 0
    for index in range(1, len(blocks) + 1):
        if index == len(blocks) or blocks[index].page != blocks[start].page:
            yield ParsedPage(f"page {blocks[start].page}", join_blocks(blocks[start:index]))
            start = index
