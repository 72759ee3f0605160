"""Plain text: everything is kept, pages are runs of lines."""

from __future__ import annotations

from collections.abc import Iterator

from ingest.errors import ParseFailure
from ingest.parsers.base import Limits, ParsedDocument, ParsedPage
from ingest.parsers.decoding import decode
from ingest.parsers.sanitise import direction_warning, sanitise
from ingest.parsers.titles import choose_title, title_in_text

LINES_PER_PAGE = 60
PARAGRAPH_REACH = 15


class TextParser:
    """``.txt`` and its kin."""

    name = "text"
    media_type = "text/plain"
    suffixes = frozenset({".txt", ".text", ".log", ".adoc", ".asciidoc", ".org"})

    def parse(self, data: bytes, stem: str, limits: Limits) -> ParsedDocument:
        """Decode, clean and cut into pages of `LINES_PER_PAGE` lines; see `base.Parser.parse`."""
        del limits  # the size was checked before the file was read
        text, warnings = readable_text(data)
        title = choose_title(title_in_text(text, stem), stem=stem)
        return ParsedDocument(title, tuple(line_pages(text)), warnings)


def readable_text(data: bytes) -> tuple[str, tuple[str, ...]]:
    """The clean text of a text file, and warnings.

    Raises:
        ParseFailure: "binary" or "empty".
    """
    decoded = decode(data)
    clean = sanitise(decoded.text)
    if not clean.text or clean.text.isspace():
        raise ParseFailure("empty")
    return clean.text, (*decoded.warnings, *direction_warning(clean.n_direction))


def line_pages(text: str, unit: str = "line") -> Iterator[ParsedPage]:
    """`text` in pages labelled ``lines 1-60``: `LINES_PER_PAGE` lines and on to the end of the paragraph.

    A paragraph that goes on for more than `PARAGRAPH_REACH` lines is cut all the same.
    """
    start, first = 0, 1
    while start < len(text):
        end, n_lines = start, 0
        while end < len(text) and n_lines < LINES_PER_PAGE + PARAGRAPH_REACH:
            newline = text.find("\n", end)
            line_end = newline + 1 if newline >= 0 else len(text)
            n_lines += 1
            is_blank = not text[end:line_end].strip()
            end = line_end
            if is_blank and n_lines >= LINES_PER_PAGE:
                break
        last = first + n_lines - 1
        yield ParsedPage(span_label(unit, first, last), text[start:end])
        start, first = end, last + 1


def span_label(unit: str, first: int, last: int) -> str:
    """``lines 1-60``, or ``line 1`` when it is only one."""
    return f"{unit}s {first}-{last}" if last > first else f"{unit} {first}"
