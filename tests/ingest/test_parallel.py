"""Parser processes side by side: the order of the jobs, bounded memory, and an end that leaves nothing."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from guards import PATIENCE_S

from ingest import parallel
from ingest.errors import ParseFailure
from ingest.parallel import Job, ParallelParsers, Ready
from ingest.parsers.base import Limits
from ingest.sandbox import ParserPool
from ingest.scan import scan


def crew(n_children: int = 3) -> ParallelParsers[int]:
    """Jobs of numbers that need no process at all."""
    return ParallelParsers(Limits(), lambda n: n, n_children)


def test_results_come_in_order_whatever_takes_long() -> None:
    def job(number: int) -> Job[int]:
        def slow(_pool: ParserPool) -> int:
            time.sleep(0.02 if number % 5 == 0 else 0)
            return number

        return slow

    jobs: list[Ready[int] | Job[int]] = [
        Ready(number) if number % 3 == 0 else job(number) for number in range(300)
    ]
    with crew() as parsers:
        batches = list(parsers.in_order(jobs))
    assert [number for batch in batches for number in batch] == list(range(300))
    assert max(map(len, batches)) <= parallel.MAX_BATCH


def test_a_long_job_gives_empty_batches_meanwhile() -> None:
    gate = threading.Event()

    def waiting(_pool: ParserPool) -> int:
        gate.wait(PATIENCE_S)
        return 1

    with crew() as parsers:
        batches = parsers.in_order([waiting, Ready(2)])
        assert next(batches) == []
        gate.set()
        assert [number for batch in batches for number in batch] == [1, 2]


def test_what_a_job_raises_is_raised() -> None:
    def bad(_pool: ParserPool) -> int:
        raise ZeroDivisionError

    def late(_pool: ParserPool) -> int:
        raise TimeoutError("of the job itself")

    for job, error in ((bad, ZeroDivisionError), (late, TimeoutError)):
        with crew() as parsers, pytest.raises(error):
            list(parsers.in_order([Ready(1), job]))


def test_finished_results_wait_for_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "MAX_HELD_WEIGHT", 100)
    started: list[int] = []
    gate = threading.Event()

    def job(number: int) -> Job[int]:
        def heavy(_pool: ParserPool) -> int:
            started.append(number)
            if number == 0:
                gate.wait(PATIENCE_S)
            return 60

        return heavy

    with crew() as parsers:
        batches = parsers.in_order([job(number) for number in range(50)])
        assert next(batches) == []
        give_up = time.monotonic() + PATIENCE_S
        while len(started) < 3 and time.monotonic() < give_up:
            assert next(batches) == []
        # The first is under way; of the others, two are more than 100, and a third may have begun before.
        assert 3 <= len(started) <= 4
        gate.set()
        assert sum(len(batch) for batch in batches) == 50
    assert sorted(started) == list(range(50))


def test_jobs_are_asked_for_a_little_ahead_only() -> None:
    asked: list[int] = []

    def source() -> Iterator[Ready[int] | Job[int]]:
        for number in range(10_000):
            asked.append(number)
            yield Ready(number)

    with crew() as parsers:
        batches = parsers.in_order(source())
        next(batches)
        assert len(asked) <= parallel.MAX_AHEAD


def test_closing_ends_processes_at_work(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    (file,) = scan([tmp_path]).files
    at_work = threading.Semaphore(0)
    failures: list[str] = []

    def job(pool: ParserPool) -> int:
        pool.parse(file)
        assert pool._child is not None
        os.kill(pool._child.pid, signal.SIGSTOP)  # as good as a file that is read for ever
        at_work.release()
        try:
            pool.parse(file)
        except ParseFailure as failure:
            failures.append(failure.code)
        return 1

    with crew(2) as parsers:
        batches = parsers.in_order([job, job])
        assert next(batches) == []
        for _ in range(2):
            assert at_work.acquire(timeout=PATIENCE_S)
        children = [pool._child for pool in parsers._pools]
    assert all(child is not None and child._process.returncode is not None for child in children)
    assert failures == ["memory", "memory"], "killed at work; awaited, they would have timed out"


def test_a_parser_for_one_thing_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("text")
    (file,) = scan([tmp_path]).files
    with crew(1) as parsers:
        assert parsers.now(lambda pool: pool.parse(file)).text.text == "text"
        assert parsers.now(lambda pool: pool.parse(file)).text.text == "text"
        assert len(parsers._pools) == 1, "the same process"
