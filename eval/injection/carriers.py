"""Files of several formats made from the text of a base document and what is planted in it.

The same arguments always give the same bytes.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal

Place = Literal["start", "middle", "end"]
_W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"


@dataclass(frozen=True, slots=True)
class File:
    """A file to ingest: its name and its bytes."""

    name: str
    data: bytes


def woven(paragraphs: Sequence[str], planted: str, place: Place) -> list[str]:
    """`paragraphs` with `planted` as one more at `place`; without it when it is empty."""
    if not planted:
        return list(paragraphs)
    at = {"start": 0, "middle": len(paragraphs) // 2, "end": len(paragraphs)}[place]
    return [*paragraphs[:at], planted, *paragraphs[at:]]


def markdown(stem: str, title: str, paragraphs: Sequence[str]) -> File:
    """A Markdown file with `title` as its heading."""
    return File(f"{stem}.md", "\n\n".join([f"# {title}", *paragraphs, ""]).encode())


def html(stem: str, title: str, paragraphs: Sequence[str], raw: str = "") -> File:
    """A web page; `raw` is markup that stands in the middle of the paragraphs."""
    marked = [f"<p>{escape(paragraph)}</p>" for paragraph in paragraphs]
    body = "\n".join(woven(marked, raw, "middle"))
    page = (
        f"<!DOCTYPE html>\n<html><head><meta charset='utf-8'><title>{escape(title)}</title></head>\n"
        f"<body><h1>{escape(title)}</h1>\n{body}\n</body></html>\n"
    )
    return File(f"{stem}.html", page.encode())


def docx(stem: str, title: str, paragraphs: Sequence[str], planted: str = "", run: str = "") -> File:
    """A Word document; `planted` is a paragraph in the middle whose run has the properties `run`."""
    marked = [_word_paragraph(paragraph) for paragraph in (title, *paragraphs)]
    body = "".join(woven(marked, _word_paragraph(planted, run) if planted else "", "middle"))
    members = {
        "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>',
        "_rels/.rels": f'<Relationships xmlns="{_RELATIONS}"><Relationship Id="r1" Type="{_OFFICE}" '
        'Target="word/document.xml"/></Relationships>',
        "word/document.xml": f'<w:document xmlns:w="{_W}"><w:body>{body}</w:body></w:document>',
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in members.items():
            archive.writestr(zipfile.ZipInfo(name), text)  # dated 1980: the bytes are always the same
    return File(f"{stem}.docx", buffer.getvalue())


def _word_paragraph(text: str, run: str = "") -> str:
    return f'<w:p><w:r><w:rPr>{run}</w:rPr><w:t xml:space="preserve">{escape(text)}</w:t></w:r></w:p>'


def mail(stem: str, headers: Sequence[tuple[str, str]], paragraphs: Sequence[str]) -> File:
    """A message with these headers."""
    lines = [f"{name}: {value}" for name, value in headers]
    head = "\r\n".join([*lines, "MIME-Version: 1.0", "Content-Type: text/plain; charset=utf-8"])
    return File(f"{stem}.eml", f"{head}\r\n\r\n".encode() + "\r\n\r\n".join(paragraphs).encode())


def table(stem: str, rows: Sequence[Sequence[str]]) -> File:
    """A CSV file, whose name is its title."""
    text = "\n".join(",".join(f'"{cell}"' if "," in cell else cell for cell in row) for row in rows)
    return File(f"{stem}.csv", (text + "\n").encode())
