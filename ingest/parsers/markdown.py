"""Markdown: kept as it is written; headings make the pages.

Recognised: ATX headings (``## Risks``), setext headings (underlined with ``===`` or ``---``), fenced
code blocks (nothing in them is a heading) and a YAML front matter's ``title:`` line.  Not covered:
headings inside quotes, lists or HTML.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ingest.parsers.base import Limits, ParsedDocument
from ingest.parsers.sections import MAX_LABEL_CHARS, PREAMBLE_LABEL, Heading, heading_pages
from ingest.parsers.text import line_pages, readable_text
from ingest.parsers.titles import choose_title, shorten, title_in_text

__all__ = ["MAX_LABEL_CHARS", "PREAMBLE_LABEL", "MarkdownParser"]

_ATX = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*))?")
_CLOSING_MARKS = re.compile(r"(?:^|[ \t])#+$")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_NOT_A_PARAGRAPH = re.compile(r"\s*(?:[-*+>|]|\d+[.)]\s)|(?: {4}|\t)")
_LINK = re.compile(r"!?\[([^\]\[]*)\](?:\([^()]*\)|\[[^\]\[]*\])")
_EMPHASIS = re.compile(r"[*`]+|(?<!\w)_+|_+(?!\w)")
_FRONT_MATTER_TITLE = re.compile(r"title[ \t]*:[ \t]*(.*)", re.IGNORECASE)
_FRONT_MATTER_MAX_LINES = 200


class MarkdownParser:
    """``.md`` and ``.markdown``."""

    name = "markdown"
    media_type = "text/markdown"
    suffixes = frozenset({".md", ".markdown"})

    def parse(self, data: bytes, stem: str, limits: Limits) -> ParsedDocument:
        """Decode, clean and cut at headings; see `base.Parser.parse`."""
        del limits  # the size was checked before the file was read
        text, warnings = readable_text(data)
        front_title, body = _front_matter(text)
        headings = list(_headings(text, body))
        pages = heading_pages(text, headings) if headings else line_pages(text)
        heading = headings[0].text if headings else ""
        title = choose_title(front_title, heading, title_in_text(text[body:], stem), stem=stem)
        return ParsedDocument(title, tuple(pages), warnings)


def _lines(text: str, start: int) -> Iterator[tuple[int, str]]:
    """Offsets and lines (without their end) from `start` on."""
    while start < len(text):
        end = text.find("\n", start)
        end = len(text) if end < 0 else end
        yield start, text[start:end]
        start = end + 1


def _front_matter(text: str) -> tuple[str, int]:
    """The title in a YAML front matter ("" when there is none) and the offset where the body starts."""
    title = ""
    for number, (start, line) in enumerate(_lines(text, 0)):
        if number == 0:
            if line.rstrip() != "---":
                return "", 0
        elif line.rstrip() in ("---", "..."):
            return title, start + len(line)
        elif number > _FRONT_MATTER_MAX_LINES:
            break
        elif not title and (match := _FRONT_MATTER_TITLE.fullmatch(line.rstrip())):
            title = match[1].strip("\"' \t")
    return "", 0


def _headings(text: str, body: int) -> Iterator[Heading]:
    fence = ""
    paragraph: list[tuple[int, str]] = []  # its lines so far; an underline makes a single one a heading
    for start, line in _lines(text, body):
        if match := _FENCE.match(line):
            run = match[1]
            if not fence:
                fence = run
            elif run[0] == fence[0] and len(run) >= len(fence) and not line[match.end() :].strip():
                fence = ""
            paragraph = []
        elif fence:
            continue
        elif match := _ATX.fullmatch(line):
            if heading := _plain(_CLOSING_MARKS.sub("", (match[2] or "").rstrip())):
                yield Heading(start, len(match[1]), heading)
            paragraph = []
        elif paragraph and (match := _UNDERLINE.fullmatch(line)):
            if len(paragraph) == 1 and (heading := _plain(paragraph[0][1])):
                yield Heading(paragraph[0][0], 1 if match[1][0] == "=" else 2, heading)
            paragraph = []
        elif not line.strip() or (not paragraph and _NOT_A_PARAGRAPH.match(line)):
            paragraph = []
        else:
            paragraph = [*paragraph[:1], (start, line)]


def _plain(heading: str) -> str:
    """A heading without links and emphasis."""
    return shorten(_EMPHASIS.sub("", _LINK.sub(r"\1", heading[:1000])))
