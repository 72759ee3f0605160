"""Whatever goes wrong: words, a remedy, the right exit code, never a traceback."""

from __future__ import annotations

import errno
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from guards import PATIENCE_S

from beyondrag.console import Console
from beyondrag.errors import DownloadError, ModelNotFound, UsageError
from beyondrag.failures import internal_error, log_path
from ingest.errors import NothingToIngest, ParseFailure
from kvfiles.errors import (
    BeyondragError,
    Cancelled,
    ContextOverflow,
    DecodeError,
    ModelFileError,
    SnapshotCorrupt,
    SnapshotMismatch,
    StorageError,
    UnsupportedModel,
)
from library.errors import DocumentNotFound, LibraryDamaged, LibraryLocked

CODES: list[tuple[BeyondragError, int]] = [
    (ContextOverflow("too long"), 1),
    (UsageError("what"), 2),
    (NothingToIngest("nothing"), 4),
    (ParseFailure("scanned", subject="a.pdf"), 4),
    (ModelNotFound("none"), 5),
    (DownloadError("none"), 5),
    (ModelFileError("bad"), 5),
    (UnsupportedModel("bad"), 5),
    (DecodeError("bad"), 5),
    (SnapshotCorrupt("bad"), 6),
    (SnapshotMismatch("bad"), 6),
    (LibraryLocked("busy"), 6),
    (LibraryDamaged("bad"), 6),
    (DocumentNotFound("which"), 6),
    (StorageError("full"), 7),
]


@pytest.mark.parametrize(("error", "code"), CODES, ids=lambda value: type(value).__name__)
def test_each_error_has_its_exit_code(error: BeyondragError, code: int, command, beyondrag) -> None:
    command.raises(error)
    shown = beyondrag("act")
    assert shown.code == code
    assert error.message in shown.err
    assert shown.out == ""


def test_an_error_says_what_about_and_what_to_do(command, beyondrag) -> None:
    command.raises(StorageError("the disk is full", subject="/lib", remedy="free some space"))
    assert beyondrag("act").err == "error: /lib: the disk is full\n  try: free some space\n"


def test_with_json_the_error_is_an_object_too(command, beyondrag) -> None:
    command.raises(StorageError("the disk is full", subject="/lib", remedy="free some space"))
    shown = beyondrag("act", "--json")
    assert shown.code == 7
    assert shown.json == {
        "error": {
            "type": "StorageError",
            "subject": "/lib",
            "message": "the disk is full",
            "remedy": "free some space",
            "exit_code": 7,
        }
    }


def test_wrong_usage_is_told_before_and_after_parsing(beyondrag) -> None:
    for line in (
        ["nonsense"],
        ["library"],
        ["library", "list", "--nonsense"],
        ["inspect"],
        ["models", "pull", "a", "b"],
    ):
        shown = beyondrag(*line)
        assert shown.code == 2
        assert shown.err.startswith("error: ")
        assert "--help" in shown.err
        assert beyondrag(*line, "--json").json["error"]["type"] == "UsageError"


def test_options_are_not_abbreviated(beyondrag) -> None:
    assert beyondrag("library", "list", "--lib", "x").code == 2


def test_hostile_arguments_do_not_reach_the_terminal(beyondrag) -> None:
    shown = beyondrag("library", "show", "x", "--\x1b[31m\u202e")
    assert shown.code == 2
    assert "\x1b" not in shown.err
    assert "\u202e" not in shown.err
    assert "\\x1b[31m" in shown.err


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), Cancelled("stopped", remedy="run it again")])
def test_stopping(stop: BaseException, command, beyondrag) -> None:
    command.raises(stop)
    shown = beyondrag("act")
    assert shown.code == 130
    assert shown.err.startswith("\nstopped; finished work is kept\n")
    assert ("run it again" in shown.err) == isinstance(stop, Cancelled)
    assert beyondrag("act", "--json").json["error"]["exit_code"] == 130


def test_an_unforeseen_error_is_one_line_and_a_log(command, beyondrag, isolated_user: Path) -> None:
    command.raises(ZeroDivisionError("by\x1b[2J zero"))
    shown = beyondrag("act")
    assert shown.code == 1
    assert shown.err.startswith("error: internal error: ZeroDivisionError: by [2J zero\n")
    assert str(log_path()) in shown.err
    assert log_path().is_relative_to(isolated_user)
    log = log_path().read_text()
    assert "Traceback" in log
    assert "in action" in log
    assert log_path().stat().st_mode & 0o077 == 0


def test_the_log_does_not_grow_without_end(command, beyondrag) -> None:
    command.raises(ValueError("old"))
    beyondrag("act")
    with log_path().open("ab") as log:
        log.write(b"x" * (2 << 20))
    beyondrag("act")
    assert log_path().stat().st_size < 10_000


def test_the_log_is_not_written_through_a_link(command, beyondrag, tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("kept")
    log_path().parent.mkdir(parents=True)
    log_path().symlink_to(target)
    command.raises(ValueError("bad"))
    shown = beyondrag("act")
    assert target.read_text() == "kept"
    assert "internal error: ValueError: bad" in shown.err


def test_what_the_file_system_refuses_is_a_storage_error(command, beyondrag) -> None:
    command.raises(OSError(errno.ENOSPC, "No space left on device", "/lib/x"))
    shown = beyondrag("act")
    assert shown.code == 7
    assert shown.err.startswith("error: /lib/x: the disk is full\n  try: ")


def test_too_little_memory_is_told_as_that(command, beyondrag) -> None:
    command.raises(MemoryError())
    shown = beyondrag("act")
    assert shown.code == 1
    assert "not enough memory" in shown.err
    assert "--context" in shown.err


def test_an_error_without_a_text_is_named(isolated_user: Path) -> None:
    assert internal_error(KeyError()).message == "KeyError"


def test_the_log_is_shown_only_when_asked_for(command, beyondrag) -> None:
    def action(_console: Console) -> int:
        logging.getLogger("beyondrag.llama").info("loading \x1b[31m")
        logging.getLogger("library").warning("odd")
        return 0

    command.action = action
    assert beyondrag("act").err == ""
    shown = beyondrag("act", "--verbose").err
    assert "INFO beyondrag.llama: loading \\x1b[31m" in shown
    assert "WARNING library: odd" in shown
    assert beyondrag("act").err == ""


def _start(*arguments: str, **options: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "beyondrag", *arguments], stderr=subprocess.PIPE, **options
    )  # type: ignore[call-overload,no-any-return] # options are Popen's own


def test_a_reader_that_goes_away_is_no_error() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with _start("models", "list", stdout=writing) as process:
        os.close(writing)
        _, err = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, err) == (0, b"")


@pytest.mark.parametrize("line", [["models", "list"], ["models", "list", "--json"], ["--help"]], ids=" ".join)
def test_an_output_that_is_full_is_told(line: list[str]) -> None:
    with Path("/dev/full").open("wb") as full, _start(*line, stdout=full) as process:
        _, err = process.communicate(timeout=PATIENCE_S)
    assert b"Traceback" not in err
    assert b"Exception ignored" not in err
    assert (process.returncode, err.splitlines()[0]) == (7, b"error: output: the disk is full")


def test_ctrl_c_asks_first_and_stops_at_the_second(command, beyondrag) -> None:
    from beyondrag.interrupts import interruptible

    seen: list[bool] = []

    def action(console: Console) -> int:
        with interruptible(lambda: console.note("stopping")) as cancelled:
            seen.append(cancelled())
            os.kill(os.getpid(), signal.SIGINT)
            seen.append(cancelled())
            os.kill(os.getpid(), signal.SIGINT)
            seen.append(cancelled())
        return 0

    command.action = action
    before = signal.getsignal(signal.SIGINT)
    shown = beyondrag("act")
    assert seen == [False, True]
    assert shown.code == 130
    assert shown.err == "stopping\n\nstopped; finished work is kept\n"
    assert signal.getsignal(signal.SIGINT) is before
