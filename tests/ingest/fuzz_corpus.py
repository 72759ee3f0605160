"""Small valid files of every format, made in code, and seeded ways to damage them."""

from __future__ import annotations

import functools
import io
import re
import zipfile
from collections.abc import Callable, Mapping

import numpy as np
import openpyxl
import orjson
from docx import Document
from format_files import W, archive, docx, epub, odt, w_p
from fpdf import FPDF
from mutations import mutate_bytes, mutate_json
from pdf_files import PROSE, text_pdf
from pptx import Presentation

MAX_BYTES = 200_000
"""A damaged file is never larger: what a parser may cost is measured against small files."""

_HUGE = (b"0", b"-1", b"65536", b"4294967295", b"99999999999999999999", b"1e308", b"NaN")
_NUMBER = re.compile(rb"\d+")
_TOKENS: Mapping[str, tuple[bytes, ...]] = {
    ".html": (
        b"<table>", b"<td colspan=99999999 rowspan=99999999>", b"&#x10ffff;", b"&#xd800;", b"<!--",
        b"</html>",
        b"<script>", b"<ul><li>", b"<meta charset=utf-16>", b"<![CDATA[", b"<pre>", b"\x00",
    ),
    ".docx": (
        b"<w:tbl><w:tr><w:tc>", b"</w:p>", b'<w:gridSpan w:val="99999999"/>', b"<w:br/>", b"<w:p>", b"&#0;",
        b'<w:footnoteReference w:id="-1"/>', b'<w:instrText>PAGE</w:instrText>',
    ),
    ".odt": (
        b"<text:list><text:list-item>", b'<text:s text:c="99999999"/>', b"</text:p>", b"<table:table>",
        b'<table:table-cell table:number-columns-repeated="99999999"/>', b"&amp;",
    ),
    ".xlsx": (
        b'<row r="1048576">', b'<c r="XFD1048576">', b"<mergeCell ref=\"A1:XFD1048576\"/>", b"<v>1e999</v>",
        b'<c t="s"><v>99999999</v></c>', b'<c t="d"><v>0000-00-00</v></c>', b"</sheetData>",
    ),
    ".pptx": (b"<a:p>", b"</a:t>", b'<a:gridCol w="99999999999"/>', b"<p:sp>", b'r:id="rId999"', b"<a:tbl>"),
    ".epub": (b"<spine>", b'<itemref idref="c0"/>', b'href="../../x"', b"<p>", b"&nbsp;", b"%00", b"<h1>"),
    ".rtf": (
        b"{\\*\\x ", b"\\bin99999 ", b"\\u-99999?", b"\\'zz", b"{" * 300, b"}", b"\\trowd\\cell\\row",
        b"\\ansicpg0",
    ),
    ".pdf": (
        b"<<", b">>", b"/Kids [1 0 R 2 0 R 3 0 R]", b"/Length -1", b"/Filter [/FlateDecode /FlateDecode]",
        b"/Parent 1 0 R", b"endobj", b"stream\n", b"99999 0 R", b"/Rotate 1", b"(" * 200, b"[" * 500,
        b"/Count 99999999", b"startxref\n0", b"trailer", b"/MediaBox [0 0 1e38 1e38]", b" Tj", b" q" * 100,
    ),
    ".csv": (b'"', b",,,,,,,,,,", b"\r", b"\x00", b";" * 500, b'""""'),
    ".eml": (
        b"Content-Type: multipart/mixed; boundary=x\n", b"=?utf-8?q?=ff=fe?=", b"=?x?b?!?=", b"\n\n--x\n",
        b"Content-Type: message/rfc822\n\n", b"Date: 99 Foo 99999\n", b"From: ,,<<>>@\n", b"charset=\"hex\"",
        b"Content-Transfer-Encoding: base64\n", b"Content-Disposition: attachment; filename=a.pdf\n",
    ),
    ".md": (b"---\n", b"```\n", b"# ", b"> " * 200, b"[" * 500, b"|" * 300, b"\xff\xfe", b"<!--"),
    ".ipynb": (b"{", b"[", b"null", b'"cells"', b"1e999", b"\\ud800"),
}  # fmt: skip
_COMMON = (
    b"\x00",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\n" * 50,
    b"a" * 300,
    "\u202e".encode(),
    b"\xed\xa0\x80",
    b"\r",
)


@functools.cache
def corpus() -> dict[str, tuple[bytes, ...]]:
    """Valid files by suffix."""
    return {make.__name__.replace("_", ".", 1): make() for make in _MAKERS}


def _txt() -> tuple[bytes, ...]:
    plain = PROSE.encode() * 3
    return plain, "Überschrift\n\nÄpfel – 3 €\n".encode("utf-16"), "Größe: 5 m²\r\n".encode("cp1252") * 9


def _md() -> tuple[bytes, ...]:
    table = "| a | b |\n|---|---|\n| 1 | 2 |"
    text = f"---\ntitle: Plan\n---\n# Plan\n\n{PROSE}\n\n## Costs\n\n{table}\n\n```py\nx\n```\n"
    return text.encode(), b"Plan\n====\n\n* one\n  * two\n\n> said\n"


def _rst() -> tuple[bytes, ...]:
    table = "+---+---+\n| a | b |\n+---+---+"
    return (f"Plan\n====\n\n.. note:: {PROSE}\n\n{table}\n\nCosts\n-----\n\ntext\n".encode(),)


def _py() -> tuple[bytes, ...]:
    return (b'"""A module."""\n\n\ndef f(x: int) -> int:\n    return x + 1\n',)


def _ipynb() -> tuple[bytes, ...]:
    cells = [
        {"cell_type": "markdown", "source": ["# Plan\n", "words"]},
        {"cell_type": "code", "source": "1 + 1", "outputs": [{"output_type": "stream", "text": ["2\n"]},
         {"output_type": "execute_result", "data": {"text/plain": "2", "text/html": "<b>2</b>"}}]},
    ]  # fmt: skip
    return (
        orjson.dumps({"nbformat": 4, "metadata": {"kernelspec": {"language": "python"}}, "cells": cells}),
    )


def _html() -> tuple[bytes, ...]:
    table = "<table><tr><th>a</th><td rowspan=2>b</td></tr><tr><td>c</td></tr></table>"
    return (
        f"<html><head><title>Plan</title></head><body><h1>Plan</h1><p>{PROSE}</p>{table}<ul><li>x</ul>".encode(),
    )


def _csv() -> tuple[bytes, ...]:
    return b'name,cost\n"rent, paid",5\nlight,7\n' * 5, b"a;b\n1;2\n"


def _rtf() -> tuple[bytes, ...]:
    head = rb"{\rtf1\ansi\ansicpg1252{\fonttbl{\f0 Arial;}}{\info{\title Plan}}"
    return (head + rb"\f0 One \'e4\par{\b two}\u8364?\par}",)


def _docx() -> tuple[bytes, ...]:
    document = Document()
    document.add_heading("Plan", 0)
    document.add_paragraph(PROSE)
    table = document.add_table(2, 2)
    table.cell(0, 0).text = "a"
    buffer = io.BytesIO()
    document.save(buffer)
    notes = f'<w:footnotes {W}><w:footnote w:id="1"/></w:footnotes>'  # one without a paragraph
    return docx(w_p("one") + w_p("two"), {"footnotes.xml": ("footnotes", notes)}), buffer.getvalue()


def _odt() -> tuple[bytes, ...]:
    body = (
        '<text:h text:outline-level="1">Plan</text:h><text:p>one<text:s text:c="2"/>two</text:p>'
        "<text:list><text:list-item><text:p>x</text:p></text:list-item></text:list>"
        "<table:table><table:table-row><table:table-cell><text:p>c</text:p></table:table-cell>"
        "</table:table-row></table:table>"
    )
    return (odt(body),)


def _epub() -> tuple[bytes, ...]:
    nav = '<html><body><nav><ol><li><a href="one.xhtml">One</a></li></ol></nav></body></html>'
    return (
        epub(
            {"one.xhtml": f"<html><body><h1>One</h1><p>{PROSE}</p></body></html>", "two.xhtml": "<p>two</p>"},
            {"OPS/nav.xhtml": nav},
        ),
    )


def _pptx() -> tuple[bytes, ...]:
    show = Presentation()
    slide = show.slides.add_slide(show.slide_layouts[1])
    slide.shapes.title.text = "Plan"
    slide.placeholders[1].text_frame.text = "point"
    slide.shapes.add_table(2, 2, 0, 0, 100, 100)
    buffer = io.BytesIO()
    show.save(buffer)
    # The layouts and themes that nothing is read from would take most of the damage.
    with zipfile.ZipFile(buffer) as file:
        members = {
            name: file.read(name) for name in file.namelist() if "heme" not in name and "ayout" not in name
        }
    return (archive(members),)


def _xlsx() -> tuple[bytes, ...]:
    book = openpyxl.Workbook()
    for row in (["name", "cost", None], ["rent", 5, 0.1], ["=1+1", True, "x"]):
        book.active.append(row)
    book.active.merge_cells("A1:B1")
    book.create_sheet("More").append(["y"])
    buffer = io.BytesIO()
    book.save(buffer)
    return (buffer.getvalue(),)


def _pdf() -> tuple[bytes, ...]:
    plain = FPDF()
    plain.set_compression(False)
    plain.set_font("helvetica", size=11)
    for text in (PROSE, "The second page."):
        plain.add_page()
        plain.multi_cell(0, 6, text)
    return bytes(plain.output()), text_pdf([PROSE, PROSE], "Plan")


def _eml() -> tuple[bytes, ...]:
    head = (
        b"From: Ann <ann@example.org>\nTo: b@example.org\nSubject: =?utf-8?q?Pl=C3=A4ne?=\n"
        b"Date: Thu, 04 Mar 2021 10:00:00 +0100\n"
    )
    parts = (
        b"Content-Type: text/plain; charset=utf-8\n\nHello there.\n",
        b"Content-Type: text/csv\nContent-Disposition: attachment; filename=a.csv\n\na,b\n1,2\n",
        b"Content-Type: message/rfc822\n\nSubject: inner\n\nwords\n",
    )
    body = b"".join(b"--x\n" + part for part in parts) + b"--x--\n"
    return head + b"\nPlain words.\n", head + b"Content-Type: multipart/mixed; boundary=x\n\n" + body


def _mbox() -> tuple[bytes, ...]:
    return (b"".join(b"From ann Thu Mar  4 10:00:00 2021\n" + raw + b"\n" for raw in _eml()),)


_MAKERS: tuple[Callable[[], tuple[bytes, ...]], ...] = (
    _txt, _md, _rst, _py, _ipynb, _html, _csv, _rtf, _docx, _odt, _epub, _pptx, _xlsx, _pdf, _eml, _mbox,
)  # fmt: skip


def damaged(rng: np.random.Generator, suffix: str) -> bytes:
    """A valid file of this format after one to three kinds of damage."""
    files = corpus()[suffix]
    data = files[int(rng.integers(len(files)))]
    for _ in range(int(rng.integers(1, 4))):
        if data.startswith(b"PK") and rng.random() < 0.7:
            data = _inside(rng, data, suffix)
        elif suffix == ".ipynb" and rng.random() < 0.5:
            data = _as_json(rng, data)
        else:
            data = _once(rng, data, suffix, files)
    return data[:MAX_BYTES]


def _once(rng: np.random.Generator, data: bytes, suffix: str, files: tuple[bytes, ...] = ()) -> bytes:
    """One kind of damage; `files` are others of the format, to splice with."""
    at = int(rng.integers(len(data) + 1))
    kind = int(rng.integers(8))
    if kind <= 1:
        return mutate_bytes(rng, data)
    middle, end = b"", at
    if kind == 3:  # spliced with another file, or with itself
        other = files[int(rng.integers(len(files)))] if files else data
        middle, end = other[int(rng.integers(len(other) + 1)) :], len(data)
    elif kind == 4:  # a piece again and again
        end = at + int(rng.integers(1, 60))
        middle = data[at:end] * int(rng.integers(2, 300))
    elif kind == 5 and (numbers := list(_NUMBER.finditer(data))):
        at, end = numbers[int(rng.integers(len(numbers)))].span()
        middle = _HUGE[int(rng.integers(len(_HUGE)))]
    elif kind >= 6:  # words of the format where they do not belong
        tokens = (*_TOKENS.get(suffix, ()), *_COMMON)
        middle = (tokens[int(rng.integers(len(tokens)))] * int(rng.choice([1, 1, 2, 1000])))[:50_000]
    else:  # cut off
        end = len(data)
    return data[:at] + middle + data[end:]


def _inside(rng: np.random.Generator, data: bytes, suffix: str) -> bytes:
    """One member of a ZIP file damaged, dropped or renamed: its checksums are right again."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            members: dict[str, str | bytes] = {name: file.read(name) for name in file.namelist()}
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, OSError, EOFError):
        return _once(rng, data, suffix)
    except Exception as error:  # what zlib raises is no class of its own module's public interface
        if type(error).__module__ != "zlib":
            raise
        return _once(rng, data, suffix)
    if not members:
        return data
    name = list(members)[int(rng.integers(len(members)))]
    content = members[name]
    assert isinstance(content, bytes)
    fate = rng.random()
    if fate < 0.05:
        del members[name]
    elif fate < 0.1:
        members[f"../{name}"] = members.pop(name)
    else:
        members[name] = _once(rng, content, suffix)[:MAX_BYTES]
    return archive(members)


def _as_json(rng: np.random.Generator, data: bytes) -> bytes:
    try:
        return orjson.dumps(mutate_json(rng, orjson.loads(data)))
    except (orjson.JSONDecodeError, TypeError):
        return data
