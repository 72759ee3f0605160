"""Does what is on disk fit together?  Reads everything, changes nothing."""

from __future__ import annotations

from library.catalogue import Catalogue
from library.documents import Documents
from library.errors import LibraryError
from library.indexing import Indexing
from library.snapshots import Snapshots


def verify_library(
    catalogue: Catalogue, documents: Documents, indexing: Indexing, snapshots: Snapshots
) -> list[str]:
    """Findings in plain sentences: the catalogue itself, texts, search index, `.kv` files."""
    found = catalogue.findings()
    found += _text_findings(documents)
    found += indexing.findings()
    found += snapshots.findings()
    return found


def _text_findings(documents: Documents) -> list[str]:
    found = []
    for record in documents.all():
        try:
            text = documents.text(record.id)
        except LibraryError as error:
            found.append(f"The text of {record.short_id} ({record.title}) cannot be used: {error.message}.")
            continue
        if len(text.text) != record.n_chars or len(text.pages) != record.n_pages:
            found.append(f"The text of {record.short_id} ({record.title}) has another length than noted.")
        if not record.paths:
            found.append(f"The document {record.short_id} ({record.title}) belongs to no file.")
    return found
