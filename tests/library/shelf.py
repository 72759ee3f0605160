"""Short ways to put something into a library."""

from __future__ import annotations

import hashlib
from pathlib import Path

from library.records import (
    DocumentRecord,
    DocumentText,
    PageSpan,
    ReadingProfile,
    SnapshotRecord,
    SourceFile,
)
from library.store import Library

PROFILE = ReadingProfile("a" * 16, "a model", "0" * 64, {"codec": "rotated", "bits": [5, 4]})
OTHER_PROFILE = ReadingProfile("b" * 16, "another model", "1" * 64, {"codec": "exact"})


def identity(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def pages_of(text: str, separator: str = "\f") -> DocumentText:
    """One page per form feed; the separator stands between pages."""
    spans, start = [], 0
    for number, page in enumerate(text.split(separator), start=1):
        spans.append(PageSpan(str(number), start, start + len(page)))
        start += len(page) + len(separator)
    return DocumentText(text, tuple(spans))


def put(library: Library, path: str, text: str, title: str = "", mtime_ns: int = 1) -> DocumentRecord:
    source = SourceFile(path, len(text), mtime_ns)
    return library.add(identity(text), source, title or Path(path).stem, "text/plain", pages_of(text))


def put_snapshot(
    library: Library,
    document: DocumentRecord,
    content: bytes,
    ordinal: int = 0,
    profile: ReadingProfile = PROFILE,
) -> SnapshotRecord:
    library.put_profile(profile)
    file = library.snapshot_scratch()
    file.write_bytes(content)
    return library.put_snapshot(
        document.id, ordinal, profile.id, file, n_tokens=len(content), codec="rotated"
    )
