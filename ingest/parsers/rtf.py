"""Rich Text Format, with striprtf.

Footnotes come where they are referred to, tables as tables.  RTF does not say where pages end: places are
runs of lines, one a paragraph.  Not covered: headers and footers, headings, pictures.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from ingest.errors import ParseFailure
from ingest.parsers.assembly import assemble
from ingest.parsers.base import Limits, ParsedDocument
from ingest.parsers.tables import row_text
from ingest.parsers.text import line_pages
from ingest.parsers.titles import authored

RTF_START = b"{\\rtf"
_PICTURE = re.compile(r"\\pict(?![a-z])")
_BRACE = re.compile(r"[{}]")
_FOOTNOTE = re.compile(r"\\footnote(?![a-z])")
_TITLE = re.compile(r"\{\\title ([^{}]{1,1000})\}")
_CODE_PAGE = re.compile(r"\\ansicpg\d{1,6}")
_HIGH = re.compile("[\x80-\xff]")


class RtfParser:
    """``.rtf``."""

    name = "rtf"
    media_type = "application/rtf"
    suffixes = frozenset({".rtf"})

    def parse(self, data: bytes, stem: str, limits: Limits) -> ParsedDocument:
        """Strip the control words; see `base.Parser.parse`."""
        del limits  # the size was checked before the file was read
        # RTF is ASCII; a byte above it is a character of the file's code page, properly written \'hh.
        source = _HIGH.sub(lambda char: f"\\'{ord(char[0]):02x}", data.decode("latin-1"))
        source = _rewritten(source, _PICTURE, lambda _: "")  # pictures are long and hold no text
        source = _rewritten(source, _FOOTNOTE, lambda text: rf"\plain  [note: {text.lstrip()}]")
        source = source.replace("\\fldinst{", "\\fldinst {")  # striprtf's search for links is quadratic
        title = _TITLE.search(source[:100_000])
        lines = "\n".join(_lines(_plain(source)))
        code_page = _CODE_PAGE.search(source[:10_000])
        head = f"{{\\rtf1{code_page[0] if code_page else ''} "
        shown_title = authored(_plain(head + title[1] + "}")) if title else ""
        return assemble(line_pages(lines, "paragraph"), shown_title, stem=stem)


def _rewritten(source: str, word: re.Pattern[str], rewrite: Callable[[str], str]) -> str:
    """`source` with what follows each `word`, up to the end of its group, put through `rewrite`."""
    pieces: list[str] = []
    position = 0
    while match := word.search(source, position):
        pieces.append(source[position : match.start()])
        depth, position = 1, len(source)
        for brace in _BRACE.finditer(source, match.end()):
            depth += 1 if brace[0] == "{" else -1
            if depth == 0:
                position = brace.start()
                break
        pieces.append(rewrite(source[match.end() : position]))
    pieces.append(source[position:])
    return "".join(pieces)


def _plain(source: str) -> str:
    """The text of RTF.

    Raises:
        ParseFailure: "broken".
    """
    from striprtf.striprtf import rtf_to_text

    try:
        raw: str = rtf_to_text(source, errors="replace")  # type: ignore[no-untyped-call]  # it has no types
    except MemoryError:
        raise
    except Exception as error:  # striprtf trusts numbers and code pages of the file
        raise ParseFailure("broken", detail=f"{type(error).__name__}: {error}") from error
    # \u writes characters outside the basic plane as two surrogates.
    text = raw.encode("utf-16-le", errors="surrogatepass").decode("utf-16-le", errors="replace")
    return text.replace("\xad", "")


def _lines(text: str) -> Iterator[str]:
    """Lines in which rows, which striprtf ends every cell of with a bar, are written as elsewhere."""
    for line in text.split("\n"):
        if line.endswith("|") and line.count("|") > 1:
            yield row_text(line[:-1].split("|"))
        else:
            yield line.rstrip("|").rstrip()
