"""The formats that can be read: one module each, chosen by suffix, checked by the first bytes."""

from __future__ import annotations

from ingest.errors import ParseFailure
from ingest.parsers.base import Container, Limits, ParsedDocument, ParsedPage, Parser
from ingest.parsers.delimited import CsvParser
from ingest.parsers.epub import EpubParser
from ingest.parsers.mail import MailParser
from ingest.parsers.mailbox import MailboxParser
from ingest.parsers.markdown import MarkdownParser
from ingest.parsers.notebook import NotebookParser
from ingest.parsers.opendocument import OdtParser
from ingest.parsers.pdf import PdfParser
from ingest.parsers.restructured import RstParser
from ingest.parsers.rtf import RtfParser
from ingest.parsers.signatures import kind_of, refuse_other_content
from ingest.parsers.slides import PptxParser
from ingest.parsers.source_code import CodeParser
from ingest.parsers.spreadsheet import XlsxParser
from ingest.parsers.text import TextParser
from ingest.parsers.webpage import HtmlParser
from ingest.parsers.word import DocxParser

__all__ = [
    "PARSERS",
    "Limits",
    "ParsedDocument",
    "ParsedPage",
    "Parser",
    "agreeing_parser",
    "container_named",
    "is_container",
    "parser_for_suffix",
    "readable_kinds",
    "readable_suffixes",
]


def readable_suffixes() -> tuple[str, ...]:
    """All suffixes that can be read, sorted, with their dot."""
    return tuple(sorted(_BY_SUFFIX))


def readable_kinds() -> str:
    """The suffixes that can be read, for a person: those of source code only by that name."""
    suffixes = [suffix for suffix in readable_suffixes() if _BY_SUFFIX[suffix].name != CodeParser.name]
    return f"{' '.join(suffixes)}, source code and settings"


def parser_for_suffix(suffix: str) -> Parser | None:
    """The parser that a file name's suffix (``".pdf"``, any case) asks for."""
    return _BY_SUFFIX.get(suffix.lower())


def agreeing_parser(name: str, data: bytes) -> Parser:
    """The parser for `data`, of a file whose name asks for the parser `name`.

    What is plainly a PDF, Office, OpenDocument, EPUB or RTF file is read as that whatever its suffix.

    Raises:
        ParseFailure: "unsupported" for an unknown parser, "broken" or "encrypted" for a file whose suffix
            promises one of these formats and whose content is something else.
    """
    parser = _BY_NAME.get(name)
    if parser is None:
        raise ParseFailure("unsupported", detail=f"no parser {name!r}")
    if kind := kind_of(data):
        return _BY_NAME[kind]
    refuse_other_content(name, data)
    return parser


def is_container(name: str) -> bool:
    """Whether the files of the parser `name` hold many documents."""
    return name in _CONTAINERS


def container_named(name: str) -> Container:
    """The parser `name`, to list and read members with.

    Raises:
        ParseFailure: "unsupported": it reads no containers.
    """
    if name not in _CONTAINERS:
        raise ParseFailure("unsupported", detail=f"no container {name!r}")
    return _CONTAINERS[name]


def _parser_for_attachment(suffix: str, data: bytes) -> Parser:
    parser = parser_for_suffix(suffix)
    if parser is None:
        raise ParseFailure("unsupported")
    return agreeing_parser(parser.name, data)


_MAILBOXES = MailboxParser(_parser_for_attachment)
PARSERS: tuple[Parser, ...] = (
    TextParser(),
    MarkdownParser(),
    RstParser(),
    CodeParser(),
    NotebookParser(),
    HtmlParser(),
    CsvParser(),
    PdfParser(),
    DocxParser(),
    PptxParser(),
    XlsxParser(),
    OdtParser(),
    EpubParser(),
    RtfParser(),
    MailParser(_parser_for_attachment, _MAILBOXES),
    _MAILBOXES,
)

_BY_SUFFIX = {suffix: parser for parser in PARSERS for suffix in parser.suffixes}
_BY_NAME = {parser.name: parser for parser in PARSERS}
_CONTAINERS = {parser.name: parser for parser in PARSERS if isinstance(parser, Container)}
