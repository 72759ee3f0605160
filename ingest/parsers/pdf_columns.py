"""Tables on a page: found in its fixed-width form, and written with columns that are still columns.

The words of a drawn table come out of a PDF row by row without a trace of the columns: an empty cell
leaves nothing, and a cell of two lines tears its row apart.  A fixed-width rendering keeps both, at the
price of long runs of spaces.  Here the rows that share a gap are a table; the gaps of a table are cut
to `GAP` spaces, the same for all of its rows.

Running text in two columns has gaps as well, and must not be read across: its cells are long.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

GAP = 3
"""Spaces between two columns; in the fixed-width form at least as many part two cells."""

MIN_ROWS = 3
_MIN_COMMON_GAP = 2
_MAX_BLANK_LINES = 1  # between two rows of one table
_PROSE_WORDS = 5  # in the cells of a column; text that wraps has more
_MIN_PROSE_ROWS = 5
_MIN_KEPT = 0.98  # share of the plain form's words that the fixed-width form must hold
_MAX_LINE_CHARS = 600
_MAX_LINES = 2_000

_GAPS = re.compile(rf"(?<=\S) {{{GAP},}}(?=\S)")
_LONG_GAP = re.compile(rf" {{{GAP + 1},}}")

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Line:
    text: str
    gaps: tuple[Span, ...]
    start: int  # of its first character that is no space


def with_columns(plain: str, fixed: str) -> str:
    """`fixed`, the fixed-width form of a page, with narrow gaps, where it shows a table; else `plain`.

    `plain` also wins where the fixed-width form lacks words (turned text, nested drawings), where words are
    differently parted, and where text runs in two columns.
    """
    lines = [_line(text) for text in fixed.split("\n")]
    if len(lines) > _MAX_LINES or any(len(line.text) > _MAX_LINE_CHARS for line in lines):
        return plain
    tables = list(_tables(lines))
    if not tables or any(_is_prose(lines[table.start : table.stop]) for table in tables):
        return plain
    if not _holds_words_of(fixed, plain):
        return plain
    written: list[str] = []
    position = 0
    for table in tables:
        written += _outside(lines[position : table.start])
        written += _narrowed([line.text for line in lines[table.start : table.stop] if line.text])
        position = table.stop
    return "\n".join([*written, *_outside(lines[position:])])


def _line(text: str) -> _Line:
    text = text.rstrip()
    gaps = tuple(match.span() for match in _GAPS.finditer(text))
    return _Line(text, gaps, len(text) - len(text.lstrip()))


def _tables(lines: Sequence[_Line]) -> Iterator[range]:
    """The places of runs of at least `MIN_ROWS` rows that have a gap in common.

    An indented line goes on with a cell of the row above when its text keeps out of the gap; below a blank
    line it must also start where a cell of that row does.
    """
    index = 0
    while index < len(lines):
        if not lines[index].gaps:
            index += 1
            continue
        common: Sequence[Span] = lines[index].gaps
        above = lines[index]  # the last row
        n_rows, stop, n_blank = 1, index + 1, 0
        for place in range(index + 1, len(lines)):
            line = lines[place]
            if not line.text:
                n_blank += 1
                if n_blank > _MAX_BLANK_LINES:
                    break
                continue
            shared = _shared(common, _free(line))
            if not shared or not (line.gaps or _goes_on(line, above, shared, n_blank)):
                break
            common = shared
            if line.gaps:
                above = line
                n_rows += 1
            stop, n_blank = place + 1, 0
        if n_rows >= MIN_ROWS:
            yield range(index, stop)
            index = stop
        else:
            index += 1


def _goes_on(line: _Line, row: _Line, gaps: Sequence[Span], n_blank: int) -> bool:
    if n_blank:
        return any(abs(line.start - end) <= 1 for _, end in row.gaps)
    return line.start >= gaps[0][1]


def _free(line: _Line) -> list[Span]:
    """Where a row has gaps, the space before and behind it included."""
    return [(0, line.start), *line.gaps, (len(line.text), _MAX_LINE_CHARS)]


def _shared(one: Sequence[Span], other: Sequence[Span]) -> list[Span]:
    """What two lists of spans have in common, apart from slivers."""
    overlaps = ((max(a[0], b[0]), min(a[1], b[1])) for a in one for b in other)
    return [(start, end) for start, end in overlaps if end - start >= _MIN_COMMON_GAP]


def _is_prose(rows: Sequence[_Line]) -> bool:
    """Whether two columns of a table hold running text."""
    widths: dict[int, list[int]] = {}
    for row in rows:
        if row.gaps:
            for column, cell in enumerate(_GAPS.split(row.text.strip())):
                widths.setdefault(column, []).append(len(cell.split()))
    long = [
        counts
        for counts in widths.values()
        if len(counts) >= _MIN_PROSE_ROWS and median(counts) >= _PROSE_WORDS
    ]
    return len(long) > 1


def _holds_words_of(fixed: str, plain: str) -> bool:
    wanted = Counter(plain.split())
    return (wanted & Counter(fixed.split())).total() >= _MIN_KEPT * wanted.total()


def _narrowed(rows: Sequence[str]) -> list[str]:
    """The rows of a table without the places that are blank in all of them, but `GAP` for each gap."""
    used = [False] * max(map(len, rows))
    for row in rows:
        for place, char in enumerate(row):
            if char != " ":
                used[place] = True
    kept: list[int] = []
    n_blank = GAP  # none before the first column
    for place, is_used in enumerate(used):
        n_blank = 0 if is_used else n_blank + 1
        if n_blank <= GAP:
            kept.append(place)
    return ["".join(row[place] for place in kept if place < len(row)).rstrip() for row in rows]


def _outside(lines: Sequence[_Line]) -> Iterator[str]:
    """Text beside tables: without what centred it on the page."""
    return (_LONG_GAP.sub(" " * GAP, line.text.strip()) for line in lines)
