"""`beyondrag watch`: keep the library up to date with folders while they change."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from beyondrag.console import Console
from ingest.errors import PathProblem
from kvfiles.errors import Cancelled, ContextOverflow, DecodeError, ModelError, StorageError
from library.errors import LibraryLocked

if TYPE_CHECKING:
    from beyondrag.engine import Engine
    from beyondrag.settings import Settings
    from beyondrag.watching.queue import ReadingQueue
    from beyondrag.watching.watcher import Look, Watcher
    from ingest.pipeline import PendingVolume
    from kvfiles.errors import BeyondragError
    from library.store import Library

DEFAULT_INTERVAL_S = 5.0
MAX_INTERVAL_S = 86_400.0
_RETRY_S = 60.0
_TICK_S = 0.25

_EPILOG = """examples:
  beyondrag watch ~/Contracts                  read what comes and changes, until Ctrl-C
  beyondrag watch ~/Contracts ~/Mail --index-only
  beyondrag watch ~/Contracts --interval 60    look once a minute
  beyondrag watch ~/Contracts --once           bring it up to date and end

A file is taken once it has rested for two seconds.  A renamed file keeps its snapshot.  A deleted
file is marked; its document stays until `beyondrag ingest FOLDER --prune`.
Stop with Ctrl-C at any time: finished documents are kept."""


def add_parser(
    subparsers: argparse._SubParsersAction[argparse.ArgumentParser], parents: list[argparse.ArgumentParser]
) -> None:
    """Describe the command."""
    parser = subparsers.add_parser(
        "watch",
        help="read what comes and changes in folders, until Ctrl-C",
        description="Keep the library up to date with folders while they change.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=parents,
    )
    parser.add_argument("paths", nargs="+", type=Path, metavar="FOLDER", help="a folder, or a file")
    parser.add_argument(
        "--index-only",
        action="store_true",
        help="make documents searchable without reading them with the model",
    )
    parser.add_argument(
        "--interval",
        type=_seconds,
        default=DEFAULT_INTERVAL_S,
        metavar="SECONDS",
        help="least time between two looks (default %(default)g)",
    )
    parser.add_argument("--once", action="store_true", help="end when everything is up to date")
    parser.set_defaults(run=run)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.1 <= value <= MAX_INTERVAL_S:
        raise argparse.ArgumentTypeError(f"must be from 0.1 to {MAX_INTERVAL_S:,.0f} seconds")
    return value


def run(args: argparse.Namespace, console: Console) -> int:
    """The command: 0 at the end of `--once`, 130 when it was stopped."""
    from beyondrag.interrupts import interruptible
    from beyondrag.reading import profile_for
    from beyondrag.settings import settings_from
    from beyondrag.watching.queue import ReadingQueue
    from beyondrag.watching.watcher import Watcher
    from ingest.scan import scan
    from library.store import Library

    settings = settings_from(args)
    scan(args.paths)  # a misspelt folder ends it now; one that goes away later does not
    profile = None if args.index_only else profile_for(settings)[1]
    with (
        Library.create_or_open(settings.library) as library,
        interruptible(lambda: console.note("stopping; press Ctrl-C again to stop at once")) as cancelled,
    ):
        watcher = Watcher(library, args.paths, interval_s=args.interval, cancelled=cancelled)
        queue = ReadingQueue(library, profile.id) if profile is not None else None
        return _Session(settings, library, watcher, queue, console, cancelled, once=args.once).run()


class _Session:
    """Looks and reads in turns: after every volume, and between the slices of a long one when it is time,
    the folders are looked at again.

    With `once` it ends when nothing is left to do, and with the first trouble.  Otherwise it puts up with
    what may pass (another writer, a folder or a disk that is away, a model that cannot be opened).
    """

    def __init__(
        self,
        settings: Settings,
        library: Library,
        watcher: Watcher,
        queue: ReadingQueue | None,
        console: Console,
        cancelled: Callable[[], bool],
        *,
        once: bool,
    ) -> None:
        self._settings = settings
        self._library = library
        self._watcher = watcher
        self._queue = queue
        self._console = console
        self._cancelled = cancelled
        self._once = once
        self._engine: Engine | None = None
        self._trouble = ""
        self._next_look = 0.0
        self._is_reading = False
        self._warned: set[str] = set()
        self._n_files = dict.fromkeys(("new", "changed", "copy", "renamed", "failed", "gone"), 0)
        self._n_volumes = self._n_tokens = 0

    def run(self) -> int:
        """Until nothing is left to do or the user stops it; the exit code."""
        if not self._once:
            self._console.note("watching; stop with Ctrl-C")
        try:
            while not self._cancelled():
                pause_s = self._step()
                if pause_s is None:
                    break
                self._pause(pause_s)
        except Cancelled:
            pass
        finally:
            self._close_engine()
        if self._console.wants_json:
            read = {"volumes": self._n_volumes, "tokens": self._n_tokens}
            self._console.json({"files": self._n_files, "read": read, "stopped": self._cancelled()})
        if not self._cancelled():
            return 0
        self._console.note("stopped; finished work is kept")
        return Cancelled.exit_code

    def _step(self) -> float | None:
        """Look, then read one volume; the seconds to wait before the next step, None at the end."""
        try:
            look = self._look()
            if self._queue:
                self._read_one(self._queue)
                self._trouble = ""
                return 0.0
        except (LibraryLocked, PathProblem) as error:
            self._put_up_with(error)
            return self._watcher.pause_s
        except (StorageError, ModelError) as error:
            self._put_up_with(error)
            return max(self._watcher.pause_s, _RETRY_S)
        self._close_engine()  # an idle model would keep its memory
        self._trouble = ""
        if self._once and not self._watcher.is_waiting:
            return None if look is None else 0.0
        return self._watcher.pause_s

    def _look(self) -> Look | None:
        """Look, say what came, and queue it."""
        try:
            look = self._watcher.look()
        finally:
            self._next_look = time.monotonic() + self._watcher.pause_s
        if look is not None:
            self._tell(look)
            if self._queue is not None:
                self._queue.add(look.report.document_ids)
        return look

    def _look_between_slices(self) -> None:
        """Look when it is time; trouble does not end the reading: the next look meets it again."""
        if time.monotonic() >= self._next_look:
            with suppress(LibraryLocked, PathProblem, StorageError):
                self._look()

    def _read_one(self, queue: ReadingQueue) -> None:
        from beyondrag.engine import Engine
        from beyondrag.quantities import bytes_in_words, seconds_in_words

        if self._engine is None:
            self._engine = Engine(self._settings, self._library)
            self._engine.prepare()
            for warning in self._engine.warnings:
                if warning not in self._warned:
                    self._warned.add(warning)
                    self._console.warn(warning)
        started = time.perf_counter()
        with self._console.progress(None, "tokens") as progress:

            def on_start(pending: PendingVolume) -> None:
                progress.update(0, total=pending.volume.n_tokens, detail=pending.document.name)

            def on_tokens(done: int) -> None:
                progress.update(done)
                self._look_between_slices()

            self._is_reading = True
            try:
                kept = queue.read_one(
                    self._engine, on_start=on_start, on_tokens=on_tokens, cancelled=self._cancelled
                )
            except (ContextOverflow, DecodeError) as error:  # of this document; the others can be read
                if self._once:
                    raise
                progress.note(f"{queue.put_aside()}: {error.message}; left out until it changes")
                return
            finally:
                self._is_reading = False
        if kept is None:
            return
        seconds = time.perf_counter() - started
        self._n_volumes += 1
        self._n_tokens += kept.n_tokens
        part = f" ({kept.pending.volume.label})" if kept.pending.n_volumes > 1 else ""
        self._say(
            f"read {kept.pending.document.name}{part}: {kept.n_tokens:,} tokens in "
            f"{seconds_in_words(seconds)}, snapshot {bytes_in_words(kept.size_bytes)}"
        )

    def _tell(self, look: Look) -> None:
        self._n_files["renamed"] += len(look.renamed)
        for old, new in look.renamed.items():
            self._say(f"renamed  {old} to {new}")
        new_names = set(look.renamed.values())
        for outcome in look.report.outcomes:
            state = outcome.state.value
            if state not in self._n_files or str(outcome.path) in new_names:
                continue
            self._n_files[state] += 1
            if outcome.failure is None:
                self._say(f"{state:<8} {outcome.path}")
            else:
                self._console.warn(
                    f"{outcome.path}: {outcome.failure.message}; try: {outcome.failure.remedy}"
                )
        self._n_files["gone"] += len(look.gone)
        for path in look.gone:
            self._say(f"gone     {path}")

    def _put_up_with(self, error: BeyondragError) -> None:
        """Say it once, not every few seconds."""
        if self._once:
            raise error
        self._close_engine()
        if str(error) != self._trouble:
            self._trouble = str(error)
            about = f"{error.subject}: " if error.subject else ""
            self._console.warn(f"{about}{error.message}; it will be tried again")

    def _say(self, line: str) -> None:
        if self._is_reading and self._console.interactive:
            self._console.note(line)  # above the bar
        elif not self._console.wants_json:
            self._console.out(line)

    def _close_engine(self) -> None:
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def _pause(self, seconds: float) -> None:
        """Sleep, but not longer than a quarter of a second once Ctrl-C was pressed."""
        until = time.monotonic() + seconds
        while not self._cancelled() and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, _TICK_S))
