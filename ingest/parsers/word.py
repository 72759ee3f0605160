"""Word documents (DOCX): text, tables, notes, comments, headers and footers.

Headings (styles named "heading 1" to 9, or an outline level) make the pages; without any, the page breaks
that Word noted when it last laid the text out.  Notes and comments follow the paragraph that refers
to them; headers and footers come once each, at the end.  Tracked deletions and hidden text are left out.

Not covered: the numbers of numbered lists and headings (they are not in the text), charts, SmartArt.
"""

from __future__ import annotations

import re

from ingest.errors import ParseFailure
from ingest.parsers.archives import Archive
from ingest.parsers.assembly import assemble
from ingest.parsers.base import Limits, ParsedDocument, ParsedPage
from ingest.parsers.flow import Flow, join_blocks, section_pages
from ingest.parsers.markup import attribute, read_xml, whole_number
from ingest.parsers.office_parts import authored_title, main_part, parts_of_type, relations, stated_language
from ingest.parsers.word_styles import NO_ROLES, StyleRoles, style_roles

_HEADER_LABEL = "headers and footers"
_SWITCHED_OFF = ("0", "false", "off", "none")


class DocxParser:
    """``.docx`` and ``.docm``."""

    name = "docx"
    media_type = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
    suffixes = frozenset({".docx", ".docm", ".dotx"})

    def parse(self, data: bytes, stem: str, limits: Limits) -> ParsedDocument:
        """Read the document and what belongs to it; see `base.Parser.parse`."""
        archive = Archive(data, limits)
        main = main_part(archive, "word/document.xml")
        related = relations(archive, main)
        roles = style_roles(archive.read_if_there(next(parts_of_type(related, "styles"), "")))
        notes: dict[str, str] = {}
        for kind in ("footnote", "endnote", "comment"):
            for part in parts_of_type(related, f"{kind}s"):
                collected = _Notes(kind)
                read_xml(archive.read_if_there(part) or b"<none/>", collected, part)
                notes |= collected.texts
        body = _Text(roles, notes)
        read_xml(archive.read(main), body, main)
        pages = list(section_pages(body.flow.finish()))
        margins: dict[str, None] = {}
        for kind in ("header", "footer"):
            for part in parts_of_type(related, kind):
                margin = _Text(NO_ROLES, {})
                read_xml(archive.read_if_there(part) or b"<none/>", margin, part)
                margins[join_blocks(margin.flow.finish())] = None
        pages.append(ParsedPage(_HEADER_LABEL, "".join(margins)))
        warnings = []
        if body.n_hidden:
            warnings.append(f"hidden text was left out ({body.n_hidden} places)")
        if body.n_charts:
            warnings.append(f"{body.n_charts} charts or diagrams were not read")
        if not any(page.text.strip() for page in pages):
            raise ParseFailure("empty", remedy=_NO_TEXT)
        language = stated_language(archive) or roles.language
        return assemble(
            pages,
            authored_title(archive),
            body.title,
            stem=stem,
            warnings=warnings,
            language=language,
        )


_NO_TEXT = "nothing to read; if it shows text as pictures, print it to PDF and run ocrmypdf on that"


class _Text:
    """Listens to a part that holds paragraphs and tables."""

    def __init__(self, roles: StyleRoles, notes: dict[str, str]) -> None:
        self.flow = Flow()
        self.title = ""
        self.n_hidden = 0
        self.n_charts = 0
        self._roles = roles
        self._notes = notes
        self._n_notes = 0
        self._n_skipped = 0  # how deep in elements whose text does not count
        self._in_text = False
        self._in_run = False
        self._is_hidden = False
        self._is_title = False

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if self._n_skipped or tag in _SKIPPED:
            self._n_skipped += 1
        elif tag in ("t", "delText"):
            self._in_text = tag == "t"
        elif tag in _CHARACTERS:
            # Within tab definitions of a paragraph's properties there is no run around.
            if self._in_run and not self._is_hidden:
                if tag == "br" and attribute(attributes, "type") == "page":
                    return
                self.flow.write(_CHARACTERS[tag])
        elif tag == "r":
            self._in_run, self._is_hidden = True, False
        elif tag == "lastRenderedPageBreak":
            self.flow.page_break()
        elif tag == "vanish":
            if self._in_run and attribute(attributes, "val") not in _SWITCHED_OFF:
                self._is_hidden = True
                self.n_hidden += 1
        elif tag in _REFERENCES:
            self._refer(_REFERENCES[tag], attribute(attributes, "id"))
        else:
            self._start_block(tag, attributes)

    def _start_block(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "p":
            self.flow.begin()
            self._is_title = False
        elif tag == "pStyle":
            style = attribute(attributes, "val")
            self._is_title = style == "Title"
            if level := self._roles.levels.get(style, 0):
                self.flow.style(level=level)
            elif style in self._roles.lists:
                self.flow.style(prefix="- ", tight=True)
        elif tag == "outlineLvl":
            # Direct formatting; 9 means body text.
            level = whole_number(attribute(attributes, "val"), 9, 9) + 1
            self.flow.style(level=level if level <= 9 else 0)
        elif tag == "numPr":
            if not self.flow.is_heading:
                self.flow.style(prefix="- ", tight=True)
        elif tag == "tbl":
            self.flow.open_table()
        elif tag == "tr":
            self.flow.open_row()
        elif tag == "tc":
            self.flow.open_cell()
        elif tag == "gridSpan":
            self.flow.span(whole_number(attribute(attributes, "val"), 1, 1000))
        elif tag in ("chart", "relIds"):
            self.n_charts += 1

    def end(self, tag: str) -> None:
        if self._n_skipped:
            self._n_skipped -= 1
        elif tag == "t":
            self._in_text = False
        elif tag == "r":
            self._in_run = self._is_hidden = False
        elif tag == "p":
            self.flow.end()
            self._is_title = False
        elif tag == "tc":
            self.flow.close_cell()
        elif tag == "tbl":
            self.flow.close_table()

    def data(self, text: str) -> None:
        if self._in_text and not self._n_skipped and not self._is_hidden:
            self.flow.write(text)
            if self._is_title and len(self.title) < 1000:
                self.title += text

    def _refer(self, kind: str, number: str) -> None:
        text = self._notes.get(f"{kind} {number}", "").strip()
        if text and not self._is_hidden:
            self._n_notes += 1
            mark = f"[comment {self._n_notes}]" if kind == "comment" else f"[note {self._n_notes}]"
            self.flow.write(mark)
            self.flow.note(f"{mark} {text}")


# Deleted and moved-away text, the older twin of a drawing, instructions of fields, phonetic guides.
_SKIPPED = frozenset(("del", "moveFrom", "Fallback", "instrText", "delInstrText", "rt"))
_CHARACTERS = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-", "ptab": "\t"}
_REFERENCES = {"footnoteReference": "footnote", "endnoteReference": "endnote", "commentReference": "comment"}


class _Notes:
    """Listens to a part of foot- or endnotes or comments; `texts` are by kind and id."""

    def __init__(self, kind: str) -> None:
        self.texts: dict[str, str] = {}
        self._kind = kind
        self._id = ""
        self._author = ""
        self._text: _Text | None = None

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == self._kind:
            # The lines between text and notes are notes of another type.
            if attribute(attributes, "type", "normal") == "normal":
                self._id = f"{self._kind} {attribute(attributes, 'id')}"
                self._author = attribute(attributes, "author")
                self._text = _Text(NO_ROLES, {})
        elif self._text is not None:
            self._text.start(tag, attributes)

    def end(self, tag: str) -> None:
        if tag == self._kind:
            if self._text is not None:
                text = re.sub(r"\n{2,}", "\n", join_blocks(self._text.flow.finish())).strip()
                self.texts[self._id] = f"{self._author}: {text}" if self._author and text else text
            self._text = None
        elif self._text is not None:
            self._text.end(tag)

    def data(self, text: str) -> None:
        if self._text is not None:
            self._text.data(text)
