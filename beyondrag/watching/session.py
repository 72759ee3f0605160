"""A watch: looks at the folders again and again, and has what comes read beside it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack

from beyondrag.calibration.running import SCALE
from beyondrag.console import Console
from beyondrag.quantities import bytes_in_words, seconds_in_words
from beyondrag.reading_along import ReadingAlong, ReadingProgress, Told
from beyondrag.settings import Settings
from beyondrag.watching.watcher import Look, Watcher
from ingest.errors import PathProblem
from ingest.outcomes import FileOutcome
from ingest.pipeline import PendingVolume
from kvfiles.errors import BeyondragError, Cancelled, ModelError, StorageError
from library.errors import LibraryLocked
from library.records import SnapshotRecord

_RETRY_S = 60.0
_TICK_S = 0.25


class Session:
    """Looks in the calling thread; `ReadingAlong` reads in one of its own.

    With `once` it ends when nothing is left to do, and with the first trouble.  Otherwise it puts up with
    what may pass (another writer, a folder or a disk that is away, a model that cannot be opened).
    `settings` None: nothing is read.
    """

    def __init__(
        self,
        settings: Settings | None,
        watcher: Watcher,
        console: Console,
        cancelled: Callable[[], bool],
        *,
        once: bool,
    ) -> None:
        self._settings = settings
        self._watcher = watcher
        self._console = console
        self._cancelled = cancelled
        self._once = once
        self._reading: ReadingAlong | None = None
        self._bar = ExitStack()
        self._came: dict[str, None] = {}  # not yet handed over, or again after that
        self._handed: dict[str, None] = {}
        self._read_at = 0.0
        self._trouble = ""
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
            self._leave_reading()
        if self._console.wants_json:
            read = {"volumes": self._n_volumes, "tokens": self._n_tokens}
            self._console.json({"files": self._n_files, "read": read, "stopped": self._cancelled()})
        if not self._cancelled():
            return 0
        self._console.note("stopped; finished work is kept")
        return Cancelled.exit_code

    def _step(self) -> float | None:
        """Look, and see to the reading; the seconds to wait before the next step, None at the end."""
        try:
            look = self._look()
        except (LibraryLocked, PathProblem) as error:
            self._put_up_with(error)
            return self._watcher.pause_s
        except StorageError as error:
            self._put_up_with(error)
            return max(self._watcher.pause_s, _RETRY_S)
        try:
            self._read()
        except (StorageError, ModelError) as error:
            self._put_up_with(error)
            self._read_at = time.monotonic() + _RETRY_S
            return self._watcher.pause_s
        if self._reading is None and not self._came:
            self._trouble = ""
        if self._once and self._reading is None and not self._came and not self._watcher.is_waiting:
            return None if look is None else 0.0
        return self._watcher.pause_s

    def _look(self) -> Look | None:
        """Look, say what came, and keep in mind what is to be read."""
        look = self._watcher.look(self._take)
        if look is not None:
            self._tell(look)
            if self._settings is not None:
                self._came.update(dict.fromkeys(look.report.document_ids))
        return look

    def _take(self, outcome: FileOutcome, _done: int, _total: int) -> None:
        """A file is in the library: it may be read while the next ones are parsed."""
        if self._settings is not None and outcome.document_id is not None:
            self._came[outcome.document_id] = None
            self._hand_over([outcome.document_id])

    # ------------------------------------------------------------------- reading

    def _read(self) -> None:
        """Hand over what came; close the model when all is read: idle it would keep its memory.

        Raises what ended the reading; after a while it is begun anew with all that was handed over.
        """
        self._hand_over(tuple(self._came))
        if self._reading is not None and self._reading.is_idle:
            try:
                self._reading.finish()
            except BaseException:
                self._came = self._handed | self._came
                raise
            finally:
                self._handed = {}
                self._leave_reading()

    def _hand_over(self, document_ids: Sequence[str]) -> None:
        """What was handed over before, and came again, waits for the next reading."""
        if self._reading is None:
            if not document_ids or time.monotonic() < self._read_at:
                return
            self._reading = self._begin_reading()
        new = [document_id for document_id in document_ids if document_id not in self._handed]
        self._reading.offer(new)
        for document_id in new:
            self._handed[document_id] = self._came.pop(document_id)

    def _begin_reading(self) -> ReadingAlong:
        assert self._settings is not None  # otherwise nothing is to be read
        progress = self._bar.enter_context(self._console.progress(None, "tokens"))

        def show(state: ReadingProgress) -> None:
            progress.update(state.done_tokens, total=state.total_tokens, detail=state.pending.document.name)

        def unreadable(document_id: str, error: BeyondragError) -> None:
            if self._once:
                raise error
            self._console.note(f"{document_id}: {error.message}; left out until it changes")

        def calibrating(done: float, what: str) -> None:
            progress.update(0, detail=f"calibrating the model, {done / SCALE:.0%}: {what}")

        told = Told(self._warn, show, self._tell_kept, unreadable, calibrating, self._warn)
        return ReadingAlong(self._settings, self._cancelled, at_once=True, told=told)

    def _leave_reading(self) -> None:
        """Stop it if it goes on."""
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.close()
        self._bar.close()

    def _warn(self, warnings: tuple[str, ...]) -> None:
        for warning in warnings:
            if warning not in self._warned:
                self._warned.add(warning)
                self._console.warn(warning)

    def _tell_kept(self, pending: PendingVolume, record: SnapshotRecord, seconds: float) -> None:
        self._n_volumes += 1
        self._n_tokens += record.n_tokens
        part = f" ({pending.volume.label})" if pending.n_volumes > 1 else ""
        self._say(
            f"read {pending.document.name}{part}: {record.n_tokens:,} tokens in "
            f"{seconds_in_words(seconds)}, snapshot {bytes_in_words(record.size_bytes)}"
        )

    # -------------------------------------------------------------------- saying

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
        if str(error) != self._trouble:
            self._trouble = str(error)
            about = f"{error.subject}: " if error.subject else ""
            self._console.warn(f"{about}{error.message}; it will be tried again")

    def _say(self, line: str) -> None:
        if self._reading is not None and self._console.interactive:
            self._console.note(line)  # above the bar
        elif not self._console.wants_json:
            self._console.out(line)

    def _pause(self, seconds: float) -> None:
        """Wait until it is time to look again, the reading is through, or Ctrl-C was pressed."""
        until = time.monotonic() + seconds
        while not self._cancelled() and (left := until - time.monotonic()) > 0:
            if self._reading is not None and self._reading.is_idle:
                return
            time.sleep(min(left, _TICK_S))
