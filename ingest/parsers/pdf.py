"""PDF, page by page, with pypdf.

Files that would come out as nothing or as noise are refused by name: encrypted, without pages,
scanned, garbled, broken.  A page that cannot be read costs a warning, not the document.

Not covered: layout (tables and columns come in the order of the drawing commands), words hyphenated
at line ends, annotations and form fields.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

from ingest.errors import ParseFailure
from ingest.parsers.base import Limits, ParsedDocument, ParsedPage
from ingest.parsers.quality import MAX_UNREADABLE_SHARE, looks_enciphered, unreadable_share
from ingest.parsers.sanitise import direction_warning, sanitise
from ingest.parsers.titles import authored, choose_title, shorten, title_in_text

if TYPE_CHECKING:
    from pypdf import PageObject, PdfReader

HEADER = b"%PDF-"
HEADER_REACH = 1024  # bytes; ISO 32000-1, annex H.3: readers accept the header anywhere in there
MIN_CHARS_PER_PAGE = 20
MAX_WARNINGS = 20
_MAX_LABEL_CHARS = 32
_MAX_FORM_DEPTH = 3
_PAGE_END = "\n\n"

_BLANK_LINES = re.compile(r"\n{3,}")
_INLINE_PICTURE = re.compile(rb"\bBI\s[^\x00]{0,400}?\sID\s")


def has_pdf_header(data: bytes) -> bool:
    """Whether a PDF header stands where readers look for it."""
    return HEADER in data[:HEADER_REACH]


def starts_as_pdf(data: bytes) -> bool:
    """Whether `data` is a PDF at first sight: the header comes first (a text may quote it later)."""
    return data[:64].lstrip(b"\xef\xbb\xbf \t\r\n\x00").startswith(HEADER)


@dataclass(frozen=True, slots=True)
class _ReadPage:
    label: str
    raw: str
    has_picture: bool
    problem: str


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
        reader = _open(data)
        pages = list(_read_pages(reader, limits))
        _refuse_unreadable(pages)
        parsed: list[ParsedPage] = []
        n_direction = 0
        for page in pages:
            clean = sanitise(page.raw)
            n_direction += clean.n_direction
            parsed.append(ParsedPage(page.label, _tidy(clean.text)))
        text = "".join(page.text for page in parsed)
        if looks_enciphered(text):
            raise ParseFailure("garbled", detail="its letters are not those of any language")
        title = choose_title(_metadata_title(reader), title_in_text(text, stem), stem=stem)
        return ParsedDocument(title, tuple(parsed), (*_warnings(pages), *direction_warning(n_direction)))


def _open(data: bytes) -> PdfReader:
    from pypdf import PdfReader
    from pypdf.errors import DependencyError, FileNotDecryptedError, WrongPasswordError

    try:
        reader = PdfReader(BytesIO(data), strict=False)
        if reader.is_encrypted and not reader.decrypt(""):
            raise ParseFailure("encrypted")
        n_pages = len(reader.pages)
    except (FileNotDecryptedError, WrongPasswordError):
        raise ParseFailure("encrypted") from None
    except DependencyError as error:
        raise ParseFailure("encrypted", detail=str(error)) from error
    except (ParseFailure, MemoryError):
        raise
    except Exception as error:  # pypdf documents that broken files may raise anything
        raise ParseFailure("broken", detail=_reason(error)) from error
    if not n_pages:
        raise ParseFailure("empty", detail="a PDF without pages")
    return reader


def _read_pages(reader: PdfReader, limits: Limits) -> Iterator[_ReadPage]:
    n_pages = len(reader.pages)
    labels = _labels(reader, n_pages)
    for index in range(n_pages):
        raw, has_picture, problem = "", False, ""
        try:
            page = reader.pages[index]
            contents = page.get_contents()
            drawing = contents.get_data() if contents is not None else b""
            if len(drawing) > limits.max_page_bytes:
                problem = f"its drawing commands take {len(drawing):,} bytes"
            else:
                raw = page.extract_text()
            if _n_chars(raw) < MIN_CHARS_PER_PAGE:
                has_picture = bool(_INLINE_PICTURE.search(drawing)) or _holds_picture(page)
        except MemoryError:
            raise
        except Exception as error:  # as above; one bad page must not cost the document
            problem = _reason(error)
        yield _ReadPage(labels[index], raw, has_picture, problem)


def _refuse_unreadable(pages: list[_ReadPage]) -> None:
    n_chars = sum(_n_chars(page.raw) for page in pages)
    read = [page for page in pages if not page.problem]
    if not read:
        raise ParseFailure("broken", detail=f"page {pages[0].label}: {pages[0].problem}")
    if n_chars < MIN_CHARS_PER_PAGE * len(read) and any(page.has_picture for page in read):
        raise ParseFailure("scanned", detail=f"{n_chars} characters on {len(read)} pages")
    share = unreadable_share("".join(page.raw for page in pages))
    if share > MAX_UNREADABLE_SHARE:
        raise ParseFailure("garbled", detail=f"{share:.0%} of its characters are unknown")
    if not n_chars:
        raise ParseFailure("empty", detail=f"{len(pages)} pages without text")


def _warnings(pages: list[_ReadPage]) -> Iterator[str]:
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


def _n_chars(text: str) -> int:
    return len("".join(text.split()))


def _labels(reader: PdfReader, n_pages: int) -> list[str]:
    """The printed page numbers; where the file has none or nonsense, the count from 1."""
    try:
        labels = [shorten(label, _MAX_LABEL_CHARS) for label in reader.page_labels]
    except MemoryError:
        raise
    except Exception:  # as above
        labels = []
    if len(labels) != n_pages:
        labels = [""] * n_pages
    return [label or str(number) for number, label in enumerate(labels, start=1)]


def _metadata_title(reader: PdfReader) -> str:
    """The title that the author gave, "" when a program made it up."""
    try:
        metadata = reader.metadata
        title = shorten(str(metadata.title or "")) if metadata is not None else ""
    except MemoryError:
        raise
    except Exception:  # as above
        return ""
    return "" if unreadable_share(title) > MAX_UNREADABLE_SHARE else authored(title)


def _holds_picture(page: PageObject) -> bool:
    """Whether the page's resources, or the forms in them, hold a picture."""
    from pypdf.generic import DictionaryObject

    def search(resources: object, depth: int) -> bool:
        if not isinstance(resources, DictionaryObject):
            return False
        objects = resources.get("/XObject")
        objects = objects.get_object() if objects is not None else None
        if not isinstance(objects, DictionaryObject):
            return False
        for key in list(objects)[:100]:
            found = objects[key]  # an indirect reference is followed
            if not isinstance(found, DictionaryObject):
                continue
            if found.get("/Subtype") == "/Image":
                return True
            if depth < _MAX_FORM_DEPTH and "/Resources" in found and search(found["/Resources"], depth + 1):
                return True
        return False

    resources = page.get("/Resources")
    return search(resources.get_object() if resources is not None else None, 0)


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    return shorten(f"{type(error).__name__}: {text}" if text else type(error).__name__, 150)
