"""HTML: what a browser shows, without scripts, styles, comments and navigation; parsed by Lexbor.

Headings make the pages.  Tables come as tables, unless they only arrange the page (they hold headings or
other tables).  Not covered: addresses of links, values of forms, what scripts would add, style sheets
(text hidden by a class is read; by `hidden` or an inline ``display:none`` it is not).
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ingest.errors import ParseFailure
from ingest.parsers.assembly import assemble
from ingest.parsers.base import Limits, ParsedDocument
from ingest.parsers.decoding import decode
from ingest.parsers.flow import Block, Flow, section_pages
from ingest.parsers.languages import language_tag
from ingest.parsers.markup import whole_number

if TYPE_CHECKING:
    from selectolax.lexbor import LexborNode

_DECLARATION_REACH = 2048  # bytes; the HTML standard says 1024, XML declarations may come before
_DECLARED = re.compile(rb"""(?:charset|encoding)\s*=\s*["']?\s*([A-Za-z0-9_:.-]{2,40})""", re.IGNORECASE)
_KNOWN_ENCODINGS = re.compile(
    r"utf-8|utf-16(-[lb]e)?|iso8859-\d+|cp\d+|koi8-\w|gb\w+|big5\w*|shift_jis\w*|euc_\w+|iso2022_jp|mac-\w+|tis-620"
    r"|hz|johab"
)
_NOT_SHOWN = frozenset(
    "script style template noscript iframe object embed audio video canvas svg nav head button select"
    " datalist textarea input map param source track".split()
)
_PARAGRAPHS = frozenset(
    "address article aside blockquote body center dd details dialog dir div dl dt fieldset figcaption"
    " figure footer form header hgroup hr html legend main menu ol optgroup p pre section summary ul".split()
)
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_ARRANGING = frozenset([*_HEADINGS, "table", "article", "section", "main"])
_DISPLAY_NONE = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
# In XHTML these may close themselves; to an HTML parser the rest of the file would be their content.
_SELF_CLOSED = re.compile(
    r"<(title|script|style|textarea|iframe|noscript|xmp|template)\b([^<>]*)/>", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class WebText:
    """The text of an HTML document: its blocks, the title in its head ("" when there is none), and the
    language that it states."""

    blocks: list[Block]
    title: str
    language: str | None


class HtmlParser:
    """``.html`` and its kin."""

    name = "html"
    media_type = "text/html"
    suffixes = frozenset({".html", ".htm", ".xhtml"})

    def parse(self, data: bytes, stem: str, limits: Limits) -> ParsedDocument:
        """Decode and read what is shown; see `base.Parser.parse`."""
        del limits  # the size was checked before the file was read
        if not data.strip():
            raise ParseFailure("empty", remedy="nothing to read; leave it out")
        source, warnings = decode_markup(data)
        page = web_text(source)
        return assemble(
            section_pages(page.blocks), page.title, stem=stem, warnings=warnings, language=page.language
        )


def decode_markup(data: bytes) -> tuple[str, tuple[str, ...]]:
    """The characters of an HTML or XHTML file, in the encoding it declares if that fits, and warnings.

    Raises:
        ParseFailure: "binary".
    """
    declared = _DECLARED.search(data[:_DECLARATION_REACH])
    if declared and not data.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        name = _encoding(declared[1].decode("ascii"))
        # A document whose declaration can be read as ASCII is not in UTF-16, whatever it says.
        if name and not name.startswith("utf-16") and b"\0" not in data[:_DECLARATION_REACH]:
            try:
                return data.decode(name), ()
            except UnicodeDecodeError:
                pass  # it lies: look at the bytes
    decoded = decode(data)
    return decoded.text, decoded.warnings


def _encoding(label: str) -> str:
    """Python's name of a declared encoding, "" when it is not one that web pages use."""
    try:
        name = codecs.lookup(label).name
    except (LookupError, ValueError):
        return ""
    if name in ("iso8859-1", "ascii"):  # the encoding standard of the web reads both as windows-1252
        return "cp1252"
    return name if _KNOWN_ENCODINGS.fullmatch(name) else ""


def web_text(source: str) -> WebText:
    """What a browser would show of the HTML or XHTML document `source`."""
    from selectolax.lexbor import LexborHTMLParser

    tree = LexborHTMLParser(_SELF_CLOSED.sub(r"<\1\2></\1>", source))
    root = tree.root
    if root is None:
        return WebText([], "", None)
    title = tree.css_first("head > title")
    reader = _Reader(_tables_that_arrange(root))
    for node, entering in _walk(root):
        if entering:
            reader.enter(node)
        else:
            reader.leave(node.tag or "")
    stated = root.attributes.get("lang") or root.attributes.get("xml:lang") or ""
    return WebText(reader.flow.finish(), title.text() if title is not None else "", language_tag(stated))


def _walk(root: LexborNode) -> Iterator[tuple[LexborNode, bool]]:
    """Every node that is shown, on entering and on leaving it.  No recursion: pages may be nested deeply."""
    path = [root]
    yield root, True
    node = root.child
    while path:
        if node is None:
            left = path.pop()
            yield left, False
            node = left.next if path else None
        elif (tag := node.tag) == "-text":
            yield node, True
            node = node.next
        elif tag is None or tag.startswith(("-", "!")) or tag in _NOT_SHOWN or _is_hidden(node):
            node = node.next
        else:
            yield node, True
            path.append(node)
            node = node.child


def _is_hidden(node: LexborNode) -> bool:
    attributes = node.attributes
    if not attributes:
        return False
    return "hidden" in attributes or bool(_DISPLAY_NONE.search((attributes.get("style") or "")[:1000]))


def _tables_that_arrange(root: LexborNode) -> list[bool]:
    """For each table in the order of the document: whether it arranges the page instead of holding data."""
    arranging: list[bool] = []
    around: list[int] = []
    for node, entering in _walk(root):
        tag = node.tag or ""
        if entering and around and tag in _ARRANGING:
            arranging[around[-1]] = True
        if tag == "table":
            if entering:
                around.append(len(arranging))
                arranging.append((node.attributes.get("role") or "") == "presentation")
            else:
                around.pop()
    return arranging


class _Reader:
    """Turns nodes into blocks."""

    def __init__(self, arranging: list[bool]) -> None:
        self.flow = Flow()
        self._arranging = iter(arranging)
        self._tables: list[bool] = []  # the tables around this place: whether each arranges
        self._lists: list[int] = []  # the lists around this place: the next number, -1 for bullets
        self._n_preformatted = 0

    def enter(self, node: LexborNode) -> None:
        tag = node.tag or ""
        flow = self.flow
        if tag == "-text":
            text = node.text_content or ""
            flow.write(text) if self._n_preformatted else flow.write_collapsed(text)
        elif tag == "br":
            flow.write("\n")
        elif tag in _HEADINGS:
            flow.begin(level=_HEADINGS[tag])
        elif tag == "li":
            flow.begin(prefix=self._bullet(), tight=True)
        elif tag == "table":
            self._tables.append(next(self._arranging))
            flow.end() if self._tables[-1] else flow.open_table()
        elif tag in ("tr", "td", "th"):
            self._enter_cell(node, tag)
        elif tag == "img":
            flow.write_collapsed((node.attributes.get("alt") or "")[:1000])
        elif tag in _PARAGRAPHS or tag == "caption":
            # The first paragraph of a list item belongs to its bullet.
            if not flow.is_at_bullet or tag in ("ul", "ol"):
                flow.end()
            if tag in ("ul", "ol"):
                start = (node.attributes.get("start") or "") if tag == "ol" else ""
                self._lists.append(whole_number(start, 1, 1_000_000) if tag == "ol" else -1)
            elif tag == "pre":
                self._n_preformatted += 1

    def _enter_cell(self, node: LexborNode, tag: str) -> None:
        if not self._tables or self._tables[-1]:
            self.flow.end()
        elif tag == "tr":
            self.flow.open_row()
        else:
            self.flow.open_cell(whole_number(node.attributes.get("colspan") or "", 1, 1000))

    def leave(self, tag: str) -> None:
        flow = self.flow
        if tag == "table":
            if self._tables.pop():
                flow.end()
            else:
                flow.close_table()
        elif tag in ("td", "th") and self._tables and not self._tables[-1]:
            flow.close_cell()
        elif tag in _HEADINGS or tag in _PARAGRAPHS or tag in ("li", "td", "th", "tr", "caption"):
            flow.end()
            if tag in ("ul", "ol") and self._lists:
                self._lists.pop()
            elif tag == "pre":
                self._n_preformatted -= 1

    def _bullet(self) -> str:
        indent = "  " * min(max(len(self._lists) - 1, 0), 8)
        if self._lists and self._lists[-1] >= 0:
            self._lists[-1] += 1
            return f"{indent}{self._lists[-1] - 1}. "
        return f"{indent}- "
