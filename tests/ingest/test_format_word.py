"""DOCX and ODT: text, tables, notes, headers; what is deleted or hidden stays out."""

from __future__ import annotations

import io

import pytest
from docx import Document
from format_files import R, W, docx, odt, pages, parse, text_of, w_p

from ingest.errors import ParseFailure


def made_by_python_docx() -> bytes:
    document = Document()
    document.core_properties.title = "Annual report 2021"
    document.add_paragraph("The Report", style="Title")
    document.add_heading("Risks", 1)
    document.add_paragraph("Some risks.")
    document.add_paragraph("first", style="List Bullet")
    document.add_paragraph("second", style="List Bullet")
    table = document.add_table(rows=3, cols=3)
    for cell, text in zip(
        (cell for row in table.rows for cell in row.cells),
        "Item|Cost|Year|rent|5|2020|a|b|c".split("|"),
        strict=True,
    ):
        cell.text = text
    table.cell(2, 0).merge(table.cell(2, 1))
    table.cell(1, 2).add_paragraph("late")
    document.add_heading("Currency", 2)
    document.add_paragraph("Euro\tand dollar\nnew line")
    document.sections[0].header.paragraphs[0].text = "Confidential"
    document.sections[0].footer.paragraphs[0].text = "Draft 3"
    buffer = io.BytesIO()
    document.save(buffer)
    return buffer.getvalue()


def test_a_document_with_headings_lists_table_and_header() -> None:
    document = parse(".docx", made_by_python_docx())
    assert document.title == "Annual report 2021"
    assert document.warnings == ()
    assert pages(document) == {
        "beginning": "The Report",
        "Risks": "Risks\n\nSome risks.\n\n- first\n- second\n\n| Item | Cost | Year |\n| --- | --- | --- |\n"
        "| rent | 5 | 2020 late |\n| a b |  | c |",
        "Currency": "Currency\n\nEuro\tand dollar\nnew line",
        "headers and footers": "Confidential\n\nDraft 3",
    }


def test_notes_and_comments_follow_their_paragraph() -> None:
    def notes(kind: str, text: str) -> str:
        return (
            f'<w:{kind}s {W}><w:{kind} w:id="0" w:type="separator">{w_p("line")}</w:{kind}>'
            f'<w:{kind} w:id="7" w:author="Ann">{w_p(text)}{w_p("more")}</w:{kind}></w:{kind}s>'
        )

    references = "".join(
        f'<w:r><w:{kind}Reference w:id="7"/></w:r>' for kind in ("footnote", "endnote", "comment")
    )
    body = f"<w:p><w:r><w:t>Claim</w:t></w:r>{references}<w:r><w:t>.</w:t></w:r></w:p>{w_p('Next')}"
    parts = {
        f"{kind}s.xml": (f"{kind}s", notes(kind, f"a {kind}")) for kind in ("footnote", "endnote", "comment")
    }
    text = text_of(parse(".docx", docx(body, parts)))
    assert text == (
        "Claim[note 1][note 2][comment 3].\n\n[note 1] Ann: a footnote\nmore\n[note 2] Ann: a endnote\nmore\n"
        "[comment 3] Ann: a comment\nmore\n\nNext\n\n"
    )


def test_what_is_deleted_hidden_or_said_twice_stays_out() -> None:
    body = (
        "<w:p><w:r><w:t>kept </w:t></w:r><w:del><w:r><w:delText>deleted</w:delText></w:r></w:del>"
        "<w:ins><w:r><w:t>inserted</w:t></w:r></w:ins><w:r><w:instrText>PAGE</w:instrText></w:r></w:p>"
        + w_p("obey me", run="<w:vanish/>")
        + w_p(" seen", run='<w:vanish w:val="0"/>')
        + '<mc:AlternateContent xmlns:mc="m"><mc:Choice>'
        + w_p("box")
        + "</mc:Choice>"
        "<mc:Fallback>" + w_p("box") + "</mc:Fallback></mc:AlternateContent>"
    )
    document = parse(".docx", docx(body))
    assert text_of(document) == "kept inserted\n\n seen\n\nbox\n\n"
    assert document.warnings == ("hidden text was left out (1 places)",)


def test_tabs_in_properties_are_no_text() -> None:
    assert text_of(parse(".docx", docx(w_p("x", "<w:tabs><w:tab/><w:tab/></w:tabs>")))) == "x\n\n"


def test_a_style_based_on_a_heading_is_one_and_circles_end() -> None:
    styles = (
        f'<w:styles {W}><w:style w:type="paragraph" w:styleId="h2">'
        '<w:name w:val="heading 2"/></w:style>'
        '<w:style w:type="paragraph" w:styleId="mine">'
        '<w:name w:val="Mine"/><w:basedOn w:val="h2"/></w:style>'
        '<w:style w:type="paragraph" w:styleId="a"><w:basedOn w:val="b"/></w:style>'
        '<w:style w:type="paragraph" w:styleId="b"><w:basedOn w:val="a"/></w:style></w:styles>'
    )
    body = w_p("One", '<w:pStyle w:val="mine"/>') + w_p("x", '<w:pStyle w:val="a"/>')
    body += w_p("Two", '<w:outlineLvl w:val="2"/>') + w_p("y", '<w:outlineLvl w:val="9"/>')
    assert pages(parse(".docx", docx(body, {"styles.xml": ("styles", styles)}))) == {
        "One": "One\n\nx",
        "One > Two": "Two\n\ny",
    }


def test_without_headings_words_page_breaks_are_places() -> None:
    broken = "<w:p><w:r><w:t>b </w:t><w:lastRenderedPageBreak/><w:t>on</w:t></w:r></w:p>"
    assert pages(parse(".docx", docx(w_p("a") + broken + w_p("c")))) == {"page 1": "a\n\nb on", "page 2": "c"}
    assert pages(parse(".docx", docx(w_p("a") * 41))) == {
        "paragraphs 1-40": "\n\n".join("a" * 40),
        "paragraph 41": "a",
    }


def test_charts_are_counted() -> None:
    chart = f'<w:p><w:r><w:drawing><c:chart xmlns:c="c" xmlns:r="{R}" r:id="r9"/></w:drawing></w:r></w:p>'
    assert parse(".docx", docx(w_p("x") + chart)).warnings == ("1 charts or diagrams were not read",)


def test_tables_in_tables_and_text_boxes_in_cells() -> None:
    inner = f"<w:tbl><w:tr><w:tc>{w_p('i')}</w:tc><w:tc>{w_p('j')}</w:tc></w:tr></w:tbl>"
    table = f"<w:tbl><w:tr><w:tc>{w_p('a')}{inner}</w:tc><w:tc>{w_p('b')}</w:tc></w:tr></w:tbl>"
    assert text_of(parse(".docx", docx(table))) == "| a i j | b |\n\n"


def test_an_empty_document_says_so() -> None:
    with pytest.raises(ParseFailure) as caught:
        parse(".docx", docx(w_p(" ")))
    assert caught.value.code == "empty"


def test_opendocument() -> None:
    body = (
        "<text:tracked-changes><text:changed-region><text:deletion><text:p>deleted</text:p></text:deletion>"
        "</text:changed-region></text:tracked-changes>"
        '<text:h text:outline-level="1">Bylaws</text:h><text:p>Members<text:s text:c="3"/>pay'
        "<text:note><text:note-citation>1</text:note-citation><text:note-body><text:p>Since 1999.</text:p>"
        "</text:note-body></text:note> dues<text:tab/>yearly.<text:line-break/>Always.</text:p>"
        '<text:h text:outline-level="2">Dues</text:h>'
        "<text:list><text:list-item><text:p>a</text:p><text:list><text:list-item><text:p>b</text:p>"
        "</text:list-item></text:list></text:list-item></text:list>"
        "<table:table><table:table-row><table:table-cell><text:p>x</text:p></table:table-cell>"
        "<table:table-cell "
        'table:number-columns-repeated="2"/><table:table-cell><text:p>y</text:p></table:table-cell>'
        '</table:table-row><table:table-row><table:table-cell table:number-columns-repeated="999999999"/>'
        "</table:table-row></table:table>"
    )
    document = parse(".odt", odt(body, "<style:header><text:p>Club</text:p></style:header>"))
    assert document.title == "Bylaws"
    assert pages(document) == {
        "Bylaws": "Bylaws\n\nMembers   pay[note 1] dues\tyearly.\nAlways.\n\n[note 1] Since 1999.",
        "Dues": "Dues\n\n- a\n  - b\n\n| x |  |  | y |",
        "headers and footers": "Club",
    }


def test_notes_and_headers_without_a_paragraph_cost_nothing() -> None:
    """Found by damaging files: joining no blocks failed, and the whole document with it."""
    notes = f'<w:footnotes {W}><w:footnote w:id="1"/></w:footnotes>'
    data = docx(
        w_p("body"), {"footnotes.xml": ("footnotes", notes), "header1.xml": ("header", f"<w:hdr {W}/>")}
    )
    assert text_of(parse(".docx", data)) == "body\n\n"
