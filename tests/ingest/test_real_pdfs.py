"""Real reports against the same reports as another PDF library reads them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from ingest.sandbox import ParserPool
from ingest.scan import scan

REPORTS = Path(__file__).resolve().parents[3] / "shared" / "data" / "ntsb_qa"


@pytest.mark.data
@pytest.mark.skipif(not REPORTS.is_dir(), reason="the public question sets are not next to the checkout")
def test_the_words_are_those_that_another_library_finds() -> None:
    with ParserPool() as pool:
        files = scan([REPORTS / "pdfs"]).files
        assert len(files) == 20
        for file in files:
            parsed = pool.parse(file)
            found = Counter(parsed.text.text.split())
            expected = Counter((REPORTS / "docs" / f"{file.path.name}.txt").read_text().split())
            assert ((found - expected) + (expected - found)).total() <= 0.01 * expected.total()
            assert parsed.warnings == ()
            assert [page.label for page in parsed.text.pages[:2]] == ["1", "2"]
            assert "National Transportation Safety Board" in parsed.text.text[: parsed.text.pages[0].end]
