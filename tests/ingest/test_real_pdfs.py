"""Real reports against the same reports as another PDF library reads them."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from ingest.sandbox import ParserPool
from ingest.scan import scan

# "Page 2 of 4" and the accident's number: stands once in the text, the other library has it on every page.
FOOT = re.compile(r"Page \d of \d(?:[ \n]+[A-Z]{3}\d\d[A-Z]{2}\d{3}[A-Z]?\n)?")
REPORTS = Path(__file__).resolve().parents[3] / "shared" / "data" / "ntsb_qa"


@pytest.mark.data
@pytest.mark.skipif(not REPORTS.is_dir(), reason="the public question sets are not next to the checkout")
def test_the_words_are_those_that_another_library_finds() -> None:
    with ParserPool() as pool:
        files = scan([REPORTS / "pdfs"]).files
        assert len(files) == 20
        for file in files:
            parsed = pool.parse(file)
            found = Counter(FOOT.sub("", parsed.text.text).split())
            text = (REPORTS / "docs" / f"{file.path.name}.txt").read_text()
            expected = Counter(FOOT.sub("", text).split())
            assert ((found - expected) + (expected - found)).total() <= 0.01 * expected.total()
            assert parsed.warnings == ()
            assert [page.label for page in parsed.text.pages[:2]] == ["1", "2"]
            assert "National Transportation Safety Board" in parsed.text.text[: parsed.text.pages[0].end]


@pytest.mark.data
@pytest.mark.skipif(not REPORTS.is_dir(), reason="the public question sets are not next to the checkout")
def test_an_empty_field_of_a_form_stays_empty() -> None:
    with ParserPool() as pool:
        (file,) = scan([REPORTS / "pdfs" / "20071229X02007.pdf"]).files
        page = pool.parse(file).text
    lines = page.text.split("\n")
    (row,) = (line for line in lines if line.startswith("Year of Manufacture:"))
    assert re.split(" {3,}", row) == ["Year of Manufacture:", "Amateur Built:", "No"]
    above = next(line for line in lines if line.startswith("Model/Series:"))
    assert row.index("Amateur Built:") == above.index("Aircraft Category:")
    assert page.text.count("NYC08CA055") == 2  # the report's head, and its foot once
