"""What the library tells and is told: immutable values, no behaviour beyond looking things up.

Offsets are character offsets (Python string indices), times are seconds since the epoch,
sizes are bytes, unless a name says otherwise.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from pathlib import Path, PurePath

SHORT_ID_LENGTH = 12


@dataclass(frozen=True, slots=True)
class PageSpan:
    """One page (or section) of a document: ``text[start:end]``."""

    label: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class DocumentText:
    """The whole text of a document with its page map.

    Pages are in ascending order and do not overlap.  Text between two pages (separators) belongs
    to the page before it.
    """

    text: str
    pages: tuple[PageSpan, ...]

    def __post_init__(self) -> None:
        position = 0
        for page in self.pages:
            if not position <= page.start <= page.end <= len(self.text):
                raise ValueError(f"page {page.label!r} [{page.start}:{page.end}] does not fit the text")
            position = page.end

    def page_at(self, char: int) -> PageSpan:
        """The page that holds the character at offset `char`.

        Raises:
            IndexError: `char` is not an offset of this text.
        """
        if not 0 <= char <= len(self.text):
            raise IndexError(f"offset {char} is outside of the text (0 to {len(self.text)})")
        index = bisect_right(self.pages, char, key=lambda page: page.start) - 1
        if index < 0:
            return self.pages[0] if self.pages else PageSpan("", 0, len(self.text))
        return self.pages[index]

    def slice(self, start: int, end: int) -> DocumentText:
        """``text[start:end]`` as a text of its own; pages are cut to it and moved to its start.

        Raises:
            IndexError: the range is not inside the text.
        """
        if not 0 <= start <= end <= len(self.text):
            raise IndexError(f"[{start}:{end}] is outside of the text (0 to {len(self.text)})")
        pages = tuple(
            PageSpan(page.label, max(page.start, start) - start, min(page.end, end) - start)
            for page in self.pages
            if max(page.start, start) < min(page.end, end)
        )
        return DocumentText(self.text[start:end], pages)


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file in the user's folders, as it was when it was read.  `path` is absolute."""

    path: str
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class DocumentRecord:
    """A document of the library.

    `id` is the SHA-256 (hex) of the file's bytes.  `paths` are all files with these bytes: those that were
    there at the last scan first, each in the order in which they were added.  `missing` is true when none
    of them was there.  `language` is what the file states: a BCP 47 tag or a programming language.
    """

    id: str
    title: str
    media_type: str
    n_chars: int
    n_pages: int
    added_at: float
    paths: tuple[str, ...]
    missing: bool
    warnings: tuple[str, ...]
    language: str | None = None

    @property
    def short_id(self) -> str:
        """The first 12 hex digits of the id."""
        return self.id[:SHORT_ID_LENGTH]

    @property
    def path(self) -> str:
        """The first of the paths, one that is there if any is; "" when there is none."""
        return self.paths[0] if self.paths else ""

    @property
    def name(self) -> str:
        """The file name of the first path; the short id when there is no path."""
        return PurePath(self.path).name if self.paths else self.short_id


@dataclass(frozen=True, slots=True)
class Volume:
    """The part ``text[char_start:char_end]`` of a document, as cut for one reading profile."""

    document_id: str
    ordinal: int
    char_start: int
    char_end: int
    n_tokens: int
    label: str


@dataclass(frozen=True, slots=True)
class ReadingProfile:
    """Everything that a snapshot depends on.  `id` is a hash of `description`, made by the caller."""

    id: str
    model_name: str
    model_sha256: str
    description: dict[str, object] = field(hash=False)


@dataclass(frozen=True, slots=True)
class SnapshotRecord:
    """A `.kv` file in the library: the stored K/V of one volume under one reading profile."""

    document_id: str
    ordinal: int
    profile_id: str
    path: Path
    size_bytes: int
    n_tokens: int
    codec: str
    created_at: float
    last_read_at: float | None


NEVER_TRIED = -1
"""The size that a failure has which no file can have: such a file is tried as soon as it may be."""


@dataclass(frozen=True, slots=True)
class FailureRecord:
    """A file that could not be read, and why; it is not tried again until it changes.

    `size` and `mtime_ns` are the file's when it was tried; `NEVER_TRIED` as size: it was left out unopened.
    """

    path: str
    size: int
    mtime_ns: int
    code: str
    reason: str
    remedy: str
    at: float


@dataclass(frozen=True, slots=True)
class Passage:
    """The part ``text[start:end]`` of a document that fits a question; `page` is its page label."""

    start: int
    end: int
    page: str
    text: str
    score: float


@dataclass(frozen=True, slots=True)
class Hit:
    """A document that fits a question, with its best passages, best first."""

    document: DocumentRecord
    score: float
    passages: tuple[Passage, ...]


@dataclass(frozen=True, slots=True)
class LibraryTotals:
    """Counts and sizes of a library; `n_stale` counts snapshots of other profiles than the asked one."""

    n_documents: int
    n_snapshots: int
    n_stale: int
    n_failures: int
    text_bytes: int
    index_bytes: int
    snapshot_bytes: int
