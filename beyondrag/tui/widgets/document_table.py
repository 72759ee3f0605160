"""The library's documents as rows: which columns there are, and a document's facts in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from textual.binding import Binding, BindingType

from beyondrag.document_state import DocumentState
from beyondrag.quantities import bytes_in_words, counted, moment_in_words
from beyondrag.service.interface import SortKey
from beyondrag.tui.widgets.rows_view import Column, Row, RowsView, Tone
from beyondrag.tui.wording import path_in_words
from library.listing import Listed
from library.statistics import LibraryStatistics

COLUMNS = (
    Column("title", "title", 0),
    Column("pages", "pages", 7, right=True, needs=56),
    Column("tokens", "tokens", 10, right=True),
    Column("size", "snapshot", 10, right=True, needs=64),
    Column("codec", "codec", 7, needs=86),
    Column("state", "state", 9, toned=True),
    Column("last_read", "last read", 16, needs=100),
)
SORT_KEYS: tuple[SortKey, ...] = ("added", "title", "pages", "tokens", "size", "state", "last_read")

STATES: Mapping[str, str] = {
    "ready": "read, ready to be asked",
    "indexed": "searchable, not read yet: it is read when it is first needed",
    "stale": "read for another model or setting: read it again",
    "missing": "its file is gone; it can still be asked about",
}
_TONES: Mapping[str, Tone] = {"ready": "good", "indexed": "muted", "stale": "warn", "missing": "bad"}


class DocumentTable(RowsView):
    """One row for each document."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "open", "Open")]

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name for it
        super().__init__(COLUMNS, id=id)


def document_row(state: DocumentState) -> Row:
    """A document as a row; its key is the document's id."""
    document = state.document
    last = last_read(state)
    cells = (
        document.title,
        f"{document.n_pages:,}",
        "-" if state.n_tokens is None else f"{state.n_tokens:,}",
        bytes_in_words(state.snapshot_bytes) if state.snapshots else "-",
        codecs(state) or "-",
        state.state,
        "-" if last is None else moment_in_words(last),
    )
    return Row(document.id, cells, _TONES.get(state.state, "plain"))


def codecs(state: DocumentState) -> str:
    """The codecs of its snapshots, without repeats."""
    return " ".join(sorted({snapshot.codec for snapshot in state.snapshots}))


def last_read(state: DocumentState) -> float | None:
    """When one of its snapshots was last attached, in seconds since 1970; None: never."""
    return max((s.last_read_at for s in state.snapshots if s.last_read_at is not None), default=None)


def facts(state: DocumentState, f16: int | None) -> str:
    """Lines about a document.  `f16` is the size in bytes its snapshots would have as f16; None: unknown."""
    document = state.document
    lines = [
        f"state     {state.state}: {STATES.get(state.state, '')}",
        f"pages     {document.n_pages:,}, {document.n_chars:,} characters",
        "tokens    "
        + ("not counted yet" if state.n_tokens is None else f"{state.n_tokens:,}")
        + (f" in {state.n_volumes} volumes, {state.n_ready} read" if state.n_volumes > 1 else ""),
    ]
    if state.snapshots:
        lines.append(f"snapshot  {stored_in_words(state.snapshot_bytes, f16)}, {codecs(state)}")
        last = last_read(state)
        lines.append("last read " + ("never" if last is None else moment_in_words(last)))
    lines += [
        f"kind      {document.media_type}",
        f"added     {moment_in_words(document.added_at)}",
        f"id        {document.short_id}",
        *(f"file      {path_in_words(path)}" for path in document.paths),
        *(f"warning   {warning}" for warning in document.warnings),
    ]
    return "\n".join(" ".join(line.splitlines()) for line in lines)


def stored_in_words(n_bytes: int, f16: int | None) -> str:
    """A size, and how many times smaller it is than the same values as f16 where that is known."""
    if not f16 or not n_bytes:
        return bytes_in_words(n_bytes)
    return f"{bytes_in_words(n_bytes)} instead of {bytes_in_words(f16)} as f16 ({f16 / n_bytes:.1f}x smaller)"


def statistics_in_words(found: LibraryStatistics) -> list[str]:
    """What the library takes on the disk, and what does not stand as it should."""
    words = []
    if found.snapshot_bytes:
        # Files that several snapshots share are counted once on the disk, so the ratio is of the rows.
        sizes = [(profile.size_bytes, profile.f16_bytes) for profile in found.profiles]
        known = all(f16 is not None for _, f16 in sizes)
        stored, f16 = sum(size for size, _ in sizes), sum(f16 or 0 for _, f16 in sizes)
        scale = found.snapshot_bytes / stored if stored else 0.0
        words.append(
            f"snapshots {stored_in_words(found.snapshot_bytes, round(f16 * scale) if known else None)}"
        )
    if found.hot.n_copies:
        words.append(f"hot copies {bytes_in_words(found.hot.size_bytes)}")
    words.append(f"texts and index {bytes_in_words(found.stored_text_bytes + found.index_bytes)}")
    n_stale = sum(profile.n_snapshots for profile in found.profiles if not profile.current)
    if n_stale:
        words.append(counted(n_stale, "stale snapshot"))
    if found.n_failures:
        words.append(f"{counted(found.n_failures, 'file')} could not be read (f)")
    return words


def unknown_row(document_id: str) -> Row:
    """A document of which nothing is known yet but that it stands here."""
    return Row(document_id, ("…",) + ("",) * (len(COLUMNS) - 1), "muted")


def selection_in_words(listed: Listed, n_all: int) -> str:
    """How many of the library's `n_all` documents are listed, and their tokens."""
    n, tokens = len(listed.ids), counted(listed.n_tokens, "token")
    return f"{counted(n, 'document')}, {tokens}" if n >= n_all else f"{n:,} of {n_all:,} documents, {tokens}"
