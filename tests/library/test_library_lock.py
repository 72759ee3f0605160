from __future__ import annotations

import multiprocessing
import os
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace

import orjson
import pytest
from guards import PATIENCE_S
from shelf import put

from kvfiles.errors import StorageError
from library.errors import LibraryLocked
from library.lock import WriterLock
from library.store import Library


def hold_until_told(path: str, pipe: Connection) -> None:
    with WriterLock(Path(path)).hold():
        pipe.send(os.getpid())
        pipe.recv()


@pytest.fixture
def holder(tmp_path: Path) -> object:
    """A process that holds the lock; killed at the end if it still lives."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=hold_until_told, args=(str(tmp_path / "writer.lock"), theirs))
    process.start()
    assert ours.recv() == process.pid
    yield process, ours
    process.kill()
    process.join()
    process.close()


def test_the_second_writer_is_told_who_holds_the_lock(tmp_path: Path, holder: tuple) -> None:
    process, _ = holder
    with pytest.raises(LibraryLocked) as caught, WriterLock(tmp_path / "writer.lock").hold():
        pass
    text = str(caught.value)
    assert f"process {process.pid} on " in text
    assert time.strftime("since %Y-") in text
    assert "wait until it has finished" in text


def test_waiting_gets_the_lock_when_it_is_released(tmp_path: Path, holder: tuple) -> None:
    _, pipe = holder
    threading.Timer(0.2, pipe.send, args=("done",)).start()
    with WriterLock(tmp_path / "writer.lock").hold(wait_s=PATIENCE_S):
        pass


def test_waiting_ends(tmp_path: Path, holder: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    now, naps = 1000.0, []

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds
        naps.append(seconds)
        assert sum(naps) < 120, "it waits for ever"

    clock = SimpleNamespace(
        monotonic=lambda: now, sleep=sleep, time=time.time, strftime=time.strftime, localtime=time.localtime
    )
    monkeypatch.setattr("library.lock.time", clock)
    with pytest.raises(LibraryLocked), WriterLock(tmp_path / "writer.lock").hold(wait_s=60):
        pass
    assert 60 <= sum(naps) <= 60 + naps[0]


def test_the_lock_of_a_killed_process_is_taken_over(tmp_path: Path, holder: tuple) -> None:
    process, _ = holder
    process.kill()
    process.join()
    lock = WriterLock(tmp_path / "writer.lock")
    with lock.hold():
        info = orjson.loads((tmp_path / "writer.lock").read_bytes())
        assert info["pid"] == os.getpid()


@pytest.mark.parametrize("junk", [b"", b"{", b"[]", b'{"pid": "x"}', b"\xff" * 10_000, b'{"pid":1e999}'])
def test_junk_in_the_lock_file_harms_nobody(tmp_path: Path, junk: bytes) -> None:
    path = tmp_path / "writer.lock"
    with WriterLock(path).hold():
        path.write_bytes(junk)
        with pytest.raises(LibraryLocked, match="another process is writing"), WriterLock(path).hold():
            pass


def test_hostile_words_in_the_lock_file_are_made_harmless(tmp_path: Path) -> None:
    path = tmp_path / "writer.lock"
    with WriterLock(path).hold():
        path.write_bytes(orjson.dumps({"pid": 1, "host": "\x1b[31mh", "since": 0, "command": "x\n" * 900}))
        with pytest.raises(LibraryLocked) as caught, WriterLock(path).hold():
            pass
    assert str(caught.value).isprintable()


def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("data")
    (tmp_path / "writer.lock").symlink_to(tmp_path / "precious")
    with pytest.raises(StorageError), WriterLock(tmp_path / "writer.lock").hold():
        pass
    assert (tmp_path / "precious").read_text() == "data"


def test_one_library_enters_twice_another_does_not(library: Library, root: Path) -> None:
    with Library.open(root) as other:
        with library.writing(), library.writing():
            put(library, "/a", "zebra")
            with pytest.raises(LibraryLocked), other.writing():
                pass
        with other.writing():
            put(other, "/b", "okapi")
        assert library.count() == 2


def test_threads_of_one_library_take_turns(library: Library) -> None:
    inside, refused, order = threading.Event(), threading.Event(), []

    def second() -> None:
        inside.wait(PATIENCE_S)
        with pytest.raises(LibraryLocked), library.writing():
            pass
        refused.set()
        with library.writing(wait_s=PATIENCE_S):
            order.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    with library.writing():
        inside.set()
        refused.wait(PATIENCE_S)
        time.sleep(0.2)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_the_lock_is_free_after_an_error(library: Library, root: Path) -> None:
    with pytest.raises(RuntimeError), library.writing():
        raise RuntimeError
    with Library.open(root) as other, other.writing():
        pass
