"""Plain text and Markdown: the whole text, pages to cite, a title."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from guards import assert_linear, hang_guard
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import ParseFailure
from ingest.parsers import agreeing_parser, parser_for_suffix
from ingest.parsers.base import Limits, ParsedDocument
from ingest.parsers.markdown import MAX_LABEL_CHARS, MarkdownParser
from ingest.parsers.text import LINES_PER_PAGE, PARAGRAPH_REACH, TextParser

LINES = st.lists(
    st.text(alphabet=st.sampled_from("ab #=-`~>é \t"), max_size=12)
    | st.sampled_from(["# One", "## Two", "```", "---", "===", "", "title: x"])
)


def text_document(source: str, stem: str = "stem") -> ParsedDocument:
    return TextParser().parse(source.encode(), stem, Limits())


def markdown(source: str, stem: str = "stem") -> ParsedDocument:
    return MarkdownParser().parse(source.encode(), stem, Limits())


def labels(document: ParsedDocument) -> list[str]:
    return [page.label for page in document.pages]


@given(LINES)
def test_pages_joined_are_the_text(lines: list[str]) -> None:
    source = "x" + "\n".join(lines)
    for parser in (TextParser(), MarkdownParser()):
        pages = parser.parse(source.encode(), "stem", Limits()).pages
        assert "".join(page.text for page in pages) == source
        assert all(page.text and page.label and len(page.label) <= MAX_LABEL_CHARS for page in pages)


@given(st.lists(st.sampled_from(["", "word"]), min_size=1, max_size=400))
def test_line_labels_say_where_the_lines_are(lines: list[str]) -> None:
    source = "\n".join([*lines, "end"])
    numbered = source.split("\n")
    next_line = 1
    for page in text_document(source).pages:
        first, _, last = page.label.split()[1].partition("-")
        assert int(first) == next_line
        assert page.text.removesuffix("\n").split("\n") == numbered[int(first) - 1 : int(last or first)]
        assert page.text.count("\n") <= LINES_PER_PAGE + PARAGRAPH_REACH
        next_line = int(last or first) + 1
    assert next_line == len(numbered) + 1


def test_a_page_ends_with_its_paragraph_when_that_is_near() -> None:
    assert labels(text_document("\n".join(["a"] * 64 + [""] + ["b"] * 30)))[0] == "lines 1-65"
    assert labels(text_document("\n".join(["a"] * 300)))[0] == "lines 1-75"


@pytest.mark.parametrize(
    ("source", "title"),
    [
        ("\n\n  First   line \nsecond", "First line"),
        ("Page 1 of 4\n----\nAnnual Report", "Annual Report"),
        ("PEP: 203\nTitle: Augmented Assignments\nVersion: 2", "Augmented Assignments"),
        ("Civil code\n", "Civil code"),
        ("xii\n- 4 -\nIll\n", "Ill"),
        ("+++\n***\n", "stem"),
        ("word " * 100, ("word " * 19).strip() + "…"),
    ],
)
def test_title_of_a_text(source: str, title: str) -> None:
    assert text_document(source).title == title


def test_line_ends_and_terminal_codes_are_cleaned() -> None:
    document = text_document("one\r\n\x1b[31mtwo\x1b[0m\u202e")
    assert [page.text for page in document.pages] == ["one\ntwo"]
    assert len(document.warnings) == 1


@pytest.mark.parametrize("data", [b"", b" \n\t\r\n", b"\xef\xbb\xbf", b"\x0c\x0c"])
@pytest.mark.parametrize("parser", [TextParser(), MarkdownParser()])
def test_nothing_but_white_space_is_empty(parser: TextParser | MarkdownParser, data: bytes) -> None:
    with pytest.raises(ParseFailure) as caught:
        parser.parse(data, "stem", Limits())
    assert caught.value.code == "empty"


def test_headings_make_pages_with_their_path() -> None:
    document = markdown(
        "# Annual report\n\nIntro.\n\n## 3 Risks\n\nText.\n\n### 3.2 **Currency** risk\n\nEuro.\n\n"
        "Outlook\n-------\nGood.\n"
    )
    assert document.title == "Annual report"
    assert labels(document) == ["Annual report", "3 Risks", "3 Risks > 3.2 Currency risk", "Outlook"]


def test_several_top_headings_stay_in_the_path() -> None:
    assert labels(markdown("# A\n## B\n# C\n## D\n")) == ["A", "A > B", "C", "C > D"]


def test_text_before_the_first_heading_is_a_page() -> None:
    assert labels(markdown("Preface.\n\n# One\nText\n")) == ["beginning", "One"]
    assert labels(markdown("\n\n# One\nText\n")) == ["One"]


@pytest.mark.parametrize(
    "source",
    [
        "```\n# no heading\n```\n",
        "~~~~\n~~~\n# no heading\n~~~~\n",
        "#no heading\n",
        "    # code\n",
        "- item\n---\n",
        "two lines\nof text\n---\n",
        "text\n\n---\n",
        "| a | b |\n|---|---|\n",
    ],
)
def test_what_only_looks_like_a_heading(source: str) -> None:
    assert labels(markdown(source + "\nend")) == [f"lines 1-{(source + chr(10) + 'end').count(chr(10)) + 1}"]


def test_links_and_marks_are_taken_out_of_labels() -> None:
    assert labels(markdown("## See [the `plan`](http://x/y) ##\nx")) == ["See the plan"]
    assert labels(markdown("# snake_case_name _really_\nx")) == ["snake_case_name really"]


def test_front_matter_gives_the_title() -> None:
    document = markdown('---\ntitle: "Leave policy"\nowner: HR\n---\n# Scope\nAll staff.\n')
    assert document.title == "Leave policy"
    assert labels(document) == ["beginning", "Scope"]
    assert markdown("---\ntitle: never closed\n# Scope\n").title == "Scope"


def test_long_labels_keep_the_innermost_heading() -> None:
    source = "# One\n# Two\n" + "## " + "middle " * 10 + "\n### leaf heading\ntext"
    assert labels(markdown(source))[-1] == "… > leaf heading"
    label = labels(markdown("# One\n# Two\n" + "## " + "x" * 300))[-1]
    assert len(label) <= MAX_LABEL_CHARS
    assert label.endswith("…")


@pytest.mark.parametrize(
    "hostile",
    [
        lambda n: "# a" + " " * n + "b",
        lambda n: "# " + "#" * n + " x",
        lambda n: " " * n + "x\n---",
        lambda n: "[" * n + "\n===",
        lambda n: "# " + "[a](" * n,
        lambda n: "-" * n + "x",
        lambda n: "\x1b[" * n,
        lambda n: "\u0301" * n,
    ],
    ids=["spaces", "marks", "indent", "brackets", "links", "dashes", "escapes", "accents"],
)
def test_no_line_costs_more_than_its_length(hostile: Callable[[int], str]) -> None:
    """The guard is for the expressions: the square of a million is 10^12 steps."""

    def read(n: int) -> Callable[[], object]:
        source = "x\n" + hostile(n)
        return lambda: markdown(source)

    assert_linear(read, 5_000)
    with hang_guard():
        read(1_000_000)()


def test_a_hundred_thousand_headings_take_little_time() -> None:
    assert len(markdown("# a\n" * 100_000).pages) == 100_000


@pytest.mark.parametrize(
    ("suffix", "name"),
    [
        (".txt", "text"),
        (".TXT", "text"),
        (".log", "text"),
        (".md", "markdown"),
        (".pdf", "pdf"),
        (".docx", "docx"),
        (".doc", None),
    ],
)
def test_the_suffix_picks_the_parser(suffix: str, name: str | None) -> None:
    parser = parser_for_suffix(suffix)
    assert (parser.name if parser else None) == name


def test_the_first_bytes_overrule_the_suffix() -> None:
    assert agreeing_parser("text", b"\xef\xbb\xbf%PDF-1.7\n...").name == "pdf"
    assert agreeing_parser("text", b"The header of a PDF is %PDF-1.7").name == "text"
    with pytest.raises(ParseFailure) as caught:
        agreeing_parser("pdf", b"just text")
    assert caught.value.code == "broken"
