"""PDFium as the second reader of a PDF, and as what draws its pages for text recognition.

It opens files that pypdf cannot repair and knows more about fonts.  pypdf comes first all the same: it is
Python, so a hostile file cannot corrupt its memory, and it shows the columns of tables.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from ingest.parsers.pdf_pages import MIN_CHARS_PER_PAGE, PdfPage, metadata_title, n_chars, page_labels
from ingest.parsers.titles import shorten

if TYPE_CHECKING:
    from pypdfium2 import PdfPage as PdfiumPage

MAX_PAGES = 100_000
MAX_PIXELS = 25_000_000
"""A4 at 400 dpi has 15 million."""

_POINTS_PER_INCH = 72
_LINE_END_HYPHEN = re.compile("[\x02\ufffe](?:\r?\n)?")
_MAX_OBJECTS = 10_000


class PdfiumFailure(Exception):
    """PDFium cannot do it; the message says why."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A page in shades of grey: one byte a pixel, row by row from the top."""

    pixels: bytes
    width: int
    height: int
    dpi: int


class PdfiumFile:
    """A PDF in memory.  A context manager.

    Raises:
        PdfiumFailure: it cannot be opened, or has no pages or more than `MAX_PAGES`.
    """

    def __init__(self, data: bytes) -> None:
        import pypdfium2

        try:
            self._file = pypdfium2.PdfDocument(data)
        except pypdfium2.PdfiumError as error:
            raise PdfiumFailure(str(error)) from error
        self._n_pages = len(self._file)
        if not 0 < self._n_pages <= MAX_PAGES:
            self._file.close()
            raise PdfiumFailure(f"{self._n_pages} pages")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()

    @property
    def title(self) -> str:
        """The title that the author gave, "" when a program made it up."""
        return metadata_title(self._file.get_metadata_value("Title"))

    def pages(self) -> Iterator[PdfPage]:
        """Every page, read or with its problem."""
        labels = page_labels([self._file.get_page_label(i) for i in range(self._n_pages)], self._n_pages)
        for index in range(self._n_pages):
            raw, has_picture, problem = "", False, ""
            try:
                raw = self.text(index)
                if n_chars(raw) < MIN_CHARS_PER_PAGE:
                    has_picture = self._holds_picture(index)
            except PdfiumFailure as error:
                problem = shorten(str(error))
            yield PdfPage(labels[index], raw, has_picture, problem)

    def text(self, index: int) -> str:
        """The text of page `index`, from 0.

        Raises:
            PdfiumFailure: there is no such page, or it cannot be read.
        """
        page = self._page(index)
        try:
            words = page.get_textpage()
            text: str = words.get_text_range()
        except (RuntimeError, UnicodeError) as error:  # PDFium's error is a RuntimeError
            raise PdfiumFailure(str(error)) from error
        finally:
            page.close()
        return _LINE_END_HYPHEN.sub("-\n", text).replace("\r\n", "\n")

    def picture(self, index: int, dpi: int) -> Picture:
        """Page `index`, from 0, as a picture; a huge page in fewer dots than `dpi`.

        Raises:
            PdfiumFailure: there is no such page, or it cannot be drawn.
        """
        page = self._page(index)
        try:
            width, height = page.get_size()
            area = max(width * height, 1.0) * (dpi / _POINTS_PER_INCH) ** 2
            dpi = max(int(dpi * min(1.0, (MAX_PIXELS / area) ** 0.5)), 1)
            bitmap = page.render(scale=dpi / _POINTS_PER_INCH, grayscale=True)
            return Picture(bitmap.to_numpy().tobytes(), bitmap.width, bitmap.height, dpi)
        except RuntimeError as error:
            raise PdfiumFailure(str(error)) from error
        finally:
            page.close()

    def _page(self, index: int) -> PdfiumPage:
        if index >= self._n_pages:
            raise PdfiumFailure("no such page")
        try:
            return self._file[index]
        except RuntimeError as error:
            raise PdfiumFailure(str(error)) from error

    def _holds_picture(self, index: int) -> bool:
        import pypdfium2.raw

        page = self._page(index)
        try:
            objects = page.get_objects(max_depth=3)
            return any(
                found.type == pypdfium2.raw.FPDF_PAGEOBJ_IMAGE
                for found, _ in zip(objects, range(_MAX_OBJECTS), strict=False)
            )
        finally:
            page.close()
