"""Makes the PDF files that the tests need: ordinary, odd and hostile ones."""

from __future__ import annotations

import io
from collections.abc import Sequence

import pypdfium2
from fpdf import FPDF
from PIL import Image
from pypdf import PdfReader, PdfWriter
from pypdf.generic import (
    ArrayObject,
    DecodedStreamObject,
    DictionaryObject,
    NameObject,
    NumberObject,
    TextStringObject,
)

PROSE = (
    "The company reported higher sales in the northern region. Risks remain: the price of steel rose "
    "twice during the year, and two suppliers closed their plants without notice. The board therefore "
    "asked for a second source of every part that is bought from one supplier only. "
)


def written(pdf: FPDF) -> bytes:
    return bytes(pdf.output())


def text_pdf(pages: Sequence[str], title: str = "") -> bytes:
    """One PDF page for each text."""
    pdf = FPDF()
    pdf.set_font("helvetica", size=11)
    if title:
        pdf.set_title(title)
    for page in pages:
        pdf.add_page()
        if page:
            pdf.multi_cell(0, 6, page)
    return written(pdf)


def picture_pdf(n_pages: int, captions: Sequence[str] = ()) -> bytes:
    """Pages that hold one picture each, as a scanner makes them; the first ones with a caption."""
    pdf = FPDF()
    pdf.set_font("helvetica", size=11)
    picture = Image.new("L", (120, 160), 200)
    for number in range(n_pages):
        picture.putpixel((number, 0), 0)
        pdf.add_page()
        pdf.image(picture.copy(), x=10, y=60, w=180)
        if number < len(captions):
            pdf.multi_cell(0, 6, captions[number])
    return written(pdf)


def table_pdf(rows: Sequence[Sequence[str]], before: str = "", after: str = "") -> bytes:
    """One page with a ruled table of wrapped cells, between two texts."""
    pdf = FPDF()
    pdf.set_font("helvetica", size=10)
    pdf.add_page()
    pdf.multi_cell(0, 6, before, new_x="LMARGIN", new_y="NEXT")
    with pdf.table(v_align="TOP") as table:
        for row in rows:
            table.row(row)
    pdf.multi_cell(0, 6, after)
    return written(pdf)


def two_column_pdf(left: str, right: str) -> bytes:
    """A page of running text in two columns, drawn one after the other."""
    pdf = FPDF()
    pdf.set_font("helvetica", size=9)
    pdf.add_page()
    for x, text in ((10, left), (110, right)):
        pdf.set_xy(x, 20)
        pdf.multi_cell(85, 5, text)
    return written(pdf)


def scanned_text_pdf(lines: Sequence[str]) -> bytes:
    """A page that is a picture of text, as a scanner makes it at 150 dpi."""
    drawn = pypdfium2.PdfDocument(text_pdf(["\n".join(lines)]))[0].render(scale=150 / 72, grayscale=True)
    pdf = FPDF()
    pdf.add_page()
    pdf.image(drawn.to_pil(), x=0, y=0, w=pdf.w)
    return written(pdf)


def encrypted_pdf(user_password: str, algorithm: str = "AES-256") -> bytes:
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(text_pdf([PROSE]))))
    writer.encrypt(user_password, "owner's password", algorithm=algorithm)
    return saved(writer)


def no_pages_pdf() -> bytes:
    return saved(PdfWriter())


def saved(writer: PdfWriter) -> bytes:
    buffer = io.BytesIO()
    writer.write(buffer)
    return buffer.getvalue()


def drawn_pdf(drawings: Sequence[bytes], font: DictionaryObject | None = None) -> bytes:
    """Pages from raw drawing commands; the font, Helvetica by default, is ``/F1``."""
    writer = PdfWriter()
    font_reference = writer._add_object(font or _helvetica())
    for drawing in drawings:
        page = writer.add_blank_page(612, 792)
        stream = DecodedStreamObject()
        stream.set_data(drawing)
        page[NameObject("/Contents")] = writer._add_object(stream.flate_encode())
        page[NameObject("/Resources")] = DictionaryObject(
            {NameObject("/Font"): DictionaryObject({NameObject("/F1"): font_reference})}
        )
    return saved(writer)


def shown(text: str) -> bytes:
    """Drawing commands that show `text` (ASCII without brackets)."""
    return b"BT /F1 11 Tf 50 700 Td (" + text.encode("ascii") + b") Tj ET"


def shifted_font_pdf(text: str) -> bytes:
    """A subset font without a ToUnicode map: codes are glyph numbers, 29 below the ASCII codes."""
    descendant = _font("/CIDFontType2")
    descendant[NameObject("/CIDSystemInfo")] = DictionaryObject(
        {
            NameObject("/Registry"): TextStringObject("Adobe"),
            NameObject("/Ordering"): TextStringObject("Identity"),
            NameObject("/Supplement"): NumberObject(0),
        }
    )
    font = _font("/Type0")
    font[NameObject("/Encoding")] = NameObject("/Identity-H")
    font[NameObject("/DescendantFonts")] = ArrayObject([descendant])
    codes = "".join(f"{ord(char) - 29:04X}" for char in text)
    return drawn_pdf([f"BT /F1 11 Tf 50 700 Td <{codes}> Tj ET".encode()], font)


def glyph_name_pdf(text: str) -> bytes:
    """A font whose encoding names its glyphs g65, g66 ... instead of A, B ..."""
    names = [NameObject(f"/g{code}") for code in range(65, 123)]
    font = _font("/Type1")
    font[NameObject("/Encoding")] = DictionaryObject(
        {
            NameObject("/Type"): NameObject("/Encoding"),
            NameObject("/Differences"): ArrayObject([NumberObject(65), *names]),
        }
    )
    return drawn_pdf([shown(text)], font)


def _helvetica() -> DictionaryObject:
    font = _font("/Type1")
    font[NameObject("/BaseFont")] = NameObject("/Helvetica")
    font[NameObject("/Encoding")] = NameObject("/WinAnsiEncoding")
    return font


def _font(subtype: str) -> DictionaryObject:
    return DictionaryObject(
        {
            NameObject("/Type"): NameObject("/Font"),
            NameObject("/Subtype"): NameObject(subtype),
            NameObject("/BaseFont"): NameObject("/ABCDEF+Some"),
        }
    )
