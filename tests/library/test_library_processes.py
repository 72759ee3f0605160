"""Several processes at once, and processes that die at any moment."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from guards import PATIENCE_S
from shelf import put, put_snapshot

from library.store import Library

SPAWN = multiprocessing.get_context("spawn")
pytestmark = pytest.mark.slow


def write_forever(root: str, pipe: Connection) -> None:
    with Library.create_or_open(Path(root)) as library:
        for number in range(10_000):
            with library.writing():
                for part in range(3):
                    document = put(library, f"/{number}-{part}", f"zebra number {number} part {part} " * 30)
                    put_snapshot(library, document, f"state {number} {part}".encode() * 100)
                if number % 3 == 2:
                    put(library, f"/{number - 1}-0", f"zebra changed {number}")
            pipe.send(number)


def read_often(root: str, pipe: Connection) -> None:
    """Until the other one has written ten more documents."""
    problems: list[str] = []
    searches = 0
    with Library.open(Path(root)) as library:
        enough = library.count() + 10
        while library.count() < enough or searches < 20:
            for hit in library.search("zebra", 3):
                text = library.text(hit.document.id).text
                problems += [p.text for p in hit.passages if p.text != text[p.start : p.end]]
                for record in library.snapshots(hit.document.id):
                    if library.snapshot(record.document_id, record.ordinal, record.profile_id) is None:
                        problems.append("a row without a file")
            searches += 1
    pipe.send((searches, problems))


def test_two_read_while_one_writes(root: Path) -> None:
    Library.create_or_open(root).close()
    ours, theirs = SPAWN.Pipe()
    writer = SPAWN.Process(target=write_forever, args=(str(root), theirs))
    writer.start()
    try:
        assert ours.poll(PATIENCE_S)
        pipes = [SPAWN.Pipe() for _ in range(2)]
        readers = [SPAWN.Process(target=read_often, args=(str(root), pipe[1])) for pipe in pipes]
        for reader in readers:
            reader.start()
        for pipe in pipes:
            assert pipe[0].poll(PATIENCE_S), "a reader was blocked or died"
            searches, problems = pipe[0].recv()
            assert searches >= 20
            assert problems == []
        for reader in readers:
            reader.join()
        assert writer.is_alive()
    finally:
        writer.kill()
        writer.join()


@pytest.mark.parametrize("delay_s", [0.0, 0.013, 0.05, 0.11, 0.17])
def test_a_killed_writer_leaves_a_sound_library(root: Path, delay_s: float) -> None:
    ours, theirs = SPAWN.Pipe()
    writer = SPAWN.Process(target=write_forever, args=(str(root), theirs))
    writer.start()
    assert ours.poll(PATIENCE_S)
    while ours.recv() < 4:
        assert ours.poll(PATIENCE_S)
    time.sleep(delay_s)
    assert writer.pid is not None
    os.kill(writer.pid, signal.SIGKILL)
    writer.join()
    with Library.open(root) as library:
        assert library.count() >= 13
        assert len(library.search("zebra number 1 part 2")) == 5
        with library.writing():
            pass
        assert library.verify() == []
        put(library, "/after", "okapi")
        assert library.search("okapi")[0].document.path == "/after"
