"""Text recognition: only when asked, within its time, and never at the price of the document."""

from __future__ import annotations

import re
import shutil
import stat
import sys
from pathlib import Path

import pytest
from pdf_files import PROSE, picture_pdf, scanned_text_pdf, shifted_font_pdf, text_pdf

from ingest.errors import ParseFailure
from ingest.parsers.base import Limits, ParsedDocument
from ingest.parsers.pdf import PdfParser
from ingest.sandbox import ParserPool
from ingest.scan import scan

ASKED = Limits().with_ocr("eng")
needs_tesseract = pytest.mark.skipif(shutil.which("tesseract") is None, reason="tesseract is not installed")


def parse(data: bytes, limits: Limits = ASKED) -> ParsedDocument:
    return PdfParser().parse(data, "stem", limits)


def failure(data: bytes, limits: Limits = ASKED) -> ParseFailure:
    with pytest.raises(ParseFailure) as caught:
        parse(data, limits)
    return caught.value


@pytest.fixture
def tesseract(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program of that name that says the size of the picture; the file returned says what more it does."""
    program = tmp_path / "tesseract"
    program.write_text(
        f"#!{sys.executable}\n"
        "import pathlib, sys, time\n"
        "if '--list-langs' in sys.argv:\n"
        "    print('List of available languages (2):\\neng\\nosd')\n"
        "    sys.exit()\n"
        "head = [sys.stdin.buffer.readline() for _ in range(3)]\n"
        "width, height = map(int, head[1].split())\n"
        "assert head[0] == b'P5\\n' and head[2] == b'255\\n'\n"
        "assert len(sys.stdin.buffer.read()) == width * height\n"
        "exec(pathlib.Path(__file__).with_name('more.py').read_text())\n"
        "print('recognised', width, 'by', height, *sys.argv[1:])\n"
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    (tmp_path / "more.py").write_text("")
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path / "more.py"


def test_it_is_off_unless_asked(tesseract: Path) -> None:
    refused = failure(picture_pdf(1), Limits())
    assert refused.code == "scanned"
    assert "--ocr eng" in refused.remedy
    assert "ocrmypdf" in refused.remedy


def test_only_pictures_are_recognised(tesseract: Path) -> None:
    document = parse(picture_pdf(3, (PROSE,)))
    assert document.pages[0].text.split() == PROSE.split()
    for page in document.pages[1:]:
        # A4 at 300 dpi
        assert re.fullmatch(r"recognised 248\d by 350\d stdin stdout -l eng --dpi 300", page.text.strip())
    assert document.warnings == ("2 pages (2, 3) of 3 recognised from pictures: expect misread letters",)


def test_garbled_letters_are_recognised_too(tesseract: Path) -> None:
    assert parse(shifted_font_pdf(PROSE)).pages[0].text.startswith("recognised")


def test_a_page_that_fails_costs_a_warning(tesseract: Path) -> None:
    tesseract.write_text("print('bad \\x1b[31mnews', file=sys.stderr); sys.exit(3)")
    document = parse(picture_pdf(2, (PROSE,)))
    assert document.warnings[0] == "page 2 could not be recognised: bad news"
    assert "pictures without text" in document.warnings[1]


def test_the_time_for_a_file_is_bounded(tesseract: Path) -> None:
    tesseract.write_text("time.sleep(600)")
    limits = Limits(ocr_s=1.0).with_ocr("eng")
    document = parse(picture_pdf(4, (PROSE,)), limits)
    assert document.warnings[0].startswith("page 2 could not be recognised: it took longer than")
    assert document.warnings[1] == "2 pages (3, 4) not recognised: the time for it is 1 s a file"


@pytest.mark.parametrize("languages", ["xyz", "eng+xyz", "../etc", "eng --psm 0", "", "eng+"])
def test_languages_are_checked(tesseract: Path, languages: str) -> None:
    refused = failure(picture_pdf(1), Limits().with_ocr(languages))
    assert refused.code == "scanned"
    if languages:
        assert "does not know the language" in refused.message


def test_without_tesseract_the_failure_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    refused = failure(picture_pdf(1))
    assert "not installed" in refused.message
    assert "tesseract-ocr" in refused.remedy
    assert parse(text_pdf([PROSE])).pages[0].text.split() == PROSE.split()


@needs_tesseract
def test_a_scan_is_read_in_the_parser_process(tmp_path: Path) -> None:
    said = [
        "The tender was opened on 14 March 2021.",
        "Harrow Mill offered 48,250 pounds.",
        "Nobody else came.",
    ]
    (tmp_path / "scan.pdf").write_bytes(scanned_text_pdf(said))
    with ParserPool(ASKED) as pool:
        parsed = pool.parse(scan([tmp_path]).files[0])
    assert [line for line in parsed.text.text.split("\n") if line] == said
    assert [page.label for page in parsed.text.pages] == ["1"]
