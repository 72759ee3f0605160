"""A folder of traps: every one costs a row in the list of failures, no more, and its neighbours are read."""

from __future__ import annotations

import base64
import gzip
import os
import socket
import subprocess
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from format_files import BOMB, archive, docx, epub, odt, w_p
from guards import hang_guard

from ingest.indexing import IndexReport, index
from ingest.parsers import Limits
from ingest.scan import scan
from library.store import Library

LIMITS = Limits(
    max_file_bytes=20_000_000,
    max_unpacked_bytes=30_000_000,
    memory_bytes=1_000_000_000,
    cpu_s=200,
    wall_s=3600,
)
"""The times only bound what fails: on any machine, everything here is read or refused long before."""


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with Library.create_or_open(tmp_path / "library") as opened:
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "documents"
    made.mkdir()
    return made


def run(library: Library, folder: Path, limits: Limits = LIMITS) -> IndexReport:
    with library.writing():
        return index(library, [folder], limits=limits)


def pdf(*objects: bytes, trailer: bytes = b"/Root 1 0 R") -> bytes:
    """A PDF file of these objects, numbered from 1."""
    out = bytearray(b"%PDF-1.7\n")
    offsets = []
    for number, content in enumerate(objects, start=1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, content)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"trailer\n<< /Size %d %b >>\nstartxref\n%d\n%%%%EOF\n" % (
        len(objects) + 1,
        trailer.replace(b"START", b"%d" % start),
        start,
    )
    return bytes(out)


CATALOG = b"<< /Type /Catalog /Pages 2 0 R >>"
PAGES = b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>"
PAGE = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 4 0 R /Resources << >> >>"


def stream(data: bytes, filters: bytes = b"/FlateDecode") -> bytes:
    return b"<< /Length %d /Filter %b >>\nstream\n%b\nendstream" % (len(data), filters, data)


def stream_bomb() -> bytes:
    return pdf(CATALOG, PAGES, PAGE, stream(zlib.compress(b" " * 150_000_000, 9)))


def stacked_stream_bomb() -> bytes:
    twice = zlib.compress(zlib.compress(b" " * 300_000_000, 9), 9)
    return pdf(CATALOG, PAGES, PAGE, stream(twice, b"[/FlateDecode /FlateDecode]"))


def page_tree_loop() -> bytes:
    return pdf(CATALOG, b"<< /Type /Pages /Kids [2 0 R 2 0 R] /Count 2 >>")


def xref_loop() -> bytes:
    return pdf(CATALOG, PAGES, PAGE, stream(zlib.compress(b" ")), trailer=b"/Root 1 0 R /Prev START")


def form_loop() -> bytes:
    form = (
        b"<< /Type /XObject /Subtype /Form /BBox [0 0 9 9] /Resources << /XObject << /A 5 0 R /B 5 0 R >> >> "
    )
    drawing = b"/A Do /B Do"
    page = PAGE.replace(b"<< >>", b"<< /XObject << /A 5 0 R >> >>")
    return pdf(
        CATALOG,
        PAGES,
        page,
        stream(zlib.compress(drawing)),
        form + b"/Length %d >>\nstream\n%b\nendstream" % (len(drawing), drawing),
    )


def length_loop() -> bytes:
    return pdf(CATALOG, PAGES, PAGE, b"<< /Length 4 0 R >>\nstream\nx\nendstream")


def nested_arrays() -> bytes:
    return pdf(CATALOG, PAGES, PAGE.replace(b"<< >>", b"[" * 300_000))


def many_pages() -> bytes:
    return pdf(CATALOG, b"<< /Type /Pages /Count 9 /Kids [%b] >>" % (b"3 0 R " * 200_000), PAGE)


def notebook_bomb() -> bytes:
    return b'{"nbformat": 4, "cells": ' + b"[" * 2_000_000


def notebook_of_brackets() -> bytes:
    return b'{"nbformat": 4, "cells": ' + b"[" * 900 + b"]" * 900 + b"}"


def xlsx_bomb() -> bytes:
    rows = "<row><c><v>1</v></c></row>" * 3_000_000
    return archive(
        {"[Content_Types].xml": "<x/>", "xl/workbook.xml": "<x/>", "xl/worksheets/sheet1.xml": rows}
    )


def pptx_bomb() -> bytes:
    return archive({"[Content_Types].xml": "<x/>", "ppt/presentation.xml": " " * 100_000_000})


def mail_bomb() -> bytes:
    word = docx(w_p(" " * 200_000_000), level=9)
    body = base64.encodebytes(word)
    head = b"Subject: s\nContent-Type: multipart/mixed; boundary=b\n\n"
    part = (
        b'--b\nContent-Type: application/x\nContent-Disposition: attachment; filename="a.docx"\n'
        b"Content-Transfer-Encoding: base64\n\n" + body
    )
    return head + part * 10 + b"--b--\n"


def nested_eml() -> bytes:
    inner = b"Subject: core\n\ncore\n"
    for level in range(2_000):
        inner = (
            b"Subject: l\nContent-Type: multipart/mixed; boundary=b%d\n\n--b%d\nContent-Type: application/x\n"
            b'Content-Disposition: attachment; filename="a.eml"\n\n%b\n--b%d--\n'
            % (level, level, inner, level)
        )
    return inner


def header_flood() -> bytes:
    return b"Subject: " + b"=?utf-8?q?a?= " * 100_000 + b"\nTo: " + b"a@b.c, " * 100_000 + b"\n\nbody\n"


TRAPS: dict[str, tuple[Callable[[], bytes], set[str]]] = {
    "stream.pdf": (stream_bomb, {"too-large", "empty", "broken", "memory"}),
    "stacked.pdf": (stacked_stream_bomb, {"too-large", "empty", "broken", "memory"}),
    "tree.pdf": (page_tree_loop, {"broken", "empty"}),
    "xref.pdf": (xref_loop, {"broken", "empty"}),
    "form.pdf": (form_loop, {"broken", "empty"}),
    "length.pdf": (length_loop, {"broken", "empty"}),
    "arrays.pdf": (nested_arrays, {"broken", "empty"}),
    "pages.pdf": (many_pages, {"broken", "empty", "too-large"}),
    "deep.ipynb": (notebook_bomb, {"broken"}),
    "brackets.ipynb": (notebook_of_brackets, {"broken", "empty"}),
    "bomb.docx": (lambda: docx(w_p(" " * 100_000_000)), {"too-large"}),
    "bomb.odt": (lambda: odt("<text:p>" + " " * 100_000_000 + "</text:p>"), {"too-large"}),
    "bomb.epub": (lambda: epub({"one.xhtml": "<p>" + " " * 100_000_000 + "</p>"}), {"too-large"}),
    "bomb.xlsx": (xlsx_bomb, {"too-large", "broken"}),
    "bomb.pptx": (pptx_bomb, {"too-large", "broken"}),
    "laughs.docx": (lambda: docx(w_p("&i;"), before=BOMB), {"broken"}),
    "laughs.odt": (lambda: odt("<text:p>&i;</text:p>", before=BOMB), {"broken"}),
    "nothing.txt": (lambda: bytes(5_000_000), {"binary"}),
    "packed.txt": (lambda: gzip.compress(bytes(50_000)), {"binary"}),
    "noise.html": (lambda: os.urandom(50_000), {"binary", "broken", "garbled"}),
}
READABLE: dict[str, Callable[[], bytes]] = {
    "deep.json": lambda: b"[" * 1_000_000,
    "deep.html": lambda: b"<div>" * 30_000 + b"core",
    "line.txt": lambda: b"word " * 2_000_000,
    "attached.eml": mail_bomb,
    "nested.eml": nested_eml,
    "headers.eml": header_flood,
}


@pytest.mark.slow
def test_each_trap_is_one_row_and_the_rest_is_read(library: Library, folder: Path) -> None:
    for number, (name, (make, _)) in enumerate(TRAPS.items()):
        (folder / name).write_bytes(make())
        (folder / f"{name}.good.txt").write_text(f"neighbour {number}")
    for name, make in READABLE.items():
        (folder / name).write_bytes(make())
    report = run(library, folder)
    failed = {o.path.name: o.failure for o in report.outcomes if o.failure is not None}
    assert {
        name: failure.code for name, failure in failed.items() if failure.code not in TRAPS[name][1]
    } == {}
    assert set(failed) == set(TRAPS)
    assert all(failure.remedy and failure.message.isprintable() for failure in failed.values())
    assert {Path(row.path).name for row in library.failures()} == set(TRAPS)
    assert library.count() == len(TRAPS) + len(READABLE)
    again = run(library, folder)
    assert {o.state.value for o in again.outcomes} == {"failed", "unchanged"}, "nothing is tried twice"


def test_things_that_are_no_files(library: Library, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "good.txt").write_text("good")
    os.mkfifo(folder / "pipe.txt")
    os.mkfifo(folder / ".gitignore")
    (folder / "loop").symlink_to(folder)
    (folder / "a").mkdir()
    (folder / "b").mkdir()
    (folder / "a" / "to_b").symlink_to("../b")
    (folder / "b" / "to_a").symlink_to("../a")
    (folder / "self.txt").symlink_to("self.txt")
    (folder / "out").symlink_to("/")
    (folder / "device.txt").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listener:
        monkeypatch.chdir(folder)
        listener.bind("socket.txt")
        report = run(library, folder)
    assert [o.path.name for o in report.outcomes] == ["good.txt"]
    assert {file.path.name: file.code for file in report.scan.skipped} == {
        "pipe.txt": "special",
        "socket.txt": "special",
        "self.txt": "link",
        "out": "link",
        "device.txt": "link",
    }
    assert len(report.scan.warnings) == 1


@pytest.mark.skipif(not Path("/dev/zero").is_char_device(), reason="there is no /dev/zero")
def test_a_device_by_name_is_skipped(library: Library, folder: Path) -> None:
    (folder / "a.txt").write_text("text")
    with library.writing():
        report = index(library, [Path("/dev/zero"), folder])
    assert [file.code for file in report.scan.skipped] == ["special"]
    assert len(report.outcomes) == 1


def bytes_read() -> int:
    """What this process and the children that it has waited for have read from files so far."""
    counts = dict(line.split(": ") for line in Path("/proc/self/io").read_text("ascii").splitlines())
    return int(counts["rchar"])


@pytest.mark.skipif(not Path("/proc/self/io").is_file(), reason="the system does not count what is read")
@pytest.mark.parametrize("head", [b"", b"From x\nSubject: s\n\n"])
def test_ten_gigabytes_of_nothing(library: Library, folder: Path, head: bytes) -> None:
    """A sparse file takes no space; one that is larger than the limit is never opened."""
    names = ["a.txt", "a.pdf", "a.docx", "a.eml", "a.mbox"] if not head else ["a.pdf", "a.eml"]
    for name in names:
        with (folder / name).open("wb") as file:
            file.write(head)
            file.truncate(10_000_000_000)
    (folder / "z.txt").write_text("after them")
    before = bytes_read()
    report = run(library, folder)
    assert bytes_read() - before < 1_000_000_000
    assert library.count() == 1
    rows = {file.path.name: file.code for file in report.scan.skipped}
    rows |= {o.path.name: o.failure.code for o in report.problems if o.failure}
    assert rows == dict.fromkeys(names, "too-large")


@pytest.mark.slow
def test_a_mailbox_that_is_one_message_of_ten_gigabytes(library: Library, folder: Path) -> None:
    with (folder / "a.mbox").open("wb") as file:
        file.write(b"From x\nSubject: s\n\n")
        file.truncate(10_000_000_000)
    report = run(library, folder, Limits(cpu_s=300, wall_s=3600, memory_bytes=400_000_000))
    assert {o.failure.code for o in report.problems if o.failure} <= {"too-large", "timeout"}
    assert len([o for o in report.problems if o.failure]) == 1
    assert library.count() == 0


def test_names_of_255_bytes_and_of_any_bytes(library: Library, folder: Path) -> None:
    raw = os.fsencode(folder) + b"/"
    names = [
        b"n" * 251 + b".txt",
        "ü".encode() * 125 + b"x.txt",
        b"\xff\xfe\x80.txt",
        b"\x1b[2J\r.txt",
        b"%s%n.txt",
    ]
    names += ["\u202egnp.txt".encode(), b" .txt", b"-rf.txt", b"'\";.txt", b"a\tb\nc.txt"]
    for number, name in enumerate(names):
        Path(os.fsdecode(raw + name)).write_text(f"text {number}")
        Path(os.fsdecode(raw + name[:-4] + b".pdf")).write_bytes(b"no pdf")
    report = run(library, folder)
    assert library.count() == len(names)
    assert len(library.failures()) == len(names)
    assert all(o.failure is None or str(o.failure).isprintable() for o in report.outcomes)
    again = run(library, folder)
    assert {o.state.value for o in again.outcomes} == {"unchanged", "failed"}
    for file in folder.iterdir():
        file.unlink()
    assert len(run(library, folder).missing) == len(names)


def test_two_thousand_folders_in_one_another(
    library: Library, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "top.txt").write_text("top")
    monkeypatch.chdir(folder)
    for level in range(2_000):  # step by step: the whole path is longer than the system allows
        if level in (100, 1_500):
            Path("a.txt").write_text(f"level {level}")
        Path("dd").mkdir()
        os.chdir("dd")
    monkeypatch.chdir(folder)
    with hang_guard():
        report = run(library, folder)
    assert [o.path.name for o in report.outcomes] == ["top.txt", "a.txt"]
    assert [file.code for file in report.scan.skipped] == ["broken"]
    assert "too long" in report.scan.skipped[0].reason
    assert report.scan.skipped[0].remedy
    subprocess.run(["rm", "-rf", str(folder)], check=True)  # Python's own way goes too deep


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read(library: Library, folder: Path) -> None:
    (folder / "good.txt").write_text("good")
    (folder / "locked").mkdir()
    (folder / "locked" / "a.txt").write_text("a")
    (folder / "secret.txt").write_text("secret")
    (folder / "locked").chmod(0)
    (folder / "secret.txt").chmod(0)
    try:
        report = run(library, folder)
    finally:
        (folder / "locked").chmod(0o700)
        (folder / "secret.txt").chmod(0o600)
    assert [file.code for file in report.scan.skipped] == ["no-permission"]
    assert {o.failure.code for o in report.outcomes if o.failure} == {"no-permission"}
    assert library.count() == 1
    assert run(library, folder).count() == 0
    assert library.count() == 3, "tried again as soon as it may be read"


def test_a_wide_folder_of_links_is_walked_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "real.txt").write_text("x")
    for number in range(2_000):
        (folder / f"l{number}.txt").symlink_to("real.txt")
        (folder / f"d{number}").symlink_to(".")
    listed = []
    scandir = os.scandir

    def counted(path: str) -> os._ScandirIterator[str]:
        listed.append(path)
        assert len(listed) == 1, "to follow them all is 2,000 folders, and 2,000 in each of these"
        return scandir(path)

    monkeypatch.setattr("ingest.scan.os.scandir", counted)
    found = scan([folder])
    assert listed == [str(folder)]
    assert [file.path.name for file in found.files] == ["real.txt"]
    assert found.skipped == ()
