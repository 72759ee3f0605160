"""Write the PDF documents of the example company: pdf_sources/*.md -> documents/*.pdf.

Takes no arguments.  Needs fpdf2.  The same source gives the same bytes with the same fpdf2: dates and
producer are fixed, and only the fonts that every PDF reader brings along are used, so a source may hold
only Latin-1 characters.

A source starts with `key: value` lines (title, author, subject, footer, created) and an empty line.  Its
body knows headings (`#`, `##`), paragraphs, one line each for a list, tables (`|`) and `---` for a new page.
"""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass
from pathlib import Path

from fpdf import FPDF
from fpdf.enums import TableBordersLayout, XPos, YPos
from fpdf.fonts import FontFace

HERE = Path(__file__).resolve().parent
SOURCES = HERE / "pdf_sources"
DOCUMENTS = HERE / "documents"

BODY_PT = 10.5
LINE_MM = 5.4
HEADING_PT = {1: 15.0, 2: 12.0}
KEYS = ("title", "author", "subject", "footer", "created")
INK = (32, 38, 46)
ACCENT = (24, 84, 96)
PALE = (230, 238, 239)
SEPARATOR_ROW = re.compile(r"\|[\s:|-]+\|")


class SourceError(ValueError):
    """A source file is not written as this script expects; the message names file and fault."""


@dataclass(frozen=True, slots=True)
class Source:
    """One source file: its head and the blocks of its body."""

    title: str
    author: str
    subject: str
    footer: str
    created: datetime.datetime
    blocks: tuple[str, ...]


def read_source(path: Path) -> Source:
    """Read head and body; raise SourceError for a missing key, a bad date or a character outside Latin-1."""
    text = path.read_text(encoding="utf-8")
    try:
        text.encode("latin-1")
    except UnicodeEncodeError as error:
        raise SourceError(f"{path.name}: character {text[error.start]!r} is not in Latin-1") from error
    head, _, body = text.partition("\n\n")
    fields = dict(line.split(": ", 1) for line in head.splitlines() if ": " in line)
    missing = [key for key in KEYS if key not in fields]
    if missing:
        raise SourceError(f"{path.name}: the head lacks {', '.join(missing)}")
    try:
        created = datetime.datetime.fromisoformat(fields["created"]).replace(hour=9, tzinfo=datetime.UTC)
    except ValueError as error:
        raise SourceError(f"{path.name}: created is not a date like 2026-03-30") from error
    blocks = tuple(block.strip("\n") for block in re.split(r"\n{2,}", body) if block.strip())
    return Source(fields["title"], fields["author"], fields["subject"], fields["footer"], created, blocks)


class Report(FPDF):
    """An A4 document with a running foot: what it is, and the page number."""

    def __init__(self, source: Source) -> None:
        super().__init__(format="A4")
        self._foot = source.footer
        self.set_margins(left=24, top=22, right=24)
        self.set_auto_page_break(True, margin=24)
        self.set_title(source.title)
        self.set_author(source.author)
        self.set_subject(source.subject)
        self.set_lang("en-GB")
        self.set_producer("examples/make_pdfs.py")
        self.set_creator("examples/make_pdfs.py")
        self.set_creation_date(source.created)

    def footer(self) -> None:
        """Called by fpdf2 at the end of every page."""
        self.set_y(-16)
        self.set_font("Helvetica", size=8)
        self.set_text_color(*ACCENT)
        self.cell(w=self.epw / 2, text=self._foot)
        self.cell(w=self.epw / 2, text=f"Page {self.page_no()}", align="R")

    def cover(self, source: Source) -> None:
        """Author, title and subject at the top of the first page."""
        self.add_page()
        for text, style, size in (
            (source.author, "", 11.0),
            (source.title, "B", 24.0),
            (source.subject, "", 11.0),
        ):
            self._line(text, style, size, ACCENT)
        self.ln(6)

    def heading(self, text: str, level: int) -> None:
        """A heading, kept together with the lines that follow it, and its bookmark."""
        if self.will_page_break(34 if level == 1 else 22):
            self.add_page()
        self.ln(4 if level == 1 else 2)
        self.start_section(text, level=level - 1)
        self._line(text, "B", HEADING_PT[level], ACCENT)
        self.ln(1)

    def lines(self, block: str) -> None:
        """A paragraph, or the lines of a list, ragged right."""
        for line in block.splitlines():
            self._line(line, "", BODY_PT, INK)
        self.ln(2)

    def rows(self, block: str) -> None:
        """A table; its first row is the heading.  Columns are as wide as their longest text asks for."""
        self.set_font("Helvetica", size=9.5)
        self.set_text_color(*INK)
        cells = [
            [cell.strip() for cell in line.strip("|").split("|")]
            for line in block.splitlines()
            if not SEPARATOR_ROW.fullmatch(line)
        ]
        widths = tuple(
            min(60, max(9, *(len(text) for text in column))) for column in zip(*cells, strict=True)
        )
        with self.table(
            borders_layout=TableBordersLayout.HORIZONTAL_LINES,
            col_widths=widths,
            headings_style=FontFace(emphasis="BOLD", color=ACCENT, fill_color=PALE),
            line_height=LINE_MM,
            padding=(1, 1.5),
            text_align="LEFT",
        ) as table:
            for texts in cells:
                row = table.row()
                for text in texts:
                    row.cell(text)
        self.ln(4)

    def _line(self, text: str, style: str, size: float, colour: tuple[int, int, int]) -> None:
        self.set_font("Helvetica", style=style, size=size)
        self.set_text_color(*colour)
        height = max(LINE_MM, size * 0.5)
        self.multi_cell(w=0, h=height, text=text, align="L", new_x=XPos.LMARGIN, new_y=YPos.NEXT)


def render(source: Source) -> bytes:
    """The bytes of the PDF."""
    report = Report(source)
    report.cover(source)
    for block in source.blocks:
        if block.startswith("## "):
            report.heading(block[3:], 2)
        elif block.startswith("# "):
            report.heading(block[2:], 1)
        elif block.startswith("|"):
            report.rows(block)
        elif block == "---":
            report.add_page()
        else:
            report.lines(block)
    return bytes(report.output())


def build(sources: Path, target: Path) -> list[Path]:
    """Render every source into `target`; return the files written, in order of name."""
    written = []
    for path in sorted(sources.glob("*.md")):
        pdf = target / f"{path.stem}.pdf"
        partial = pdf.with_suffix(".part")
        partial.write_bytes(render(read_source(path)))
        partial.replace(pdf)
        written.append(pdf)
    return written


if __name__ == "__main__":
    for made in build(SOURCES, DOCUMENTS):
        print(made.relative_to(HERE))
