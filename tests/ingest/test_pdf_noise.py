"""Print's additions go, facts stay."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pdf_files import PROSE, text_pdf

from ingest.parsers.base import Limits
from ingest.parsers.pdf import PdfParser
from ingest.parsers.pdf_noise import join_torn_words, plain_letters, without_running_lines


def report(head: str, foot: str, n_pages: int = 5) -> list[str]:
    """Pages of different lines between a head and a foot, in which ``#`` is the page's number."""
    return [
        "\n".join(
            [
                head.replace("#", str(n)),
                *(f"Body {n}.{k} of text" for k in range(9)),
                foot.replace("#", str(n)),
            ]
        )
        for n in range(1, n_pages + 1)
    ]


def cleaned(pages: list[str]) -> list[list[str]]:
    labels = [str(number) for number in range(1, len(pages) + 1)]
    return [page.split("\n") for page in without_running_lines(pages, labels)]


@pytest.mark.parametrize(
    "line",
    [
        "Harrow Mill Annual Report",
        "Annual Report 2025 - Page #",
        "Annual report | #",
        "BM4-SM-03, issue 3   Page #",
    ],
)
def test_a_running_line_stands_once(line: str) -> None:
    for pages in (report(line, "Last"), report("First line", line)):
        found = [line.replace("#", str(n)) in page for n, page in enumerate(cleaned(pages), start=1)]
        assert found == [True, False, False, False, False]


@pytest.mark.parametrize("line", ["#", "- # -", "Page #", "Page # of 5", "Seite # von 5", "# / 5"])
def test_page_numbers_go(line: str) -> None:
    for page in cleaned(report("Head of nothing", line)):
        assert len(page) == 10 - (page[0] != "Head of nothing")
        assert page[-1].startswith("Body")


@pytest.mark.parametrize(
    "line", ["Lot #", "Question #", "Net pay 1,200.00", "Status: approved", "Total 0 0", "Item   Sum"]
)
def test_facts_of_a_page_stay(line: str) -> None:
    for n, page in enumerate(cleaned(report("Body text of its own", line)), start=1):
        assert page[-1] == line.replace("#", str(n))


def test_printed_numbers_that_are_not_the_label_stay() -> None:
    pages = report("Body text of its own", "#")
    labels = [str(number + 100) for number in range(5)]
    assert [page.split("\n")[-1] for page in without_running_lines(pages, labels)] == list("12345")


def test_a_line_on_few_pages_stays() -> None:
    pages = report("Chapter", "end", n_pages=8)
    mixed = [page if n < 3 else page.replace("Chapter", f"Part {n} of it") for n, page in enumerate(pages)]
    assert sum(page[0] == "Chapter" for page in cleaned(mixed)) == 3


def test_the_parser_cites_by_page_and_keeps_the_head_once() -> None:
    texts = [f"Northern Wool Company\n{PROSE}Sheet {n}.\n{PROSE}\nPage {n} of 4" for n in range(1, 5)]
    document = PdfParser().parse(text_pdf(texts), "stem", Limits())
    assert [page.label for page in document.pages] == ["1", "2", "3", "4"]
    assert ["Northern Wool" in page.text for page in document.pages] == [True, False, False, False]
    assert not any("of 4" in page.text for page in document.pages)
    assert all(f"Sheet {n}." in page.text for n, page in enumerate(document.pages, start=1))


def test_torn_words_are_joined_when_the_document_knows_them() -> None:
    known = "The examination of well-known books"
    torn = "The exam-\nination, by well-\nknown people, of an un-\nseen thing in Berlin-\nMitte"
    assert join_torn_words([known, torn]) == [
        known,
        "The examination,\nby well-known\npeople, of an un-\nseen thing in Berlin-\nMitte",
    ]


def test_unknown_torn_words_follow_the_others() -> None:
    words = ["governor", "parliament", "committee", "regulation", "treasury"]
    torn = "\n".join(f"x {word[:4]}-\n{word[4:]} y" for word in words)
    assert "unseen\n" in join_torn_words([" ".join(words), f"{torn}\nan un-\nseen thing"])[1]
    assert "un-\nseen" in join_torn_words([f"{torn}\nan un-\nseen thing"])[0]


def test_ligatures_and_soft_hyphens_become_letters() -> None:
    assert (
        plain_letters("the ﬁnance oﬃce and the af\u00adﬂu\u00ad\nent")
        == "the finance office and the affluent"
    )


@given(st.lists(st.text("ab-1 \n", max_size=60), min_size=1, max_size=6))
def test_joining_changes_nothing_but_hyphens_and_space(pages: list[str]) -> None:
    for before, after in zip(pages, join_torn_words(pages), strict=True):
        assert "".join(before.replace("-", "").split()) == "".join(after.replace("-", "").split())


@given(st.lists(st.lists(st.sampled_from(["x 1", "Head", "", "3", "Page 2", "y"]), max_size=14), max_size=6))
def test_only_whole_lines_at_the_edges_go(pages: list[list[str]]) -> None:
    for before, after in zip(pages, cleaned(["\n".join(page) for page in pages]), strict=True):
        kept = iter(before or [""])
        assert after == [""] or all(line in kept for line in after)  # a subsequence
        assert len(before or [""]) - len(after) <= 4


def test_hostile_runs_of_hyphens_take_no_time() -> None:
    page = "a-" * 200_000 + "\nb"
    assert len(join_torn_words([page])[0]) >= len(page) - 2
