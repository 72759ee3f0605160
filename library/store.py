"""The library: documents, texts, search index and `.kv` snapshots in one directory.

    catalogue.sqlite3     what there is (SQLite, WAL)
    writer.lock           who changes documents at this moment
    index/f1-<n>/         search index; can always be built again from the catalogue
    kv/, hot/             snapshots (see library.kvstore), and copies that attach faster (library.hot)
    scratch.lock          who may be writing temporary files (see library.presence)

Any number of processes may read and search while one writes.  Whatever changes documents or the
index holds the writer's lock; each of these methods takes it when the caller has not.  Snapshots
need no lock: an answer in one process may keep one while another process ingests.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from library.catalogue import Catalogue
from library.containers import Containers
from library.conversations import Conversations
from library.documents import Documents
from library.errors import DocumentNotFound, LibraryDamaged
from library.failures import Failures
from library.files import tree_size
from library.hot import HotCopies
from library.index import SearchIndex
from library.indexing import Indexing
from library.kvstore import KvStore
from library.lock import WriterLock
from library.names import absolute_path, absolute_source, find_document, is_id, require_id
from library.parts import Parts
from library.paths import private_directory
from library.readings import Readings
from library.records import (
    DocumentRecord,
    DocumentText,
    FailureRecord,
    Hit,
    LibraryTotals,
    ReadingProfile,
    SnapshotRecord,
    SourceFile,
    Volume,
)
from library.roots import CATALOGUE_NAME, existing_root, new_or_existing_root
from library.search import n_holding, search_documents
from library.snapshots import Snapshots
from library.verify import check_all


class Library:
    """One library, open.  A context manager; usable from several threads.

    Every method may raise LibraryDamaged and StorageError; those that change something also LibraryLocked.
    """

    def __init__(self, root: Path) -> None:
        """Use `open` or `create_or_open`."""
        self.root = root
        self._lock = WriterLock(root / "writer.lock")
        self._catalogue = Catalogue(root / CATALOGUE_NAME)
        try:
            self._documents = Documents(self._catalogue)
            self.containers = Containers(self._catalogue, self._documents)
            self.conversations = Conversations(self._catalogue)
            self._failures = Failures(self._catalogue)
            self._readings = Readings(self._catalogue)
            self._files = KvStore(private_directory(root / "kv"))
            self.hot = HotCopies(root / "hot", self._readings.refers_to)
            self._snapshots = Snapshots(self._catalogue, self._readings, self._files, self.hot)
            self._indexing = Indexing(root / "index", self._catalogue, self._documents, self._lock)
        except BaseException:
            self._catalogue.close()
            raise

    @classmethod
    def open(cls, root: Path) -> Library:
        """The library in `root`.

        Raises:
            LibraryError: there is none.
            LibraryNewer: a newer program wrote it.
        """
        return cls(existing_root(root))

    @classmethod
    def create_or_open(cls, root: Path) -> Library:
        """The library in `root`; made, with mode 0700, when the directory is new or empty.

        Raises:
            LibraryError: something else is there.
            LibraryNewer: a newer program wrote it.
        """
        return cls(new_or_existing_root(root))

    def close(self) -> None:
        """Close the catalogue and the index.  Closing twice is harmless."""
        self._indexing.close()
        self._files.close()
        self._catalogue.close()

    @property
    def parts(self) -> Parts:
        """What the library is made of: for `library.upkeep`, which looks after the whole of it."""
        return Parts(
            self.root,
            self._lock,
            self._catalogue,
            self._documents,
            self._failures,
            self._readings,
            self._files,
            self._snapshots,
            self.hot,
            self._indexing,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def writing(self, wait_s: float = 0.0) -> Iterator[None]:
        """Be the one writer inside the block; wait up to `wait_s` seconds for another one to finish.

        At the end of the outermost block the index is brought up to date and files that nothing
        refers to any more are removed, also after an exception: what was added stays added.

        Raises:
            LibraryLocked: another process (or thread) is writing; says which one and since when.
        """
        with self._lock.hold(wait_s):
            try:
                yield
            finally:
                if self._lock.depth == 1:
                    self._indexing.commit()
                    self._snapshots.sweep()

    @contextmanager
    def batch(self) -> Iterator[None]:
        """All changes inside are kept together, or none; other processes wait meanwhile: be quick."""
        with self.writing(), self._catalogue.transaction():
            yield

    # -- documents

    def documents(self) -> Iterator[DocumentRecord]:
        """All documents, in the order in which they were added; read in pages, as they are asked for."""
        return self._documents.all()

    def page(self, limit: int, offset: int = 0) -> list[DocumentRecord]:
        """Up to `limit` documents after the first `offset`, in the order in which they were added."""
        return self._documents.page(max(limit, 0), max(offset, 0))

    def count(self) -> int:
        """The number of documents."""
        return self._documents.count()

    def document(self, document_id: str) -> DocumentRecord:
        """The document with this id.  Raises DocumentNotFound."""
        return self._documents.one(document_id)

    def find(self, name_or_id_or_path: str) -> DocumentRecord:
        """The document that a person means (see library.names).  Raises DocumentNotFound."""
        name = name_or_id_or_path.strip()
        if is_id(name.casefold()):
            with suppress(DocumentNotFound):
                return self._documents.one(name.casefold())
        at_path = self._documents.at(absolute_path(name)) if name else None
        return at_path or find_document(name, self._documents.all())

    def text(self, document_id: str) -> DocumentText:
        """The whole text with its pages.  Raises DocumentNotFound."""
        return self._documents.text(document_id)

    def source(self, path: str) -> tuple[SourceFile, str] | None:
        """The file at this absolute path as it was when it was read, and its document's id."""
        return self._documents.source(path)

    def sources(self, under: str | None = None) -> Iterator[tuple[SourceFile, str]]:
        """The known files at or below a folder (all when None), missing ones too, in path order."""
        return self._documents.sources(under)

    def add(
        self,
        document_id: str,
        source: SourceFile,
        title: str,
        media_type: str,
        text: DocumentText,
        warnings: Sequence[str] = (),
        language: str | None = None,
    ) -> DocumentRecord:
        """Store a document read from `source`.  Repeating it changes nothing.

        Another text or title than before costs the document its volumes and snapshots.  When the path held
        another document before, that one loses the path, and goes when it was its last.  Found by `search`
        after `commit_index` or the end of `writing`.
        """
        require_id(document_id)
        with self.writing():
            self._documents.add(
                document_id,
                absolute_source(source),
                text,
                title=title,
                media_type=media_type,
                warnings=warnings,
                language=language,
            )
            return self._documents.one(document_id)

    def differs(self, document_id: str, title: str, text: DocumentText) -> bool:
        """Whether `add` with these would cost a known document its volumes and snapshots."""
        return self._documents.differs(document_id, title, text)

    def add_path(self, document_id: str, source: SourceFile) -> DocumentRecord:
        """Say that `source` holds a known document too: a copy or a renamed file.

        Raises:
            DocumentNotFound: it is not known.
        """
        with self.writing():
            self._documents.add_path(document_id, absolute_source(source))
            return self._documents.one(document_id)

    def touch(self, source: SourceFile) -> None:
        """Note the size and time of a known file whose content is unchanged; it is there."""
        with self.writing():
            self._documents.touch(source)

    def mark_missing(self, path: str) -> None:
        """Note that a known file is gone.  Its document stays and can be asked about."""
        with self.writing():
            self._documents.mark_missing(path)

    def prune_missing(self, under: str | None = None) -> list[DocumentRecord]:
        """Forget missing files at or below a folder (all when None); returns the documents that went
        because they had no other file."""
        with self.writing():
            return self._documents.prune_missing(under)

    def remove(self, document_id: str) -> None:
        """Forget a document with its text and snapshots.  Raises DocumentNotFound."""
        with self.writing():
            self._documents.remove(document_id)

    def record_failure(self, failure: FailureRecord) -> None:
        """Note that a file could not be read; replaces what was noted of it before."""
        with self.writing():
            self._failures.record(failure)

    def clear_failure(self, path: str) -> None:
        """Forget the failure of a file, if there is one.  (`add` does it too.)"""
        with self.writing():
            self._failures.clear(path)

    def failures(self, under: str | None = None) -> list[FailureRecord]:
        """The files at or below a path (all when None) that could not be read, in path order."""
        return self._failures.under(under)

    def commit_index(self) -> None:
        """Make what was added and removed so far visible to `search`, in all processes."""
        with self._lock.hold():
            self._indexing.commit()

    # -- volumes and snapshots

    def put_profile(self, profile: ReadingProfile) -> None:
        """Store a reading profile; its id is the caller's."""
        self._readings.put_profile(profile)

    def profiles(self) -> list[ReadingProfile]:
        """All reading profiles, the oldest first."""
        return self._readings.profiles()

    def volumes(self, document_id: str, profile_id: str) -> tuple[Volume, ...]:
        """How a document was cut for a profile; empty when it was not yet."""
        return self._readings.volumes(document_id, profile_id)

    def put_volumes(self, document_id: str, profile_id: str, volumes: Sequence[Volume]) -> None:
        """Store how a document is cut for a profile, in place of what was stored before.

        Snapshots of volumes that changed are forgotten.

        Raises:
            LibraryError: they do not follow one another, or document or profile are unknown.
        """
        self._readings.put_volumes(document_id, profile_id, volumes)

    def snapshot(self, document_id: str, ordinal: int, profile_id: str) -> SnapshotRecord | None:
        """The snapshot of a volume made under exactly this profile, if its file is there."""
        return self._snapshots.get(document_id, ordinal, profile_id)

    def snapshots(self, document_id: str | None = None) -> list[SnapshotRecord]:
        """Snapshots of all profiles, of one document or of all."""
        return self._snapshots.all(document_id)

    def volumes_among(self, document_ids: Sequence[str], profile_id: str) -> dict[str, tuple[Volume, ...]]:
        """The volumes of those of these documents that were cut for a profile."""
        return self._readings.volumes_among(document_ids, profile_id)

    def snapshots_among(self, document_ids: Sequence[str]) -> dict[str, list[SnapshotRecord]]:
        """The snapshots, of all profiles, of those of these documents that have any."""
        return self._snapshots.among(document_ids)

    def snapshot_scratch(self) -> Path:
        """A fresh path, on the store's file system, to write a `.kv` into; nothing is there yet."""
        return self._files.scratch()

    def put_snapshot(
        self, document_id: str, ordinal: int, profile_id: str, file: Path, n_tokens: int, codec: str
    ) -> SnapshotRecord:
        """Move `file` into the store as the snapshot of a volume; durable when this returns.

        Identical content is stored once.  Needs no writer's lock.

        Raises:
            LibraryError: document or profile are unknown; the file stays where it is.
        """
        return self._snapshots.put(document_id, ordinal, profile_id, file, n_tokens=n_tokens, codec=codec)

    def drop_snapshot(self, record: SnapshotRecord) -> None:
        """Forget a snapshot; its file goes when nothing else has the same content."""
        self._snapshots.drop(record)

    def note_read(self, records: Iterable[SnapshotRecord]) -> None:
        """Note that these snapshots were read now."""
        self._snapshots.note_read(records)

    def prefix_path(self, profile_id: str) -> Path:
        """Where the prefix snapshot of a profile belongs; it need not exist."""
        return self._files.prefix_path(profile_id)

    # -- search and health

    def search(self, question: str, limit: int = 5, passages: int = 3) -> list[Hit]:
        """The documents a question needs, in the order in which to read them (see library.search).

        The question is plain text, never query syntax, and may be of any length.
        """
        if not self._documents.any():
            return []

        def results(index: SearchIndex) -> list[Hit]:
            return search_documents(
                index,
                question,
                limit,
                passages,
                records=self._documents.by_keys,
                texts=self._documents.text,
            )

        try:
            index = self._indexing.current()
            return results(index) if index is not None else []
        except LibraryDamaged:
            with self._lock.hold():
                return results(self._indexing.rebuild())

    def n_holding(self, word: str) -> int:
        """About how many documents' texts hold a word; of several terms the rarest counts."""
        index = self._indexing.current()
        return 0 if index is None else n_holding(index.documents, word)

    def rebuild_index(self) -> None:
        """Build the search index again from the catalogue."""
        with self._lock.hold():
            self._indexing.rebuild()

    def totals(self, profile_id: str | None = None) -> LibraryTotals:
        """Counts and sizes.  Snapshots of other profiles than `profile_id` are stale (none when None)."""
        counts = self._readings.counts()
        n_snapshots = sum(counts.values())
        return LibraryTotals(
            n_documents=self._documents.count(),
            n_snapshots=n_snapshots,
            n_stale=0 if profile_id is None else n_snapshots - counts.get(profile_id, 0),
            n_failures=self._failures.count(),
            text_bytes=self._documents.text_bytes(),
            index_bytes=tree_size(self.root / "index"),
            snapshot_bytes=self._snapshots.total_bytes(),
        )

    def verify(self) -> list[str]:
        """What is wrong with the library, in plain sentences; [] when all is well.

        Of snapshots, existence and size are checked; `library.upkeep` looks into them and repairs.
        """
        return [finding.text for finding in check_all(self.parts)]
