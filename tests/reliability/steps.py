"""What a library is put through: steps that say what they begin and what they have done.

A step is told in one JSON object before and after it happens, so that whoever reads the log after a
kill knows what must be there and what may be.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from small_kv import PROFILE, read, write_kv

from library.hot import COPY_OF
from library.records import DocumentRecord, DocumentText, PageSpan, SourceFile
from library.store import Library
from library.upkeep import Upkeep

N_PATHS = 12
HOT_BOUND = 5_000
"""Bytes: four hot copies."""
Say = Callable[[str, dict[str, Any]], None]


def identity(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def add(library: Library, path: str, text: str) -> DocumentRecord:
    pages = DocumentText(text, (PageSpan("1", 0, len(text)),))
    source = SourceFile(path, len(text), 1)
    return library.add(identity(text), source, Path(path).stem, "text/plain", pages)


def path_of(number: int) -> str:
    return f"/docs/Ordner {number % 3}/größe {number}.txt"


class Steps:
    """Random steps on one library; `say` gets "begin" and "done" with what the step does to each path.

    In a told step `sets` are texts by path (None: the path goes) and `reads` are the paths whose
    document gets a snapshot.
    """

    def __init__(self, library: Library, archive: Path, exported: Path, seed: int, say: Say) -> None:
        self._library = library
        self._archive = archive
        self._exported = exported
        self._rng = random.Random(seed)
        self._seed = seed
        self._count = 0
        self._say = say

    def one(self) -> None:
        """The next step."""
        steps: list[tuple[Callable[[], None], int]] = [
            (self._index, 2),
            (self._replace, 2),
            (self._read, 3),
            (self._copy, 4),
            (self._remove, 3),
            (self._prune, 2),
            (self._repair, 6),
            (self._gc, 6),
            (self._export, 8),
            (self._import, 4),
        ]
        kinds, weights = zip(*steps, strict=True)
        self._rng.choices(kinds, weights)[0]()

    def _text(self) -> str:
        self._count += 1
        word = f"zebra{self._seed}x{self._count}"
        return f"{word} " * self._rng.randint(5, 400)

    def _documents(self) -> list[DocumentRecord]:
        return [document for document in self._library.documents() if document.paths]

    def _told(self, kind: str, action: Callable[[], object], **effect: Any) -> None:
        self._say("begin", {"step": kind, **effect})
        action()
        self._say("done", {"step": kind, **effect})

    def _index(self) -> None:
        """Several files in one run, as an ingest does."""
        paths = [path_of(n) for n in self._rng.sample(range(N_PATHS), 3)]
        self._set("index", {path: self._text() for path in paths})

    def _replace(self) -> None:
        """Only files that are known."""
        if documents := self._documents():
            self._set("replace", {self._rng.choice(documents).path: self._text()})

    def _set(self, kind: str, texts: dict[str, str]) -> None:
        def action() -> None:
            with self._library.writing():
                for path, text in texts.items():
                    add(self._library, path, text)

        self._told(kind, action, sets=texts)

    def _read(self) -> None:
        if documents := self._documents():
            document = self._rng.choice(documents)

            def action() -> None:
                write_kv(self._library.prefix_path(PROFILE.id), "0" * 64)
                read(self._library, document)

            self._told("read", action, reads=list(document.paths))

    def _copy(self) -> None:
        """A hot copy, which may push out others."""
        if records := self._library.snapshots():
            record = self._rng.choice(records)

            def action() -> None:
                file, content = self._library.snapshot_scratch(), record.path.stem
                write_kv(file, record.document_id, about={COPY_OF: content})
                self._library.hot.keep(file, content, HOT_BOUND)
                self._library.hot.note_reads({content}, 1)

            self._told("copy", action)

    def _remove(self) -> None:
        if documents := self._documents():
            document = self._rng.choice(documents)
            gone = dict.fromkeys(document.paths)
            self._told("remove", lambda: self._library.remove(document.id), sets=gone)

    def _prune(self) -> None:
        if documents := self._documents():
            document = self._rng.choice(documents)

            def action() -> None:
                with self._library.writing():
                    for path in document.paths:
                        self._library.mark_missing(path)
                        self._library.prune_missing(path)

            self._told("prune", action, sets=dict.fromkeys(document.paths))

    def _repair(self) -> None:
        self._told("verify --repair", lambda: Upkeep(self._library).repair(deep=self._rng.random() < 0.5))

    def _gc(self) -> None:
        self._told("gc", lambda: Upkeep(self._library).collect_garbage())

    def _export(self) -> None:
        self._told("export", lambda: Upkeep(self._library).export(self._exported, overwrite=True))

    def _import(self) -> None:
        self._told("import", lambda: Upkeep(self._library).import_from(self._archive), imports=True)
