"""The check that reads everything, prefix snapshots included, and the one that repairs what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from kvfiles.container import Container
from kvfiles.errors import SnapshotError
from library.errors import DocumentNotFound, LibraryDamaged
from library.files import hash_regular_file, storage_errors
from library.integrity import Finding, Harm, RepairReport
from library.kvcheck import file_problem
from library.parts import Parts
from library.verify import check_all
from library.wording import one_line


def check_deeply(
    parts: Parts,
    *,
    on_document: Callable[[int], None] | None = None,
    on_snapshot: Callable[[int], None] | None = None,
) -> Iterator[Finding]:
    """As `verify.check_all`, with the contents of all `.kv` files: checksums, headers against rows."""
    yield from check_all(
        parts,
        check_file=lambda rows: file_problem(parts.files, rows),
        on_document=on_document,
        on_snapshot=on_snapshot,
    )
    for profile_id, path in parts.files.prefix_files():
        try:
            with Container(path) as container:
                container.verify()
                if container.meta.get("profile") != profile_id:
                    raise SnapshotError("it was made for another profile")
        except SnapshotError as error:
            sentence = f"The prefix of profile {one_line(profile_id, 64)} is damaged: {error.message}."
            yield Finding(Harm.PREFIX, sentence, profile_id)


def repair(parts: Parts, found: Iterable[Finding]) -> RepairReport:
    """Mend what can be mended: the index from the catalogue, snapshots by dropping the damaged ones, so
    that they are made again, lengths from texts.  A document whose text is damaged is dropped only
    while a file with its very bytes is there to be ingested again.

    The caller holds the writer's lock.  Every step may be repeated after a crash.
    """
    findings = tuple(found)
    mending = _Mending(parts)
    for finding in findings:
        mending.mend(finding)
    mending.finish(findings)
    return RepairReport(findings, tuple(mending.done), tuple(mending.again), tuple(check_all(parts)))


class _Mending:
    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self.done: list[str] = []
        self.again: list[str] = []

    def mend(self, finding: Finding) -> None:
        """What concerns one document or file."""
        if finding.harm is Harm.TEXT:
            self._drop_unreadable(finding.subject)
        elif finding.harm is Harm.LENGTH:
            self._note_length(finding.subject)
        elif finding.harm is Harm.SNAPSHOT:
            self._drop_snapshot(finding.subject)
        elif finding.harm is Harm.PREFIX:
            with storage_errors(self._parts.files.root):
                self._parts.files.prefix_path(finding.subject).unlink(missing_ok=True)
            self.done.append("A damaged prefix was removed; it is made again when the model is next used.")
        elif finding.harm is Harm.HOT:
            self._parts.hot.discard(finding.subject)
            self.done.append("A damaged hot copy was removed; its snapshot is attached instead.")

    def finish(self, findings: tuple[Finding, ...]) -> None:
        """What concerns the whole library."""
        harms = {finding.harm for finding in findings}
        if Harm.CATALOGUE in harms:
            self._reindex()
        if Harm.REFERENCE in harms:
            self._drop_dangling()
        if Harm.INDEX in harms:
            self._parts.indexing.rebuild()
            self.done.append("The search index was built again from the catalogue.")
        elif self._parts.indexing.queue.any():
            self._parts.indexing.commit()
            self.done.append("The search index was brought up to date.")
        swept = self._parts.snapshots.sweep()
        if swept:
            size = sum(file.size_bytes for file in swept)
            self.done.append(f"{len(swept)} files that nothing refers to were removed ({size:,} bytes).")

    def _drop_unreadable(self, document_id: str) -> None:
        try:
            record = self._parts.documents.one(document_id)
        except DocumentNotFound:
            return
        again = [path for path in record.paths if _holds(path, document_id)]
        if not again:
            return  # The file is not there to be read again: what is left of it stays.
        self._parts.documents.remove(document_id)
        self.again += again
        called = f"{record.short_id} ({record.title})"
        self.done.append(f"The document {called}, whose text is damaged, was dropped; ingest its file again.")

    def _note_length(self, document_id: str) -> None:
        with suppress(DocumentNotFound, LibraryDamaged):
            text = self._parts.documents.text(document_id)
            self._parts.documents.note_length(document_id, len(text.text), len(text.pages))
            self.done.append(f"The length of {document_id[:12]} was noted from its text.")

    def _drop_snapshot(self, content: str) -> None:
        rows = self._parts.snapshots.drop_content(content)
        for row in rows:
            self.done.append(
                f"The snapshot of {row.document_id[:12]}, volume {row.ordinal + 1}, was dropped; "
                "the document is read again by the next ingest, or when it is asked about."
            )

    def _reindex(self) -> None:
        try:
            self._parts.catalogue.reindex()
        except LibraryDamaged:
            return
        if not self._parts.catalogue.problems(deep=True):
            self.done.append("The catalogue's own indices were made again.")

    def _drop_dangling(self) -> None:
        self.again += self._parts.documents.lost_paths()
        counts = self._parts.catalogue.dangling()
        self._parts.catalogue.drop_dangling()
        self.done += [
            f"{n_rows} rows of the table {table} that referred to nothing were removed."
            for table, n_rows in counts.items()
        ]


def _holds(path: str, document_id: str) -> bool:
    """Whether the file at `path` is there and has the bytes of the document."""
    try:
        return hash_regular_file(Path(path))[0] == document_id
    except OSError:
        return False
