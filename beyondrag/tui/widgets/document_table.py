"""The library's documents as rows: which columns there are, and a document's facts in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from beyondrag.document_state import DocumentState
from beyondrag.quantities import bytes_in_words, moment_in_words
from beyondrag.service.interface import SortKey
from beyondrag.tui.widgets.rows_view import Column, Row, RowsView, Tone

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
        *(f"file      {path}" for path in document.paths),
        *(f"warning   {warning}" for warning in document.warnings),
    ]
    return "\n".join(" ".join(line.splitlines()) for line in lines)


def stored_in_words(n_bytes: int, f16: int | None) -> str:
    """A size, and how many times smaller it is than the same values as f16 where that is known."""
    if not f16 or not n_bytes:
        return bytes_in_words(n_bytes)
    return f"{bytes_in_words(n_bytes)} instead of {bytes_in_words(f16)} as f16 ({f16 / n_bytes:.1f}x smaller)"


def selection_in_words(states: Sequence[DocumentState]) -> str:
    """How many documents are shown, and their tokens."""
    known = sum(state.n_tokens or 0 for state in states)
    return f"{len(states):,} document{'' if len(states) == 1 else 's'}, {known:,} tokens"
