"""Excel workbooks (XLSX), with openpyxl: each sheet as tables, cited by sheet and rows.

Cells show their stored values, dates in ISO form.  Not covered: number formats (a percentage shows as
0.25), charts, comments, pivot definitions.  Formulas without a stored result are counted in a warning.
"""

from __future__ import annotations

import datetime
import re
import warnings as python_warnings
from collections.abc import Iterable, Iterator, Sequence
from io import BytesIO
from typing import TYPE_CHECKING

from ingest.errors import ParseFailure
from ingest.parsers.archives import Archive
from ingest.parsers.assembly import assemble
from ingest.parsers.base import Limits, ParsedDocument, ParsedPage
from ingest.parsers.office_parts import authored_title, stated_language
from ingest.parsers.tables import row_pages
from ingest.parsers.titles import shorten

if TYPE_CHECKING:
    from openpyxl.workbook.workbook import Workbook

MAX_CELLS = 5_000_000  # of all sheets, empty ones in between counted
_MAX_SHEET_CHARS = 40
_NO_VALUE = rb"\s{0,20}(?:<v\s{0,20}/>|<v>\s{0,20}</v>)?\s{0,20}</c>"
_NO_RESULT = re.compile(rb"(?:</f>|<f\b[^<>]*/>)" + _NO_VALUE)


class XlsxParser:
    """``.xlsx`` and ``.xlsm``."""

    name = "xlsx"
    media_type = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    suffixes = frozenset({".xlsx", ".xlsm", ".xltx"})

    def parse(self, data: bytes, stem: str, limits: Limits) -> ParsedDocument:
        """Read all sheets, hidden ones too; see `base.Parser.parse`."""
        archive = Archive(data, limits)
        archive.require_within_limit((".xml", ".rels", ".vml", ".bin"))
        title, language = authored_title(archive), stated_language(archive)
        notices = list(_missing_results(archive))
        pages = list(_pages(data, notices))
        return assemble(pages, title, stem, stem=stem, warnings=notices, language=language)


def _missing_results(archive: Archive) -> Iterator[str]:
    sheets = [name for name in archive.names if name.startswith("xl/worksheets/") and name.endswith(".xml")]
    n_missing = sum(len(_NO_RESULT.findall(archive.read(name))) for name in sheets)
    if n_missing:
        yield (
            f"{n_missing} formulas have no stored result and were left empty"
            " (open the file in a spreadsheet program and save it)"
        )


def _pages(data: bytes, notices: list[str]) -> Iterator[ParsedPage]:
    """Pages of every sheet; what had to be left out is added to `notices`."""
    counter = _CellCounter(notices)
    with python_warnings.catch_warnings():
        python_warnings.simplefilter("ignore")  # openpyxl's, about styles and extensions that carry no text
        workbook = _open(data)
        try:
            for sheet in workbook.worksheets:
                sheet.reset_dimensions()
                name = shorten(str(sheet.title), _MAX_SHEET_CHARS)
                hidden = "" if sheet.sheet_state == "visible" else " (hidden)"
                rows = counter.up_to_limit(sheet.iter_rows(values_only=True), name)
                yield from row_pages(rows, f"sheet {name}{hidden}, ")
        except ParseFailure:
            raise
        except MemoryError:
            raise
        except Exception as error:  # openpyxl trusts the file: a broken one may raise anything
            raise ParseFailure("broken", detail=f"{type(error).__name__}: {error}") from error
        finally:
            workbook.close()


def _open(data: bytes) -> Workbook:
    from openpyxl import load_workbook

    try:
        return load_workbook(BytesIO(data), read_only=True, data_only=True, keep_links=False)
    except MemoryError:
        raise
    except Exception as error:  # as above
        raise ParseFailure("broken", detail=f"{type(error).__name__}: {error}") from error


class _CellCounter:
    """Lets rows through as text until all sheets together have had `MAX_CELLS` cells."""

    def __init__(self, notices: list[str]) -> None:
        self._n_left = MAX_CELLS
        self._notices = notices

    def up_to_limit(self, rows: Iterable[Sequence[object]], name: str) -> Iterator[list[str]]:
        """The cells of `rows`, of the sheet `name`."""
        for number, row in enumerate(rows, start=1):
            self._n_left -= len(row) + 1
            if self._n_left < 0:
                self._notices.append(
                    f"sheet {name} was read up to row {number - 1}: there are too many cells"
                )
                return
            yield [_shown(value) for value in row]


def _shown(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime.datetime):
        if value.time() == datetime.time():
            return value.date().isoformat()
        return value.isoformat(sep=" ", timespec="seconds" if value.second else "minutes")
    if isinstance(value, float):
        return f"{value:.15g}"  # what a spreadsheet program keeps: 0.1 + 0.2 is 0.3
    return str(value).strip()
