"""Files of many formats, made in memory by other libraries than those that read them, or by hand."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

from ingest.errors import ParseFailure
from ingest.parsers import Limits, ParsedDocument, agreeing_parser, parser_for_suffix

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
R = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
_TYPES = '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>'
BOMB = (
    '<!DOCTYPE x [<!ENTITY a "0123456789">'
    + "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    + "]>"
)


def parse(suffix: str, data: bytes, limits: Limits = Limits(), stem: str = "stem") -> ParsedDocument:  # noqa: B008
    """As the parser process does it: by suffix, then by content."""
    parser = parser_for_suffix(suffix)
    assert parser is not None
    return agreeing_parser(parser.name, data).parse(data, stem, limits)


def outcome(suffix: str, data: bytes) -> str:
    """ "read", or the code of the failure; every other exception is an error of the parser."""
    try:
        return "read" if parse(suffix, data).pages else "nothing"
    except ParseFailure as failure:
        return failure.code


def pages(document: ParsedDocument) -> dict[str, str]:
    """Texts by label; labels must differ."""
    found = {page.label: page.text.strip() for page in document.pages}
    assert len(found) == len(document.pages)
    return found


def text_of(document: ParsedDocument) -> str:
    return "".join(page.text for page in document.pages)


def archive(members: Mapping[str, str | bytes], *, level: int = 6) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=level) as file:
        for name, content in members.items():
            stored = zipfile.ZIP_STORED if name == "mimetype" else None
            file.writestr(name, content, compress_type=stored)
    return buffer.getvalue()


def relations(targets: Mapping[str, tuple[str, str]]) -> str:
    """A part's relations: type and target by id."""
    lines = "".join(
        f'<Relationship Id="{key}" Type="{R}/{kind}" Target="{target}"/>'
        for key, (kind, target) in targets.items()
    )
    return f'<Relationships xmlns="{_RELATIONS}">{lines}</Relationships>'


def docx(
    body: str, parts: Mapping[str, tuple[str, str]] | None = None, before: str = "", level: int = 6
) -> bytes:
    """A Word document of this body; `parts` are kind and content by name."""
    parts = parts or {}
    members: dict[str, str | bytes] = {
        "[Content_Types].xml": _TYPES,
        "_rels/.rels": relations({"r1": ("officeDocument", "word/document.xml")}),
        "word/_rels/document.xml.rels": relations(
            {f"p{n}": (kind, name) for n, (name, (kind, _)) in enumerate(parts.items())}
        ),
        "word/document.xml": f"{before}<w:document {W}><w:body>{body}</w:body></w:document>",
    }
    members |= {f"word/{name}": content for name, (_, content) in parts.items()}
    return archive(members, level=level)


def w_p(text: str, properties: str = "", run: str = "") -> str:
    run_text = f'<w:rPr>{run}</w:rPr><w:t xml:space="preserve">{text}</w:t>'
    return f"<w:p><w:pPr>{properties}</w:pPr><w:r>{run_text}</w:r></w:p>"


ODT_NAMESPACES = " ".join(
    f'xmlns:{prefix}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
    for prefix, name in (("office", "office"), ("text", "text"), ("table", "table"), ("style", "style"))
)


def odt(body: str, styles: str = "", before: str = "") -> bytes:
    members: dict[str, str | bytes] = {
        "mimetype": "application/vnd.oasis.opendocument.text",
        "content.xml": f"{before}<office:document-content {ODT_NAMESPACES}><office:body><office:text>"
        f"{body}</office:text></office:body></office:document-content>",
        "styles.xml": f"<office:document-styles {ODT_NAMESPACES}><office:master-styles>{styles}"
        "</office:master-styles></office:document-styles>",
        "meta.xml": f'<office:document-meta {ODT_NAMESPACES} xmlns:dc="http://purl.org/dc/elements/1.1/">'
        "<office:meta><dc:title>Bylaws</dc:title></office:meta></office:document-meta>",
    }
    return archive(members)


def epub(chapters: Mapping[str, str | bytes], extra: Mapping[str, str | bytes] | None = None) -> bytes:
    """A book of these XHTML files, in order, in the folder ``OPS``."""
    items = "".join(
        f'<item id="c{n}" href="{name}" media-type="application/xhtml+xml"/>'
        for n, name in enumerate(chapters)
    )
    spine = "".join(f'<itemref idref="c{n}"/>' for n in range(len(chapters)))
    members: dict[str, str | bytes] = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container">'
        '<rootfiles><rootfile full-path="OPS/book.opf" media-type="application/oebps-package+xml"/>'
        "</rootfiles></container>",
        "OPS/book.opf": '<package xmlns="http://www.idpf.org/2007/opf" '
        'xmlns:dc="http://purl.org/dc/elements/1.1/"><metadata><dc:title>The Book</dc:title></metadata>'
        f'<manifest><item id="n" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>'
        f"{items}</manifest><spine>{spine}</spine></package>",
    }
    members |= {f"OPS/{name}": content for name, content in chapters.items()}
    return archive(members | dict(extra or {}))
