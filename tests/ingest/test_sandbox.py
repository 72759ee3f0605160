"""Parsing in a child process: the right text, the right id, and no file that stops the run."""

from __future__ import annotations

import fcntl
import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from guards import PATIENCE_S
from pdf_files import PROSE, drawn_pdf, encrypted_pdf, picture_pdf, shown, text_pdf

from ingest import frames, sandbox
from ingest.child_process import ChildDied, ChildProcess, ChildTimeout, ReplyTooLarge, python_module
from ingest.errors import IngestError, ParseFailure
from ingest.parsers.base import Limits
from ingest.sandbox import ParserPool, parse_in_child
from ingest.scan import ScannedFile, scan


@pytest.fixture(scope="module")
def pool() -> Iterator[ParserPool]:
    with ParserPool() as warm:
        yield warm


def scanned(path: Path, data: bytes | str) -> ScannedFile:
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    (file,) = scan([path]).files
    return file


def code_of(pool: ParserPool, file: ScannedFile) -> str:
    with pytest.raises(ParseFailure) as caught:
        pool.parse(file)
    assert caught.value.subject
    assert caught.value.remedy
    return caught.value.code


def child_of(pool: ParserPool) -> int:
    assert pool._child is not None
    return pool._child.pid


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_text_id_and_pages_belong_to_the_bytes(pool: ParserPool, tmp_path: Path) -> None:
    data = "# Plan\n\nFirst.\n\n## Costs\n\nNaïve 😀.\n"
    file = scanned(tmp_path / "plan.md", data)
    parsed = pool.parse(file)
    assert parsed.document_id == hashlib.sha256(data.encode()).hexdigest()
    assert (parsed.title, parsed.media_type, parsed.warnings) == ("Plan", "text/markdown", ())
    assert parsed.text.text == data
    assert [page.label for page in parsed.text.pages] == ["Plan", "Costs"]
    assert parsed.text.pages[1].start == parsed.text.pages[0].end == data.index("## Costs")
    assert (parsed.size, parsed.mtime_ns) == (file.size, file.mtime_ns)


def test_a_pdf_keeps_its_pages(pool: ParserPool, tmp_path: Path) -> None:
    parsed = pool.parse(scanned(tmp_path / "a.pdf", text_pdf(["one alpha", "two beta"])))
    assert [parsed.text.text[p.start : p.end].strip() for p in parsed.text.pages] == ["one alpha", "two beta"]


def test_a_pdf_in_disguise_is_a_pdf(pool: ParserPool, tmp_path: Path) -> None:
    assert pool.parse(scanned(tmp_path / "a.txt", text_pdf([PROSE]))).media_type == "application/pdf"


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("a.txt", b"", "empty"),
        ("a.txt", bytes(10_000), "binary"),
        ("a.md", b"\x89PNG\r\n\x1a\n123", "binary"),
        ("a.pdf", b"", "empty"),
        ("a.pdf", b"no pdf", "broken"),
        ("a.pdf", picture_pdf(1), "scanned"),
        ("a.pdf", encrypted_pdf("secret"), "encrypted"),
    ],
)
def test_failures_cross_the_wire(pool: ParserPool, tmp_path: Path, name: str, data: bytes, code: str) -> None:
    assert code_of(pool, scanned(tmp_path / name, data)) == code


def test_a_failure_leaves_the_child_warm(pool: ParserPool, tmp_path: Path) -> None:
    good = scanned(tmp_path / "good.txt", "good")
    pool.parse(good)
    before = child_of(pool)
    code_of(pool, scanned(tmp_path / "bad.txt", b""))
    assert pool.parse(good).text.text == "good"
    assert child_of(pool) == before


def test_a_file_that_went_away(pool: ParserPool, tmp_path: Path) -> None:
    file = scanned(tmp_path / "a.txt", "x")
    file.path.unlink()
    assert code_of(pool, file) == "vanished"


def test_a_pipe_in_the_place_of_the_file_does_not_block(pool: ParserPool, tmp_path: Path) -> None:
    file = scanned(tmp_path / "a.txt", "x")
    file.path.unlink()
    os.mkfifo(file.path)
    assert code_of(pool, file) == "unsupported"


@pytest.mark.parametrize("name", [b"[red]\x1b[31m.txt", b"\xff\xfe.txt", b"line\nbreak.txt"])
def test_odd_names_are_read_and_shown_escaped(pool: ParserPool, tmp_path: Path, name: bytes) -> None:
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
    assert pool.parse(scanned(path, "***")).title.isprintable()
    with pytest.raises(ParseFailure) as caught:
        pool.parse(scanned(path, b""))
    assert str(caught.value).isprintable()


def test_hostile_text_arrives_clean(pool: ParserPool, tmp_path: Path) -> None:
    parsed = pool.parse(scanned(tmp_path / "a.txt", "one\x1b[2J\r\ntwo\u202e\x00 three"))
    assert parsed.text.text == "one\ntwo three"
    assert any("writing direction" in warning for warning in parsed.warnings)


def test_a_large_sparse_file_is_no_text(pool: ParserPool, tmp_path: Path) -> None:
    path = tmp_path / "sparse.txt"
    with path.open("wb") as file:
        file.truncate(100_000_000)
    assert code_of(pool, scan([path]).files[0]) == "binary"


def test_a_file_that_grew_over_the_limit_since_the_scan(tmp_path: Path) -> None:
    file = scanned(tmp_path / "a.txt", "x")
    file.path.write_text("x" * 2000)
    with pytest.raises(ParseFailure) as caught:
        parse_in_child(file, Limits(max_file_bytes=1000))
    assert caught.value.code == "too-large"


def test_too_much_text_is_refused(tmp_path: Path) -> None:
    with ParserPool(Limits(max_reply_bytes=10_000)) as pool:
        assert code_of(pool, scanned(tmp_path / "a.txt", "word " * 5000)) == "too-large"
        assert pool.parse(scanned(tmp_path / "b.txt", "word")).text.text == "word"


def test_too_much_memory_is_refused_and_the_next_file_is_read(tmp_path: Path) -> None:
    large = scanned(tmp_path / "large.txt", b"word word\n" * 12_000_000)
    with ParserPool(Limits(memory_bytes=260_000_000)) as pool:
        assert code_of(pool, large) == "memory"
        assert pool.parse(scanned(tmp_path / "b.txt", "word")).text.text == "word"


def slow_pdf() -> bytes:
    """Under a megabyte, and far more than a second to read."""
    return drawn_pdf([(shown("a") + b"\n") * 150_000])


def test_too_much_time_is_refused_and_the_child_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ParserPool() as pool:
        quick = scanned(tmp_path / "b.txt", "word")
        pool.parse(quick)
        before = child_of(pool)
        os.kill(before, signal.SIGSTOP)  # as good as a file that is read for ever
        with monkeypatch.context() as patched:
            patched.setattr(pool, "_limits", Limits(wall_s=0.2))
            assert code_of(pool, quick) == "timeout"
        assert not is_running(before)
        assert pool.parse(quick).text.text == "word"


def test_too_much_processor_time_is_refused(tmp_path: Path) -> None:
    with ParserPool(Limits(cpu_s=0)) as pool:
        assert code_of(pool, scanned(tmp_path / "slow.pdf", slow_pdf())) == "timeout"


def test_a_child_killed_between_files_is_replaced(tmp_path: Path) -> None:
    file = scanned(tmp_path / "a.txt", "word")
    with ParserPool() as pool:
        pool.parse(file)
        before = child_of(pool)
        os.kill(before, signal.SIGKILL)
        assert pool.parse(file).text.text == "word"
        assert child_of(pool) != before


@pytest.mark.parametrize(("number", "code"), [(signal.SIGSEGV, "broken"), (signal.SIGKILL, "memory")])
def test_a_child_that_crashes_at_work(tmp_path: Path, number: signal.Signals, code: str) -> None:
    """SIGKILL is what the system sends when memory runs out; the file is tried twice, then blamed."""
    slow = scanned(tmp_path / "slow.pdf", slow_pdf())
    stop = threading.Event()
    with ParserPool() as pool:
        pool.parse(scanned(tmp_path / "a.txt", "word"))

        def kill_whoever_works() -> None:
            while not stop.wait(0.3):
                child = pool._child
                if child is not None:
                    with suppress(ProcessLookupError):  # it may be killed meanwhile
                        os.kill(child.pid, number)

        killer = threading.Thread(target=kill_whoever_works)
        killer.start()
        try:
            assert code_of(pool, slow) == code
        finally:
            stop.set()
            killer.join()


def test_a_child_is_replaced_after_many_files_and_ends_with_the_pool(tmp_path: Path) -> None:
    file = scanned(tmp_path / "a.txt", "word")
    children = set()
    with ParserPool(files_per_child=2) as pool:
        for _ in range(5):
            pool.parse(file)
            children.add(child_of(pool))
    assert len(children) == 3
    assert not any(is_running(pid) for pid in children)


def test_an_interrupt_ends_the_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = scanned(tmp_path / "a.txt", "word")
    with ParserPool() as pool:
        pool.parse(file)
        before = child_of(pool)

        def interrupted(*_: object) -> bytes:
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(ChildProcess, "_reply", interrupted)
            with pytest.raises(KeyboardInterrupt):
                pool.parse(file)
        assert not is_running(before)
        assert pool.parse(file).text.text == "word"


def test_a_child_that_cannot_start_is_no_fault_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "python_module", lambda module: python_module("ingest.no_such_module"))
    with ParserPool() as pool, pytest.raises(IngestError, match="does not start") as caught:
        pool.parse(scanned(tmp_path / "a.txt", "word"))
    assert not isinstance(caught.value, ParseFailure)


@pytest.mark.parametrize("reply", [[1, 2], {"failure": {"code": "bored", "detail": "", "remedy": ""}}, {}, 7])
def test_a_reply_without_sense_is_a_failure(tmp_path: Path, reply: object) -> None:
    payload = frames.pack(reply)[frames.PREFIX.size :]
    with ParserPool() as pool, pytest.raises(ParseFailure) as caught:
        pool._read_reply(payload, "a.txt", sandbox._parsed_file)
    assert caught.value.code == "broken"


def test_modules_in_the_working_directory_are_not_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "orjson.py").write_text("raise SystemExit('imported from the working directory')")
    monkeypatch.chdir(tmp_path)
    assert parse_in_child(scanned(tmp_path / "a.txt", "word")).text.text == "word"


def test_the_child_stays_light() -> None:
    heavy = "{'numpy', 'llama_cpp', 'tantivy', 'sqlite3', 'pypdf', 'charset_normalizer', 'textual'}"
    code = f"import sys, ingest.parse_child; print(sorted({heavy} & set(sys.modules)))"
    root = str(Path(sandbox.__file__).parent.parent)
    shown = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True, timeout=PATIENCE_S
    )
    assert shown.stdout.strip() == "[]"


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_a_reply_in_pieces_is_put_together() -> None:
    child = ChildProcess(
        python(
            "import sys, time\n"
            "for piece in (b'\\0', b'\\0\\0\\5he', b'l', b'lo'):\n"
            "    sys.stdout.buffer.write(piece); sys.stdout.flush(); time.sleep(0.05)\n"
            "sys.stdin.read()"
        )
    )
    assert child.exchange(b"x", timeout_s=PATIENCE_S, max_reply_bytes=5) == b"hello"
    child.close()
    child.close()


def test_a_flood_of_messages_neither_blocks_nor_fills_the_memory() -> None:
    child = ChildProcess(
        python(
            "import sys\nsys.stderr.write('x' * 3_000_000 + 'last words'); sys.stderr.flush(); sys.exit(3)"
        )
    )
    with pytest.raises(ChildDied) as caught:
        child.exchange(b"", timeout_s=PATIENCE_S, max_reply_bytes=10)
    assert caught.value.returncode == 3
    assert caught.value.stderr.endswith("last words")
    assert len(caught.value.stderr) <= 8192


def test_an_announced_flood_is_not_awaited() -> None:
    child = ChildProcess(
        python("import sys\nsys.stdout.buffer.write(b'\\xff' * 9); sys.stdout.flush(); sys.stdin.read()")
    )
    with pytest.raises(ReplyTooLarge):
        child.exchange(b"", timeout_s=PATIENCE_S, max_reply_bytes=10_000)
    assert not is_running(child.pid)


def test_a_silent_child_and_its_children_are_killed(tmp_path: Path) -> None:
    held = tmp_path / "held"
    grandchild = (
        f"import fcntl, time; f = open({str(held)!r}, 'w'); fcntl.flock(f, fcntl.LOCK_EX);"
        " f.write('locked'); f.flush(); time.sleep(600)"
    )
    child = ChildProcess(
        python(f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {grandchild!r}])")
    )
    give_up = time.monotonic() + PATIENCE_S
    while not (held.exists() and held.read_text()) and time.monotonic() < give_up:
        time.sleep(0.02)
    with held.open() as file:
        with pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with pytest.raises(ChildTimeout):
            child.exchange(b"x", timeout_s=0.1, max_reply_bytes=10)
        assert not is_running(child.pid)
        fcntl.flock(file, fcntl.LOCK_EX)  # free only when the grandchild is gone too


def test_many_small_files_are_read_by_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Starting one takes as long as reading dozens of files."""
    files = [scanned(tmp_path / f"{number}.txt", f"Note {number}. {PROSE}" * 5) for number in range(100)]
    started = []

    def counted(command: list[str]) -> ChildProcess:
        started.append(command)
        return ChildProcess(command)

    monkeypatch.setattr(sandbox, "ChildProcess", counted)
    assert len(files) < sandbox.FILES_PER_CHILD
    with ParserPool() as pool:
        for file in files:
            pool.parse(file)
    assert len(started) == 1
