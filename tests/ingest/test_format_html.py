"""HTML: what is shown comes out, in blocks and tables, and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from format_files import pages, parse, text_of
from guards import assert_linear, hang_guard
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import ParseFailure
from ingest.parsers.webpage import web_text

TAGS = st.sampled_from(
    "<div> </div> <p> <table> </table> <tr> <td> <th> </td> <ul> <ol> <li> </ul> <h1> </h1> <h2> <pre> </pre>"
    " <b> </b> <br> <hr> <section> <script>x</script> <!--c--> <form> <caption> </tr> <a> <dl> <dt>".split()
)


def html(body: str) -> str:
    return text_of(parse(".html", f"<!DOCTYPE html><html><body>{body}</body></html>".encode()))


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("<p>one\n  <b>two</b>three<p>four", "one twothree\n\nfour\n\n"),
        ("a<div>b</div>c", "a\n\nb\n\nc\n\n"),
        ("a<br>b <br/> c", "a\nb\nc\n\n"),
        ("<ul><li>a<ul><li>b</ul></li><li><p>c</p></li></ul>x", "- a\n  - b\n- c\n\nx\n\n"),
        ('<ol start="3"><li>a<li>b</ol>', "3. a\n4. b\n\n"),
        ("<pre>  x\n    y</pre>", "  x\n    y\n\n"),
        ('<img alt="A chart"> <a href="http://x/">link</a>', "A chart link\n\n"),
        (
            "<table><caption>T</caption><tr><th>A<th>B<tr><td colspan=2>w<tr><td>x|<td>y<br>z</table>",
            "T\n\n| A | B |\n| --- | --- |\n| w |\n| x\\| | y z |\n\n",
        ),
        ("<table><tr><td><p>only<p>a<tr><td>frame</table>", "only\n\na\n\nframe\n\n"),
        ("&lt;b&gt; &eacute; &#x263a;", "<b> é ☺\n\n"),
    ],
)
def test_blocks(body: str, text: str) -> None:
    assert html(body) == text


def test_what_a_browser_does_not_show_is_dropped() -> None:
    source = (
        "<nav>menu</nav><script>steal()</script><style>p{}</style><!-- secret --><template>t</template>"
        "<noscript>n</noscript><p hidden>h</p><p style='color:red; DISPLAY : none'>d</p>"
        "<svg><text>s</text></svg>"
        "<button>ok</button><p>shown</p>"
    )
    assert html(source) == "shown\n\n"


def test_a_table_that_arranges_the_page_is_no_table() -> None:
    source = (
        "<table><tr><td>left<td><h2>Head</h2><p>right<table><tr><td>1<td>2<tr><td>3<td>4</table></table>"
        "<table role=presentation><tr><td>a<td>b</table>"
    )
    document = parse(".htm", source.encode())
    assert pages(document) == {
        "beginning": "left",
        "Head": "Head\n\nright\n\n| 1 | 2 |\n| --- | --- |\n| 3 | 4 |\n\na\n\nb",
    }


def test_headings_make_pages_and_the_head_the_title() -> None:
    document = parse(
        ".html", b"<title> My\n page </title><p>intro<h1>Report</h1>x<h2>Risks</h2>y<h3>Currency</h3>z"
    )
    assert document.title == "My page"
    assert list(pages(document)) == ["beginning", "Report", "Risks", "Risks > Currency"]


def test_without_headings_places_are_paragraphs() -> None:
    document = parse(".html", b"<p>x" * 90)
    assert [page.label for page in document.pages] == [
        "paragraphs 1-40",
        "paragraphs 41-80",
        "paragraphs 81-90",
    ]


@pytest.mark.parametrize(
    "data",
    [
        "<meta charset=windows-1251><p>Привет, мир".encode("cp1251"),
        '<meta http-equiv=Content-Type content="text/html; charset=koi8-r"><p>Привет, мир'.encode("koi8_r"),
        '<?xml version="1.0" encoding="UTF-8"?><html><p>Привет, мир</p></html>'.encode(),
        "<p>Привет, мир".encode("utf-16"),
        "<meta charset=utf-16><p>Привет, мир".encode(),
        "<meta charset=base64><p>Привет, мир".encode(),
        "<meta charset=ascii><p>Привет, мир".encode("utf-8-sig"),
    ],
)
def test_encodings(data: bytes) -> None:
    document = parse(".html", data)
    assert text_of(document) == "Привет, мир\n\n"
    assert document.warnings == ()


def test_a_declared_encoding_that_does_not_fit_is_not_believed() -> None:
    document = parse(
        ".html", b"<meta charset=utf-8><p>" + "Überraschung für größere Straßen".encode("cp1252")
    )
    assert "größere Straßen" in text_of(document)
    assert "which is a guess" in document.warnings[0]


def test_self_closed_title_does_not_swallow_the_page() -> None:
    assert text_of(
        parse(".xhtml", b"<html><head><title/><script src='x'/></head><body><p>text</p></body></html>")
    ) == ("text\n\n")


@pytest.mark.parametrize("data", [b"", b" \n", b"<html><script>x</script></html>", b"<!-- only -->"])
def test_nothing_shown_is_empty(data: bytes) -> None:
    with pytest.raises(ParseFailure) as caught:
        parse(".html", data)
    assert caught.value.code == "empty"


def test_binary_data_is_no_page() -> None:
    with pytest.raises(ParseFailure) as caught:
        parse(".html", b"\x89PNG\r\n\x1a\n" + bytes(500))
    assert caught.value.code == "binary"


@pytest.mark.parametrize(
    ("hostile", "most", "kept"),
    [
        (lambda n: "<div>" * n + "core", 20_000, "core"),
        (lambda n: "<table><tr><td>" * n + "core", 3_000, "core"),
        (lambda n: "<ul><li>" * n + "core", 3_000, "core"),
        (lambda n: "<p>" + " " * n + "core", 1_000_000, "core"),
        (lambda n: "<title" + " " * n + "<p>core", 1_000_000, ""),
        (lambda n: "<pre>" + " " * n + "core", 1_000_000, "core"),
        (lambda n: "<script>" + "x" * n + "</script>core", 1_000_000, "core"),
        (lambda n: "<b><i>" * n + "<p>core</b>", 3_000, "core"),
    ],
    ids=["divs", "tables", "lists", "spaces", "open title", "pre", "script", "formatting"],
)
def test_deep_or_long_pages_cost_no_more_than_their_length(
    hostile: Callable[[int], str], most: int, kept: str
) -> None:
    """The guard is for the expressions: the square of a million is 10^12 steps."""

    def read(n: int) -> Callable[[], None]:
        source = hostile(n)

        def look() -> None:
            assert kept in "".join(block.text for block in web_text(source).blocks)

        return look

    assert_linear(read, 250)
    with hang_guard():
        read(most)()


@given(st.lists(TAGS | st.sampled_from(["w1", "w2", " ", "\n"]), max_size=60))
def test_any_soup_gives_its_words_once_and_in_order(pieces: list[str]) -> None:
    words = [f"w{n}w" for n, piece in enumerate(pieces) if piece in ("w1", "w2")]
    numbered = iter(words)
    source = "".join(f" {next(numbered)} " if piece in ("w1", "w2") else piece for piece in pieces)
    text = " ".join(block.text for block in web_text(source).blocks)
    found = [word for word in text.replace("|", " ").split() if word in set(words)]
    # HTML moves text that stands directly in a table before it: the words are the same, each once.
    assert sorted(found) == sorted(words)
    if "<table>" not in pieces:
        assert found == words
