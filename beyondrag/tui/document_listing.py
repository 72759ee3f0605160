"""What the library screen shows: all documents by their places, and the rows of those that are in view."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from beyondrag.document_state import DocumentState
from beyondrag.service.interface import Shelf, SortKey
from beyondrag.tui.widgets.document_table import document_row, unknown_row
from beyondrag.tui.widgets.rows_view import Row
from library.listing import Listed
from library.statistics import LibraryStatistics

MARGIN = 100
"""Rows above and below those in view that are fetched with them."""


@dataclass(frozen=True, slots=True)
class Listing:
    """`rows` has one for each listed document; those that are not in `known` are blank."""

    listed: Listed
    known: tuple[DocumentState, ...]
    rows: tuple[Row, ...]
    statistics: LibraryStatistics


def look_up(shelf: Shelf, contains: str, sort: SortKey, descending: bool, viewed: tuple[int, int]) -> Listing:
    """Look it up, for a table whose places `viewed` (first, after) are in view.

    Blocks for the disk; the rows are made here so that the UI thread need not.  Raises library errors.
    """
    listed = shelf.listing(contains, sort, descending)
    known = tuple(shelf.states_of(around(listed, viewed)))
    by_id = {state.document.id: document_row(state) for state in known}
    rows = tuple(by_id.get(document_id) or unknown_row(document_id) for document_id in listed.ids)
    return Listing(listed, known, rows, shelf.statistics())


def around(listed: Listed, viewed: tuple[int, int]) -> Sequence[str]:
    """The ids at these places and a few hundred beside them."""
    first, after = viewed
    first = min(first, len(listed.ids))
    return listed.ids[max(first - MARGIN, 0) : after + MARGIN]
