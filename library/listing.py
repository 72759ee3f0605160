"""Lists of documents for a screen: which ones, in which order.  Rows are read only for what is in view."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from library.records import DocumentRecord
from library.store import Library

Order = Literal["added", "title", "pages", "tokens", "size", "state", "last_read"]
"""By state: read, searchable only, read for another profile, without a file.  Of equal documents the one
that was added first comes first."""

_TOKENS = """coalesce(
    (SELECT sum(n_tokens) FROM volumes WHERE document_id = d.id AND profile_id = :profile),
    (SELECT sum(n_tokens) FROM snapshots WHERE document_id = d.id AND profile_id =
        (SELECT profile_id FROM snapshots WHERE document_id = d.id ORDER BY created_at DESC LIMIT 1)),
    0)"""
_STATE = """CASE
    WHEN NOT EXISTS (SELECT 1 FROM sources WHERE document_id = d.id AND NOT missing) THEN 3
    WHEN EXISTS (SELECT 1 FROM volumes WHERE document_id = d.id AND profile_id = :profile)
        AND NOT EXISTS (SELECT 1 FROM volumes AS v
            WHERE v.document_id = d.id AND v.profile_id = :profile AND NOT EXISTS
                (SELECT 1 FROM snapshots AS s WHERE s.document_id = d.id
                    AND s.ordinal = v.ordinal AND s.profile_id = :profile)) THEN 0
    WHEN EXISTS (SELECT 1 FROM snapshots WHERE document_id = d.id)
        AND NOT EXISTS (SELECT 1 FROM snapshots WHERE document_id = d.id AND profile_id = :profile) THEN 2
    ELSE 1 END"""
_VALUES: dict[Order, str] = {
    "added": "0",
    "title": "0",
    "pages": "n_pages",
    "tokens": "0",
    "size": "coalesce((SELECT sum(size_bytes) FROM snapshots WHERE document_id = d.id), 0)",
    "state": _STATE,
    "last_read": "coalesce((SELECT max(last_read_at) FROM snapshots WHERE document_id = d.id), 0)",
}
"""What a document is ordered by; titles and tokens are read in any case."""


@dataclass(frozen=True, slots=True)
class Listed:
    """The ids of documents, in order, and their tokens altogether."""

    ids: tuple[str, ...]
    n_tokens: int


def listed(
    library: Library,
    profile_id: str | None,
    *,
    contains: str = "",
    order: Order = "added",
    descending: bool = False,
) -> Listed:
    """The documents whose title or one of whose paths contains `contains`, in any case.

    Tokens are those of the profile's volumes, before there are any those of the profile that was read last.
    Takes about 5 microseconds a document.  Raises LibraryDamaged.
    """
    catalogue = library.parts.catalogue
    with catalogue.reading():
        # Only text of this module goes into the statement.
        rows: Sequence[Sequence[Any]] = catalogue.read(
            f"SELECT id, title, {_TOKENS}, {_VALUES[order]} FROM documents AS d ORDER BY key",  # noqa: S608
            {"profile": profile_id},
        )
        wanted = contains.casefold()
        if wanted:
            at_path: Sequence[Sequence[Any]] = catalogue.read("SELECT document_id, path FROM sources")
            fitting = {str(row[0]) for row in at_path if wanted in os.fsdecode(row[1]).casefold()}
            rows = [row for row in rows if row[0] in fitting or wanted in row[1].casefold()]
    if order != "added" or descending:
        rows = sorted(rows, key=_key(order), reverse=descending)
    return Listed(tuple(row[0] for row in rows), sum(row[2] for row in rows))


def records_of(library: Library, document_ids: Sequence[str]) -> list[DocumentRecord]:
    """The documents with these ids, in this order; those that are gone are left out."""
    parts = library.parts
    among = "SELECT key FROM documents WHERE id IN (SELECT value FROM json_each(?))"
    keys = [int(str(row[0])) for row in parts.catalogue.read(among, (orjson.dumps(document_ids).decode(),))]
    found = {record.id: record for record in parts.documents.by_keys(keys).values()}
    return [found[document_id] for document_id in document_ids if document_id in found]


def _key(order: Order) -> Callable[[Sequence[Any]], Any]:
    if order == "title":
        return lambda row: row[1].casefold()
    if order == "tokens":
        return lambda row: row[2]
    return lambda row: row[3]
