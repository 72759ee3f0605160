"""EPUB: chapters in reading order, with the names of the table of contents."""

from __future__ import annotations

import pytest
from format_files import BOMB, epub, pages, parse

from ingest.errors import ParseFailure

NCX = (
    '<ncx xmlns="http://www.daisy.org/z3986/2005/ncx/"><navMap><navPoint>'
    "<navLabel><text>Opening</text></navLabel>"
    '<content src="text/a%20b.xhtml#x"/></navPoint></navMap></ncx>'
)
NAVIGATION = (
    '<!DOCTYPE html><html xmlns="http://www.w3.org/1999/xhtml"><body><nav><ol>'
    '<li><a href="text/a%20b.xhtml">Opening</a>'
    '</li><li><a href="two.xhtml#mid">The <i>second</i></a></li></ol></nav></body></html>'
)
CHAPTERS = {
    "text/a b.xhtml": "<html><head><title/></head><body><p>It began.</p></body></html>",
    "two.xhtml": "<html><body><p>Before.</p><h2>Night</h2><p>Dark.</p></body></html>",
    "three.xhtml": "<html><body><p>It ended.</p></body></html>",
}


def test_chapters_have_the_names_of_the_contents() -> None:
    document = parse(".epub", epub(CHAPTERS, {"OPS/nav.xhtml": NAVIGATION}))
    assert document.title == "The Book"
    assert pages(document) == {
        "Opening": "It began.",
        "The second": "Before.",
        "Night": "Night\n\nDark.",
        "part 3": "It ended.",
    }
    assert document.warnings == ()


def test_the_older_contents_serve_too() -> None:
    book = epub(CHAPTERS, {"OPS/toc.ncx": NCX})
    assert "part 1" in pages(parse(".epub", book))  # the package does not mention it
    opf = (
        '<package xmlns="http://www.idpf.org/2007/opf"><manifest><item id="t" href="toc.ncx" '
        'media-type="application/x-dtbncx+xml"/><item id="a" href="text/a%20b.xhtml" media-type="text/html"/>'
        '</manifest><spine><itemref idref="a"/><itemref idref="none"/></spine></package>'
    )
    book = epub(CHAPTERS, {"OPS/toc.ncx": NCX, "OPS/book.opf": opf})
    document = parse(".epub", book)
    assert pages(document) == {"Opening": "It began."}


def test_damage_costs_no_more_than_it_touches() -> None:
    broken = {"one.xhtml": "<p>unclosed <b>text", "picture.xhtml": b"\x89PNG\r\n\x1a\n" + bytes(99)}
    document = parse(".epub", epub(broken, {"OPS/nav.xhtml": BOMB + "<html/>"}))
    assert pages(document) == {"part 1": "unclosed text"}
    assert len(document.warnings) == 2


def test_links_out_of_the_book_lead_nowhere() -> None:
    with pytest.raises(ParseFailure):
        parse(".epub", epub({"../../../../etc/passwd": "x"}, {}).replace(b"OPS/../", b"OPX/../"))


@pytest.mark.parametrize(("locked", "fails"), [("OPS/two.xhtml", True), ("OPS/font.otf", False)])
def test_copy_protection_is_named(locked: str, fails: bool) -> None:
    protection = f'<encryption><EncryptedData><CipherReference URI="{locked}"/></EncryptedData></encryption>'
    book = epub(CHAPTERS, {"META-INF/encryption.xml": protection})
    if not fails:
        assert pages(parse(".epub", book))
        return
    with pytest.raises(ParseFailure) as caught:
        parse(".epub", book)
    assert caught.value.code == "encrypted"
    assert "qpdf" not in caught.value.remedy
