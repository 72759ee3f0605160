"""OpenDocument texts (ODT): text, tables, notes, comments, headers and footers.

Headings make the pages.  Tracked deletions are left out.  Not covered: embedded objects, the numbers
of numbered headings and lists.
"""

from __future__ import annotations

import re

from ingest.errors import ParseFailure
from ingest.parsers.archives import NO_PASSWORD, Archive
from ingest.parsers.assembly import assemble
from ingest.parsers.base import Limits, ParsedDocument, ParsedPage
from ingest.parsers.flow import Flow, join_blocks, section_pages
from ingest.parsers.languages import language_tag
from ingest.parsers.markup import attribute, element_text, read_xml, whole_number
from ingest.parsers.tables import MAX_SPAN
from ingest.parsers.titles import authored

_MAX_SPACES = 200


class OdtParser:
    """``.odt`` and its templates."""

    name = "odt"
    media_type = "application/vnd.oasis.opendocument.text"
    suffixes = frozenset({".odt", ".ott"})

    def parse(self, data: bytes, stem: str, limits: Limits) -> ParsedDocument:
        """Read the content, the styles' headers and the title; see `base.Parser.parse`."""
        archive = Archive(data, limits)
        if b"encryption-data" in archive.read_if_there("META-INF/manifest.xml"):
            raise ParseFailure("encrypted", remedy=NO_PASSWORD)
        body = _Text("text")
        read_xml(archive.read("content.xml"), body, "content.xml")
        pages = list(section_pages(body.flow.finish()))
        margins = _Text("master-styles")
        read_xml(archive.read_if_there("styles.xml") or b"<none/>", margins, "styles.xml")
        defaults = _Defaults()
        read_xml(archive.read_if_there("styles.xml") or b"<none/>", defaults, "styles.xml")
        repeated = dict.fromkeys(block.text for block in margins.flow.finish())
        pages.append(ParsedPage("headers and footers", "\n\n".join(repeated)))
        meta = archive.read_if_there("meta.xml") or b"<none/>"
        title = element_text(meta, "title", "meta.xml")
        language = language_tag(element_text(meta, "language", "meta.xml")) or defaults.language
        heading = next((block.text for block in body.flow.blocks if block.level), "")
        return assemble(pages, authored(title), body.title or heading, stem=stem, language=language)


class _Defaults:
    """Listens to the styles: `language` is that of paragraphs without any of their own."""

    def __init__(self) -> None:
        self.language: str | None = None
        self._is_default = False

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "default-style":
            self._is_default = attribute(attributes, "family") == "paragraph"
        elif tag == "text-properties" and self._is_default and self.language is None:
            stated = (attribute(attributes, "language"), attribute(attributes, "country"))
            self.language = language_tag("-".join(part for part in stated if part not in ("", "none")))

    def end(self, tag: str) -> None:
        if tag == "default-style":
            self._is_default = False

    def data(self, text: str) -> None:
        del text


class _Text:
    """Listens to what is within the element `root`."""

    def __init__(self, root: str) -> None:
        self.flow = Flow()
        self.title = ""
        self._root = root
        self._path: list[str] = []  # the open elements from the root on
        self._n_skipped = 0
        self._n_blocks = 0  # paragraphs and headings that are open
        self._n_lists = 0
        self._is_item_new = False
        self._is_title = False
        self._n_notes = 0
        self._note: Flow | None = None
        self._outer: Flow | None = None
        self._note_mark = ""

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if not self._path:
            if tag == self._root:
                self._path.append(tag)
            return
        self._path.append(tag)
        if self._n_skipped or tag in _SKIPPED:
            self._n_skipped += 1
        elif tag == "h":
            self.flow.begin(level=min(whole_number(attribute(attributes, "outline-level"), 1, 9), 9) or 1)
            self._n_blocks += 1
        elif tag == "p":
            self._start_paragraph(attributes)
        elif tag == "s":
            self.flow.write(" " * max(whole_number(attribute(attributes, "c"), 1, _MAX_SPACES), 1))
        elif tag in _CHARACTERS:
            self.flow.write(_CHARACTERS[tag])
        elif tag in ("note", "annotation"):
            self._start_note(tag)
        else:
            self._start_container(tag, attributes)

    def _start_container(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "list":
            self._n_lists += 1
        elif tag == "list-item":
            self._is_item_new = True
        elif tag == "table":
            self.flow.open_table()
        elif tag == "table-row":
            self.flow.open_row()
        elif tag in ("table-cell", "covered-table-cell"):
            repeats = attribute(attributes, "number-columns-repeated")
            self.flow.open_cell(whole_number(repeats, 1, MAX_SPAN))

    def _start_paragraph(self, attributes: dict[str, str]) -> None:
        bullet = "  " * min(max(self._n_lists - 1, 0), 8) + "- "
        is_item = self._n_lists > 0 and self._is_item_new
        self.flow.begin(prefix=bullet if is_item else "", tight=is_item)
        self._is_item_new = False
        self._n_blocks += 1
        self._is_title = self._note is None and attribute(attributes, "style-name") == "Title"

    def _start_note(self, tag: str) -> None:
        if self._outer is None:
            self._n_notes += 1
            self._note_mark = f"[{'comment' if tag == 'annotation' else 'note'} {self._n_notes}]"
            self.flow.write(self._note_mark)
            self._outer, self.flow = self.flow, Flow()
            self._note = self.flow

    def end(self, tag: str) -> None:
        if not self._path:
            return
        self._path.pop()
        if self._n_skipped:
            self._n_skipped -= 1
        elif tag in ("p", "h"):
            self.flow.end()
            self._n_blocks -= 1
            self._is_title = False
        elif tag == "list":
            self._n_lists -= 1
        elif tag in ("note", "annotation") and not {"note", "annotation"} & set(self._path[-50:]):
            self._end_note()
        elif tag in ("table-cell", "covered-table-cell"):
            self.flow.close_cell()
        elif tag == "table":
            self.flow.close_table()

    def _end_note(self) -> None:
        if self._outer is None:
            return
        text = re.sub(r"\n{2,}", "\n", join_blocks(self.flow.finish())).strip()
        self.flow, self._outer, self._note = self._outer, None, None
        self.flow.note(f"{self._note_mark} {text}" if text else "")

    def data(self, text: str) -> None:
        if self._path and self._n_blocks and not self._n_skipped:
            self.flow.write_collapsed(text)
            if self._is_title and len(self.title) < 1000:
                self.title += text


# Deleted text, who made a change and when, the printed number of a note, settings of forms and indexes.
_SKIPPED = frozenset(
    (
        "tracked-changes", "note-citation", "creator", "date", "date-string", "creator-initials", "forms",
        "sequence-decls", "variable-decls", "object", "object-ole", "binary-data", "desc",
    )
)  # fmt: skip
_CHARACTERS = {"tab": "\t", "line-break": "\n"}
