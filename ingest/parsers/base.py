"""What every parser takes and gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

ReadAt = Callable[[int, int], bytes]
"""``read_at(offset, n)``: up to `n` bytes from `offset` of a file, fewer only at its end."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What reading one file may cost.

    `max_reply_bytes` bounds the text that comes back, `max_page_bytes` the decompressed drawing
    commands of one PDF page, `max_unpacked_bytes` what is unpacked of one ZIP-based file.
    A container (a mailbox) is never read whole: `max_container_bytes` and `max_members` bound it, and the
    limits of a file hold for each of its members.
    `memory_bytes` is the address space of the parser process, `cpu_s` and `wall_s` are the times one
    file may take.
    Pages without text are recognised as pictures only when `ocr_languages` names languages as tesseract
    does ("eng+deu"); that takes at most `ocr_s` seconds a file.
    """

    max_file_bytes: int = 200_000_000
    max_reply_bytes: int = 64_000_000
    max_page_bytes: int = 20_000_000
    max_unpacked_bytes: int = 300_000_000
    max_container_bytes: int = 20_000_000_000
    max_members: int = 1_000_000
    memory_bytes: int = 2_000_000_000
    cpu_s: int = 120
    wall_s: float = 120.0
    ocr_languages: str = ""
    ocr_s: float = 900.0

    def with_ocr(self, languages: str) -> Limits:
        """These limits, with text recognition in `languages` and the time for it."""
        return replace(self, ocr_languages=languages, wall_s=self.wall_s + self.ocr_s)


@dataclass(frozen=True, slots=True)
class ParsedPage:
    """One page or section: the label to cite it by, and its text with the white space that ends it."""

    label: str
    text: str


@dataclass(frozen=True, slots=True)
class ParsedDocument:
    """A file as text.  The texts of the pages, joined without anything between, are the whole text.

    `language` is what the file states about itself: a BCP 47 tag ("de-AT"), or a programming language
    ("python"); None when it states nothing usable.
    """

    title: str
    pages: tuple[ParsedPage, ...]
    warnings: tuple[str, ...]
    language: str | None = None


class Parser(Protocol):
    """Reads one format.

    A parser gets the bytes, not the path: the document id is the hash of these very bytes, so id and
    text always belong together, whatever happens to the file meanwhile.
    """

    @property
    def name(self) -> str: ...

    @property
    def media_type(self) -> str: ...

    @property
    def suffixes(self) -> frozenset[str]: ...

    def parse(self, data: bytes, stem: str, limits: Limits) -> ParsedDocument:
        """Turn `data` into text; `stem` is the file name without suffix, the title of last resort.

        Raises:
            ParseFailure: the data cannot be read as this format; without subject.
        """
        ...


@dataclass(frozen=True, slots=True)
class Member:
    """A part of a container that is a document of its own: its bytes ``[start:stop]``, and their SHA-256."""

    start: int
    stop: int
    digest: str


@dataclass(frozen=True, slots=True)
class MemberPage:
    """Some members, in order; `next_offset` is where to look for more, None at the end."""

    members: tuple[Member, ...]
    next_offset: int | None


@runtime_checkable
class Container(Protocol):
    """A format whose files hold many documents.  Beside this it is a `Parser`, for where only one will do."""

    @property
    def member_media_type(self) -> str: ...

    def members(self, read_at: ReadAt, size: int, offset: int) -> MemberPage | None:
        """The members from `offset` on (0, or a `next_offset`) of a container of `size` bytes: as many as can
        be listed quickly, at least one.  None: the file is no container, whatever its name says.
        """
        ...

    def parse_member(self, data: bytes, limits: Limits) -> ParsedDocument:
        """Turn the bytes of a member into text.

        Raises:
            ParseFailure: they cannot be read; without subject.
        """
        ...
