"""Where pypdf fails, PDFium reads; where both fail, the file is named."""

from __future__ import annotations

import io

import pytest
from pdf_files import PROSE, drawn_pdf, glyph_name_pdf, picture_pdf, saved, shown, text_pdf
from pypdf import PdfReader, PdfWriter

from ingest.errors import ParseFailure
from ingest.parsers.base import Limits
from ingest.parsers.pdf import PdfParser
from ingest.parsers.pdf_pages import PypdfFile
from ingest.parsers.pdfium import MAX_PIXELS, PdfiumFailure, PdfiumFile


def text_of(data: bytes) -> str:
    return " ".join("".join(page.text for page in PdfParser().parse(data, "stem", Limits()).pages).split())


def test_a_file_that_pypdf_cannot_open() -> None:
    data = text_pdf([PROSE, PROSE]).replace(b"startxref", b"startxxxx")
    with pytest.raises(ParseFailure):
        PypdfFile(data)
    document = PdfParser().parse(data, "stem", Limits())
    assert [page.label for page in document.pages] == ["1", "2"]
    assert document.pages[1].text.split() == PROSE.split()


def test_a_font_without_letter_names_is_read_when_the_text_proves_it() -> None:
    assert text_of(glyph_name_pdf(PROSE)) == " ".join(PROSE.split())


def test_a_font_that_is_missing() -> None:
    drawing = b"BT /F9 11 Tf 50 700 Td (" + PROSE.encode("ascii") + b") Tj ET"
    assert "\ufffd" in PdfReader(io.BytesIO(drawn_pdf([drawing]))).pages[0].extract_text()
    assert text_of(drawn_pdf([drawing])) == " ".join(PROSE.split())


def test_a_page_beyond_the_limit_is_not_given_to_the_second_reader() -> None:
    document = PdfParser().parse(
        drawn_pdf([shown(PROSE), shown("x") * 500]), "s", Limits(max_page_bytes=5_000)
    )
    assert document.pages[1].text == ""
    assert "drawing commands" in document.warnings[0]


def test_printed_labels_come_from_either_reader() -> None:
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(text_pdf([PROSE] * 4))))
    writer.set_page_label(0, 1, "/r")
    writer.set_page_label(2, 3, "/D", prefix="A-", start=7)
    data = saved(writer)
    labels = ["i", "ii", "A-7", "A-8"]
    assert [page.label for page in PdfParser().parse(data, "s", Limits()).pages] == labels
    assert [page.label for page in PdfiumFile(data).pages()] == labels


def test_pictures_are_seen_by_either_reader() -> None:
    data = picture_pdf(2, (PROSE,))
    assert [page.has_picture for page in PypdfFile(data).pages(Limits())] == [False, True]
    assert [page.has_picture for page in PdfiumFile(data).pages()] == [False, True]


def test_a_page_is_drawn_within_the_limit_of_dots() -> None:
    file = PdfiumFile(text_pdf([PROSE]))
    picture = file.picture(0, 100)
    assert len(picture.pixels) == picture.width * picture.height
    assert abs(picture.width - 210 / 25.4 * 100) < 2  # A4
    assert min(picture.pixels) < 80  # there is ink on it
    huge = file.picture(0, 10_000)
    assert 0.9 * MAX_PIXELS < huge.width * huge.height < 1.1 * MAX_PIXELS
    with pytest.raises(PdfiumFailure):
        file.picture(1, 100)


@pytest.mark.parametrize("data", [b"", b"%PDF-1.7", b"noise" * 100])
def test_what_is_no_pdf_is_named(data: bytes) -> None:
    with pytest.raises(PdfiumFailure):
        PdfiumFile(data)
