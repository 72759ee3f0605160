"""The formats that can be read: one module each, chosen by suffix, checked by the first bytes."""

from __future__ import annotations

from ingest.errors import ParseFailure
from ingest.parsers.base import Limits, ParsedDocument, ParsedPage, Parser
from ingest.parsers.markdown import MarkdownParser
from ingest.parsers.pdf import PdfParser, has_pdf_header, starts_as_pdf
from ingest.parsers.text import TextParser

__all__ = [
    "PARSERS",
    "Limits",
    "ParsedDocument",
    "ParsedPage",
    "Parser",
    "agreeing_parser",
    "parser_for_suffix",
    "readable_suffixes",
]

PARSERS: tuple[Parser, ...] = (TextParser(), MarkdownParser(), PdfParser())

_BY_SUFFIX = {suffix: parser for parser in PARSERS for suffix in parser.suffixes}
_BY_NAME = {parser.name: parser for parser in PARSERS}


def readable_suffixes() -> tuple[str, ...]:
    """All suffixes that can be read, sorted, with their dot."""
    return tuple(sorted(_BY_SUFFIX))


def parser_for_suffix(suffix: str) -> Parser | None:
    """The parser that a file name's suffix (``".pdf"``, any case) asks for."""
    return _BY_SUFFIX.get(suffix.lower())


def agreeing_parser(name: str, data: bytes) -> Parser:
    """The parser for `data`, of a file whose name asks for the parser `name`.

    A PDF is read as a PDF whatever its suffix.

    Raises:
        ParseFailure: "unsupported" for an unknown parser, "broken" for a ``.pdf`` that is not a PDF.
    """
    parser = _BY_NAME.get(name)
    if parser is None:
        raise ParseFailure("unsupported", detail=f"no parser {name!r}")
    pdf = _BY_NAME["pdf"]
    if parser is pdf:
        if data and not has_pdf_header(data):
            raise ParseFailure("broken", detail="the PDF header is missing")
        return pdf
    return pdf if starts_as_pdf(data) else parser
