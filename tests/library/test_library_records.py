from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from library.records import DocumentRecord, DocumentText, PageSpan
from library.texts import pack_text, storable, unpack_text
from library.wording import one_line

texts = st.text(alphabet=st.characters(exclude_categories=("Cs",)), max_size=200)


@st.composite
def documents(draw: st.DrawFn) -> DocumentText:
    text = draw(texts)
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=6)))
    edges = [0, *cuts, len(text)]
    pages = tuple(PageSpan(f"p{i}", a, b) for i, (a, b) in enumerate(itertools.pairwise(edges)))
    return DocumentText(text, pages)


@given(documents(), st.data())
def test_page_at_names_the_page_that_holds_the_character(document: DocumentText, data: st.DataObject) -> None:
    if not document.text:
        return
    char = data.draw(st.integers(0, len(document.text) - 1))
    page = document.page_at(char)
    assert page.start <= char < page.end


def test_page_at_between_pages_is_the_page_before() -> None:
    document = DocumentText("one\n\ntwo", (PageSpan("1", 0, 3), PageSpan("2", 5, 8)))
    assert [document.page_at(i).label for i in (0, 2, 3, 4, 5, 8)] == ["1", "1", "1", "1", "2", "2"]
    with pytest.raises(IndexError):
        document.page_at(9)


@given(documents(), st.data())
def test_slice_keeps_text_and_pages_together(document: DocumentText, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(document.text)))
    end = data.draw(st.integers(start, len(document.text)))
    part = document.slice(start, end)
    assert part.text == document.text[start:end]
    by_label = {page.label: page for page in document.pages}
    for page in part.pages:
        whole = by_label[page.label]
        text = document.text[max(whole.start, start) : min(whole.end, end)]
        assert part.text[page.start : page.end] == text != ""


@pytest.mark.parametrize("span", [(-1, 2), (2, 1), (0, 9)])
def test_pages_must_fit_the_text(span: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        DocumentText("text", (PageSpan("1", *span),))


def test_a_document_has_short_names() -> None:
    record = DocumentRecord("ab" * 32, "T", "text/plain", 1, 1, 0.0, ("/x/a.txt", "/y/b.txt"), False, ())
    assert (record.short_id, record.path, record.name) == ("abababababab", "/x/a.txt", "a.txt")


@given(documents())
def test_a_text_is_stored_exactly(document: DocumentText) -> None:
    assert unpack_text(pack_text(document), "id") == document


def test_lone_surrogates_keep_their_place() -> None:
    document = storable(DocumentText("a\ud800b", (PageSpan("x\x1b[31m\ny", 0, 3),)))
    assert document.text == "a�b"
    assert document.pages[0].label == "x [31m y"
    assert unpack_text(pack_text(document), "id") == document


@given(st.text(), st.integers(1, 50))
def test_one_line_is_short_and_harmless(text: str, limit: int) -> None:
    line = one_line(text, limit)
    assert len(line) <= limit
    assert line.isprintable() or {c for c in line if not c.isprintable()} <= {"\u200c", "\u200d", "\u00a0"}
    line.encode()
