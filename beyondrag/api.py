"""beyondrag from Python: open a library, ask, stream; read one file, keep it, ask it elsewhere.

A thin front of `Engine`; errors are those of the tree in `kvfiles.errors`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from beyondrag.engine import Engine
from beyondrag.errors import AppError
from beyondrag.events import Answer, Done, Event
from beyondrag.settings import default_settings
from beyondrag.single_file import ask_file, read_file
from beyondrag.turn import AskOptions, check_question
from ingest.indexing import index
from library.store import Library

__all__ = ["Answer", "AskOptions", "Event", "ReadingLibrary", "open_library"]


class ReadingLibrary:
    """An open library with its model.  Made by `open_library`; for one thread."""

    def __init__(self, library: Library, engine: Engine) -> None:
        self._library, self._engine = library, engine

    def stream(self, question: str, options: AskOptions | None = None) -> Iterator[Event]:
        """Events as they happen; the last one is `Done` with the answer."""
        return self._engine.ask(question, options)

    def ask(self, question: str, options: AskOptions | None = None) -> Answer:
        """The answer, when it is complete."""
        for event in self.stream(question, options):
            if isinstance(event, Done):
                return event.answer
        raise AppError("the engine stopped without an answer")

    def add(self, path: Path) -> str:
        """Put one file into the library; returns the document's id.  It is read when it is first asked about.

        Raises ParseFailure when it cannot be read, LibraryLocked when another process writes.
        """
        with self._library.writing(wait_s=10.0):
            outcome = index(self._library, [path], retry_failed=True).outcomes[0]
        if outcome.failure is not None:
            raise outcome.failure
        assert outcome.document_id is not None
        return outcome.document_id

    def read_file(self, path: Path, kv_path: Path) -> int:
        """Read one file whole, without the library, into a `.kv` file; returns its number of tokens."""
        self._engine.prepare()
        return read_file(self._engine.desk, path, kv_path)

    def ask_file(self, kv_path: Path, question: str, options: AskOptions | None = None) -> Answer:
        """Answer from a `.kv` file alone; it may come from another machine with the same model."""
        self._engine.prepare()
        return ask_file(self._engine.desk, kv_path, check_question(question), options or AskOptions())


@contextmanager
def open_library(
    root: Path, *, model: str | None = None, context: int | None = None
) -> Iterator[ReadingLibrary]:
    """Open (or make) the library in `root` and the model; closes both at the end.

    Raises ModelNotFound, LibraryError and the like.
    """
    settings = replace(default_settings(), library=root.absolute())
    if model is not None:
        settings = replace(settings, model=model)
    if context is not None:
        settings = replace(settings, context=context)
    with Library.create_or_open(settings.library) as library, Engine(settings, library) as engine:
        yield ReadingLibrary(library, engine)
