"""PowerPoint presentations (PPTX): one page a slide, in the order of the show, with the speaker's notes.

Slide numbers, dates and footers of the design are left out.  Not covered: charts and SmartArt (a
warning counts them), comments, text in pictures.
"""

from __future__ import annotations

from ingest.errors import ParseFailure
from ingest.parsers.archives import Archive
from ingest.parsers.assembly import assemble
from ingest.parsers.base import Limits, ParsedDocument, ParsedPage
from ingest.parsers.flow import Flow, join_blocks
from ingest.parsers.markup import attribute, read_xml, whole_number
from ingest.parsers.office_parts import authored_title, main_part, parts_of_type, relations, stated_language
from ingest.parsers.titles import shorten

MAX_SLIDES = 10_000
_MAX_TITLE_CHARS = 60
_OF_THE_DESIGN = frozenset(("sldNum", "dt", "ftr", "hdr"))
_TITLES = frozenset(("title", "ctrTitle"))


class PptxParser:
    """``.pptx`` and its kin."""

    name = "pptx"
    media_type = "application/vnd.openxmlformats-officedocument.presentationml.presentation"
    suffixes = frozenset({".pptx", ".pptm", ".ppsx", ".potx"})

    def parse(self, data: bytes, stem: str, limits: Limits) -> ParsedDocument:
        """Read every slide and its notes; see `base.Parser.parse`."""
        archive = Archive(data, limits)
        main = main_part(archive, "ppt/presentation.xml")
        order = _Order()
        read_xml(archive.read(main), order, main)
        related = relations(archive, main)
        parts = [related[key].part for key in order.slides if key in related]
        if len(parts) > MAX_SLIDES:
            raise ParseFailure("too-large", detail=f"{len(parts):,} slides, the limit is {MAX_SLIDES:,}")
        pages: list[ParsedPage] = []
        warnings: list[str] = []
        first_title = ""
        for number, part in enumerate(parts, start=1):
            if part not in archive.names:
                warnings.append(f"slide {number} is missing in the file")
                continue
            slide = _Slide()
            read_xml(archive.read(part), slide, part)
            text = join_blocks(slide.flow.finish())
            notes = _notes(archive, part)
            first_title = first_title or slide.title
            if slide.n_charts:
                warnings.append(f"slide {number}: {slide.n_charts} charts or diagrams were not read")
            label = f"slide {number}" + (" (hidden)" if slide.is_hidden else "")
            title = shorten(slide.title, _MAX_TITLE_CHARS)
            pages.append(ParsedPage(f"{label}: {title}" if title else label, text + notes))
        return assemble(
            pages,
            authored_title(archive),
            first_title,
            stem=stem,
            warnings=warnings,
            language=stated_language(archive),
        )


def _notes(archive: Archive, slide: str) -> str:
    """The speaker's notes, introduced as such; "" when there are none."""
    part = next(parts_of_type(relations(archive, slide), "notesSlide"), "")
    if part not in archive.names:
        return ""
    notes = _Slide()
    read_xml(archive.read(part), notes, part)
    text = join_blocks(notes.flow.finish())
    return f"Notes:\n{text}" if text else ""


class _Order:
    """Listens to the presentation: `slides` are the relations to its slides."""

    def __init__(self) -> None:
        self.slides: list[str] = []

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "sldId":
            # Beside the relation's id stands a plain `id`, a number of PowerPoint's own.
            related = {key: value for key, value in attributes.items() if key != "id"}
            self.slides.append(attribute(related, "id"))

    def end(self, tag: str) -> None:
        del tag

    def data(self, text: str) -> None:
        del text


class _Slide:
    """Listens to a slide or its notes."""

    def __init__(self) -> None:
        self.flow = Flow()
        self.title = ""
        self.is_hidden = False
        self.n_charts = 0
        self._placeholder = ""
        self._n_skipped = 0
        self._in_text = False

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if self._n_skipped or tag == "Fallback":
            self._n_skipped += 1
        elif tag == "sld":
            self.is_hidden = attribute(attributes, "show") in ("0", "false")
        elif tag == "sp":
            self.flow.end()
            self._placeholder = ""
        elif tag == "ph":
            self._placeholder = attribute(attributes, "type", "body")
        elif tag == "p":
            self.flow.begin(tight=self._placeholder not in _TITLES)
        elif tag == "pPr":
            depth = whole_number(attribute(attributes, "lvl"), 0, 8)
            if depth:
                self.flow.style(prefix="  " * (depth - 1) + "- ", tight=True)
        elif tag == "t":
            self._in_text = True
        elif tag == "br":
            self.data_of_shape("\n")
        elif tag in ("chart", "relIds"):
            self.n_charts += 1
        else:
            self._start_table(tag)

    def _start_table(self, tag: str) -> None:
        if tag == "tbl":
            self.flow.open_table()
        elif tag == "tr":
            self.flow.open_row()
        elif tag == "tc":
            self.flow.open_cell()  # cells that a merged one covers are there too, and empty

    def end(self, tag: str) -> None:
        if self._n_skipped:
            self._n_skipped -= 1
        elif tag == "t":
            self._in_text = False
        elif tag in ("p", "sp"):
            self.flow.end()
            if self._placeholder in _TITLES and self.title:
                self.title += " "
            if tag == "sp":
                self._placeholder = ""
        elif tag == "tc":
            self.flow.close_cell()
        elif tag == "tbl":
            self.flow.close_table()

    def data(self, text: str) -> None:
        if self._in_text and not self._n_skipped:
            self.data_of_shape(text)

    def data_of_shape(self, text: str) -> None:
        """Text of the current shape, unless the design puts it on every slide."""
        if self._placeholder in _OF_THE_DESIGN:
            return
        self.flow.write(text)
        if self._placeholder in _TITLES and len(self.title) < 1000:
            self.title += text
