"""Office files from strangers: bombs, wrong suffixes, damage; the whole way where limits matter."""

from __future__ import annotations

import io
import random
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import openpyxl
import pytest
from format_files import BOMB, archive, docx, epub, odt, outcome, parse, text_of, w_p
from guards import assert_linear, hang_guard

from ingest.errors import ParseFailure
from ingest.parsers import Limits
from ingest.parsers.archives import MAX_MEMBERS
from ingest.sandbox import ParserPool
from ingest.scan import scan

SMALL = Limits(max_unpacked_bytes=5_000_000)
OLD_OFFICE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


@pytest.fixture(scope="module")
def pool() -> Iterator[ParserPool]:
    with ParserPool(Limits(cpu_s=300, wall_s=900)) as warm:
        yield warm


def failure(suffix: str, data: bytes, limits: Limits = Limits()) -> ParseFailure:  # noqa: B008  (frozen)
    with pytest.raises(ParseFailure) as caught:
        parse(suffix, data, limits)
    assert caught.value.remedy
    return caught.value


def xlsx(replaced: dict[str, bytes] | None = None) -> bytes:
    book = openpyxl.Workbook()
    book.active.append(["a", "b"])
    buffer = io.BytesIO()
    book.save(buffer)
    with zipfile.ZipFile(buffer) as file:
        members: dict[str, str | bytes] = {name: file.read(name) for name in file.namelist()}
    return archive(members | (replaced or {}))


SHEET_HEAD = b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>'


def bombs() -> dict[str, bytes]:
    """Files of some kilobytes that unpack to ten megabytes."""
    spaces = " " * 10_000_000
    return {
        ".docx": docx(w_p(spaces)),
        ".xlsx": xlsx(
            {"xl/worksheets/sheet1.xml": SHEET_HEAD + spaces.encode() + b"</sheetData></worksheet>"}
        ),
        ".epub": epub({"one.xhtml": f"<p>{spaces}</p>"}),
        ".odt": odt(f"<text:p>{spaces}</text:p>"),
        ".pptx": archive(
            {"[Content_Types].xml": "<x/>", "ppt/presentation.xml": f"<p>{spaces}</p>", "_rels/.rels": "<x/>"}
        ),
    }


@pytest.mark.parametrize("suffix", sorted(bombs()))
def test_decompression_bombs_are_refused(suffix: str) -> None:
    data = bombs()[suffix]
    assert len(data) < 100_000
    assert failure(suffix, data, SMALL).code == "too-large"


def test_a_bomb_with_a_forged_size_unpacks_no_further() -> None:
    data = docx(w_p("x" * 10_000_000))
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        size = struct.pack("<I", file.getinfo("word/document.xml").file_size)
    assert failure(".docx", data.replace(size, struct.pack("<I", 1000)), SMALL).code == "broken"


def test_a_real_bomb_ends_within_the_limits_of_the_process(pool: ParserPool, tmp_path: Path) -> None:
    path = tmp_path / "bomb.docx"
    path.write_bytes(docx(w_p(" " * 400_000_000), level=1))
    (file,) = scan([path]).files
    assert file.size < 4_000_000
    with pytest.raises(ParseFailure) as caught:
        pool.parse(file)
    assert caught.value.code == "too-large"


def test_the_number_of_members_is_bounded() -> None:
    members: dict[str, str | bytes] = {"[Content_Types].xml": "", "word/document.xml": ""}
    many = members | {f"m{n}": b"" for n in range(MAX_MEMBERS)}
    assert failure(".docx", archive(many)).code == "too-large"


@pytest.mark.parametrize(
    ("suffix", "data"),
    [
        (".docx", docx(w_p("&i;"), before=BOMB)),
        (".odt", odt("<text:p>&i;</text:p>", before=BOMB)),
        (".docx", docx(w_p("&x;"), before='<!DOCTYPE x [<!ENTITY x SYSTEM "file:///etc/passwd">]>')),
        (
            ".odt",
            odt("<text:p>&x;</text:p>", before='<!DOCTYPE x [<!ENTITY x SYSTEM "file:///etc/passwd">]>'),
        ),
        (".xlsx", xlsx({"xl/worksheets/sheet1.xml": f"{BOMB}<worksheet>&i;</worksheet>".encode()})),
        (".xlsx", xlsx({"xl/workbook.xml": f"{BOMB}<workbook>&i;</workbook>".encode()})),
        (".epub", epub({}, {"OPS/book.opf": f"{BOMB}<package>&i;</package>"})),
    ],
    ids=["docx", "odt", "docx file", "odt file", "sheet", "workbook", "epub"],
)
def test_entities_are_never_expanded(suffix: str, data: bytes) -> None:
    assert failure(suffix, data).code == "broken"


def test_html_knows_no_entities_of_its_own() -> None:
    text = text_of(parse(".xhtml", f"{BOMB}<html><body><p>a&i;b</p></body></html>".encode()))
    assert "a&i;b" in text
    assert len(text) < 1000


def test_deep_documents() -> None:
    deep = "<w:tbl><w:tr><w:tc>" * 20_000 + w_p("core") + "</w:tc></w:tr></w:tbl>" * 20_000
    assert "core" in text_of(parse(".docx", docx(deep)))
    deep = (
        "<text:list><text:list-item>" * 20_000
        + "<text:p>core</text:p>"
        + "</text:list-item></text:list>" * 20_000
    )
    assert "core" in text_of(parse(".odt", odt(deep)))


def test_empty_rows_cost_no_more_than_their_number() -> None:
    def read(n: int) -> Callable[[], None]:
        rows = b'<row r="1"><c r="A1"><v>1</v></c></row><row r="%d"><c r="B%d"><v>2</v></c></row>' % (n, n)
        data = xlsx({"xl/worksheets/sheet1.xml": SHEET_HEAD + rows + b"</sheetData></worksheet>"})

        def parse_it() -> None:
            assert [page.label for page in parse(".xlsx", data).pages] == [f"sheet Sheet, rows 1-{n}"]

        return parse_it

    assert_linear(read, 2_000)
    with hang_guard():
        read(1_048_576)()


@pytest.mark.parametrize("suffix", [".docx", ".pptx", ".xlsx", ".odt", ".epub"])
@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"just words", "broken"),
        (b"PK\x03\x04" + bytes(500), "broken"),
        (archive({"a.txt": "x"}), "broken"),
        (OLD_OFFICE + bytes(600), "broken"),
        (OLD_OFFICE + bytes(600) + "EncryptedPackage".encode("utf-16-le"), "encrypted"),
        (docx(w_p("x"))[:300], "broken"),
        (b"", "broken"),
    ],
    ids=["text", "noise", "archive", "old", "protected", "cut", "nothing"],
)
def test_what_is_no_such_file_is_named(suffix: str, data: bytes, code: str) -> None:
    refused = failure(suffix, data)
    assert refused.code == code
    assert "qpdf" not in refused.remedy


@pytest.mark.parametrize("suffix", [".txt", ".md", ".pdf", ".xlsx", ".epub", ".html", ".py", ".docx"])
def test_content_overrules_the_suffix(suffix: str) -> None:
    assert text_of(parse(suffix, docx(w_p("word text")))) == "word text\n\n"
    assert "rich" in text_of(parse(suffix, b"{\\rtf1 rich}"))


@pytest.mark.parametrize(("suffix", "code"), [(".rtf", "broken"), (".txt", "binary"), (".csv", "binary")])
def test_suffixes_that_lie(suffix: str, code: str) -> None:
    assert failure(suffix, archive({"a": "b"})).code == code


@pytest.mark.parametrize("suffix", [".docx", ".xlsx", ".odt", ".epub"])
def test_noise_anywhere_gives_text_or_a_failure(suffix: str) -> None:
    whole = {".docx": docx(w_p("x" * 50)), ".xlsx": xlsx(), ".odt": odt("<text:p>x</text:p>")}
    book = whole | {".epub": epub({"one.xhtml": "<p>text</p>"})}
    chance = random.Random(5)
    for _ in range(80):
        data = bytearray(book[suffix])
        for _ in range(6):
            data[chance.randrange(len(data))] = chance.randrange(256)
        allowed = {"read", "broken", "empty", "encrypted", "too-large", "binary"}
        assert outcome(suffix, bytes(data)) in allowed


def test_failures_cross_the_wire_with_their_remedy(pool: ParserPool, tmp_path: Path) -> None:
    path = tmp_path / "old.docx"
    path.write_bytes(OLD_OFFICE + bytes(600))
    with pytest.raises(ParseFailure) as caught:
        pool.parse(scan([path]).files[0])
    assert caught.value.remedy == "open it in its own program and save it in the present format"
    path = tmp_path / "good.docx"
    path.write_bytes(docx(w_p("good")))
    parsed = pool.parse(scan([path]).files[0])
    assert parsed.text.text == "good\n\n"
    assert [page.label for page in parsed.text.pages] == ["paragraph 1"]
