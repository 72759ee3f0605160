"""What a document is called: its title, not its letterhead, its date or its page number."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from guards import assert_linear, hang_guard
from hypothesis import given
from hypothesis import strategies as st

from ingest.parsers.base import Limits
from ingest.parsers.markdown import MarkdownParser
from ingest.parsers.text import TextParser
from ingest.parsers.titles import MAX_TITLE_CHARS, authored, choose_title, name_in_words, title_in_text

SENTENCE = "The members met in the town hall and agreed on what had been written down, as follows."
PROSE = f"\n\n{SENTENCE}\n"


@pytest.mark.parametrize(
    ("head", "title"),
    [
        ("Harbour plan", "Harbour plan"),
        ("ACME WIDGETS LTD\n\nLEAVE POLICY", "LEAVE POLICY"),
        ("Acme Widgets, Inc.\n12 High Street, Lincoln LN1 3BJ\nTel: 01522 123456\n\nPump data", "Pump data"),
        (
            "Müller & Söhne GmbH\nHauptstraße 12\n50667 Köln\n\nBetriebsanleitung Pumpe P4",
            "Betriebsanleitung Pumpe P4",
        ),
        ("Velmora s.r.o.\nwww.velmora.example\nDelivery terms", "Delivery terms"),
        (
            "Ministry of Health\nDepartment of Nursing\n\nNational strategy for wards",
            "National strategy for wards",
        ),
        (
            "CONFIDENTIAL\nDRAFT - NOT FOR DISTRIBUTION\n3 March 2024\nTakeover of Smithson",
            "Takeover of Smithson",
        ),
        ("Page 1 of 12\n2024-03-01 10:15\nVersion 3.2\nCooling of the hall", "Cooling of the hall"),
        ("Takeover of Smithson - Strictly confidential", "Takeover of Smithson"),
        ("\u00a9 2021 Acme Widgets Ltd. All rights reserved.\n\nUser guide", "User guide"),
        ("Invoice\n\nInvoice no: 2024-117\nCustomer no: 55", "Invoice (2024-117)"),
        ("Factual report\n\nDate: 1 May 2020\nCase number: AB12/7", "Factual report (AB12/7)"),
        ("Fire report\n\nPhone number: 5551234\nCompany no: 8812", "Fire report"),
        (
            "MEMO\n\nTo: All staff\nFrom: The director\nSubject: Closing of the canteen",
            "Closing of the canteen",
        ),
        ("Report\nFindings at the north pier", "Report: Findings at the north pier"),
        ("Minutes\nof the annual general meeting", "Minutes of the annual general meeting"),
        ("A short history of\nthe harbour", "A short history of the harbour"),
        ("= Handbook of pumps\nAnn Smith <ann@example.org>", "Handbook of pumps"),
        ("#+AUTHOR: Ann\n#+TITLE: Handbook of pumps", "Handbook of pumps"),
        ("Python: a gentle introduction", "Python: a gentle introduction"),
        (
            "Name: J. Smith\nTitle: Director\nTown: Lincoln\n\nApplication for a mooring",
            "Application for a mooring",
        ),
    ],
)
def test_the_title_at_the_head_of_a_text(head: str, title: str) -> None:
    assert title_in_text(head + PROSE, "a1") == title


@pytest.mark.parametrize(
    "name",
    [
        "Harvard University", "Bank of England", "Ford Motor Company", "Apple Inc.", "May", "Secret",
        "Minutes to Midnight", "2012 Leap Day tornado", "Monogram (company)", "Arthur? Arthur!",
        "Star Wars: Hope", "Peter schießt den Vogel ab", "Dear Brother (song)", "12 Angry Men", "Al\u00fb",
        "The Office", "Index", "Mr. Bean", "10 Downing Street", "Confidential Report", "Time", "Ill",
    ],
)  # fmt: skip
def test_an_article_is_called_what_its_first_line_says(name: str) -> None:
    """Names that look like something else: alone above the prose, the name of the file says the same."""
    stem = "0012_" + "".join(c if c.isalnum() else "_" for c in name)
    assert title_in_text(f"{name}{PROSE}", stem) == name


@pytest.mark.parametrize(
    ("text", "stem", "title"),
    [
        ("Acme Widgets Ltd" + PROSE, "letter to the bank", "letter to the bank"),
        ("MEMORANDUM" + PROSE, "memo-canteen-closing", "memo canteen closing"),
        ("MEMORANDUM" + PROSE, "memorandum", "MEMORANDUM"),
        ("Contents\n1 Pumps\n2 Fans" + PROSE, "hall-manual-en", "hall manual en"),
        ("Acme LLP\n\nMr John Smith\n\nDear Mr Smith," + PROSE, "letter to smith", "letter to smith"),
        (PROSE, "harbour_plan-2024-05.txt", "harbour plan 2024-05"),
        (PROSE, "scan0001", SENTENCE),
        (PROSE, "final copy of document 7", SENTENCE),
        ("2026-01-05 10:00:01 started\n2026-01-05 10:00:02 ended\n", "harbour crane", "harbour crane"),
        ("Time: 20260105_11:00\nAnn: Lunch?\nBob: Yes, one.", "20260105_1100", "Ann: Lunch? (2026-01-05)"),
        ("+++\n***\n", "20260105", "20260105"),
    ],
)  # fmt: skip
def test_the_files_name_stands_in_where_it_says_more(text: str, stem: str, title: str) -> None:
    assert choose_title(title_in_text(text, stem), stem=stem) == title


@pytest.mark.parametrize(
    ("title", "stem", "shown"),
    [
        ("Minutes of the board", "minutes-2026-03", "Minutes of the board (2026-03)"),
        ("Minutes of the board", "minutes_20260324", "Minutes of the board (2026-03-24)"),
        ("Minutes of the board", "minutes-2026-03-24-v2000", "Minutes of the board (2026-03-24)"),
        ("Weekly report", "report 2025", "Weekly report (2025)"),
        ("Weekly report 12", "report 2025", "Weekly report 12"),
        ("Leave policy", "leave-policy-2025", "Leave policy"),
        ("Weekly report", "report-20251399", "Weekly report"),
        ("Weekly report", "20071229X02007", "Weekly report"),
    ],
)
def test_titles_that_recur_are_told_apart_by_date(title: str, stem: str, shown: str) -> None:
    assert choose_title(title, stem=stem) == shown
    source = f"# {title}\n\nText.\n".encode()
    assert MarkdownParser().parse(source, stem, Limits()).title == shown


@pytest.mark.parametrize(
    "junk",
    [
        "Untitled-1", "Microsoft Word - a.doc", "report_final.docx", "PowerPoint Presentation", "https://a.example/b",
        "C:\\Users\\ann\\a b", "/home/ann/letters", "Layout 1", "Scan 12", "20240117-00231", "Dokument1",
        "about:blank", "a3f8c2d1e5b7490a8c6d", "", "..",
    ],
)  # fmt: skip
def test_titles_that_programs_make_up(junk: str) -> None:
    assert authored(junk) == ""


@pytest.mark.parametrize(
    "title", ["Annual Report 2021", "R2D2", "The /etc folder", "Documents of the war", "Über A.I."]
)
def test_titles_that_people_give(title: str) -> None:
    assert authored(title) == title


@pytest.mark.parametrize(
    ("stem", "words"),
    [
        ("0007_harbour_plan", "harbour plan"),
        ("Harbour-Plan_v2", "Harbour Plan v2"),
        ("20071229X02007.pdf", ""),
        ("img_0012", ""),
        ("notes", ""),
        ("final draft document", ""),
    ],
)
def test_words_in_the_name_of_a_file(stem: str, words: str) -> None:
    assert name_in_words(stem) == words


@given(st.text(max_size=600), st.text(max_size=60))
def test_any_text_has_a_short_title_on_one_line(text: str, stem: str) -> None:
    title = choose_title(title_in_text(text, stem), stem=stem)
    assert 0 < len(title) <= MAX_TITLE_CHARS < 150
    assert title.isprintable() or not any(c in title for c in "\n\r\t\x1b\x00")


@pytest.mark.parametrize(
    "unit",
    ["a ", "1 ", "a: ", "Street ", "a\n", "a:b\n", "(", " - ", "12 a ", "no ", "- ", ".", "á ", "st, ", "\n"],
)
def test_no_head_costs_more_than_its_length(unit: str) -> None:
    """The guard is for the expressions: the square of a million is 10^12 steps."""

    def read(n: int) -> Callable[[], None]:
        text = unit * n

        def title_and_text() -> None:
            choose_title(title_in_text(text, text), stem=text)
            TextParser().parse(f"x{text}".encode(), text[:2000], Limits())

        return title_and_text

    assert_linear(read, 5_000)
    with hang_guard():
        choose_title(title_in_text(unit * 1_000_000, unit * 1_000_000), stem=unit * 1_000_000)
        read(100_000)()
