"""The language that a file states, from each format that can state one, into the library."""

from __future__ import annotations

import io
import re
import zipfile
from pathlib import Path

import orjson
import pytest
from format_files import ODT_NAMESPACES, archive, docx, epub, odt, parse, relations, w_p
from hypothesis import given
from hypothesis import strategies as st
from test_hostile_folder import PAGE, PAGES, pdf, stream

from ingest.indexing import index, only_file
from ingest.parsers.languages import language_of_suffix, language_tag, programming_language
from ingest.parsers.source_code import CodeParser
from ingest.sandbox import ParserPool
from library.store import Library

WELL_FORMED = re.compile(r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?(-[0-9a-z]{4,8}){0,3}")


@pytest.mark.parametrize(
    ("stated", "tag"),
    [
        ("de", "de"),
        ("EN", "en"),
        ("de_AT", "de-AT"),
        ("en-us", "en-US"),
        ("sr-latn-rs", "sr-Latn-RS"),
        ("zh-HANS", "zh-Hans"),
        ("es-419", "es-419"),
        ("de-1996", "de-1996"),
        (" fr , en", "fr"),
        ("fr;q=0.8", "fr"),
        ("", None),
        ("x-none", None),
        ("und", None),
        ("ZXX", None),
        ("*", None),
        ("German", None),
        ("C", None),
        ("en\x1b[31m", None),
        ("de-" + "a" * 99, None),
    ],
)
def test_tags(stated: str, tag: str | None) -> None:
    assert language_tag(stated) == tag


@given(st.text() | st.from_regex(r"[a-zA-Z]{1,4}([-_][a-zA-Z0-9]{1,9}){0,5}"))
def test_whatever_is_stated_becomes_a_tag_or_nothing(stated: str) -> None:
    tag = language_tag(stated)
    assert tag is None or (WELL_FORMED.fullmatch(tag) and language_tag(tag) == tag and len(tag) <= 30)
    name = programming_language(stated)
    assert name is None or (name.isprintable() and name.isascii() and len(name) <= 24)


def test_suffixes_of_code_are_those_of_the_parser() -> None:
    known = {suffix for suffix in CodeParser.suffixes if language_of_suffix(suffix)}
    assert {".py", ".rs", ".cpp", ".sh"} <= known
    assert language_of_suffix(".PY") == "python"
    assert {language_of_suffix(suffix) for suffix in (".json", ".ini", ".txt", "", ".m")} == {None}
    for name in {language_of_suffix(suffix) for suffix in known} - {None}:
        assert programming_language(str(name)) == name


CORE = (
    '<cp:coreProperties xmlns:cp="http://schemas.openxmlformats.org/package/2006/metadata/core-properties" '
    'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>T</dc:title><dc:language>{}</dc:language>'
    "</cp:coreProperties>"
)
STYLES = (
    '<w:styles xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:docDefaults>'
    '<w:rPrDefault><w:rPr><w:lang w:val="{}" w:eastAsia="ja-JP"/></w:rPr></w:rPrDefault></w:docDefaults>'
    '<w:style w:type="paragraph" w:styleId="x"><w:rPr><w:lang w:val="fr-FR"/></w:rPr></w:style></w:styles>'
)


def with_members(data: bytes, members: dict[str, str]) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        held = {name: file.read(name) for name in file.namelist()}
    return archive(held | {name: content.encode() for name, content in members.items()})


def office(suffix: str, language: str) -> bytes:
    """A presentation or a workbook as their own libraries write them."""
    buffer = io.BytesIO()
    if suffix == ".pptx":
        from pptx import Presentation

        deck = Presentation()
        deck.slides.add_slide(deck.slide_layouts[0]).shapes.title.text = "Annual meeting"
        deck.core_properties.language = language
        deck.save(buffer)
    else:
        from openpyxl import Workbook

        book = Workbook()
        book.active.append(["Part", "Number"])
        book.properties.language = language
        book.save(buffer)
    return buffer.getvalue()


def pdf_of(catalogue: bytes) -> bytes:
    text = b"BT /F1 12 Tf (" + b"The oven of Mill Lane was built in 1921. " * 3 + b") Tj ET"
    page = PAGE.replace(
        b"/Resources << >>",
        b"/Resources << /Font << /F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >>",
    )
    return pdf(b"<< /Type /Catalog /Pages 2 0 R %b >>" % catalogue, PAGES, page, stream(text, b"[]"))


def text_file(suffix: str, language: str) -> bytes:
    match suffix:
        case ".html":
            return f'<!doctype html><html lang="{language}"><body><p>Words.</p></body></html>'.encode()
        case ".xhtml":
            root = f'<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="{language}">'
            return f"{root}<p>Words.</p></html>".encode()
        case _:
            return f"From: a@b.example\nSubject: S\nContent-Language: {language}\n\nWords.\n".encode()


def text_document(language: str) -> bytes:
    """ODT: a property of the default paragraph, among others that mean nothing."""
    tag, _, country = language.partition("-")
    fo = 'xmlns:fo="urn:oasis:names:tc:opendocument:xmlns:xsl-fo-compatible:1.0"'
    styles = (
        f"<office:document-styles {ODT_NAMESPACES} {fo}><office:styles>"
        '<style:default-style style:family="table"><style:text-properties fo:language="xx"/>'
        '</style:default-style><style:default-style style:family="paragraph">'
        f'<style:text-properties fo:language="{tag}" fo:country="{country or "none"}"/>'
        "</style:default-style></office:styles></office:document-styles>"
    )
    return with_members(odt("<text:p>Words.</text:p>"), {"styles.xml": styles})


def book(language: str) -> bytes:
    package = (
        '<package xmlns="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/dc/elements/1.1/">'
        f"<metadata><dc:language>{language}</dc:language><dc:language>xx</dc:language></metadata>"
        '<manifest><item id="c" href="1.xhtml" media-type="application/xhtml+xml"/></manifest>'
        '<spine><itemref idref="c"/></spine></package>'
    )
    made_book = epub({"1.xhtml": "<html><body><p>Words.</p></body></html>"})
    return with_members(made_book, {"OPS/book.opf": package})


def made(suffix: str, language: str) -> bytes:
    """A file of the format that states `language`."""
    if suffix in (".html", ".xhtml", ".eml"):
        return text_file(suffix, language)
    if suffix in (".pptx", ".xlsx"):
        return office(suffix, language)
    return {
        ".docx": lambda: docx(w_p("Words."), {"styles.xml": ("styles", STYLES.format(language))}),
        ".odt": lambda: text_document(language),
        ".epub": lambda: book(language),
        ".pdf": lambda: pdf_of(b"/Lang (%b)" % language.encode()),
    }[suffix]()


FORMATS = [".html", ".xhtml", ".docx", ".odt", ".epub", ".eml", ".pdf", ".pptx", ".xlsx"]


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_format_states_its_language(suffix: str) -> None:
    assert parse(suffix, made(suffix, "pt-BR")).language == "pt-BR"
    assert parse(suffix, made(suffix, "fi")).language == "fi"


@pytest.mark.parametrize("suffix", FORMATS)
def test_nonsense_is_no_language_and_no_failure(suffix: str) -> None:
    document = parse(suffix, made(suffix, "no language at all"))
    assert document.language is None
    assert document.pages


def test_the_properties_of_a_word_document_come_before_its_styles() -> None:
    data = with_members(
        made(".docx", "en-US"),
        {
            "_rels/.rels": relations(
                {
                    "r1": ("officeDocument", "word/document.xml"),
                    "r2": ("core-properties", "docProps/core.xml"),
                }
            ),
            "docProps/core.xml": CORE.format("de-CH"),
        },
    )
    assert parse(".docx", data).language == "de-CH"


@pytest.mark.parametrize(
    ("metadata", "language"),
    [
        ({"language_info": {"name": "Python"}}, "python"),
        ({"kernelspec": {"language": "R"}}, "r"),
        ({"language_info": {"name": "C++17"}, "kernelspec": {"language": "c++"}}, "c++17"),
        ({}, None),
        ({"language_info": {"name": ["x" * 99]}, "kernelspec": 3}, None),
        ({"language_info": {"name": "\u202epython"}}, None),
    ],
)
def test_a_notebook_has_the_language_of_its_kernel(metadata: dict[str, object], language: str | None) -> None:
    cells = [{"cell_type": "markdown", "source": "Words."}]
    assert parse(".ipynb", orjson.dumps({"cells": cells, "metadata": metadata})).language == language


def test_formats_that_state_none() -> None:
    for suffix in (".txt", ".md", ".csv", ".rtf"):
        data = b"{\\rtf1 Words.}" if suffix == ".rtf" else b"Words, and more.\n"
        assert parse(suffix, data).language is None


def test_it_comes_out_of_the_parser_process_and_into_the_library(tmp_path: Path) -> None:
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "page.html").write_bytes(made(".html", "nl"))
    (folder / "tool.py").write_text("print('warm')\n")
    (folder / "notes.txt").write_text("Nothing is stated here.\n")
    (folder / "box.mbox").write_bytes(
        b"From a@b.example Thu Jan  1 00:00:00 1970\n" + made(".eml", "it") + b"\n"
    )
    with ParserPool() as pool:
        assert pool.parse(only_file(folder / "tool.py")).language == "python"
    with Library.create_or_open(tmp_path / "library") as library, library.writing():
        index(library, [folder])
        told = {(record.media_type, record.language) for record in library.documents()}
    assert told == {
        ("text/html", "nl"),
        ("text/x-source", "python"),
        ("text/plain", None),
        ("message/rfc822", "it"),
    }
