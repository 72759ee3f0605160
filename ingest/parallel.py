"""Several parser processes side by side; results come in the order of the jobs."""

from __future__ import annotations

import os
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass
from types import TracebackType
from typing import Generic, Self, TypeVar

from ingest.errors import IngestError
from ingest.parsers.base import Limits
from ingest.sandbox import ParserPool

MAX_CHILDREN = 4
MAX_AHEAD = 128
MAX_BATCH = 64
MAX_HELD_WEIGHT = 50_000_000
_POLL_S = 0.25

T = TypeVar("T")
R = TypeVar("R")
Job = Callable[[ParserPool], T]
"""Something to be done with one parser process; runs in a thread of its own."""


@dataclass(frozen=True, slots=True)
class Ready(Generic[T]):
    """A result that needs no parser."""

    value: T


def default_children() -> int:
    """One parser process for each core that this process may use, at most `MAX_CHILDREN`."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, MAX_CHILDREN)


class ParallelParsers(Generic[T]):
    """Up to `n_children` parser processes, started when they are needed.  A context manager.

    `weigh` says how much memory a result holds; jobs wait while finished results that were not taken yet
    weigh more than `MAX_HELD_WEIGHT` together.
    """

    def __init__(self, limits: Limits, weigh: Callable[[T], int], n_children: int = 0) -> None:
        self._limits = limits
        self._weigh = weigh
        self._pools: list[ParserPool] = []
        self._idle: queue.LifoQueue[ParserPool] = queue.LifoQueue()
        self._threads = ThreadPoolExecutor(n_children or default_children(), "parser")
        self._room = threading.Condition()
        self._held = 0
        self._first = 0
        self._is_closing = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all parser processes; what they were doing is given up."""
        with self._room:
            self._is_closing = True
            self._room.notify_all()
            pools = list(self._pools)
        for pool in pools:
            pool.stop()
        self._threads.shutdown(wait=True, cancel_futures=True)
        for pool in pools:
            pool.close()

    def now(self, job: Callable[[ParserPool], R]) -> R:
        """Do something at once, in the calling thread, with an idle parser process or one more."""
        pool = self._borrow()
        try:
            return job(pool)
        finally:
            self._idle.put(pool)

    def in_order(self, jobs: Iterable[Ready[T] | Job[T]]) -> Iterator[list[T]]:
        """The results, in the order of `jobs`, in batches of those that are there; at times an empty batch,
        so that the caller can do something else while a job takes long.

        `jobs` is asked for more from this thread only, at most `MAX_AHEAD` before their turn.  What a job
        raises is raised here.
        """
        source = iter(jobs)
        waiting: deque[Ready[T] | Future[T]] = deque()
        n_asked = 0
        more = True
        while True:
            while more and len(waiting) < MAX_AHEAD:
                job = next(source, None)
                if job is None:
                    more = False
                    break
                waiting.append(
                    job if isinstance(job, Ready) else self._threads.submit(self._do, job, n_asked)
                )
                n_asked += 1
            if not waiting:
                return
            yield self._finished(waiting, n_asked - len(waiting))

    def _finished(self, waiting: deque[Ready[T] | Future[T]], first: int) -> list[T]:
        """Takes the finished results at the head of `waiting`, whose first job has the number `first`."""
        with self._room:
            self._first = first
            self._room.notify_all()
        batch: list[T] = []
        weight = 0
        while waiting and len(batch) < MAX_BATCH:
            head = waiting[0]
            if isinstance(head, Ready):
                batch.append(head.value)
            else:
                if batch and not head.done():
                    break
                try:
                    result = head.result(_POLL_S)
                except NotYet:
                    if head.done():  # the job itself raised it
                        raise
                    break
                weight += self._weigh(result)
                batch.append(result)
            waiting.popleft()
        if weight:
            with self._room:
                self._held -= weight
                self._room.notify_all()
        return batch

    def _do(self, job: Job[T], number: int) -> T:
        with self._room:
            # The first one that is waited for must never wait for room itself.
            self._room.wait_for(
                lambda: self._held < MAX_HELD_WEIGHT or number <= self._first or self._is_closing
            )
            if self._is_closing:
                raise IngestError("the parsers are being closed")
            pool = self._borrow()
        try:
            result = job(pool)
        finally:
            self._idle.put(pool)
        with self._room:
            self._held += self._weigh(result)
        return result

    def _borrow(self) -> ParserPool:
        with self._room:
            try:
                return self._idle.get_nowait()
            except queue.Empty:
                pool = ParserPool(self._limits)
                self._pools.append(pool)
                return pool
