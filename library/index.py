"""The search index on disk: two Tantivy indices, one of documents and one of their passages.

It holds nothing that the catalogue does not hold: it can always be thrown away and built again.
Entries carry the document's key (an integer of the catalogue) and no text.

Tantivy facts behind this file (0.27): analyzers must be registered after every opening; a writer
is not a context manager to be used as one (it commits after an exception); a term deletion with
an integer does not match an unsigned field, a deletion by query does; what goes wrong comes as
ValueError, OSError or a Rust panic.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import tantivy

from kvfiles.errors import StorageError
from library.analysis import STEM, register_analyzers
from library.errors import LibraryDamaged, LibraryError
from library.files import storage_errors
from library.passages import Window, cut_passages
from library.paths import private_directory
from library.records import DocumentText

# Part of the index's name on disk: raise it when the schema, the analysis or the passages change.
FORMAT = 1

_HALF_WRITTEN = re.compile(r"\.tmp[A-Za-z0-9]{6}")
_WRITER_HEAP_BYTES = 32 << 20
_NEARLY_FULL_BYTES = 64 << 20
_MANY_ENTRIES = 20_000
_FIRST_KEYS = 2_000


@dataclass(frozen=True, slots=True)
class Entry:
    """What the index learns of one document.  `name` is its file name."""

    key: int
    title: str
    name: str
    text: DocumentText


def _document_schema() -> tantivy.Schema:
    builder = tantivy.SchemaBuilder().add_unsigned_field("key", indexed=True, fast=True)
    for field in ("title", "body"):
        builder.add_text_field(field, tokenizer_name=STEM, index_option="position")
    return builder.build()


def _passage_schema() -> tantivy.Schema:
    builder = tantivy.SchemaBuilder().add_unsigned_field("key", indexed=True, fast=True)
    for field in ("start", "end"):
        builder.add_unsigned_field(field, fast=True)
    for field in ("title", "body"):
        builder.add_text_field(field, tokenizer_name=STEM, index_option="position")
    return builder.build()


@contextmanager
def index_errors(path: Path) -> Iterator[None]:
    """What Tantivy raises inside becomes a StorageError (the disk is full) or LibraryDamaged."""
    try:
        yield
    except LibraryError:
        raise
    except BaseException as error:
        # A Rust panic derives from BaseException, and its class cannot be imported.
        if not isinstance(error, ValueError | OSError | RuntimeError) and (
            type(error).__name__ != "PanicException"
        ):
            raise
        if "No space left" in str(error) or _free_bytes(path) < _NEARLY_FULL_BYTES:
            raise StorageError(
                "the disk is full", subject=str(path), remedy="free some space and run the command again"
            ) from error
        raise LibraryDamaged(
            f"the search index cannot be used: {str(error)[:300]}",
            subject=str(path),
            remedy="it is built again from the catalogue by the next command that finds no other writer",
        ) from error


def _free_bytes(path: Path) -> int:
    try:
        return shutil.disk_usage(path).free
    except OSError:
        return _NEARLY_FULL_BYTES


class SearchIndex:
    """Both indices below one directory, open for searching; writing needs the library's lock."""

    def __init__(self, path: Path, documents: tantivy.Index, passages: tantivy.Index) -> None:
        self.path = path
        self._documents = documents
        self._passages = passages
        for index in (documents, passages):
            register_analyzers(index)
        self.refresh()

    @classmethod
    def create(cls, path: Path) -> SearchIndex:
        """An empty index in `path`, which must not hold one.

        Raises:
            StorageError: it cannot be created.
        """
        for name in ("documents", "passages"):
            private_directory(path / name)
        with index_errors(path):
            return cls(
                path,
                tantivy.Index(_document_schema(), path=str(path / "documents"), reuse=False),
                tantivy.Index(_passage_schema(), path=str(path / "passages"), reuse=False),
            )

    @classmethod
    def open(cls, path: Path) -> SearchIndex:
        """Raises LibraryDamaged when it is missing, damaged or of another Tantivy."""
        with index_errors(path):
            return cls(
                path,
                tantivy.Index.open(str(path / "documents")),
                tantivy.Index.open(str(path / "passages")),
            )

    def refresh(self) -> None:
        """See what was committed since, by whichever process."""
        with index_errors(self.path):
            for index in (self._documents, self._passages):
                index.reload()

    @property
    def documents(self) -> IndexView:
        """The documents as of the last `refresh`: fields key, title, body."""
        return IndexView(self._documents.schema, self._documents.searcher(), self.path)

    @property
    def passages(self) -> IndexView:
        """The passages as of the last `refresh`: fields key, start, end, title, body."""
        return IndexView(self._passages.schema, self._passages.searcher(), self.path)

    def update(self, forgotten: Sequence[int], entries: Iterable[Entry]) -> None:
        """Forget the documents with these keys, then learn `entries`; visible and durable on return.

        Raises:
            StorageError, LibraryDamaged: nothing of it has happened, or only in one of the indices;
                doing the same again is right in both cases.
        """
        with index_errors(self.path):
            documents = self._documents.writer(heap_size=_WRITER_HEAP_BYTES, num_threads=1)
            passages = self._passages.writer(heap_size=_WRITER_HEAP_BYTES, num_threads=1)
            try:
                for index, writer in ((self._documents, documents), (self._passages, passages)):
                    for key in forgotten:
                        term = tantivy.Query.term_query(index.schema, "key", key)
                        writer.delete_documents_by_query(term)
                for entry in entries:
                    documents.add_document(_document(entry))
                    for passage in _passages(entry):
                        passages.add_document(passage)
                documents.commit()
                passages.commit()
            except BaseException:
                documents.rollback()
                passages.rollback()
                raise
            finally:
                documents.wait_merging_threads()
                passages.wait_merging_threads()
        self.refresh()

    def clear_leftovers(self) -> None:
        """Remove files of a writer that was killed before it committed.  Needs the library's lock."""
        with index_errors(self.path):
            for index in (self._documents, self._passages):
                writer = index.writer(heap_size=_WRITER_HEAP_BYTES, num_threads=1)
                try:
                    writer.garbage_collect_files()
                finally:
                    writer.wait_merging_threads()
        with storage_errors(self.path):
            for file in self.path.glob("*/.tmp*"):  # of its atomic writes, which it does not keep account of
                if _HALF_WRITTEN.fullmatch(file.name):
                    file.unlink(missing_ok=True)

    @staticmethod
    def remove_files(path: Path) -> None:
        """Remove an index; other processes that have it open go on reading."""
        shutil.rmtree(path, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class IndexView:
    """A consistent view of one index: all searches through it see the same state."""

    schema: tantivy.Schema
    searcher: tantivy.Searcher
    path: Path

    def search(self, query: tantivy.Query, limit: int, *fields: str) -> list[tuple[float, tuple[int, ...]]]:
        """The best `limit` entries: BM25 score and the values of the named unsigned `fields`."""
        if limit <= 0:
            return []
        with index_errors(self.path):
            hits = self.searcher.search(query, limit, count=False).hits
            addresses = [address for _, address in hits]
            columns = [self.searcher.fast_field_values(field, addresses) for field in fields]
        rows = zip(*columns, strict=True) if columns else iter([()] * len(hits))
        return [
            (float(score), tuple(int(value or 0) for value in row))
            for (score, _), row in zip(hits, rows, strict=True)
        ]

    def keys(self, first: int, after: int) -> set[int]:
        """The keys in [first, after) that have entries."""
        query = tantivy.Query.range_query(
            self.schema, "key", tantivy.FieldType.Unsigned, first, after, include_upper=False
        )
        return {values[0] for _, values in self.search(query, max(self.searcher.num_docs, 1), "key")}

    def count(self, term: str) -> int:
        """The number of entries whose body holds a term."""
        with index_errors(self.path):
            return int(self.searcher.doc_freq("body", term))

    def holds(self, query: tantivy.Query) -> bool:
        """Whether any entry matches.

        Tantivy goes through all matches even when one is wanted.  What matches often is found among
        the first documents already; what matches seldom is found quickly everywhere.
        """
        if self.searcher.num_docs > _MANY_ENTRIES:
            first = tantivy.Query.range_query(
                self.schema, "key", tantivy.FieldType.Unsigned, None, _FIRST_KEYS
            )
            parts = [
                (tantivy.Occur.Must, query),
                (tantivy.Occur.Must, tantivy.Query.const_score_query(first, 0.0)),
            ]
            if self.search(tantivy.Query.boolean_query(parts), 1):
                return True
        return bool(self.search(query, 1))


def _document(entry: Entry) -> tantivy.Document:
    document = tantivy.Document()
    document.add_unsigned("key", entry.key)
    for value in (entry.title, entry.name):
        document.add_text("title", value)
    document.add_text("body", entry.text.text)
    return document


def _passages(entry: Entry) -> Iterator[tantivy.Document]:
    # A text without words gets one empty passage: every document has an entry in both indices.
    for window in list(cut_passages(entry.text)) or [Window(0, 0)]:
        document = tantivy.Document()
        document.add_unsigned("key", entry.key)
        document.add_unsigned("start", window.start)
        document.add_unsigned("end", window.end)
        document.add_text("title", entry.title)
        document.add_text("title", entry.name)
        document.add_text("body", entry.text.text[window.start : window.end])
        yield document
