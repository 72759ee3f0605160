"""reStructuredText, source code, notebooks, RTF."""

from __future__ import annotations

from collections.abc import Callable

import orjson
import pytest
from format_files import outcome, pages, parse, text_of
from guards import assert_linear, hang_guard
from hypothesis import given
from hypothesis import strategies as st

from ingest.errors import ParseFailure
from ingest.parsers.notebook import MAX_OUTPUT_CHARS

RST_LINES = st.lists(
    st.sampled_from(["Title", "====", "----", "", "* item", "  indented", "=", "::", "a b", "~~~~~~~"])
)


def test_section_titles_make_pages() -> None:
    source = (
        "intro\n\n========\n Manual\n========\n\nx\n\nSetup\n-----\ny\n\nLinux\n~~~~~\nz\n\nUse\n-----\n\n"
        "====  ====\na     b\n"
        "====  ====\n\n- item\n\n----\n\nlast\n"
    )
    document = parse(".rst", source.encode())
    assert document.title == "Manual"
    assert [page.label for page in document.pages] == ["beginning", "Manual", "Setup", "Setup > Linux", "Use"]
    assert text_of(document) == source


@given(RST_LINES)
def test_rst_is_kept_as_it_is(lines: list[str]) -> None:
    source = "x\n" + "\n".join(lines)
    assert text_of(parse(".rst", source.encode())) == source


@pytest.mark.parametrize(
    "source", ["two\nlines\n=====\n", "a long title\n--\n", " quoted\n------\n", "a\n\n----\n\nb"]
)
def test_what_only_looks_like_a_title(source: str) -> None:
    assert [page.label.split()[0] for page in parse(".rst", source.encode()).pages] == ["lines"]


def test_code_is_cited_by_lines_and_named_by_the_file() -> None:
    source = "import os\n" + "x = 1\n" * 100
    document = parse(".py", source.encode(), stem="setup")
    assert document.title == "setup"
    assert [page.label for page in document.pages] == ["lines 1-75", "lines 76-101"]
    assert text_of(document) == source


def notebook(*cells: dict[str, object]) -> bytes:
    return orjson.dumps({"cells": list(cells), "nbformat": 4, "metadata": {}})


def code(source: str, *outputs: dict[str, object]) -> dict[str, object]:
    return {"cell_type": "code", "source": source, "outputs": list(outputs)}


def test_a_notebook_shows_text_code_and_output() -> None:
    document = parse(
        ".ipynb",
        notebook(
            {"cell_type": "markdown", "source": ["# Growth\n", "of trees"]},
            code(
                "print(1)",
                {"output_type": "stream", "text": ["1\n", "\x1b[31m2\x1b[0m\n"]},
                {"output_type": "execute_result", "data": {"text/plain": ["3"], "text/html": "<b>3</b>"}},
                {
                    "output_type": "display_data",
                    "data": {"image/png": "iVBOR", "text/plain": "<Figure size 3x3>"},
                },
            ),
            code(
                "1/0",
                {"output_type": "error", "ename": "ZeroDivisionError", "evalue": "zero", "traceback": ["x"]},
            ),
            code(""),
        ),
    )
    assert document.title == "Growth"
    assert pages(document) == {
        "cell 1": "# Growth\nof trees",
        "cell 2": "```\nprint(1)\n```\n\nOutput:\n1\n2\n3",
        "cell 3": "```\n1/0\n```\n\nOutput:\nZeroDivisionError: zero",
    }
    assert document.warnings == ("1 outputs without text, such as pictures, were left out",)


def test_an_older_notebook() -> None:
    data = orjson.dumps({"worksheets": [{"cells": [{"cell_type": "code", "input": "a", "outputs": []}]}]})
    assert pages(parse(".ipynb", data)) == {"cell 1": "```\na\n```"}


def test_long_output_is_cut() -> None:
    document = parse(".ipynb", notebook(code("x", {"output_type": "stream", "text": "y" * 50_000_000})))
    text = text_of(document)
    assert text.count("y") == MAX_OUTPUT_CHARS
    assert text.rstrip().endswith("… (cut)")
    assert document.warnings == ("the output of 1 cells was cut after 4,000 characters",)


@pytest.mark.parametrize(
    "data",
    [b"{", b"[]", b"3", b'{"cells": 3}', b'{"cells": {"a": 1}}', b"[" * 100_000, b'{"worksheets": [3]}'],
)
def test_what_is_no_notebook(data: bytes) -> None:
    with pytest.raises(ParseFailure) as caught:
        parse(".ipynb", data)
    assert caught.value.code in ("broken", "empty")


@given(
    st.recursive(
        st.none() | st.integers(-9, 9) | st.text(max_size=3), lambda inner: st.lists(inner, max_size=3)
    )
)
def test_any_value_in_a_notebook(value: object) -> None:
    cells = [
        {"cell_type": "code", "source": value, "outputs": value},
        {"source": ["x"], "cell_type": value},
        value,
    ]
    odd = {
        "cell_type": "code",
        "outputs": [{"data": value, "text": value, "output_type": "error", "ename": value}],
    }
    document = parse(".ipynb", orjson.dumps({"cells": [*cells, odd], "metadata": value}))
    assert "x" in text_of(document)


RTF = (
    rb"{\rtf1\ansi\ansicpg1251\deff0{\fonttbl{\f0\fcharset204 Arial;}}"
    rb"{\info{\title Minutes of \'cc\'e0\'ff}{\author A}}"
    rb"\f0 \b \'cf\'f0\'e8\'e2\'e5\'f2\b0  \u8364? and \u-10179?\u-8704?\par "
    rb"see {\field{\*\fldinst{HYPERLINK "
    rb'"http://x/"}}{\fldrslt the site}}{\footnote\pard not {\i all} of it} now\par '
    rb"\trowd Item\cell Cost\cell\row rent\cell 5\cell\row"
    rb"{\pict\jpegblip " + b"ffd8" * 5000 + rb"}{\*\unknown gone}end\par}"
)


def test_rtf() -> None:
    document = parse(".rtf", RTF)
    assert document.title == "Minutes of Мая"
    assert pages(document) == {
        "paragraphs 1-5": "Привет € and 😀\nsee the site [note: not all of it] now\n"
        "| Item | Cost |\n| rent | 5 |\nend"
    }


@pytest.mark.parametrize("unit", [b"{", b"}", b"{\\pict", b"{\\footnote", b"{\\field{\\*\\fldinst{"])
def test_hostile_rtf_costs_no_more_than_its_length(unit: bytes) -> None:
    """The guard is for the expressions, of which each field is one more search of the rest: 10^11 steps."""

    def read(n: int) -> Callable[[], object]:
        data = b"{\\rtf1 " + unit * n + b"x"
        return lambda: outcome(".rtf", data)

    assert_linear(read, 500)
    with hang_guard():
        assert read(100_000)() in {"read", "broken", "empty"}


@pytest.mark.parametrize(
    "data",
    [
        b"{\\rtf1 \\u99999999 \\u-99999 x",
        b"{\\rtf1\\ansicpg99999 \\'ff x}",
        b"{\\rtf1 \\bin99999999 x",
        b"{\\rtf1{\\fonttbl{\\f0\\fcharset999999 A;}} \\f0\\'ff x}",
        "{\\rtf1 größer x}".encode("cp1252"),
    ],
    ids=["unicode", "code page", "bin", "charset", "high"],
)
def test_numbers_that_rtf_does_not_have_are_no_error(data: bytes) -> None:
    assert outcome(".rtf", data) in {"read", "broken", "empty"}
