"""Does what is on disk fit together?  Changes nothing.

Texts are read and compared with their checksums; of snapshots, existence and size are checked here
and their contents, as those of hot copies, in a deep check (`library.deep`).  Memory does not grow
with the library.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from library.errors import LibraryDamaged, LibraryError
from library.files import regular_size
from library.integrity import Finding, Harm
from library.kvstore import KvStore
from library.parts import Parts
from library.readings import SnapshotRow
from library.records import DocumentRecord
from library.wording import one_line

_ROWS_AT_A_TIME = 500


def check_all(
    parts: Parts,
    *,
    check_file: Callable[[list[SnapshotRow]], str] | None = None,
    on_document: Callable[[int], None] | None = None,
    on_snapshot: Callable[[int], None] | None = None,
) -> Iterator[Finding]:
    """Findings about the catalogue, texts, search index and `.kv` files.

    Args:
        check_file: looks into a `.kv` file of the right size that these rows (at least one) share, and
            says what is wrong with it as the end of a sentence, "" when nothing is.
        on_document, on_snapshot: called with the number of documents and of rows checked so far.
    """
    deep = check_file is not None
    yield from _catalogue_findings(parts, deep)
    yield from _document_findings(parts, on_document)
    yield from index_findings(parts)
    yield from _snapshot_findings(parts, check_file, on_snapshot)
    yield from _file_findings(parts)
    yield from _hot_findings(parts, deep)


def _catalogue_findings(parts: Parts, deep: bool) -> Iterator[Finding]:
    for problem in parts.catalogue.problems(deep=deep):
        yield Finding(Harm.CATALOGUE, f"The catalogue is damaged: {one_line(problem)}.")
    for table, n_rows in parts.catalogue.dangling().items():
        yield Finding(
            Harm.REFERENCE, f"{n_rows} rows of the table {table} refer to something that does not exist."
        )


def _document_findings(parts: Parts, on_document: Callable[[int], None] | None) -> Iterator[Finding]:
    for number, record in enumerate(parts.documents.all(), start=1):
        found = list(_findings_of(parts, record))
        # Another process may have changed or removed it since its row was read.
        if found and (again := _still_there(parts, record.id)) is not None:
            yield from _findings_of(parts, again)
        if on_document is not None:
            on_document(number)


def _still_there(parts: Parts, document_id: str) -> DocumentRecord | None:
    try:
        return parts.documents.one(document_id)
    except LibraryError:
        return None


def _findings_of(parts: Parts, record: DocumentRecord) -> Iterator[Finding]:
    called = f"{record.short_id} ({record.title})"
    try:
        text = parts.documents.text(record.id)
    except LibraryError as error:
        sentence = f"The text of {called} cannot be used: {error.message}."
        yield Finding(Harm.TEXT, sentence, record.id)
    else:
        if len(text.text) != record.n_chars or len(text.pages) != record.n_pages:
            yield Finding(Harm.LENGTH, f"The text of {called} has another length than noted.", record.id)
    if not record.paths:
        yield Finding(Harm.SOURCE, f"The document {called} belongs to no file.", record.id)


def index_findings(parts: Parts) -> Iterator[Finding]:
    """Findings about the search index alone."""
    waiting = parts.indexing.queue.count()
    if waiting:
        yield Finding(Harm.QUEUE, f"{waiting} changed documents are not in the search index yet.")
    if not parts.indexing.was_built():
        if waiting < parts.documents.count():
            yield Finding(Harm.INDEX, "There is no search index.")
        return
    missing: dict[str, int] = {}
    extra: dict[str, int] = {}
    try:
        for difference in parts.indexing.differences():
            missing[difference.index] = missing.get(difference.index, 0) + difference.n_missing
            extra[difference.index] = extra.get(difference.index, 0) + difference.n_extra
    except LibraryDamaged as error:
        yield Finding(Harm.INDEX, f"The search index is damaged: {one_line(error.message)}.")
    for name, count in missing.items():
        if count:
            yield Finding(Harm.INDEX, f"{count} documents are missing from the search index ({name}).")
    for name, count in extra.items():
        if count:
            yield Finding(Harm.INDEX, f"{count} documents in the search index ({name}) no longer exist.")


def _snapshot_findings(
    parts: Parts,
    check_file: Callable[[list[SnapshotRow]], str] | None,
    on_snapshot: Callable[[int], None] | None,
) -> Iterator[Finding]:
    n_checked = 0
    for page in parts.readings.content_pages(_ROWS_AT_A_TIME):
        of_content: dict[str, list[SnapshotRow]] = {}
        for row in page:
            of_content.setdefault(row.content, []).append(row)
        for content, rows in of_content.items():
            wrong = _size_problem(parts.files, rows)
            if not wrong and check_file is not None:
                wrong = check_file(rows)
            if wrong and parts.readings.refers_to(content):
                of = f"{rows[0].document_id[:12]}, volume {rows[0].ordinal + 1},"
                shown = one_line(content, 64)
                yield Finding(Harm.SNAPSHOT, f"The snapshot of {of} {wrong}: {shown}.", content)
            n_checked += len(rows)
            if on_snapshot is not None:
                on_snapshot(n_checked)


def _size_problem(files: KvStore, rows: list[SnapshotRow]) -> str:
    try:
        size = regular_size(files.path(rows[0].content))
    except LibraryDamaged as error:
        return f"cannot be used, {error.message}"
    if size is None:
        return "cannot be read, its file is not there"
    wrong = next((row.size_bytes for row in rows if row.size_bytes != size), None)
    return "" if wrong is None else f"has {size} bytes instead of {wrong}"


def _file_findings(parts: Parts) -> Iterator[Finding]:
    for path in parts.snapshots.strangers():
        shown = one_line(str(path.relative_to(parts.files.root)), 120)
        if parts.files.is_own(path):
            yield Finding(Harm.ORPHAN, f"The file {shown} belongs to no snapshot.", str(path))
        else:
            yield Finding(Harm.FOREIGN, f"The file {shown} is not the library's.", str(path))


def _hot_findings(parts: Parts, deep: bool) -> Iterator[Finding]:
    """Copies of snapshots that have gone are none: the next sweep takes them."""
    for path in parts.hot.foreign():
        shown = one_line(str(path.relative_to(parts.root)), 120)
        yield Finding(Harm.FOREIGN, f"The file {shown} is not the library's.", str(path))
    for copy in parts.hot.copies() if deep else ():
        if problem := parts.hot.problem(copy.content):
            sentence = f"The hot copy of {copy.content} {problem}; it can be made again."
            yield Finding(Harm.HOT, sentence, copy.content)
