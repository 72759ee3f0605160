"""What is known of the ingest that runs, gathered from its notices; knows no widgets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from beyondrag.service.notices import (
    FileProblem,
    Ingested,
    IngestFailed,
    Looking,
    Notice,
    Problem,
    Reading,
    ReadingAhead,
    VolumeRead,
)

Phase = Literal["idle", "looking", "reading", "paused", "done", "stopped", "failed"]
VolumeState = Literal["waits", "reading", "paused", "kept", "stopped"]


@dataclass(frozen=True, slots=True)
class VolumeLine:
    """A volume that was or is being read, or a document that waits for its turn (`n_tokens` is an estimate
    then).  `size_bytes` is 0 until the snapshot is kept."""

    key: str
    name: str
    state: VolumeState
    done: int
    n_tokens: int
    size_bytes: int = 0


class IngestJob:
    """Follows one ingest at a time: the one that was begun here, else the one that is being read.

    One that is paused lets others pass; it is followed again when they have ended.

    `Looking` comes from plans and checks too, so it only counts for a request that `started` has named.
    """

    def __init__(self) -> None:
        self.generation = 0
        """Raised whenever the lines are others than before, not only more: show all of them again."""
        self.request: int | None = None
        self._aside: dict[int, Reading] = {}
        self._clear()

    def _clear(self) -> None:
        self.phase: Phase = "idle"
        self.looking: Looking | None = None
        self.reading: Reading | None = None
        self.result: Ingested | None = None
        self.problem: Problem | None = None
        self.lines: dict[str, VolumeLine] = {}
        self._changed: set[str] = set()
        self._waiting: dict[str, str] = {}
        self.generation += 1

    @property
    def running(self) -> bool:
        """Whether there is something to pause or to stop."""
        return self.phase in ("looking", "reading", "paused")

    @property
    def looked(self) -> bool:
        """Whether all files were looked at and nothing is being read yet."""
        looking = self.looking
        return self.phase == "looking" and looking is not None and looking.done >= looking.total

    @property
    def is_looking(self) -> bool:
        """Whether some files were not looked at yet; others may be read meanwhile."""
        return self.running and self.looking is not None and self.looking.done < self.looking.total

    @property
    def problems(self) -> tuple[FileProblem, ...]:
        """Of the ingest that ended; empty while it runs."""
        return self.result.problems if self.result else ()

    @property
    def n_waiting(self) -> int:
        """Volumes that are not yet begun."""
        return 0 if self.reading is None else max(self.reading.n_volumes - self.reading.index - 1, 0)

    def started(self, request: int) -> None:
        """An ingest was asked for under this number; one that runs already goes first."""
        if not self.running:
            self._turn_to(request)

    def take_changed(self) -> tuple[VolumeLine, ...]:
        """The lines that have changed since the last call, in the order in which they were begun."""
        changed, self._changed = self._changed, set()
        return tuple(line for key, line in self.lines.items() if key in changed)

    def receive(self, notice: Notice) -> bool:
        """Take a notice in; False when it says nothing about this job."""
        match notice:
            case Looking(request=request) if request == self.request and self.running:
                self.looking = notice
            case ReadingAhead():
                self._turn_to(notice.request)
                self._look_ahead(notice)
            case Reading():
                self._turn_to(notice.request)
                self._read(notice)
            case VolumeRead():
                self._turn_to(notice.request)
                self._kept(notice)
            case Ingested() | IngestFailed():
                return self._end(notice)
            case _:
                return False
        return True

    def _turn_to(self, request: int) -> None:
        if request == self.request:
            return
        if self.request is not None and self.reading is not None and self.phase == "paused":
            self._aside[self.request] = self.reading
        self._aside.pop(request, None)
        self._clear()
        self.request, self.phase = request, "looking"

    def _end(self, notice: Ingested | IngestFailed) -> bool:
        """False when something else is to be shown: another one runs, or has waited for this one."""
        self._aside.pop(notice.request, None)
        if self.running and notice.request != self.request:
            return False
        self._turn_to(notice.request)
        if self._aside:
            waiting = self._aside.pop(next(iter(self._aside)))
            self._turn_to(waiting.request)
            self._read(waiting)
            return False
        if isinstance(notice, Ingested):
            self.result, self.phase = notice, "stopped" if notice.cancelled else "done"
        else:
            self.problem, self.phase = notice.problem, "failed"
        self._settle()
        return True

    def _look_ahead(self, notice: ReadingAhead) -> None:
        """What waited before is told anew: another model may have been opened."""
        for key in self._waiting.values():
            del self.lines[key]
        self._waiting.clear()
        for document in notice.documents:
            key = _key(document.document_id, document.name)
            if key not in self.lines:
                self._waiting[document.document_id] = key
                self.lines[key] = VolumeLine(key, document.name, "waits", 0, document.n_tokens)
        self.generation += 1

    def _begin(self, document_id: str, key: str) -> None:
        """The document's turn has come: it waits no longer."""
        waited = self._waiting.pop(document_id, key)
        if waited != key:  # it was cut into volumes, which have names of their own
            self.lines = {key if k == waited else k: line for k, line in self.lines.items()}
            self.generation += 1

    def _read(self, notice: Reading) -> None:
        self.phase = "paused" if notice.paused else "reading"
        self.reading = notice
        key = _key(notice.document_id, notice.name)
        self._begin(notice.document_id, key)
        before = self.lines.get(key)
        if before is None or before.state != "kept":
            state: VolumeState = "paused" if notice.paused else "reading"
            self._put(VolumeLine(key, notice.name, state, notice.volume_done, notice.volume_tokens))

    def _kept(self, notice: VolumeRead) -> None:
        key = _key(notice.document_id, notice.name)
        self._begin(notice.document_id, key)
        before = self.lines.get(key)
        n_tokens = before.n_tokens if before else 0
        self._put(VolumeLine(key, notice.name, "kept", n_tokens, n_tokens, notice.size_bytes))

    def _settle(self) -> None:
        """What was begun and not kept is not going on any more."""
        for line in tuple(self.lines.values()):
            if line.state == "waits":
                del self.lines[line.key]
                self.generation += 1
            elif line.state != "kept":
                self._put(VolumeLine(line.key, line.name, "stopped", line.done, line.n_tokens))
        self._waiting.clear()

    def _put(self, line: VolumeLine) -> None:
        self.lines[line.key] = line
        self._changed.add(line.key)


def _key(document_id: str, name: str) -> str:
    """A document's volumes differ by their names."""
    return f"{document_id} {name}"
