"""PDF, page by page: pypdf first, PDFium where pypdf fails or its text is poor, tesseract when asked.

Files that would come out as nothing or as noise are refused by name: encrypted, without pages,
scanned, garbled, broken.  A page that cannot be read costs a warning, not the document.

Tables keep their columns, running heads and page numbers are taken out (`pdf_columns`, `pdf_noise`).  Not
covered: annotations and form fields, formulas, text in figures, tables beside text in two columns.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from ingest.errors import ParseFailure
from ingest.parsers.base import Limits, ParsedDocument, ParsedPage
from ingest.parsers.ocr import DPI, OcrFailure, Tesseract
from ingest.parsers.pdf_noise import join_torn_words, plain_letters, without_running_lines
from ingest.parsers.pdf_pages import MIN_CHARS_PER_PAGE, PdfPage, PypdfFile, n_chars
from ingest.parsers.pdfium import PdfiumFailure, PdfiumFile
from ingest.parsers.quality import (
    MAX_UNREADABLE_SHARE,
    is_too_short_to_judge,
    looks_enciphered,
    looks_poor,
    unreadable_share,
)
from ingest.parsers.sanitise import direction_warning, sanitise
from ingest.parsers.titles import choose_title, title_in_text

HEADER = b"%PDF-"
HEADER_REACH = 1024  # bytes; ISO 32000-1, annex H.3: readers accept the header anywhere in there
MAX_WARNINGS = 20
_PAGE_END = "\n\n"
_MIN_SHARE_OF_FIRST = 0.5
_OCR_REMEDY = (
    "have it recognised with tesseract (beyondrag ingest --retry-failed --ocr eng; other languages: eng+deu),"
    " or add a text layer ({command} IN.pdf OUT.pdf) and ingest that"
)
_BLANK_LINES = re.compile(r"\n{3,}")


def has_pdf_header(data: bytes) -> bool:
    """Whether a PDF header stands where readers look for it."""
    return HEADER in data[:HEADER_REACH]


def starts_as_pdf(data: bytes) -> bool:
    """Whether `data` is a PDF at first sight: the header comes first (a text may quote it later)."""
    return data[:64].lstrip(b"\xef\xbb\xbf \t\r\n\x00").startswith(HEADER)


class PdfParser:
    """``.pdf``."""

    name = "pdf"
    media_type = "application/pdf"
    suffixes = frozenset({".pdf"})

    def parse(self, data: bytes, stem: str, limits: Limits) -> ParsedDocument:
        """Extract the text of every page; see `base.Parser.parse`.

        Raises:
            ParseFailure: "encrypted", "empty", "scanned", "garbled" or "broken".
        """
        if not data:
            raise ParseFailure("empty")
        title, language, pages = _read(data, limits)
        notes: list[str] = []
        if limits.ocr_languages:
            pages, notes = _recognised(data, pages, limits)
        _refuse_unreadable(pages)
        cleaned = [sanitise(page.raw) for page in pages]
        texts = _without_noise([clean.text for clean in cleaned], [page.label for page in pages])
        text = "".join(texts)
        if looks_enciphered(text):
            raise ParseFailure(
                "garbled",
                detail="its letters are not those of any language",
                remedy=_OCR_REMEDY.format(command="ocrmypdf --force-ocr"),
            )
        title = choose_title(title, title_in_text(text, stem), stem=stem)
        parsed = tuple(ParsedPage(page.label, text) for page, text in zip(pages, texts, strict=True))
        n_direction = sum(clean.n_direction for clean in cleaned)
        warnings = (*notes, *_warnings(pages), *direction_warning(n_direction))
        return ParsedDocument(title, parsed, warnings, language)


def _read(data: bytes, limits: Limits) -> tuple[str, str | None, list[PdfPage]]:
    """Title and language in the file's properties, and the pages, each as the better reader gives it."""
    try:
        first = PypdfFile(data)
    except ParseFailure as failure:
        if failure.code != "broken":
            raise
        return _read_with_pdfium(data, failure)
    pages = list(first.pages(limits))
    doubtful = [
        index
        for index, page in enumerate(pages)
        if not page.is_over_limit and (page.problem or looks_poor(page.raw))
    ]
    if doubtful:
        _reread(data, pages, doubtful)
    return first.title, first.language, pages


def _read_with_pdfium(data: bytes, failure: ParseFailure) -> tuple[str, str | None, list[PdfPage]]:
    try:
        second = PdfiumFile(data)
    except PdfiumFailure:
        raise failure from None
    pages = list(second.pages())
    if not any(page.raw.strip() or page.has_picture for page in pages):
        raise failure
    return second.title, None, pages


def _reread(data: bytes, pages: list[PdfPage], indices: Sequence[int]) -> None:
    """Put PDFium's text in the place of that of `pages` at `indices` where it is better."""
    try:
        second = PdfiumFile(data)
    except PdfiumFailure:
        return
    for index in indices:
        page = pages[index]
        try:
            raw = second.text(index)
        except PdfiumFailure:
            continue
        if n_chars(raw) >= MIN_CHARS_PER_PAGE and not looks_poor(raw) and _is_better(raw, page):
            pages[index] = replace(page, raw=raw, has_picture=False, problem="")


def _is_better(raw: str, page: PdfPage) -> bool:
    """Whether readable text of PDFium is to be believed rather than that of `page`."""
    if page.problem:
        return True
    if unreadable_share(page.raw) > MAX_UNREADABLE_SHARE or looks_enciphered(page.raw):
        # PDFium guesses the letters of a font that does not tell them: only a long text proves it right.
        return not is_too_short_to_judge(raw)
    return n_chars(raw) >= _MIN_SHARE_OF_FIRST * n_chars(page.raw)


def _recognised(data: bytes, pages: list[PdfPage], limits: Limits) -> tuple[list[PdfPage], list[str]]:
    """`pages` with the text of those that are pictures or garbled, and what there is to say about it."""
    wanted = [
        index
        for index, page in enumerate(pages)
        if page.has_picture or (not page.is_over_limit and unreadable_share(page.raw) > MAX_UNREADABLE_SHARE)
    ]
    if not wanted and looks_enciphered("".join(page.raw for page in pages)):
        wanted = [index for index, page in enumerate(pages) if page.raw.strip()]
    if not wanted:
        return pages, []
    tesseract = Tesseract(limits.ocr_languages, limits.ocr_s)
    try:
        drawn = PdfiumFile(data)
    except PdfiumFailure as failure:
        return pages, [f"its pages cannot be drawn to recognise their text: {failure}"]
    read, done, problems = list(pages), [], []
    for n_before, index in enumerate(wanted):
        if tesseract.is_out_of_time:
            left = [pages[place].label for place in wanted[n_before:]]
            problems.append(f"{_listing(left)} not recognised: the time for it is {limits.ocr_s:g} s a file")
            break
        try:
            raw = tesseract.text(drawn.picture(index, DPI))
        except (OcrFailure, PdfiumFailure) as failure:
            problems.append(f"page {pages[index].label} could not be recognised: {failure}")
            continue
        if n_chars(raw) > n_chars(pages[index].raw) or not pages[index].has_picture:
            read[index] = replace(pages[index], raw=raw, has_picture=False, problem="")
            done.append(pages[index].label)
    notes = problems[:MAX_WARNINGS]
    if done:
        notes.append(f"{_listing(done)} of {len(pages)} recognised from pictures: expect misread letters")
    return read, notes


def _without_noise(texts: list[str], labels: list[str]) -> list[str]:
    pages = without_running_lines([plain_letters(text) for text in texts], labels)
    return [_tidy(page) for page in join_torn_words(pages)]


def _refuse_unreadable(pages: list[PdfPage]) -> None:
    n_all = sum(n_chars(page.raw) for page in pages)
    read = [page for page in pages if not page.problem]
    if not read:
        raise ParseFailure("broken", detail=f"page {pages[0].label}: {pages[0].problem}")
    if n_all < MIN_CHARS_PER_PAGE * len(read) and any(page.has_picture for page in read):
        raise ParseFailure(
            "scanned",
            detail=f"{n_all} characters on {len(read)} pages",
            remedy=_OCR_REMEDY.format(command="ocrmypdf"),
        )
    share = unreadable_share("".join(page.raw for page in pages))
    if share > MAX_UNREADABLE_SHARE:
        raise ParseFailure(
            "garbled",
            detail=f"{share:.0%} of its characters are unknown",
            remedy=_OCR_REMEDY.format(command="ocrmypdf --force-ocr"),
        )
    if not n_all:
        raise ParseFailure("empty", detail=f"{len(pages)} pages without text")


def _warnings(pages: list[PdfPage]) -> Iterator[str]:
    failed = [page for page in pages if page.problem]
    for page in failed[:MAX_WARNINGS]:
        yield f"page {page.label} could not be read: {page.problem}"
    if len(failed) > MAX_WARNINGS:
        yield f"{len(failed) - MAX_WARNINGS} more pages could not be read"
    pictures = [page.label for page in pages if page.has_picture]
    if pictures:
        yield (
            f"{_listing(pictures)} of {len(pages)} are pictures without text"
            " (to have them read, run ocrmypdf --skip-text)"
        )
    garbled = [page.label for page in pages if unreadable_share(page.raw) > MAX_UNREADABLE_SHARE]
    if garbled:
        yield f"{_listing(garbled)} of {len(pages)} hold unknown characters"


def _listing(labels: list[str]) -> str:
    shown = ", ".join(labels[:10]) + (", …" if len(labels) > 10 else "")
    return f"{'page' if len(labels) == 1 else f'{len(labels)} pages'} ({shown})"


def _tidy(text: str) -> str:
    """`text` without spaces at line ends and runs of blank lines, ended as a page; "" stays ""."""
    lines = "\n".join(line.rstrip(" \t\u00a0") for line in text.split("\n"))
    page = _BLANK_LINES.sub("\n\n", lines).strip("\n")
    return page + _PAGE_END if page else ""
