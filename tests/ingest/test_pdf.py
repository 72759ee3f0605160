"""PDF files: what can be read is, what cannot is named."""

from __future__ import annotations

import contextlib
import random

import pytest
from pdf_files import (
    PROSE,
    drawn_pdf,
    encrypted_pdf,
    glyph_name_pdf,
    no_pages_pdf,
    picture_pdf,
    shifted_font_pdf,
    shown,
    text_pdf,
)

from ingest.errors import ParseFailure
from ingest.parsers.base import Limits, ParsedDocument
from ingest.parsers.pdf import PdfParser


def parse(data: bytes, limits: Limits = Limits()) -> ParsedDocument:  # noqa: B008  (frozen)
    return PdfParser().parse(data, "stem", limits)


def failure(data: bytes, limits: Limits = Limits()) -> ParseFailure:  # noqa: B008
    with pytest.raises(ParseFailure) as caught:
        parse(data, limits)
    return caught.value


def words(text: str) -> list[str]:
    return text.split()


def test_text_comes_page_by_page() -> None:
    document = parse(text_pdf([PROSE, "", "Second page of the report. " + PROSE]))
    assert [page.label for page in document.pages] == ["1", "2", "3"]
    assert words(document.pages[0].text) == words(PROSE)
    assert document.pages[1].text == ""
    assert words(document.pages[2].text) == words("Second page of the report. " + PROSE)
    assert document.pages[0].text.endswith("\n\n")
    assert document.warnings == ()


@pytest.mark.parametrize(
    ("metadata", "title"),
    [
        ("Annual Report 2021", "Annual Report 2021"),
        ("Microsoft Word - report.doc", "Results of the year"),
        ("untitled", "Results of the year"),
        ("report_final.docx", "Results of the year"),
        ("", "Results of the year"),
    ],
)
def test_title_is_the_authors_or_the_first_line(metadata: str, title: str) -> None:
    assert parse(text_pdf(["Page 1 of 2\nResults of the year\n" + PROSE], metadata)).title == title


def test_a_short_page_without_pictures_is_no_scan() -> None:
    assert words(parse(text_pdf(["Hello"])).pages[0].text) == ["Hello"]


@pytest.mark.parametrize("algorithm", ["RC4-128", "AES-256"])
def test_a_password_is_asked_for_by_name(algorithm: str) -> None:
    refused = failure(encrypted_pdf("secret", algorithm))
    assert refused.code == "encrypted"
    assert "qpdf" in refused.remedy


@pytest.mark.parametrize("algorithm", ["RC4-128", "AES-256"])
def test_encryption_that_opens_without_a_password_is_read(algorithm: str) -> None:
    assert words(parse(encrypted_pdf("", algorithm)).pages[0].text) == words(PROSE)


@pytest.mark.parametrize("captions", [(), ("3",)])
def test_a_scan_is_named(captions: tuple[str, ...]) -> None:
    refused = failure(picture_pdf(3, captions))
    assert refused.code == "scanned"
    assert "ocrmypdf" in refused.remedy


def test_a_picture_drawn_inline_counts_too() -> None:
    inline = b"q 100 0 0 100 0 0 cm BI /W 1 /H 1 /CS /G /BPC 8 ID \xff EI Q"
    assert failure(drawn_pdf([inline])).code == "scanned"


def test_pictures_among_text_are_a_warning() -> None:
    document = parse(picture_pdf(3, (PROSE, PROSE)))
    assert len(document.pages) == 3
    assert document.warnings == (
        "page (3) of 3 are pictures without text (to have them read, run ocrmypdf --skip-text)",
    )


def test_fonts_that_hide_their_letters_are_named() -> None:
    for data in (shifted_font_pdf(PROSE), glyph_name_pdf("The letters of a short text could be any.")):
        refused = failure(data)
        assert refused.code == "garbled"
        assert "--force-ocr" in refused.remedy


def test_shifted_letters_without_control_characters_are_named() -> None:
    letters = "".join(chr(ord(char) - 29) for char in PROSE.lower() if char.isalpha()).replace("\\", "Z")
    assert failure(drawn_pdf([shown(letters)])).code == "garbled"


def test_pages_without_anything_are_empty() -> None:
    assert failure(no_pages_pdf()).code == "empty"
    assert failure(text_pdf(["", ""])).code == "empty"
    assert failure(b"").code == "empty"


def damaged() -> list[bytes]:
    whole = text_pdf([PROSE] * 3)
    return [
        b"%PDF-1.7\n" + random.Random(0).randbytes(5000),
        b"%PDF-1.4",
        b"%PDF-1.4\n%%EOF",
        whole[: len(whole) // 3],
        b"%PDF-1.7\n" + b"[" * 100_000,
        b"%PDF-1.7\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n"
        b"2 0 obj<</Type/Pages/Kids[2 0 R]/Count 1>>endobj\n"
        b"trailer<</Root 1 0 R>>\n%%EOF",
    ]


@pytest.mark.parametrize("data", damaged(), ids=["noise", "header", "eof", "truncated", "nested", "loop"])
def test_damaged_files_are_named(data: bytes) -> None:
    assert failure(data).code in ("broken", "empty")


def test_noise_anywhere_gives_text_or_a_failure() -> None:
    whole = text_pdf([PROSE])
    chance = random.Random(7)
    for _ in range(60):
        data = bytearray(whole)
        for _ in range(8):
            data[chance.randrange(len(data))] = chance.randrange(256)
        with contextlib.suppress(ParseFailure):
            assert parse(bytes(data)).pages


def test_one_bad_page_costs_a_warning() -> None:
    limits = Limits(max_page_bytes=5_000)
    document = parse(drawn_pdf([shown(PROSE), shown("x") * 500, shown(PROSE)]), limits)
    assert [bool(page.text) for page in document.pages] == [True, False, True]
    assert len(document.warnings) == 1
    assert document.warnings[0].startswith("page 2 could not be read: its drawing commands take")


def test_only_bad_pages_are_a_failure() -> None:
    refused = failure(drawn_pdf([shown("x") * 500]), Limits(max_page_bytes=5_000))
    assert refused.code == "broken"
    assert "page 1" in refused.message


def test_hundreds_of_bad_pages_do_not_flood_the_warnings() -> None:
    document = parse(drawn_pdf([shown(PROSE)] + [shown("x") * 500] * 60), Limits(max_page_bytes=5_000))
    assert len(document.warnings) == 21
    assert document.warnings[-1] == "40 more pages could not be read"
