"""reStructuredText: kept as it is written; section titles make the pages.

A title is a line underlined (and perhaps overlined) with one punctuation character at least as long as it is.
The level follows from the order in which the styles of lines appear, as docutils has it.  Not covered:
titles within directives, included files.
"""

from __future__ import annotations

from collections.abc import Iterator

from ingest.parsers.base import Limits, ParsedDocument
from ingest.parsers.sections import Heading, heading_pages
from ingest.parsers.text import line_pages, readable_text
from ingest.parsers.titles import choose_title, shorten, title_in_text

_ADORNMENTS = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
_MIN_SHORT_LINE = 4  # characters: shorter underlines count only when they are as long as the title


class RstParser:
    """``.rst``."""

    name = "rst"
    media_type = "text/x-rst"
    suffixes = frozenset({".rst", ".rest"})

    def parse(self, data: bytes, stem: str, limits: Limits) -> ParsedDocument:
        """Decode, clean and cut at section titles; see `base.Parser.parse`."""
        del limits  # the size was checked before the file was read
        text, warnings = readable_text(data)
        headings = list(_headings(text))
        pages = heading_pages(text, headings) if headings else line_pages(text)
        title = choose_title(headings[0].text if headings else "", title_in_text(text, stem), stem=stem)
        return ParsedDocument(title, tuple(pages), warnings)


def _headings(text: str) -> Iterator[Heading]:
    styles: list[tuple[str, bool]] = []
    lines = text.split("\n")
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line) + 1)
    used = -1  # the last line that belongs to a title
    for index in range(1, len(lines)):
        under = lines[index].rstrip()
        title = lines[index - 1].rstrip()
        if index - 1 <= used or not _is_adornment(under) or not title or _is_adornment(title):
            continue
        over = lines[index - 2].rstrip() if index - 2 > used else ""
        has_over = over == under
        # A title stands alone: after a blank line, or its own overline; an indented one needs that.
        if not has_over and (over.strip() or title[0].isspace()):
            continue
        # Too short a line is an error to docutils, which is read all the same from 4 characters on.
        if len(under) < min(len(title.strip()), _MIN_SHORT_LINE):
            continue
        style = (under[0], has_over)
        if style not in styles:
            styles.append(style)
        first = index - 2 if has_over else index - 1
        yield Heading(starts[first], styles.index(style) + 1, shorten(title.strip()))
        used = index


def _is_adornment(line: str) -> bool:
    return len(line) >= 2 and line[0] in _ADORNMENTS and line == line[0] * len(line)
