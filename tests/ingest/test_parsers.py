"""The registry of formats, and every format through the parser process."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import openpyxl
import pytest
from format_files import docx, epub, odt, w_p
from pdf_files import text_pdf
from pptx import Presentation

from ingest.errors import FAILURE_CODES, ParseFailure
from ingest.parsers import PARSERS, Limits, Parser, agreeing_parser, readable_kinds, readable_suffixes
from ingest.sandbox import ParserPool
from ingest.scan import scan


@pytest.fixture(scope="module")
def pool() -> Iterator[ParserPool]:
    with ParserPool(Limits(cpu_s=200, wall_s=900)) as warm:
        yield warm


def workbook() -> bytes:
    book, buffer = openpyxl.Workbook(), io.BytesIO()
    book.active["A1"] = "core words"
    book.save(buffer)
    return buffer.getvalue()


def slides() -> bytes:
    show, buffer = Presentation(), io.BytesIO()
    show.slides.add_slide(show.slide_layouts[5]).shapes.title.text = "core words"
    show.save(buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "label"),
    [
        ("a.txt", b"core words", "line 1"),
        ("a.md", b"# Top\ncore words", "Top"),
        ("a.rst", b"Top\n===\ncore words", "Top"),
        ("a.rs", b"// core words", "line 1"),
        ("a.ipynb", b'{"cells": [{"cell_type": "raw", "source": "core words"}]}', "cell 1"),
        ("a.html", b"<h1>Top</h1>core words", "Top"),
        ("a.csv", b"a,b\ncore words,2\n", "rows 1-2"),
        ("a.pdf", text_pdf(["core words"]), "1"),
        ("a.docx", docx(w_p("core words")), "paragraph 1"),
        ("a.pptx", slides(), "slide 1: core words"),
        ("a.xlsx", workbook(), "sheet Sheet, row 1"),
        ("a.odt", odt("<text:p>core words</text:p>"), "paragraph 1"),
        ("a.epub", epub({"one.xhtml": "<p>core words</p>"}), "part 1"),
        ("a.rtf", b"{\\rtf1 core words}", "paragraph 1"),
        ("a.eml", b"Subject: Top\n\ncore words\n", "message (Top)"),
        ("a.mbox", b"From x\nSubject: 1\n\ncore words\n\nFrom y\nSubject: 2\n\ny\n", "message 1 (1)"),
    ],
)
def test_every_format_arrives_with_a_place(
    pool: ParserPool, tmp_path: Path, name: str, data: bytes, label: str
) -> None:
    (tmp_path / name).write_bytes(data)
    (file,) = scan([tmp_path]).files
    parsed = pool.parse(file)
    assert "core words" in parsed.text.text
    first = parsed.text.pages[0]
    assert first.label == label
    assert "core words" in parsed.text.text[first.start : first.end]
    assert parsed.text.pages[-1].end == len(parsed.text.text)
    assert parsed.warnings == ()


def test_suffixes_and_names_belong_to_one_parser_each() -> None:
    suffixes = [suffix for parser in PARSERS for suffix in parser.suffixes]
    assert len(suffixes) == len(set(suffixes)) == len(readable_suffixes())
    assert all(suffix.startswith(".") and suffix == suffix.lower() for suffix in suffixes)
    assert len({parser.name for parser in PARSERS}) == len(PARSERS)
    assert ".jsonl" not in suffixes  # question sets lie beside documents; their answers must not be found
    assert ".docx" in readable_kinds()
    assert ".rs" not in readable_kinds().split()


@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: parser.name)
@pytest.mark.parametrize(
    "data", [b"", b" ", b"\n\n\n", bytes(100)], ids=["nothing", "space", "lines", "zeros"]
)
def test_nothing_is_a_failure_with_a_remedy(parser: Parser, data: bytes) -> None:
    with pytest.raises(ParseFailure) as caught:
        agreeing_parser(parser.name, data).parse(data, "stem", Limits())
    assert caught.value.code in FAILURE_CODES
    assert caught.value.remedy


def test_an_unknown_parser_is_refused() -> None:
    with pytest.raises(ParseFailure) as caught:
        agreeing_parser("none", b"")
    assert caught.value.code == "unsupported"
