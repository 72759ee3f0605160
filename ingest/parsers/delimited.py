"""CSV and TSV: readable tables, cited by rows."""

from __future__ import annotations

import csv
import io

from ingest.parsers.assembly import assemble
from ingest.parsers.base import Limits, ParsedDocument
from ingest.parsers.tables import row_pages
from ingest.parsers.text import line_pages, readable_text

_SAMPLE_LINES = 50
_SAMPLE_CHARS = 100_000
_DELIMITERS = ",;\t|"


class CsvParser:
    """``.csv`` and ``.tsv``."""

    name = "csv"
    media_type = "text/csv"
    suffixes = frozenset({".csv", ".tsv"})

    def parse(self, data: bytes, stem: str, limits: Limits) -> ParsedDocument:
        """Decode, find the delimiter, write as tables; see `base.Parser.parse`.

        What is no table is kept as plain lines.
        """
        del limits  # the size was checked before the file was read
        text, warnings = readable_text(data)
        delimiter = find_delimiter(text)
        if delimiter:
            try:
                rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
                return assemble(list(row_pages(rows)), stem, stem=stem, warnings=warnings)
            except csv.Error as error:
                warnings = (*warnings, f"read as plain lines, for it is no table: {error}")
        return assemble(line_pages(text), stem, stem=stem, warnings=warnings)


def find_delimiter(text: str) -> str:
    """The character that parts the cells: the one that gives most rows the same number of them.

    "" when none does.
    """
    sample = "\n".join(text[:_SAMPLE_CHARS].split("\n")[:_SAMPLE_LINES])
    best, best_score = "", (0.0, 0)
    for delimiter in _DELIMITERS:
        try:
            widths = [len(row) for row in csv.reader(io.StringIO(sample), delimiter=delimiter) if row]
        except csv.Error:
            continue
        usual = max(set(widths), key=lambda width: (widths.count(width), width), default=1)
        score = (widths.count(usual) / len(widths), usual) if widths and usual > 1 else (0.0, 0)
        if score > best_score:
            best, best_score = delimiter, score
    return best
