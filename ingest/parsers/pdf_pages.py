"""The pages of a PDF as pypdf reads them, plain or with the columns of their tables."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING

from ingest.errors import ParseFailure
from ingest.parsers.base import Limits
from ingest.parsers.languages import language_tag
from ingest.parsers.pdf_columns import with_columns
from ingest.parsers.quality import MAX_UNREADABLE_SHARE, unreadable_share
from ingest.parsers.time_limit import TooSlow, processor_time
from ingest.parsers.titles import authored, shorten

if TYPE_CHECKING:
    from pypdf import PageObject, PdfReader

MIN_CHARS_PER_PAGE = 20
_MAX_LABEL_CHARS = 32
_MAX_FORM_DEPTH = 3
# pypdf's fixed-width form writes up to 10,000 spaces for one drawing command, and copies a line with each:
# these bound the memory and the time of a hostile page.  Dense forms have 40,000 bytes and take 0.03 s.
_MAX_FIXED_BYTES = 500_000
_MAX_FIXED_S = 3.0
_INLINE_PICTURE = re.compile(rb"\bBI\s[^\x00]{0,400}?\sID\s")


@dataclass(frozen=True, slots=True)
class PdfPage:
    """One page: the label to cite it by, its text as extracted.

    `problem` says why it could not be read, `is_over_limit` that it was not tried.  `has_picture` is only
    looked for on pages with hardly any text.
    """

    label: str
    raw: str
    has_picture: bool = False
    problem: str = ""
    is_over_limit: bool = False


class PypdfFile:
    """A PDF in memory.

    Raises:
        ParseFailure: "encrypted", "empty" or "broken".
    """

    def __init__(self, data: bytes) -> None:
        from pypdf import PdfReader
        from pypdf.errors import DependencyError, FileNotDecryptedError, WrongPasswordError

        try:
            self._reader = PdfReader(BytesIO(data), strict=False)
            if self._reader.is_encrypted and not self._reader.decrypt(""):
                raise ParseFailure("encrypted")
            self._n_pages = len(self._reader.pages)
        except (FileNotDecryptedError, WrongPasswordError):
            raise ParseFailure("encrypted") from None
        except DependencyError as error:
            raise ParseFailure("encrypted", detail=str(error)) from error
        except (ParseFailure, MemoryError):
            raise
        except Exception as error:  # pypdf documents that broken files may raise anything
            raise ParseFailure("broken", detail=reason(error)) from error
        if not self._n_pages:
            raise ParseFailure("empty", detail="a PDF without pages")
        self._looks_for_columns = True

    @property
    def title(self) -> str:
        """The title that the author gave, "" when a program made it up."""
        try:
            metadata = self._reader.metadata
            return metadata_title(str(metadata.title or "")) if metadata is not None else ""
        except MemoryError:
            raise
        except Exception:  # as above
            return ""

    @property
    def language(self) -> str | None:
        """The language that the catalogue states."""
        try:
            return language_tag(str(self._reader.root_object.get("/Lang", "")))
        except MemoryError:
            raise
        except Exception:  # as above
            return None

    def pages(self, limits: Limits) -> Iterator[PdfPage]:
        """Every page, read or with its problem."""
        labels = _labels(self._reader, self._n_pages)
        for index in range(self._n_pages):
            raw, has_picture, problem, is_over_limit = "", False, "", False
            try:
                page = self._reader.pages[index]
                contents = page.get_contents()
                drawing = contents.get_data() if contents is not None else b""
                if len(drawing) > limits.max_page_bytes:
                    problem, is_over_limit = f"its drawing commands take {len(drawing):,} bytes", True
                else:
                    raw = self._text(page, len(drawing))
                if n_chars(raw) < MIN_CHARS_PER_PAGE:
                    has_picture = bool(_INLINE_PICTURE.search(drawing)) or _holds_picture(page)
            except MemoryError:
                raise
            except Exception as error:  # as above; one bad page must not cost the document
                problem = reason(error)
            yield PdfPage(labels[index], raw, has_picture, problem, is_over_limit)

    def _text(self, page: PageObject, n_drawing_bytes: int) -> str:
        plain = page.extract_text()
        if not self._looks_for_columns or n_drawing_bytes > _MAX_FIXED_BYTES or not plain.strip():
            return plain
        try:
            with processor_time(_MAX_FIXED_S):
                return with_columns(plain, page.extract_text(extraction_mode="layout"))
        except TooSlow:
            self._looks_for_columns = False  # the other pages will hardly be better
        except MemoryError:
            raise
        except Exception as error:  # as above; the plain form is there
            logging.getLogger(__name__).debug("no columns: %s", error)
        return plain


def n_chars(text: str) -> int:
    """Characters that are no white space."""
    return len("".join(text.split()))


def page_labels(found: list[str], n_pages: int) -> list[str]:
    """The printed page numbers; where the file has none or nonsense, the count from 1."""
    labels = [shorten(label, _MAX_LABEL_CHARS) for label in found]
    if len(labels) != n_pages:
        labels = [""] * n_pages
    return [label or str(number) for number, label in enumerate(labels, start=1)]


def metadata_title(title: str) -> str:
    """A title from a file's properties, "" when it says nothing."""
    title = shorten(title)
    return "" if unreadable_share(title) > MAX_UNREADABLE_SHARE else authored(title)


def reason(error: Exception) -> str:
    """What an exception of a PDF library says, on one line."""
    text = " ".join(str(error).split())
    return shorten(f"{type(error).__name__}: {text}" if text else type(error).__name__, 150)


def _labels(reader: PdfReader, n_pages: int) -> list[str]:
    try:
        return page_labels(list(reader.page_labels), n_pages)
    except MemoryError:
        raise
    except Exception:  # as above
        return page_labels([], n_pages)


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
